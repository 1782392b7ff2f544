"""Parametric laws of loss against weights: the exponential mixing law, and a power law of the effective share.

Both are nonlinear least squares per target with Gaussian priors on the parameters, as strong as the law's own misfit
makes them, so that a bucket that says nothing stays near nothing; errors come from the linearised fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import least_squares

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.predictors.protocol import Predictor

# (weights (n, k), parameters (p,)) -> standardised loss (n,), Jacobian (n, p)
Curve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Start: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]  # (p,) each: where to begin, prior mean, prior sd


def effective_share(w: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c + b * (u^-g - 1) / g with u = e + sum_i a_i w_i: a target sees every bucket as a_i tokens of its own kind, and
    its loss falls as a power (for small g: the log) of what it sees. theta = log a (k), log e, c, log b, log g."""
    k = w.shape[1]
    a, e, b, g = np.exp(theta[:k]), np.exp(theta[k]), np.exp(theta[k + 2]), np.exp(theta[k + 3])
    u = w @ a + e
    power = u**-g
    h = (power - 1.0) / g
    slope = -power / u
    jacobian = np.empty((len(w), k + 4))
    jacobian[:, :k] = (b * slope)[:, None] * w * a
    jacobian[:, k] = b * slope * e
    jacobian[:, k + 1] = 1.0
    jacobian[:, k + 2] = b * h
    jacobian[:, k + 3] = b * (-np.log(u) * power - h)
    return theta[k + 1] + b * h, jacobian


