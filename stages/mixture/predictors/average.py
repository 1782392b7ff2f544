"""An average of predictors, weighted per target by how well each predicts runs that it has not seen."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.mixing_law import Law
from gristmill.stages.mixture.predictors.protocol import Fitted, Predictor, left_out

MEMBERS: tuple[Predictor, ...] = (
    GaussianProcess("log", name="gp_log"),
    GaussianProcess("sqrt", name="gp_sqrt"),
    Law(),
)


@dataclass(frozen=True)
class Average(Predictor):
    """Settings. Weights are >= 0, sum to 1, and are shrunk towards equal shares as if by `equal` runs' worth of
    evidence: with few runs, cross-validation itself is noise."""

    members: tuple[Predictor, ...] = MEMBERS
    folds: int = 5  # for members that cannot leave a run out in closed form
    equal: float = 32.0
    name: str = "average"

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> "FittedAverage":
        fitted = tuple(m.fit(weights, losses, groups, seed) for m in self.members)
        errors = np.stack(
            [self.left_out(m, f, weights, losses, groups, seed) for m, f in zip(self.members, fitted, strict=True)]
        )  # (members, n, t)
        shares = np.stack([stack(errors[:, :, j], self.equal) for j in range(losses.shape[1])], axis=1)  # (members, t)
        return FittedAverage(fitted, shares, (errors * shares[:, None, :]).sum(axis=0))

    def left_out(
        self, member: Predictor, fitted: Fitted, w: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int
    ) -> np.ndarray:
        """(n, t) residuals of runs that were not fitted: the member's own where it has them for every row."""
        if member.leaves_out and fitted.residuals.shape == y.shape:
            return fitted.residuals
        return left_out(member, w, y, groups, self.folds, seed)


def stack(errors: np.ndarray, equal: float) -> np.ndarray:
    """(members, n) residuals -> (members,) shares that minimise the squared residual of the average, plus
    equal * (its mean under equal shares) * members * |share - 1/members|^2."""
    m, n = errors.shape
    ridge = np.sqrt(equal / n * float((errors.mean(axis=0) ** 2).sum()) * m)
    # Sum-to-one as a heavily weighted row (Lawson and Hanson 1974, ch. 23).
    heavy = 1e4 * max(float(np.abs(errors).max()), 1e-12) * np.sqrt(n)
    a = np.concatenate([errors.T, ridge * np.eye(m), heavy * np.ones((1, m))])
    b = np.concatenate([np.zeros(n), np.full(m, ridge / m), [heavy]])
    share = nnls(a, b)[0]
    return np.round(share / share.sum(), 6)


@dataclass(frozen=True, eq=False)
class FittedAverage:
    members: tuple[Fitted, ...]
    shares: np.ndarray  # (members, t)
    residuals: np.ndarray

    @property
    def noise(self) -> np.ndarray:
        return np.add.reduce([s * m.noise for s, m in zip(self.shares, self.members, strict=True)])

    def mean(self, weights: np.ndarray) -> np.ndarray:
        return np.add.reduce([s * m.mean(weights) for s, m in zip(self.shares, self.members, strict=True)])

    def sd(self, weights: np.ndarray) -> np.ndarray:
        """The members' own errors (as if they erred together) and their disagreement."""
        means = np.stack([m.mean(weights) for m in self.members])
        shares = self.shares[:, None, :]
        own = (shares * np.stack([m.sd(weights) for m in self.members])).sum(axis=0)
        centre = (shares * means).sum(axis=0)
        return np.hypot(own, np.sqrt((shares * (means - centre) ** 2).sum(axis=0)))
