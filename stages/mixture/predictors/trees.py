"""Gradient-boosted trees with RegMix's and CLIMB's settings (LightGBM)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.predictors.protocol import Predictor


@dataclass(frozen=True)
class Trees(Predictor):
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
    final: ClassVar = "mean_top"
    leaves_out: ClassVar = False  # residuals are of the rows that stopped it

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

    @property
    def noise(self) -> np.ndarray:
        return np.zeros(self.residuals.shape[1])

    def mean(self, weights: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(b.predict(weights)) for b in self.boosters], axis=1)

    def sd(self, weights: np.ndarray) -> np.ndarray:
        """That of the early-stopping rows: trees have no better idea of what they do not know."""
        return np.broadcast_to(np.sqrt((self.residuals**2).mean(axis=0)), (len(weights), len(self.boosters)))
