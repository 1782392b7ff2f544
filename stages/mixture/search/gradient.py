"""Direct optimisation where the proxy knows its slope: exponentiated gradient inside the constraints, and sequential
quadratic programming along "no target worse than natural"."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import Constraints, project, rounded
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Predictor
from gristmill.stages.mixture.runs.runs import Differentiable, Proxy
from gristmill.stages.mixture.search.candidates import pool
from gristmill.stages.mixture.search.method import Method
from gristmill.stages.mixture.search.trials import Trials, best_rows

REPORTING_GP = GaussianProcess(hyper_rows=128)
MARGIN = 1e-5  # nats kept from a guard's limit: weights are rounded to 6 decimals afterwards
STEPS = 60  # of the sequential quadratic programming from one start

# Rows (n, k), the positions of their starts (n,), and of scores the round: scores (n,), slopes (n, k).
Scored = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
Sloped = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Direct(Method):
    """Settings. From each start, w moves to project(w * exp(-rate * slope)), with the best of three rates."""

    starts: int = 4  # natural, uniform, and draws around natural
    steps: int = 40
    rate: float = 1.0  # divided by the slope's spread; grows and shrinks by what the last step liked
    floor: float = 1e-4  # a bucket at 0 could never come back: it starts from here
    stop: float = 1e-5  # nats per step below which a start rests
    predictor: Predictor = REPORTING_GP  # only for the report: how well the runs' order can be told from weights
    name: str = "direct"
    takes_runs: ClassVar = False
    takes_slope: ClassVar = True

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        proxy, c = trials.proxy, trials.constraints
        if not isinstance(proxy, Differentiable):
            raise ConfigError(f"the {proxy.kind} proxy has no gradient; use climb, regmix or bayes")
        goal = trials.objective.sign * trials.objective.over(proxy.targets)
        k = len(trials.natural)
        draws = pool(trials.natural, max(self.starts - 2, 0), c, rng, strength=5.0)
        w = project(np.concatenate([trials.natural[None], np.full((1, k), 1.0 / k), draws])[: self.starts], c)

        def measured(rows: np.ndarray, of: np.ndarray, number: int) -> np.ndarray:
            return trials.evaluate(rows, number)

        goals = np.tile(goal, (len(w), 1))
        w, scores, number = self.descend(w, c, measured, lambda rows, of: proxy.gradient(rows, goals[of]))
        if not c.guard:
            return rounded(w[best_rows(scores, 1)[0]], c)
        home = rounded(trials.natural, c)
        guards = np.eye(len(proxy.targets))[[proxy.targets.index(t) for t in c.guard]] * trials.objective.sign
        limit = guards @ proxy.losses(home[None])[0] + c.guard_tolerance
        kept = [along(proxy, at, goal, guards, limit - MARGIN, c, self.floor) for at in [home, *w]]
        ends = np.stack([home, *(rounded(end, c) for end in kept)])
        scores = trials.evaluate(ends, number + 1)
        broken = (proxy.losses(ends) @ guards.T > limit + 1e-9).any(axis=1)
        return ends[best_rows(np.where(broken, np.inf, scores), 1)[0]]

    def descend(
        self, w: np.ndarray, c: Constraints, measured: Scored, sloped: Sloped
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Each row of w (n, k) goes down its own way, all of them step by step: (n, k) where they rest, their scores
        (n,), and the number of the last round. What is measured and sloped are rows with the positions in w of the
        starts that they come from."""
        w, k = w.copy(), w.shape[1]
        scores, number = measured(w, np.arange(len(w)), 1), 1
        rate, moving = np.full(len(w), self.rate), np.ones(len(w), dtype=bool)
        for number in range(2, self.steps + 2):
            at = np.flatnonzero(moving)
            if not len(at):
                break
            lifted = project(np.maximum(w[at], self.floor), c)
            slope = sloped(lifted, at)
            slope -= (slope * lifted).sum(axis=1, keepdims=True)
            spread = np.maximum(np.sqrt((lifted * slope**2).sum(axis=1)), 1e-12)
            rates = rate[at][:, None] * np.array([0.25, 1.0, 3.0])
            step = np.clip(-slope[:, None, :] * (rates / spread[:, None])[:, :, None], -20, 20)
            tried = project((lifted[:, None, :] * np.exp(step)).reshape(-1, k), c)
            tried_scores = measured(tried, np.repeat(at, 3), number).reshape(len(at), 3)
            pick = tried_scores.argmin(axis=1)
            for j, i in enumerate(at):
                gain = scores[i] - tried_scores[j, pick[j]]
                rate[i] = rates[j, pick[j]] if gain > 0 else rate[i] / 8
                moving[i] = gain > self.stop or rate[i] > 0.02
                if gain > 0:
                    w[i], scores[i] = tried.reshape(len(at), 3, k)[j, pick[j]], tried_scores[j, pick[j]]
        return w, scores, number


