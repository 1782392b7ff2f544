"""What a predictor of losses from weights is, and how its predictions per target become the objective's.

Every predictor is a frozen dataclass of settings; `fit` gives a mean and a standard deviation for any mixture.
"""

from collections.abc import Callable
from typing import ClassVar, Literal, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.runs.diverged import steady
from gristmill.stages.mixture.runs.runs import Runs

FLOOR = 1e-3  # log(w + FLOOR): loss falls steeply as a bucket's share leaves zero (and RegMix's tables have 3 decimals)


class Fitted(Protocol):
    """A predictor after fitting."""

    @property
    def residuals(self) -> np.ndarray:
        """(m, t) observed minus predicted, on rows that the prediction has not seen."""
        ...

    def mean(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) -> (n, t)."""
        ...

    def sd(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) -> (n, t) standard deviation of the error of `mean` against the noise-free loss."""
        ...

    @property
    def noise(self) -> np.ndarray:
        """(t,) sd of one measurement around the noise-free loss; 0 where `sd` holds it already."""
        ...


class Predictor:
    """Settings of a predictor: a frozen dataclass that derives from this. `fit` sees nothing but its arguments."""

    name: str
    # How one mixture is read off it: the lowest prediction, or the mean of the 100 lowest (RegMix; trees are steps)
    final: ClassVar[Literal["argmin", "mean_top"]] = "argmin"
    # Whether `residuals` of what it fits are of rows that each fit has left out; if not, averages refit without them
    leaves_out: ClassVar[bool] = True

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
        """weights (n, k), losses (n, t); groups (n,): rows that no split may part."""
        raise NotImplementedError


def features(weights: np.ndarray, transform: str) -> np.ndarray:
    """(n, k) -> (n, k). Smooth predictors need the steep start near zero stretched out."""
    if transform == "log":
        return np.log(weights + FLOOR)
    if transform == "sqrt":
        return np.sqrt(weights)
    if transform == "cbrt":
        return np.cbrt(weights)
    if transform == "raw":
        return np.asarray(weights, dtype=float)
    raise DataError(f"unknown transform of weights {transform!r}; log, cbrt, sqrt or raw")


def spans(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k,) centres and (k,) widths of (n, k) transformed weights. A bucket that hardly moves says nothing; without the
    floor, noise in it would count like a real step."""
    width = x.std(axis=0)
    return x.mean(axis=0), np.maximum(width, 1e-3 * max(float(width.max()), 1e-9))


def group_folds(groups: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """(test mask (n,)) per fold; whole groups, as even as they go. Raises DataError with fewer groups than folds."""
    ids = np.unique(groups)
    if len(ids) < folds:
        raise DataError(f"{len(ids)} different runs cannot make {folds} folds")
    fold_of = dict(zip(rng.permutation(ids).tolist(), (np.arange(len(ids)) % folds).tolist(), strict=True))
    fold = np.array([fold_of[g] for g in groups.tolist()])
    return [fold == f for f in range(folds)]


def left_out(
    predictor: Predictor, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """(n, t) residuals by refits without each fold; no more folds than groups."""
    out = np.empty_like(losses)
    for test in group_folds(groups, min(folds, len(np.unique(groups))), np.random.default_rng(seed)):
        fitted = predictor.fit(weights[~test], losses[~test], groups[~test], seed)
        out[test] = losses[test] - fitted.mean(weights[test])
    return out


def refuse_leak(train_groups: np.ndarray, test_groups: np.ndarray) -> None:
    """Raises DataError if a run stands on both sides (DaMo's released split: every test row's run is in training)."""
    shared = np.intersect1d(train_groups, test_groups)
    if len(shared):
        rows = int(np.isin(test_groups, shared).sum())
        raise DataError(
            f"leaking split: {rows} of {len(test_groups)} test rows are checkpoints or repeats of runs in training; "
            "split whole runs (Runs.groups)"
        )


def in_batches(function: Callable[[np.ndarray], np.ndarray], weights: np.ndarray, size: int = 8192) -> np.ndarray:
    """Rows in slices, so that 100,000 candidates need no matrix of 100,000 x runs."""
    return np.concatenate([function(weights[i : i + size]) for i in range(0, max(len(weights), 1), size)])


def correlation(residuals: np.ndarray) -> np.ndarray:
    """(m, t) -> (t, t), shrunk towards independence as if by as many pseudo-rows as there are targets."""
    t = residuals.shape[1]
    if len(residuals) < 3:
        return np.eye(t)
    sd = residuals.std(axis=0)
    z = (residuals - residuals.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
    corr = z.T @ z / (len(z) + t)
    np.fill_diagonal(corr, 1.0)
    return corr


def objective_mean(fitted: Fitted, weights: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """(n, k) -> (n,) predicted sum_t mix[t] * loss_t."""
    return in_batches(lambda w: fitted.mean(w) @ mix, weights)


def objective_sd(fitted: Fitted, weights: np.ndarray, mix: np.ndarray, noise: bool = False) -> np.ndarray:
    """(n, k) -> (n,); the errors of targets correlate as their residuals do. With noise: of one more measurement."""
    corr = correlation(fitted.residuals)
    extra = fitted.noise if noise else np.zeros(len(mix))

    def sd(w: np.ndarray) -> np.ndarray:
        a = np.hypot(fitted.sd(w), extra) * mix
        return np.sqrt(np.maximum(((a @ corr) * a).sum(axis=1), 0.0))

    return in_batches(sd, weights)


def fit_runs(predictor: Predictor, runs: Runs, columns: np.ndarray, seed: int) -> Fitted:
    """Fits on what the proxies really saw (the realised weights), without runs that diverged; on one BLAS thread, so
    that sums have one order."""
    refuse_few(runs, 2)
    with threadpool_limits(1):
        return predictor.fit(*steady(normalised(runs.realised), columns, runs.groups()), seed)


def refuse_few(runs: Runs, least: int) -> None:
    mixtures = len(np.unique(runs.groups()))
    if mixtures < least:
        raise DataError(
            f"{len(runs)} runs of {mixtures} different mixtures say nothing about weights; three mixtures at least, "
            "for one is left out to judge by"
        )


def normalised(weights: np.ndarray) -> np.ndarray:
    """Published tables are rounded (row sums 0.996 to 1.004)."""
    return weights / weights.sum(axis=1, keepdims=True)
