"""The last step of every search: from a fitted predictor to one mixture that obeys the constraints."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import Constraints, project, rounded
from gristmill.stages.mixture.objective import Objective, fit_table
from gristmill.stages.mixture.predictors.protocol import Fitted, objective_mean, objective_sd
from gristmill.stages.mixture.search.candidates import dirichlet, normal, pool
from gristmill.stages.mixture.search.trials import best_rows


@dataclass(frozen=True)
class FinalRule:
    """How the mixture is read off the predictor."""

    rule: Literal["argmin", "mean_top"] = "mean_top"  # CLIMB takes the best, RegMix averages the best `top`
    top: int = 100  # arXiv:2407.01492, sec. 3.4 (its code: 128)
    pool: int = 100_000  # simulated mixtures around natural (both papers' code)
    local_rounds: int = 0  # rounds of draws around the best so far, ever narrower; 0: the papers' way
    local_draws: int = 4_000


ARGMIN = FinalRule("argmin")
MEAN_TOP = FinalRule("mean_top")


@dataclass(frozen=True, eq=False)
class View:
    """A predictor seen through the objective."""

    fitted: Fitted
    mix: np.ndarray  # (m,) weights of the fitted columns
    guarded: np.ndarray  # positions of guarded targets among the fitted columns
    limit: np.ndarray  # their predicted value under natural, plus the tolerance

    def score(self, weights: np.ndarray) -> np.ndarray:
        """(n,) predicted objective, lower is better."""
        return objective_mean(self.fitted, weights, self.mix)

    def sd(self, weights: np.ndarray) -> np.ndarray:
        return objective_sd(self.fitted, weights, self.mix)

    def allowed(self, weights: np.ndarray) -> np.ndarray:
        """(n,) bool: no guarded target is predicted worse than under natural."""
        if not len(self.guarded):
            return np.ones(len(weights), dtype=bool)
        worse = self.fitted.mean(weights)[:, self.guarded] > self.limit + 1e-9
        return np.logical_not(worse.any(axis=1))


def view(fitted: Fitted, objective: Objective, targets: tuple[str, ...], c: Constraints, natural: np.ndarray) -> View:
    """Raises ConfigError if a guarded target is not fitted on its own."""
    mix = fit_table(objective, np.zeros((1, len(targets))), targets)[1]
    used = [t for t, a in zip(targets, objective.over(targets), strict=True) if a > 0]
    if c.guard and (objective.fit == "average" or set(c.guard) - set(used)):
        raise ConfigError(
            f"no target worse than natural: {', '.join(c.guard)} must be targets of the objective and fit per target"
        )
    guarded = np.array([used.index(t) for t in c.guard], dtype=int)
    limit = fitted.mean(project(natural[None], c))[0][guarded] + c.guard_tolerance if len(guarded) else guarded
    return View(fitted, mix, guarded, limit)


def choose(v: View, natural: np.ndarray, c: Constraints, rule: FinalRule, rng: np.random.Generator) -> np.ndarray:
    """(k,) the mixture of lowest predicted objective among draws around natural, by the rule.

    With a guard, natural itself is always a candidate, so the result is never worse than it on a guarded target.
    """
    home = project(natural[None], c)
    draws = np.concatenate([home, pool(natural, rule.pool, c, rng)])
    scores = v.score(draws)
    ok = v.allowed(draws)
    if v.guarded.size:
        ok[0] = True
    draws, scores = draws[ok], scores[ok]
    for step in range(rule.local_rounds):
        around = draws[best_rows(scores, 16)]
        near = project(perturb(around, rule.local_draws // 16, 0.7**step, rng), c)
        near = near[v.allowed(near)]
        if len(near):
            draws = np.concatenate([draws, near])
            scores = np.concatenate([scores, v.score(near)])
    best = draws[best_rows(scores, 1)][0]
    if rule.rule == "argmin":
        return rounded(best, c)
    if rule.rule != "mean_top":
        raise ConfigError(f"final rule is 'argmin' or 'mean_top', not {rule.rule!r}")
    mean = project(draws[best_rows(scores, rule.top)].mean(axis=0, keepdims=True), c)
    # The guard is no convex set: where the average breaks it, the best that holds it stands.
    return rounded(mean[0] if v.allowed(mean)[0] else best, c)


def perturb(weights: np.ndarray, n: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """n neighbours of each row (m, k) -> (m * n, k): log-normal steps on a random part of the buckets, some moved to
    zero, some brought in from zero."""
    w = np.repeat(weights, n, axis=0)
    step = rng.standard_normal(w.shape) * width * (rng.random(w.shape) < 0.4)
    fresh = np.where(
        rng.random(w.shape) < 0.1 * width, dirichlet(normal(np.ones(w.shape[1])), np.full(len(w), 5.0), rng), 0
    )
    w = np.where(rng.random(w.shape) < 0.05 * width, 0.0, w * np.exp(step) + 0.2 * width * fresh)
    total = w.sum(axis=1, keepdims=True)
    return np.where(total > 0, w / np.where(total > 0, total, 1.0), np.repeat(weights, n, axis=0))