def optima(
    proxy: Proxy, objectives: Sequence[Objective], start: np.ndarray, c: Constraints, method: Direct
) -> np.ndarray:
    """(objectives, k) what one start (k,) comes to under each of several objectives, side by side."""
    if not isinstance(proxy, Differentiable):
        raise ConfigError(f"the {proxy.kind} proxy has no gradient; set mixture.pull to a weight")
    goals = np.stack([o.sign * o.over(proxy.targets) for o in objectives])

    def measured(rows: np.ndarray, of: np.ndarray, number: int) -> np.ndarray:
        watch.note(f"the pull: step {number} of {method.steps + 1} in {len(objectives)} folds")
        losses = proxy.losses(np.stack([rounded(row, c) for row in rows]))
        scores = [objectives[i].score(losses[of == i], proxy.targets) for i in np.unique(of)]
        return np.nan_to_num(np.concatenate(scores), nan=np.inf)

    starts = np.tile(project(start[None], c), (len(objectives), 1))
    ends, *_ = method.descend(starts, c, measured, lambda rows, of: proxy.gradient(rows, goals[of]))
    return np.stack([rounded(end, c) for end in ends])


def along(
    proxy: Differentiable,
    start: np.ndarray,
    goal: np.ndarray,
    guards: np.ndarray,
    limit: np.ndarray,
    c: Constraints,
    floor: float,
) -> np.ndarray:
    """(k,) lowest goal @ losses near `start` with guards @ losses <= limit: scipy's SLSQP (Kraft 1988).

    goal (t,), guards (g, t), limit (g,).
    """
    from scipy.optimize import minimize

    def measured(w: np.ndarray) -> np.ndarray:
        return proxy.losses(project(np.maximum(w, 0.0)[None], c))[0]

    def slope(w: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return proxy.gradient(project(np.maximum(w, floor)[None], c), wanted[None])[0]

    total = np.ones(len(start))
    members = np.zeros((len(c.groups), len(start)))
    for row, group in zip(members, c.groups, strict=True):
        row[list(group.members)] = 1.0
    least, most = np.array([g.lower for g in c.groups]), np.array([g.upper for g in c.groups])
    rules = [
        {"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: total},
        {"type": "ineq", "fun": lambda w: members @ w - least, "jac": lambda w: members},
        {"type": "ineq", "fun": lambda w: most - members @ w, "jac": lambda w: -members},
        {
            "type": "ineq",
            "fun": lambda w: limit - guards @ measured(w),
            "jac": lambda w: -np.stack([slope(w, guard) for guard in guards]),
        },
    ]
    found = minimize(
        lambda w: float(goal @ measured(w)),
        start,
        jac=lambda w: slope(w, goal),
        method="SLSQP",
        bounds=list(zip(c.lower, c.upper, strict=True)),
        constraints=rules if c.groups else [rules[0], rules[3]],
        options={"maxiter": STEPS, "ftol": 1e-7},
    )
    return found.x if np.isfinite(found.x).all() else start
