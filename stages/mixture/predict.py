"""What a predictor of losses from weights is, and RegMix's and CLIMB's: gradient-boosted trees.

Every predictor is a frozen dataclass of settings; `fit` gives a mean and a standard deviation for any mixture.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.errors import DataError
from stages.mixture.runs import Runs

FLOOR = 1e-3  # log(w + FLOOR): loss falls steeply as a bucket's share leaves zero (and RegMix's tables have 3 decimals)


class Fitted(Protocol):
    """A predictor after fitting. `residuals` are out-of-sample where the predictor has them: (n, t), else empty."""

    @property
    def residuals(self) -> np.ndarray: ...

    def predict(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) -> mean (n, t) and standard deviation (n, t) of the noise-free loss."""
        ...


class Predictor(Protocol):
    """Settings of a predictor. `fit` never sees anything but its arguments."""

    @property
    def name(self) -> str: ...

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
        """weights (n, k), losses (n, t); groups (n,): rows that no split may part."""
        ...


def features(weights: np.ndarray, transform: str) -> np.ndarray:
    """(n, k) -> (n, k). Smooth predictors need the steep start near zero stretched out."""
    if transform == "log":
        return np.log(weights + FLOOR)
    if transform == "sqrt":
        return np.sqrt(weights)
    if transform == "raw":
        return np.asarray(weights, dtype=float)
    raise DataError(f"unknown transform of weights {transform!r}; log, sqrt or raw")


def group_folds(groups: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """(test mask (n,)) per fold; whole groups, as even as they go. Raises DataError with fewer groups than folds."""
    ids = np.unique(groups)
    if len(ids) < folds:
        raise DataError(f"{len(ids)} different runs cannot make {folds} folds")
    fold_of = dict(zip(rng.permutation(ids).tolist(), (np.arange(len(ids)) % folds).tolist(), strict=True))
    fold = np.array([fold_of[g] for g in groups.tolist()])
    return [fold == f for f in range(folds)]


def refuse_leak(train_groups: np.ndarray, test_groups: np.ndarray) -> None:
    """Raises DataError if a run stands on both sides (DaMo's released split: every test row's run is in training)."""
    shared = np.intersect1d(train_groups, test_groups)
    if len(shared):
        rows = int(np.isin(test_groups, shared).sum())
        raise DataError(
            f"leaking split: {rows} of {len(test_groups)} test rows are checkpoints or repeats of runs in training; "
            "split whole runs (Runs.groups)"
        )


def combined(
    fitted: Fitted, weights: np.ndarray, mix: np.ndarray, batch: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (n,) of the objective sum_t mix[t] * loss_t; errors of targets correlate as their residuals do."""
    r = fitted.residuals
    corr = np.eye(len(mix))
    if len(r) > 2:
        # Shrunk towards independence as if by as many pseudo-rows as there are targets.
        sd = r.std(axis=0)
        z = (r - r.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
        corr = (z.T @ z + len(mix) * np.eye(len(mix))) / (len(r) + len(mix))
        np.fill_diagonal(corr, 1.0)
    means, sds = [], []
    for start in range(0, len(weights), batch):
        m, s = fitted.predict(weights[start : start + batch])
        a = s * mix
        means.append(m @ mix)
        sds.append(np.sqrt(np.maximum(np.einsum("nt,tu,nu->n", a, corr, a), 0.0)))
    return np.concatenate(means), np.concatenate(sds)


def fit_runs(predictor: Predictor, runs: Runs, columns: np.ndarray, seed: int) -> Fitted:
    """Fits on what the proxies really saw (the realised weights), on one BLAS thread so that sums have one order."""
    with threadpool_limits(1):
        return predictor.fit(normalised(runs.realised), columns, runs.groups(), seed)


def normalised(weights: np.ndarray) -> np.ndarray:
    """Published tables are rounded (row sums 0.996 to 1.004)."""
    return weights / weights.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Trees:
    """LightGBM, one model per target, early-stopped on a part of the training runs. Defaults are CLIMB's values."""

    iterations: int = 1000
    learning_rate: float = 0.01
    max_depth: int = 4  # -1: no limit
    leaves: int = 31
    min_leaf: int = 5
    l1: float = 1.0
    l2: float = 1.0
    stop_rounds: int = 20
    validation: float = 0.1  # share of runs held out to stop by
    model_seed: int = 42
    threads: int = 1  # part of the result: LightGBM's sums depend on it
    name: str = "lightgbm_climb"

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> "FittedTrees":
        ids = np.unique(groups)
        held = np.random.default_rng(seed).permutation(ids)[: max(1, round(self.validation * len(ids)))]
        out = np.isin(groups, held)
        if out.all():
            raise DataError(f"{self.name}: one run is not enough to fit")
        return self.fit_split(weights[~out], losses[~out], weights[out], losses[out])

    def fit_split(
        self, weights: np.ndarray, losses: np.ndarray, stop_w: np.ndarray, stop_y: np.ndarray
    ) -> "FittedTrees":
        """Early-stopped on the given rows, which must not be the ones that the result is judged on."""
        import lightgbm

        options = {
            "objective": "regression",
            "metric": ["l1", "l2"],
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "num_leaves": self.leaves,
            "min_child_samples": self.min_leaf,
            "reg_alpha": self.l1,
            "reg_lambda": self.l2,
            "seed": self.model_seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "verbosity": -1,
        }
        boosters, residuals = [], []
        for j in range(losses.shape[1]):
            train = lightgbm.Dataset(weights, losses[:, j])
            booster = lightgbm.train(
                options,
                train,
                num_boost_round=self.iterations,
                valid_sets=[lightgbm.Dataset(stop_w, stop_y[:, j], reference=train)],
                # Only l2 stops (RegMix's notebook and CLIMB's code both pass eval_metric l2, which is the last metric).
                callbacks=[lightgbm.early_stopping(self.stop_rounds, first_metric_only=False, verbose=False)],
            )
            boosters.append(booster)
            residuals.append(stop_y[:, j] - np.asarray(booster.predict(stop_w)))
        return FittedTrees(boosters, np.stack(residuals, axis=1))


REGMIX_TREES = Trees(
    max_depth=-1, min_leaf=20, l1=0.0, l2=0.0, stop_rounds=3, name="lightgbm_regmix"
)  # arXiv:2407.01492's notebook
CLIMB_TREES = Trees()  # arXiv:2504.13161's released predictor


@dataclass(frozen=True, eq=False)
class FittedTrees:
    boosters: list
    residuals: np.ndarray

    def predict(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sd is that of the early-stopping rows: trees have no better idea of what they do not know."""
        mean = np.stack([np.asarray(b.predict(weights)) for b in self.boosters], axis=1)
        return mean, np.broadcast_to(np.sqrt((self.residuals**2).mean(axis=0)), mean.shape)
