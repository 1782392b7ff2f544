"""Multi-fidelity search: cheap runs choose where to look, expensive ones correct them where they mislead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import project
from gristmill.stages.mixture.objective import fit_table
from gristmill.stages.mixture.predictors.fidelities import STEP, Memo, Rungs, Step, Stepped, fit_rungs
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Predictor, normalised, objective_mean, objective_sd
from gristmill.stages.mixture.runs.runs import Measured, Proxy
from gristmill.stages.mixture.search.bayes import REFINED, design, log_expected_improvement
from gristmill.stages.mixture.search.final_mixture import FinalRule, View, choose, perturb, view
from gristmill.stages.mixture.search.method import Method
from gristmill.stages.mixture.search.trials import Tabled, Trials, best_rows, fidelity_of

RUNG_GP = GaussianProcess(hyper_rows=128)
FREE = 1e-3  # of a top-fidelity run: cheaper runs are not charged to the budget and are made in one batch


@dataclass(frozen=True)
class Ladder(Method):
    """Settings of the search. Spends `budget` in units of the dearest proxy's cost."""

    budget: float = 24.0
    first: int = 32  # runs of the cheapest rung in a space-filling design,
    first_free: int = 512  # and where they cost next to nothing: then no more are asked
    first_above: int = 4  # on every dearer rung: natural, and those that look best below
    batch: int = 1  # runs of the dearest proxy side by side, for trainers that make several at once
    most: int = 128  # runs of a cheaper rung: by then it is known
    # Cheap runs are asked side by side, as many as cost this share of a run at the top (16 at most, 1 at least).
    side_by_side: float = 0.1
    pool: int = 2048
    predictor: Predictor = RUNG_GP  # of the cheapest rung
    step: Step = STEP  # from each rung to the next
    final: FinalRule = REFINED
    name: str = "ladder"
    takes_cheaper: ClassVar = True

    def sized(self, runs: int | None, at_once: int) -> "Ladder":
        return replace(self, batch=at_once, budget=self.budget if runs is None else float(runs))

    @property
    def batches(self) -> int:
        """A first one, then `batch` runs each, and what is left of the budget."""
        return 1 + max(0, -int(-(self.budget - self.first_above) // self.batch))

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        rungs = (*trials.cheaper, trials.proxy)
        if len(rungs) < 2:
            raise ConfigError("the ladder search needs a cheaper proxy beside the main one; use bayes without")
        if self.batch < 1 or self.first < 2 or self.first_above < 2:
            raise ConfigError("ladder: batch >= 1, first >= 2 and first_above >= 2")
        cost = np.array([p.cost if isinstance(p, Measured) else 1.0 for p in rungs])
        cost = cost / cost[-1]
        bill = np.where(cost < FREE, 0.0, cost)
        number, spent, seed = 1, 0.0, int(rng.integers(2**31))
        memo: Memo = trials.remembered("rungs", dict)
        first = self.first_free if bill[0] == 0 else self.first
        if isinstance(rungs[0], Tabled):
            first = min(first, len(trials.candidates(first, rng, rungs[0])))
        spent += bill[0] * self.ask(trials, rungs[0], design(trials, first, rng, rungs[0]), number)
        for level in range(1, len(rungs)):
            number += 1
            n = self.first_of(level, len(rungs), spent)
            seen = partial(self.seen, trials, rungs[:level], seed, memo)
            rows = trials.recalled(
                "started", rng, lambda level=level, n=n, seen=seen: self.start(trials, rungs[level], seen(), n, rng)
            )
            spent += bill[level] * self.ask(trials, rungs[level], rows, number)
        while True:
            left = self.budget - spent
            seen = partial(self.seen, trials, rungs, seed, memo)
            choice = trials.recalled(
                "chosen", rng, lambda left=left, seen=seen: self.next(trials, rungs, cost, seen(), left, rng)
            )
            if choice is None:
                break
            level, rows = choice
            number += 1
            spent += bill[level] * self.ask(trials, rungs[level], rows, number)
        return trials.recalled(
            "finished", rng, lambda: choose(seen(), trials.natural, trials.constraints, self.final, rng)
        )

    def ask(self, trials: Trials, proxy: Proxy, weights: np.ndarray, number: int) -> int:
        trials.evaluate(weights, number, proxy)
        return len(weights)

    def first_of(self, level: int, rungs: int, spent: float) -> int:
        """Runs to begin a rung with. A batch takes no more time than a part of it; half of what is left is kept for
        runs that know more."""
        if level < rungs - 1:
            return self.first_above
        return max(self.first_above, min(self.batch, int(self.budget - spent) // 2))

    def start(self, trials: Trials, proxy: Proxy, seen: View, n: int, rng: np.random.Generator) -> np.ndarray:
        """(<= n, k) natural, and the best of every random share of the candidates as the rungs below see them."""
        rows = self.candidates(trials, proxy, rng)
        home = np.empty((0, len(trials.natural)))
        if not isinstance(proxy, Tabled):
            home = project(trials.natural[None], trials.constraints)
        return np.concatenate([home, rows[spread(seen.score(rows), n - len(home), rng)]])

    def seen(self, trials: Trials, rungs: Sequence[Proxy], seed: int, memo: Memo) -> View:
        tables = [trials.runs(fidelity_of(p)) for p in rungs]
        parts = [(runs, fit_table(trials.objective, runs.losses, runs.targets)[0]) for runs in tables]
        fitted = fit_rungs(self.predictor, self.step, parts, seed, memo)
        return view(fitted, trials.objective, tables[-1].targets, trials.constraints, trials.natural)

    def judge(self, trials: Trials) -> Rungs:
        """The predictor that the search's report is about: of the dearest rung, with the cheaper runs in hand."""
        tables = [trials.runs(fidelity_of(p)) for p in trials.cheaper]
        below = tuple((r, fit_table(trials.objective, r.losses, r.targets)[0]) for r in tables)
        return Rungs(self.predictor, below, trials.runs(), self.step)

    def candidates(self, trials: Trials, proxy: Proxy, rng: np.random.Generator) -> np.ndarray:
        far = trials.candidates(self.pool, rng, proxy)
        if isinstance(proxy, Tabled):
            return far
        runs = trials.runs(max(trials.asked, key=lambda f: (f == fidelity_of(trials.proxy), f.size, f.tokens)))
        best = runs.weights[best_rows(trials.objective.score(runs.losses, runs.targets), 8)]
        near = [perturb(best, self.pool // (2 * len(best)), width, rng) for width in (0.3, 1.0)]
        return trials.unseen(
            np.concatenate([far, project(np.concatenate(near), trials.constraints)]), fidelity_of(proxy)
        )

    def next(
        self,
        trials: Trials,
        rungs: Sequence[Proxy],
        cost: np.ndarray,
        seen: View,
        left: float,
        rng: np.random.Generator,
    ) -> tuple[int, np.ndarray] | None:
        """The rung and the runs (n, k) of greatest expected improvement at the top per cost, counting of a lower
        rung's run the share of the top's variance that it could remove (ours; ADMIRE-BayesOpt uses max-value entropy).
        None: budget spent."""
        top_runs = trials.runs()
        incumbent = float(objective_mean(seen.fitted, normalised(top_runs.realised), seen.mix).min())
        best: tuple[float, int, np.ndarray] | None = None
        for level, proxy in enumerate(rungs):
            below = level < len(rungs) - 1
            room = self.most - len(trials.runs(fidelity_of(proxy))) if below else self.batch
            if cost[level] < FREE or cost[level] > left + 1e-9 or room < 1:
                continue
            rows = self.candidates(trials, proxy, rng)
            rows = rows[seen.allowed(rows)] if len(rows) else rows
            if not len(rows):
                continue
            sd = np.maximum(objective_sd(seen.fitted, rows, seen.mix), 1e-9)
            gain = log_expected_improvement(objective_mean(seen.fitted, rows, seen.mix), sd, incumbent)
            gain += np.log(np.maximum(removable(seen, rows, level, len(rungs)), 1e-12)) - np.log(cost[level])
            i = best_rows(-gain, 1)[0]
            if best is not None and gain[i] <= best[0] + 1e-9:
                continue
            share = self.side_by_side if below else self.batch * cost[level]
            several = min(16 if below else self.batch, room, int(min(share, left + 1e-9) / cost[level]))
            best = (float(gain[i]), level, rows[spread(-gain, max(1, several), rng)])
        return None if best is None else (best[1], best[2])


def spread(scores: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    """Positions of the lowest score in each of n random shares of the rows, best first: side by side, runs should not
    be neighbours."""
    shares = np.array_split(rng.permutation(len(scores)), max(1, min(n, len(scores))))
    picked = np.array([share[best_rows(scores[share], 1)[0]] for share in shares])
    return picked[best_rows(scores[picked], n)].tolist()


def removable(seen: View, rows: np.ndarray, level: int, rungs: int) -> np.ndarray:
    """(n,) share of the top rung's sd (averaged over targets by the objective's weights) that a run on `level` could
    remove: 1 at the top, less with every rung below, and ever less where the rung is known already."""
    share = np.ones((len(rows), len(seen.mix)))
    fitted = seen.fitted
    for _ in range(rungs - 1 - level):
        if not isinstance(fitted, Stepped):
            break
        share *= fitted.known_below(rows)
        fitted = fitted.below
    return np.sqrt(share) @ seen.mix
