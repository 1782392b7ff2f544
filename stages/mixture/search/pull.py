"""Shrinks the searched mixture towards a prior: how far is chosen by cross-validation over pieces of target text.

In each fold the mixture is searched without one part of every target's text, and the mixtures on the segment from the
prior to what was found are measured on that part, with a draw of documents of the fold's own. The step whose gain over
the prior has the highest lower confidence bound is taken; where no bound is above 0, the prior stands. Loss is convex
in the weights but for repetition, so a step keeps more of the gain than of the way (shrinkage as Stein's).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit
from threadpoolctl import threadpool_limits

from gristmill.pipeline.kernels.threads import side_by_side
from gristmill.stages.mixture.constraints import Constraints, project, without_guard
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.runs.runs import Proxy
from gristmill.stages.mixture.search.gradient import Direct, optima

FOLDS = 8  # parts of every target's text: each is left out once
FEWEST_FOLDS = 3  # fewer differences have no interval worth the name
LEVEL = 0.95  # one-sided, of the bound on the gain
STEPS = np.round(np.linspace(0, 1, 11), 1)  # of the way from the prior to what the search found
# One start, half way from natural to uniform: loss is nearly convex, so others end alike. Not natural itself, where
# every bucket's reading may end with a slice of the proxy's counts and the slope to one side says little.
IN_FOLDS = Direct(starts=1, steps=10)


@dataclass(frozen=True, eq=False)
class Pull:
    """How far the corpus goes from the prior to the mixture that the search found, and the evidence for it."""

    kept: float  # of the way: 0 is the prior, 1 the searched mixture
    prior: str  # its name
    gain: float | None = None  # of the step over the prior on left-out text, nats per token, mean over folds
    bound: float | None = None  # the least gain at LEVEL
    whole: float | None = None  # gain of the searched mixture itself, likewise
    folds: int = 0
    weight: float | None = None  # nats that a nat of KL divergence costs, where the config sets it

    def summary(self) -> dict[str, object]:
        """Plain data for weights.json."""
        values = {"gain": self.gain, "least_gain": self.bound, "gain_unpulled": self.whole}
        told = {k: round(v, 6) for k, v in values.items() if v is not None}
        how = {"weight": self.weight} if self.weight is not None else {"folds": self.folds}
        return {"towards": self.prior, "kept": self.kept, **told, **how}


@dataclass(frozen=True, eq=False)
class Folds:
    """Proxies over the same buckets. `seen` has the parts of every target as targets of their own, `names[t][f]`, and
    is searched on all parts but one; `unseen(f, mixtures)` has part f of every target and a draw of documents of its
    own, and gives the losses of just these mixtures without interpolation."""

    seen: Proxy
    unseen: Callable[[int, np.ndarray], Proxy]
    names: tuple[tuple[str, ...], ...]
    tokens: np.ndarray  # (t, f) of each part
    weights: np.ndarray  # (t,) of the targets in the objective
    texts: int  # of the target with the fewest
    threads: int = 1  # that make `unseen` of folds side by side

    def without(self, fold: int) -> Objective:
        """Every target counts as it does in the objective, its parts by their tokens."""
        left = np.delete(np.arange(self.tokens.shape[1]), fold)
        rows = [
            (self.names[t][f], float(a * self.tokens[t, f] / self.tokens[t, left].sum()))
            for t, a in enumerate(self.weights)
            for f in left
            if a > 0
        ]
        return Objective(tuple(rows), "losses")


def segment(prior: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(len(STEPS), k): STEPS of the way from the prior to `found`. Bounds are convex, so all of them hold."""
    return prior[None] + STEPS[:, None] * (found - prior)[None]


def reach(prior: np.ndarray, found: np.ndarray, texts: int) -> np.ndarray:
    """(k,) the farthest mixture that `texts` texts speak for: the next one is of a kind that none of them shows with
    a probability of about 1 / (texts + 1) (Laplace's rule of succession), and that much of the prior stays."""
    return prior + texts / (texts + 1) * (found - prior)


def gains(folds: Folds, prior: np.ndarray, natural: np.ndarray, limits: Constraints) -> np.ndarray:
    """(folds, len(STEPS)) loss of the prior minus that of each step, on the text that the fold's search did not see."""
    start = 0.5 * natural / natural.sum() + 0.5 / len(natural)
    n = folds.tokens.shape[1]
    found = optima(folds.seen, [folds.without(fold) for fold in range(n)], start, without_guard(limits), IN_FOLDS)

    def gain(fold: int) -> np.ndarray:
        steps = segment(prior, reach(prior, found[fold], folds.texts * (n - 1) // n))
        scores = folds.unseen(fold, steps).losses(steps) @ folds.weights
        return scores[0] - scores

    with threadpool_limits(1):
        return np.stack(side_by_side(gain, range(n), folds.threads))


def shown(gain: np.ndarray, level: float = LEVEL) -> tuple[int, np.ndarray]:
    """(the step with the highest lower bound of its mean gain, all bounds). (folds, steps) -> position, (steps,).

    Step 0 gains nothing and has no doubt, so it stands where no other bound is above 0.
    """
    n = len(gain)
    error = gain.std(axis=0, ddof=1) / np.sqrt(n)
    bounds = np.round(gain.mean(axis=0) - float(stdtrit(n - 1, level)) * error, 9)
    return int(np.argmax(bounds)), bounds


def cross_validated(folds: Folds, prior: np.ndarray, natural: np.ndarray, limits: Constraints, name: str) -> Pull:
    """The pull that left-out text supports. prior, natural (k,); `name` is the prior's."""
    if folds.tokens.shape[1] < FEWEST_FOLDS:
        return Pull(0.0, name, folds=folds.tokens.shape[1])
    gain = gains(folds, prior, natural, limits)
    at, bounds = shown(gain)
    mean = gain.mean(axis=0)
    kept = round(float(STEPS[at]) * folds.texts / (folds.texts + 1), 4)
    return Pull(kept, name, float(mean[at]), float(bounds[at]), float(mean[-1]), len(gain))


def weighed(weight: float, losses: np.ndarray, prior: np.ndarray, found: np.ndarray, name: str) -> Pull:
    """The step of least loss + weight * KL(step, prior). losses: the objective at every step."""
    rows = segment(prior, found)
    cost = losses + weight * divergence(rows, prior)
    return Pull(float(STEPS[int(np.argmin(np.round(cost, 9)))]), name, weight=weight)


def divergence(rows: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(n,) KL divergence of each row (n, k) from the prior (k,), nats; a share that the prior lacks costs as from
    1e-6, the last digit of stored weights."""
    ratio = np.maximum(rows, 1e-12) / np.maximum(prior, 1e-6)[None]
    return np.where(rows > 0, rows * np.log(ratio), 0.0).sum(axis=1)


def pulled(kept: float, prior: np.ndarray, found: np.ndarray, limits: Constraints) -> np.ndarray:
    """(k,) the mixture at `kept` of the way."""
    return project((prior + kept * (found - prior))[None], limits)[0]
