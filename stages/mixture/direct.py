"""Direct optimisation where the proxy knows its slope: exponentiated gradient inside the constraints."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import ConfigError
from stages.mixture.constraints import project, rounded
from stages.mixture.gaussian import GaussianProcess
from stages.mixture.predict import Predictor
from stages.mixture.runs import Differentiable
from stages.mixture.swarm import pool
from stages.mixture.trials import Trials, best_rows

REPORTING_GP = GaussianProcess(hyper_rows=128)


@dataclass(frozen=True)
class Direct:
    """Settings. From each start, w moves to project(w * exp(-rate * slope)), with the best of three rates."""

    starts: int = 4  # natural, uniform, and draws around natural
    steps: int = 40
    rate: float = 1.0  # divided by the slope's spread; grows and shrinks by what the last step liked
    floor: float = 1e-4  # a bucket at 0 could never come back: it starts from here
    stop: float = 1e-5  # nats per step below which a start rests
    predictor: Predictor = REPORTING_GP  # only for the report: how well the runs' order can be told from weights
    name: str = "direct"

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        proxy, c = trials.proxy, trials.constraints
        if not isinstance(proxy, Differentiable):
            raise ConfigError(f"the {proxy.kind} proxy has no gradient; use climb, regmix or bayes")
        slope_weights = trials.objective.sign * trials.objective.over(proxy.targets)
        k = len(trials.natural)
        draws = pool(trials.natural, max(self.starts - 2, 0), c, rng, strength=5.0)
        w = project(np.concatenate([trials.natural[None], np.full((1, k), 1.0 / k), draws])[: self.starts], c)
        scores = trials.evaluate(w, 1)
        rate, moving = np.full(len(w), self.rate), np.ones(len(w), dtype=bool)
        for number in range(2, self.steps + 2):
            at = np.flatnonzero(moving)
            if not len(at):
                break
            lifted = project(np.maximum(w[at], self.floor), c)
            slope = np.stack([proxy.gradient(row, slope_weights) for row in lifted])
            slope -= (slope * lifted).sum(axis=1, keepdims=True)
            spread = np.maximum(np.sqrt((lifted * slope**2).sum(axis=1)), 1e-12)
            rates = rate[at][:, None] * np.array([0.25, 1.0, 3.0])
            step = np.clip(-slope[:, None, :] * (rates / spread[:, None])[:, :, None], -20, 20)
            tried = project((lifted[:, None, :] * np.exp(step)).reshape(-1, k), c)
            tried_scores = trials.evaluate(tried, number).reshape(len(at), 3)
            pick = tried_scores.argmin(axis=1)
            for j, i in enumerate(at):
                gain = scores[i] - tried_scores[j, pick[j]]
                rate[i] = rates[j, pick[j]] if gain > 0 else rate[i] / 8
                moving[i] = gain > self.stop or rate[i] > 0.02
                if gain > 0:
                    w[i], scores[i] = tried.reshape(len(at), 3, k)[j, pick[j]], tried_scores[j, pick[j]]
        return rounded(w[best_rows(scores, 1)[0]], c)
