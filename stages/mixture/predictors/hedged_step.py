"""Weighs the multi-fidelity predictor against one fitted on this fidelity alone, by cross-validated error.

The shares of the two are pseudo-BMA+ (Yao et al. 2018, arXiv:1704.02030): softmax of the left-out log densities,
averaged over Bayesian bootstraps of the runs, so that a few runs do not decide. The Gaussian process on this rung alone
is really fitted without the left-out runs: in closed form its hyper-parameters have seen them, and with 16 runs it
looked twice as good as it was.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from gristmill.stages.mixture.predictors.average import FittedAverage
from gristmill.stages.mixture.predictors.fidelity_step import Difference, FittedDifference
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Fitted, Predictor, left_out

DIFFERENCE = Difference()
ALONE = GaussianProcess(hyper_rows=128)
# Mixtures that residuals can judge by: with 4 or 5, doubt took 0.002 to 0.003 off the ranking of RegMix's 1B runs, with
# 6 nothing.
LEAST = 6


@dataclass(frozen=True)
class Doubted:
    """Settings."""

    step: Difference = DIFFERENCE
    alone: Predictor = ALONE
    odds: float = 0.1  # that a rung below misleads, before any run speaks
    folds: int = 5
    bootstraps: int = 200

    def fit(
        self, below: Fitted, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int
    ) -> "FittedDoubted | FittedDifference":
        above = self.step.fit(below, weights, losses, groups, seed)
        if len(np.unique(groups)) < LEAST:
            return above
        unseen = left_out(self.alone, weights, losses, groups, self.folds, seed)
        share = self.share(above.residuals, unseen)
        alone = self.alone.fit(weights, losses, groups, seed)
        shares = np.stack([1 - share, share])
        return FittedDoubted(
            above, FittedAverage((above, alone), shares, (1 - share) * above.residuals + share * unseen)
        )

    def share(self, above: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """(n, t) residuals twice -> (t,) share of the second."""
        n = len(above)
        # The same draws for every fit: shares shall move with the runs only.
        weight = np.random.default_rng(0).dirichlet(np.ones(n), self.bootstraps)
        tiny = 1e-30
        gain = 0.5 * n * (np.log(weight @ above**2 + tiny) - np.log(weight @ alone**2 + tiny))
        return np.round(expit(gain + np.log(self.odds)).mean(axis=0), 6)


@dataclass(frozen=True, eq=False)
class FittedDoubted:
    above: FittedDifference
    average: FittedAverage

    @property
    def below(self) -> Fitted:
        return self.above.below

    @property
    def residuals(self) -> np.ndarray:
        return self.average.residuals

    @property
    def noise(self) -> np.ndarray:
        return self.average.noise

    def mean(self, weights: np.ndarray) -> np.ndarray:
        return self.average.mean(weights)

    def sd(self, weights: np.ndarray) -> np.ndarray:
        return self.average.sd(weights)

    def known_below(self, weights: np.ndarray) -> np.ndarray:
        """(n, t) share of this rung's variance that a run one rung down could remove."""
        lower = self.average.shares[0] * self.above.slope * self.below.sd(weights)
        return np.minimum(lower**2 / np.maximum(self.sd(weights) ** 2, 1e-30), 1.0)
