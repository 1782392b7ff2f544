"""Gaussian process per target: Matern 5/2 with a length per bucket on stretched weights, noise fitted.

Hyper-parameters maximise the posterior (marginal likelihood and the priors below) with analytic gradients; one
Cholesky factor and one inverse per step, so 512 runs x 13 targets fit in well under a minute on one core.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import get_lapack_funcs, solve_triangular
from scipy.optimize import minimize

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.predictors.protocol import Predictor, features, spans
from gristmill.stages.mixture.runs.diverged import steady

ROOT5 = 5**0.5
potrf, potri, potrs = get_lapack_funcs(("potrf", "potri", "potrs"), dtype=np.float64)
JITTER = 1e-8  # on the standardised losses' variance of 1
# Prior of log lengths: N(sqrt(2) + log(k) / 2, sqrt(3)), so that distances do not grow with the number of buckets
# (Hvarfner et al. 2024, arXiv:2402.02229, sec. 5; BoTorch's default). Log noise sd: N(-3, 2), that is 5% of the
# losses' spread give or take a factor of 7. Log signal sd: N(0, 1.5).
LENGTH_SD, NOISE_MEAN, NOISE_SD, SIGNAL_SD = 3**0.5, -3.0, 2.0, 1.5


@dataclass(frozen=True)
class GaussianProcess(Predictor):
    """Settings. A length per bucket from the first run on: the prior holds those that the runs say nothing about."""

    transform: str = "cbrt"  # of the weights: log(w + 1e-3), cbrt, sqrt, raw
    ard_from: float = 0.0  # runs per bucket from which every bucket has its own length (docs/decisions/mixture.md)
    steps: int = 80  # of L-BFGS
    hyper_rows: int = 512  # runs that the hyper-parameters are fitted on; all runs make the prediction
    name: str = "gp"

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> "FittedGaussian":
        if len(weights) < 2:
            raise DataError(f"{self.name}: a Gaussian process needs two runs at least")
        weights, losses, groups = steady(weights, losses, groups)
        x = features(weights, self.transform)
        centre, scale = spans(x)
        z = (x - centre) / scale
        rows = np.arange(len(z))
        if len(z) > self.hyper_rows:
            rows = np.sort(np.random.default_rng(seed).choice(len(z), size=self.hyper_rows, replace=False))
        lengths = z.shape[1] if len(z) >= self.ard_from * z.shape[1] else 1
        mean, sd = losses.mean(axis=0), losses.std(axis=0)
        sd = np.where(sd > 0, sd, 1.0)
        y = (losses - mean) / sd
        parts = [solved(z, y[:, j], fit_hyper(z[rows], y[rows, j], lengths, self.steps)) for j in range(y.shape[1])]
        residuals = np.stack([leave_group_out(p, groups) for p in parts], axis=1) * sd
        return FittedGaussian(self.transform, centre, scale, z, mean, sd, tuple(parts), residuals)


@dataclass(frozen=True, eq=False)
class Solved:
    """One target: kernel parameters, K = L L^T, alpha = K^-1 y."""

    log_length: np.ndarray  # (k,) or (1,)
    log_signal: float
    log_noise: float
    lower: np.ndarray  # (n, n)
    alpha: np.ndarray  # (n,)


@dataclass(frozen=True, eq=False)
class FittedGaussian:
    transform: str
    centre: np.ndarray
    scale: np.ndarray
    z: np.ndarray
    loss_mean: np.ndarray
    loss_sd: np.ndarray
    parts: tuple[Solved, ...]
    residuals: np.ndarray  # (n, t) leave-one-run-out

    def standard(self, weights: np.ndarray) -> np.ndarray:
        return (features(weights, self.transform) - self.centre) / self.scale

    @property
    def noise(self) -> np.ndarray:
        return self.loss_sd * np.exp([p.log_noise for p in self.parts])

    def mean(self, weights: np.ndarray) -> np.ndarray:
        x = self.standard(weights)
        out = np.stack([matern_of_lengths(x, self.z, p) @ p.alpha for p in self.parts], axis=1)
        return self.loss_mean + self.loss_sd * out

    def sd(self, weights: np.ndarray) -> np.ndarray:
        x = self.standard(weights)
        out = np.empty((len(x), len(self.parts)))
        for j, p in enumerate(self.parts):
            v = solve_triangular(p.lower, matern_of_lengths(self.z, x, p), lower=True, check_finite=False)
            out[:, j] = np.sqrt(np.maximum(np.exp(2 * p.log_signal) - (v * v).sum(axis=0), 1e-12))
        return out * self.loss_sd

    def believing(self, weights: np.ndarray) -> "FittedGaussian":
        """As if `weights` (n, k) had been measured to be as predicted: the mean stays, the sd shrinks."""
        z = np.concatenate([self.z, self.standard(weights)])
        y = (self.mean(weights) - self.loss_mean) / self.loss_sd
        parts = []
        for j, p in enumerate(self.parts):
            # K alpha = y on the old rows, noise and jitter included.
            old = p.lower @ (p.lower.T @ p.alpha)
            theta = np.concatenate([p.log_length, [p.log_signal, p.log_noise]])
            parts.append(solved(z, np.concatenate([old, y[:, j]]), theta))
        return replace(self, z=z, parts=tuple(parts))

    def lengths(self) -> np.ndarray:
        """(t, k) in standard deviations of the transformed weight: short ones matter."""
        k = self.z.shape[1]
        return np.stack([np.exp(np.broadcast_to(p.log_length, (k,))) for p in self.parts])


def squared_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T), 0.0)


def matern_of_lengths(a: np.ndarray, b: np.ndarray, p: Solved) -> np.ndarray:
    r = ROOT5 * np.sqrt(squared_distance(a * np.exp(-p.log_length), b * np.exp(-p.log_length)))
    return matern(r, np.exp(2 * p.log_signal))


def matern(r: np.ndarray, variance: float = 1.0) -> np.ndarray:
    """Matern covariance of smoothness 5/2 at distances r = sqrt(5) |a - b| / length."""
    return variance * (1.0 + r + r * r / 3.0) * np.exp(-r)


def solved(z: np.ndarray, y: np.ndarray, theta: np.ndarray) -> Solved:
    p = Solved(theta[:-2], float(theta[-2]), float(theta[-1]), np.empty(0), np.empty(0))
    k = matern_of_lengths(z, z, p)
    k[np.diag_indices(len(z))] += np.exp(2 * p.log_noise) + JITTER
    lower, failed = potrf(k, lower=1)
    if failed:
        raise DataError("the covariance of the runs is not positive definite: are there many equal mixtures?")
    lower = np.tril(lower)
    return Solved(p.log_length, p.log_signal, p.log_noise, lower, potrs(lower, y, lower=1)[0])


def leave_group_out(p: Solved, groups: np.ndarray) -> np.ndarray:
    """(n,) residual of each run predicted from the other groups, in closed form: (K^-1)_BB^-1 (K^-1 y)_B
    (Rasmussen and Williams 2006, eq. 5.12, for blocks). Hyper-parameters are those of all runs."""
    inverse = potri(p.lower, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    out = p.alpha / np.diag(inverse)
    ids, counts = np.unique(groups, return_counts=True)
    for g in ids[counts > 1]:
        at = np.flatnonzero(groups == g)
        out[at] = np.linalg.solve(inverse[np.ix_(at, at)], p.alpha[at])
    return out


def fit_hyper(z: np.ndarray, y: np.ndarray, lengths: int, steps: int) -> np.ndarray:
    """(lengths + 2,) log lengths, log signal sd, log noise sd of highest posterior density."""
    centre = 2**0.5 + 0.5 * np.log(z.shape[1])
    start = np.concatenate([np.full(lengths, centre), [0.0, -2.5]])
    best = minimize(
        negative_log_posterior,
        start,
        args=(z, y, centre),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-8.0, 8.0)] * len(start),
        options={"maxiter": steps},
    )
    # Rounded so that the last bits of another BLAS do not travel on.
    return np.round(best.x, 6)


def negative_log_posterior(theta: np.ndarray, z: np.ndarray, y: np.ndarray, centre: float) -> tuple[float, np.ndarray]:
    """Value and gradient. theta = log lengths, log signal sd, log noise sd."""
    n, lengths = len(z), len(theta) - 2
    s = z * np.exp(-theta[:lengths])
    r = ROOT5 * np.sqrt(squared_distance(s, s))
    decay = np.exp(2 * theta[-2] - r)
    signal = decay * (1.0 + r + r * r / 3.0)
    noise = np.exp(2 * theta[-1])
    k = signal.copy()
    k[np.diag_indices(n)] += noise + JITTER
    lower, failed = potrf(k, lower=1, overwrite_a=1)
    if failed:
        return 1e10, np.zeros_like(theta)
    log_det = 2.0 * np.log(np.diag(lower)).sum()
    inverse = potri(lower, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ y
    value = 0.5 * (y @ alpha + log_det + n * np.log(2 * np.pi))
    q = np.outer(alpha, alpha) - inverse  # d value = -tr(q dK) / 2
    # d Matern / d log length_d = signal^2 * 5/3 * (1 + r) e^-r * (s_id - s_jd)^2, summed without a (n, n, k) array.
    g = q * (decay * (1.0 + r) * (5.0 / 3.0))
    spread = 2.0 * ((g.sum(axis=1)[:, None] * s * s).sum(axis=0) - (s * (g @ s)).sum(axis=0))
    slope = np.empty_like(theta)
    slope[:lengths] = -0.5 * (spread if lengths > 1 else spread.sum())
    slope[-2] = -(q * signal).sum()
    slope[-1] = -noise * np.trace(q)
    for at, mean, sd in (
        (slice(0, lengths), centre, LENGTH_SD),
        (slice(-2, -1), 0.0, SIGNAL_SD),
        (slice(-1, None), NOISE_MEAN, NOISE_SD),
    ):
        away = (theta[at] - mean) / sd
        value += 0.5 * float((away**2).sum())
        slope[at] += away / sd
    return float(value), slope
