"""Multi-fidelity prediction (recursive co-kriging): predicts losses at the most expensive fidelity from runs at all.

Each rung is the rung below, scaled, plus a Gaussian process for the difference (recursive co-kriging: Kennedy and
O'Hagan 2000, Le Gratiet 2014). Mixtures of different rungs need not be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.predictors.hedged_step import Doubted
from gristmill.stages.mixture.predictors.protocol import Fitted, Predictor, fit_runs, normalised
from gristmill.stages.mixture.runs.runs import Fidelity, Runs
from gristmill.stages.mixture.search.trials import keys


class Step(Protocol):
    """From one rung to the next: settings of what is learned about the difference."""

    def fit(self, below: Fitted, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
        """weights (n, k), losses (n, t) of the upper rung; groups (n,): rows that no split may part."""
        ...


@runtime_checkable
class Stepped(Protocol):
    """A rung fitted on top of others."""

    @property
    def below(self) -> Fitted: ...

    def known_below(self, weights: np.ndarray) -> np.ndarray:
        """(n, t) share of this rung's variance that a run one rung down could remove."""
        ...


def by_fidelity(runs: Runs) -> tuple[Runs, ...]:
    """The runs of each fidelity, from cheap to dear: by parameters times training tokens (by parameters alone where a
    model's tokens are not known), then by tokens; n-grams are cheapest.

    Raises DataError for two fidelities that nothing tells apart, or for a rung with too few mixtures.
    """
    kinds = sorted(set(runs.fidelity))
    unsized = [f for f in kinds if f.size <= 0 and f.kind != "ngram"]
    if unsized and (len({f.kind for f in kinds}) > 1 or min(f.tokens for f in kinds) <= 0 < len(kinds) - 1):
        raise DataError(
            f"there are runs of several fidelities ({'; '.join(map(label, kinds))}), and nothing tells how dear one of "
            f"{label(unsized[0])} is: give the fidelity of those runs a size (parameters) and tokens, or leave them out"
        )
    known = all(f.tokens > 0 for f in kinds if f.size > 0)
    price = {f: (f.size * (f.tokens if known else 1.0), f.tokens) for f in kinds}
    kinds.sort(key=price.__getitem__)
    for low, high in pairwise(kinds):
        if price[low] == price[high]:
            raise DataError(
                f"two fidelities ({label(low)}; {label(high)}) are as dear as each other: leave one of them out"
            )
    rungs = tuple(runs.take(np.array([f == kind for f in runs.fidelity])) for kind in kinds)
    for least, rung in zip((*[2] * (len(rungs) - 1), 3), rungs, strict=True) if len(rungs) > 1 else ():
        mixtures = len(np.unique(rung.groups()))
        if mixtures < least:
            raise DataError(
                f"one fidelity ({label(rung.fidelity[0])}) has {len(rung)} runs of {mixtures} different mixtures: "
                "two at least where it helps, three where it is predicted; add runs, or leave this fidelity out"
            )
    return rungs


def label(fidelity: Fidelity) -> str:
    """table, 60M parameters, 1B tokens"""
    parts = [f"{short(fidelity.size)} parameters"] if fidelity.size > 0 else []
    parts += [f"{short(fidelity.tokens)} tokens"] if fidelity.tokens > 0 else []
    return ", ".join([fidelity.kind, *parts])


def short(number: float) -> str:
    """Three digits: 231744 is 232K."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if float(f"{number:.3g}") >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.3g}"


STEP = Doubted()
Memo = dict[tuple[int, ...], Fitted]  # runs on each rung up to the one that is fitted


def fit_rungs(
    base: Predictor, step: Step, rungs: Sequence[tuple[Runs, np.ndarray]], seed: int, memo: Memo | None = None
) -> Fitted:
    """rungs: (runs, fit columns (n, m)) from cheap to dear; `base` fits the cheapest. What `memo` holds of the same
    runs is not fitted again."""
    if not rungs:
        raise DataError("no runs on any rung")
    fitted: Fitted | None = None
    for level, (runs, columns) in enumerate(rungs):
        key = tuple(len(r) for r, _ in rungs[: level + 1])
        if memo is not None and key in memo:
            fitted = memo[key]
            continue
        fitted = fit_runs(base if fitted is None else Above(fitted, step), runs, columns, seed)
        if memo is not None:
            memo[key] = fitted
    assert fitted is not None
    return fitted


@dataclass(frozen=True)
class Above(Predictor):
    """A predictor of one rung, given the fit of those below."""

    below: Fitted
    step: Step
    name: str = "rung"

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
        return self.step.fit(self.below, weights, losses, groups, seed)


@dataclass(frozen=True)
class Rungs(Predictor):
    """A predictor of the dearest rung that knows the runs of the cheaper ones: (runs, fit columns (n, m)).

    Fitted on a part of `top`, it forgets the cheap runs of the other mixtures: what is to be judged on a mixture must
    not have seen it at any fidelity, as the mixture that is chosen in the end has not been.
    """

    base: Predictor  # of the cheapest rung
    below: tuple[tuple[Runs, np.ndarray], ...]
    top: Runs
    step: Step = STEP  # from each rung to the next
    # Fits of `below` by seed and what was forgotten.
    memo: dict[tuple[int, frozenset[bytes]], Memo] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.base.name} on {len(self.below) + 1} rungs"

    def fit(self, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
        if not self.below:
            return self.base.fit(weights, losses, groups, seed)
        fitted_on = set(keys(weights))
        realised = keys(normalised(self.top.realised))
        left = [k for k, r in zip(keys(self.top.weights), realised, strict=True) if r not in fitted_on]
        forgotten = frozenset(left).intersection(k for r, _ in self.below for k in keys(r.weights))
        below = [without(runs, columns, forgotten) for runs, columns in self.below]
        fitted = fit_rungs(self.base, self.step, below, seed, self.memo.setdefault((seed, forgotten), {}))
        return self.step.fit(fitted, weights, losses, groups, seed)


def without(runs: Runs, columns: np.ndarray, mixtures: frozenset[bytes]) -> tuple[Runs, np.ndarray]:
    """The runs of other mixtures; all, where fewer than two mixtures would be left."""
    kept = np.array([k not in mixtures for k in keys(runs.weights)])
    few = kept.all() or len(np.unique(runs.groups()[kept])) < 2
    return (runs, columns) if few else (runs.take(kept), columns[kept])