def exponential(w: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c + b * exp(sum_i t_i w_i) (Data Mixing Laws, arXiv:2403.16952, eq. 7). theta = t (k), c, log b."""
    k = w.shape[1]
    grown = np.exp(np.minimum(w @ theta[:k] + theta[k + 1], 50.0))
    jacobian = np.empty((len(w), k + 2))
    jacobian[:, :k] = grown[:, None] * w
    jacobian[:, k] = 1.0
    jacobian[:, k + 1] = grown
    return theta[k] + grown, jacobian


@dataclass(frozen=True)
class Law(Predictor):
    """Settings. `effective`: a power law of the effective share; `exponential`: Data Mixing Laws'."""

    curve: Literal["effective", "exponential"] = "effective"
    # Weight of the priors, as a fraction of a standardised loss: first this, then (once) the misfit that it left. With
    # a fixed 0.1, targets that the law does not fit got exponents of 30 and predictions of 1e9 standard deviations.
    prior: float = 0.1
    weakest: float = 0.05
    steps: int = 200
    name: str = "law"

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> "FittedLaw":
        if self.curve not in ("effective", "exponential"):
            raise DataError(f"unknown law {self.curve!r}; effective or exponential")
        curve = effective_share if self.curve == "effective" else exponential
        mean, sd = losses.mean(axis=0), losses.std(axis=0)
        sd = np.where(sd > 0, sd, 1.0)
        thetas, covariances, residuals = [], [], []
        for y in ((losses - mean) / sd).T:
            theta, covariance, left_out = self.fit_target(curve, weights, y, groups)
            thetas.append(theta)
            covariances.append(covariance)
            residuals.append(left_out)
        errors = np.stack(residuals, axis=1)
        low, high = losses.min(axis=0), losses.max(axis=0)
        return FittedLaw(curve, np.stack(thetas), np.stack(covariances), mean, sd, low, high, errors * sd)

    def fit_target(
        self, curve: Curve, w: np.ndarray, y: np.ndarray, groups: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Parameters, their covariance and the leave-one-run-out residuals (n,)."""
        begin = starts(self.curve, w, y)
        theta = self.best_of(curve, w, y, begin, self.prior)
        noise = linearised(curve, w, y, theta, self.prior / begin[0][2])[1]
        # The posterior's mode: a prior counts against data as accurate as the data turned out to be.
        prior = float(np.clip(np.sqrt(noise), self.weakest, 1.0))
        again = [(theta, *begin[0][1:]), *begin]
        theta = self.best_of(curve, w, y, again, prior)
        inverse, noise, left_out = linearised(curve, w, y, theta, prior / begin[0][2], groups)
        return theta, inverse * noise, left_out

    def best_of(self, curve: Curve, w: np.ndarray, y: np.ndarray, begin: list[Start], prior: float) -> np.ndarray:
        """(p,) the lowest posterior from several starts; ties go to the first."""
        best: tuple[float, np.ndarray] | None = None
        for start, centre, width in begin:
            lam = prior / width

            def residual(theta: np.ndarray, centre=centre, lam=lam) -> np.ndarray:
                return np.concatenate([curve(w, theta)[0] - y, lam * (theta - centre)])

            def jacobian(theta: np.ndarray, lam=lam) -> np.ndarray:
                return np.concatenate([curve(w, theta)[1], np.diag(lam)])

            found = least_squares(residual, start, jac=jacobian, method="lm", max_nfev=self.steps)  # type: ignore[arg-type]
            if best is None or found.cost < best[0] - 1e-9:
                best = (found.cost, np.round(found.x, 6))
        assert best is not None
        return best[1]


def linearised(
    curve: Curve, w: np.ndarray, y: np.ndarray, theta: np.ndarray, lam: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, float, np.ndarray]:
    """Around the mode: (J'J + prior)^-1 (p, p), the noise variance, and residuals with each group left out (n,)."""
    value, j = curve(w, theta)
    inverse = np.linalg.inv(j.T @ j + np.diag(lam**2))
    hat = j @ inverse @ j.T
    error = y - value
    # The dof that the priors leave; at least one, so that few runs give a finite error.
    noise = float(error @ error / max(len(y) - np.trace(hat), 1.0))
    return inverse, noise, error if groups is None else leave_out(error, hat, groups)


def starts(curve: str, w: np.ndarray, y: np.ndarray) -> list[Start]:
    """(start, prior mean, prior sd) of the parameters, twice: all buckets alike, and by their correlation with y."""
    k = w.shape[1]
    x = np.log(w + 1e-3)
    x = x - x.mean(axis=0)
    norm = np.sqrt((x**2).sum(axis=0) * ((y - y.mean()) ** 2).sum())
    corr = np.divide(x.T @ (y - y.mean()), norm, out=np.zeros(k), where=norm > 0)
    if curve == "effective":
        tail = np.array([-3.0, 0.0, -0.5, -1.0])  # log e, c, log b, log g
        centre = np.concatenate([np.full(k, -2.0), tail])
        width = np.concatenate([np.full(k, 2.0), [1.0, 2.0, 1.0, 0.5]])
        informed = np.where(corr < -0.1, -6.0 * corr - 2.0, -3.0)
        return [(np.concatenate([s, tail]), centre, width) for s in (informed, np.full(k, -1.0))]
    tail = np.array([-1.0, 0.0])  # c, log b
    centre = np.concatenate([np.zeros(k), tail])
    width = np.concatenate([np.full(k, 5.0), [2.0, 2.0]])
    return [(np.concatenate([s, tail]), centre, width) for s in (3.0 * corr, np.zeros(k))]


def leave_out(error: np.ndarray, hat: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) residuals as if each group had not been fitted: (I - H_BB)^-1 e_B, exact for linear fits."""
    out = np.empty_like(error)
    for g in np.unique(groups):
        at = np.flatnonzero(groups == g)
        out[at] = np.linalg.solve(np.eye(len(at)) * (1 + 1e-9) - hat[np.ix_(at, at)], error[at])
    return out


@dataclass(frozen=True, eq=False)
class FittedLaw:
    curve: Curve
    theta: np.ndarray  # (t, p)
    covariance: np.ndarray  # (t, p, p)
    loss_mean: np.ndarray
    loss_sd: np.ndarray
    low: np.ndarray  # (t,) least and
    high: np.ndarray  # (t,) greatest measured loss
    residuals: np.ndarray

    @property
    def noise(self) -> np.ndarray:
        return np.zeros(self.residuals.shape[1])

    def mean(self, weights: np.ndarray) -> np.ndarray:
        """Within the measured losses' range and its width beyond: further out a power law is no evidence."""
        out = self.loss_mean + self.loss_sd * np.stack([self.curve(weights, t)[0] for t in self.theta], axis=1)
        width = self.high - self.low
        return np.clip(out, self.low - width, self.high + width)

    def sd(self, weights: np.ndarray) -> np.ndarray:
        out = np.empty((len(weights), len(self.theta)))
        for j, (theta, covariance) in enumerate(zip(self.theta, self.covariance, strict=True)):
            jacobian = self.curve(weights, theta)[1]
            out[:, j] = np.sqrt(np.maximum(((jacobian @ covariance) * jacobian).sum(axis=1), 0.0))
        # What the law cannot say at all is not in its parameters' covariance.
        return np.hypot(out * self.loss_sd, np.sqrt((self.residuals**2).mean(axis=0)))
