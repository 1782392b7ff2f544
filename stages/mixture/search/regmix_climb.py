"""Search by sweeps: RegMix's one shot (arXiv:2407.01492) and CLIMB's rounds (arXiv:2504.13161)."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.objective import fit_table
from gristmill.stages.mixture.predictors.protocol import Fitted, Predictor, fit_runs
from gristmill.stages.mixture.predictors.trees import CLIMB_TREES, REGMIX_TREES
from gristmill.stages.mixture.search.candidates import RegMixSampler, swarm
from gristmill.stages.mixture.search.final_mixture import ARGMIN, MEAN_TOP, FinalRule, View, choose, view
from gristmill.stages.mixture.search.method import Method
from gristmill.stages.mixture.search.trials import Tabled, Trials, best_rows

SAMPLER = RegMixSampler()


@dataclass(frozen=True)
class OneShot(Method):
    """One sweep of n runs, one regression, the average of the best simulated mixtures."""

    n: int = 512
    sampler: RegMixSampler = SAMPLER
    predictor: Predictor = REGMIX_TREES
    final: FinalRule = MEAN_TOP
    name: str = "regmix"

    def sized(self, runs: int | None, at_once: int) -> "OneShot":
        return self if runs is None else replace(self, n=runs)

    @property
    def batches(self) -> int:
        return 1

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        trials.evaluate(first(trials, self.sampler, self.n, rng), 1)
        return trials.recalled("finished", rng, partial(finish, trials, self.predictor, self.final, rng))


@dataclass(frozen=True)
class Climb(Method):
    """Rounds: a swarm, then mixtures drawn at random from the best that the predictor of all runs so far knows."""

    rounds: tuple[int, ...] = (64, 32, 16)  # arXiv:2504.13161, sec. 5
    pool: int = 100_000  # its released code
    min_top: int = 128  # its code draws M of the best max(M * M, 128)
    sampler: RegMixSampler = SAMPLER
    predictor: Predictor = CLIMB_TREES
    final: FinalRule = ARGMIN
    name: str = "climb"

    def sized(self, runs: int | None, at_once: int) -> "Climb":
        """4:2:1, as the paper's 64, 32, 16."""
        n = runs
        return self if n is None else replace(self, rounds=(n - n * 2 // 7 - n // 7, n * 2 // 7, max(n // 7, 1)))

    @property
    def batches(self) -> int:
        return len(self.rounds)

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        if not self.rounds or min(self.rounds) < 1:
            raise ConfigError(f"climb.rounds must be numbers of runs, not {self.rounds}")
        trials.evaluate(first(trials, self.sampler, self.rounds[0], rng), 1)
        for number, m in enumerate(self.rounds[1:], 2):
            trials.evaluate(trials.recalled("picked", rng, partial(self.picked, trials, m, rng)), number)
        return trials.recalled("finished", rng, partial(finish, trials, self.predictor, self.final, rng))

    def picked(self, trials: Trials, m: int, rng: np.random.Generator) -> np.ndarray:
        """(<= m, k) mixtures of the next round."""
        candidates = trials.unseen(trials.candidates(self.pool, rng))
        seen = predictor_view(trials, fit_trials(trials, self.predictor, rng))
        keep = seen.allowed(candidates)
        candidates = candidates[keep] if keep.any() else candidates
        top = best_rows(seen.score(candidates), max(m * m, self.min_top))
        picked = rng.choice(len(top), size=min(m, len(top)), replace=False)
        return candidates[np.asarray(top)[picked]]


def first(trials: Trials, sampler: RegMixSampler, n: int, rng: np.random.Generator) -> np.ndarray:
    """The first sweep: RegMix's sampler, or rows of the table at random."""
    if isinstance(trials.proxy, Tabled):
        rows = trials.candidates(n, rng)
        if len(rows) < n:
            raise ConfigError(f"the table holds {len(rows)} allowed mixtures, {n} runs are asked")
        return rows[rng.choice(len(rows), size=n, replace=False)]
    return swarm(sampler, trials.natural, n, trials.constraints, rng)


def fit_trials(trials: Trials, predictor: Predictor, rng: np.random.Generator) -> Fitted:
    runs = trials.runs()
    columns, _ = fit_table(trials.objective, runs.losses, runs.targets)
    return fit_runs(predictor, runs, columns, int(rng.integers(2**31)))


def predictor_view(trials: Trials, fitted: Fitted) -> View:
    return view(fitted, trials.objective, trials.runs().targets, trials.constraints, trials.natural)


def finish(trials: Trials, predictor: Predictor, rule: FinalRule, rng: np.random.Generator) -> np.ndarray:
    seen = predictor_view(trials, fit_trials(trials, predictor, rng))
    return choose(seen, trials.natural, trials.constraints, rule, rng)
