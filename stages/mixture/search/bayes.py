"""Bayesian optimisation of mixtures: expected improvement under per-target Gaussian processes, in batches."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import ndtr

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import project
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Fitted, Predictor, objective_mean, objective_sd
from gristmill.stages.mixture.runs.runs import Proxy
from gristmill.stages.mixture.search.candidates import cover
from gristmill.stages.mixture.search.final_mixture import FinalRule, View, perturb
from gristmill.stages.mixture.search.method import Method
from gristmill.stages.mixture.search.regmix_climb import finish, fit_trials, predictor_view
from gristmill.stages.mixture.search.trials import Tabled, Trials, best_rows, keys


@runtime_checkable
class Believing(Protocol):
    """A fitted predictor that can take its own predictions for measurements (kriging believer), to fill a batch."""

    def believing(self, weights: np.ndarray) -> Fitted: ...


PER_TARGET_GP = GaussianProcess()
REFINED = FinalRule("argmin", pool=20_000, local_rounds=4)


@dataclass(frozen=True)
class Bayes(Method):
    """Settings. `batch` mixtures are asked at once: 1 needs the fewest runs, more keep parallel trainers busy."""

    first: int = 8  # of a space-filling design, natural among them
    evaluations: int = 48  # in all
    batch: int = 1
    pool: int = 4096  # candidates around natural, and as many around the best so far
    local_rounds: int = 3
    predictor: Predictor = PER_TARGET_GP
    final: FinalRule = REFINED
    name: str = "bayes"

    def sized(self, runs: int | None, at_once: int) -> "Bayes":
        if runs is None:
            return replace(self, batch=at_once)
        return replace(self, batch=at_once, first=min(self.first, runs // 2), evaluations=runs)

    @property
    def batches(self) -> int:
        return 1 - (self.first - self.evaluations) // self.batch

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        if not 2 <= self.first <= self.evaluations or self.batch < 1:
            raise ConfigError("bayes: 2 <= first <= evaluations, batch >= 1")
        trials.evaluate(design(trials, self.first, rng), 1)
        number, done = 1, self.first
        while done < self.evaluations:
            number += 1
            n = min(self.batch, self.evaluations - done)
            picked = trials.recalled("proposed", rng, partial(self.proposed, trials, n, rng))
            if not len(picked):
                break  # the table is used up
            trials.evaluate(picked, number)
            done += len(picked)
        return trials.recalled("finished", rng, partial(finish, trials, self.predictor, self.final, rng))

    def proposed(self, trials: Trials, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.propose(trials, predictor_view(trials, fit_trials(trials, self.predictor, rng)), n, rng)

    def propose(self, trials: Trials, seen: View, n: int, rng: np.random.Generator) -> np.ndarray:
        """(<= n, k) mixtures of highest expected improvement, each as if the earlier ones had come out as predicted."""
        picked: list[np.ndarray] = []
        fitted = seen.fitted
        for _ in range(n):
            candidates = self.candidates(trials, fitted, seen, rng)
            if picked:
                taken = set(keys(np.array(picked)))
                candidates = candidates[[k not in taken for k in keys(candidates)]]
            if not len(candidates):
                break
            gain = improvement(fitted, seen, trials, candidates)
            picked.append(candidates[best_rows(-gain, 1)[0]])
            if isinstance(fitted, Believing) and len(picked) < n:
                fitted = fitted.believing(picked[-1][None])
        return np.array(picked).reshape(-1, len(trials.natural))

    def candidates(self, trials: Trials, fitted: Fitted, seen: View, rng: np.random.Generator) -> np.ndarray:
        far = trials.candidates(self.pool, rng)
        if isinstance(trials.proxy, Tabled):
            ok = seen.allowed(far)
            return far[ok] if ok.any() else far
        runs = trials.runs()
        best = runs.weights[best_rows(trials.objective.score(runs.losses, runs.targets), 8)]
        near = [perturb(best, self.pool // (2 * len(best)), width, rng) for width in (0.3, 1.0)]
        far = np.concatenate([far, project(np.concatenate(near), trials.constraints)])
        for step in range(self.local_rounds):
            top = far[best_rows(-improvement(fitted, seen, trials, far), 8)]
            near = project(perturb(top, 64, 0.5 ** (step + 1), rng), trials.constraints)
            far = np.concatenate([far, near])
        ok = seen.allowed(far)
        return trials.unseen(far[ok] if ok.any() else far)


def design(trials: Trials, n: int, rng: np.random.Generator, proxy: Proxy | None = None) -> np.ndarray:
    """The first runs: natural, and mixtures far from it and from each other; of a table, rows at random."""
    proxy = trials.proxy if proxy is None else proxy
    if isinstance(proxy, Tabled):
        rows = trials.candidates(n, rng, proxy)
        if len(rows) < n:
            raise ConfigError(f"the table holds {len(rows)} allowed mixtures, {n} runs are asked")
        return rows[rng.choice(len(rows), size=n, replace=False)]
    filled = cover(trials.natural, n, trials.constraints, rng)
    filled[0] = project(trials.natural[None], trials.constraints)[0]
    return filled


def improvement(fitted: Fitted, seen: View, trials: Trials, weights: np.ndarray) -> np.ndarray:
    """(n,) log of the expected improvement on the best measured mixture, as the predictor sees that one: a lucky
    measurement is no incumbent. Logs keep far candidates apart (Ament et al. 2023, arXiv:2310.20708)."""
    runs = trials.runs()
    incumbent = float(objective_mean(fitted, runs.realised / runs.realised.sum(axis=1, keepdims=True), seen.mix).min())
    mean, sd = objective_mean(fitted, weights, seen.mix), np.maximum(objective_sd(fitted, weights, seen.mix), 1e-9)
    return log_expected_improvement(mean, sd, incumbent)


def log_expected_improvement(mean: np.ndarray, sd: np.ndarray, incumbent: float) -> np.ndarray:
    """log E[max(incumbent - f, 0)] for f ~ N(mean, sd); far below 0 by the tail's expansion."""
    z = (incumbent - mean) / sd
    near = z > -6.0
    log_density = -0.5 * (z * z + np.log(2 * np.pi))
    h = np.where(near, z * ndtr(z) + np.exp(log_density), 1.0)
    # For z -> -inf: z * cdf + pdf = pdf / z^2 * (1 - 3 / z^2 + ...)
    safe = np.where(near, -6.0, z)
    tail = log_density - 2 * np.log(-safe) + np.log1p(-3.0 / safe**2)
    return np.log(sd) + np.where(near, np.log(np.maximum(h, 1e-300)), tail)
