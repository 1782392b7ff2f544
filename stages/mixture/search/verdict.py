"""Decides what the search may report: measured if the proxy is noise-free, otherwise only if the predictor beats chance
in cross-validation."""

from dataclasses import dataclass

import numpy as np

from gristmill.stages.mixture.constraints import only_mixture, project, rounded
from gristmill.stages.mixture.predictors.cross_validation import FOLDS, PredictorReport, cross_validate
from gristmill.stages.mixture.predictors.fidelities import Rungs
from gristmill.stages.mixture.predictors.protocol import Predictor
from gristmill.stages.mixture.runs.runs import Differentiable, Runs
from gristmill.stages.mixture.search.final_mixture import View, perturb
from gristmill.stages.mixture.search.trials import Trials, best_rows

EQUAL = 1e-6  # objectives that differ by less are the same number: weights have 6 decimals
GIVEN_UP = 0.05  # of the gain over natural, by a mixture that counts as equal to the choice


@dataclass(frozen=True, eq=False)
class NearEqual:
    """What is as good as the choice, and which weights matter."""

    mixtures: int  # that are at least 0.1 in total variation from each other
    within: float  # of the choice's objective
    low: np.ndarray  # (k,) least and
    high: np.ndarray  # (k,) greatest weight among them: a narrow range is a weight that matters
    effect: np.ndarray  # (k,) rise of the objective when the bucket's weight is halved or doubled, the worse


def settle(weights: np.ndarray, trials: Trials, home: np.ndarray) -> tuple[np.ndarray, tuple[float, float], str]:
    """(weights that measure lowest, their and natural's objective, verdict). Ties go to natural, then to the choice."""
    runs, c, objective = trials.runs(), trials.constraints, trials.objective
    best = runs.weights[best_rows(objective.score(runs.losses, runs.targets), 1)[0]]
    candidates = np.stack([rounded(home, c), weights, best])
    losses = trials.proxy.losses(candidates)
    guarded = [runs.targets.index(t) for t in c.guard]
    worse = (objective.sign * (losses - losses[0]))[:, guarded] > c.guard_tolerance + 1e-9
    scores = np.round(np.where(worse.any(axis=1), np.inf, objective.score(losses, runs.targets)), 9)
    winner = int(np.argmin(scores))
    gain = float(scores[0] - scores[winner])
    if gain <= EQUAL:
        winner, verdict = 0, "no mixture measures better than natural; the natural mixture stands"
    else:
        which = ("", "the chosen mixture", "the best run")[winner]
        verdict = f"{which} measures {gain:.{4 if gain >= 1e-4 else 6}f} better than natural"
    return candidates[winner], (float(scores[winner]), float(scores[0])), verdict


def trusted(
    weights: np.ndarray,
    home: np.ndarray,
    runs: Runs,
    trials: Trials,
    predictor: Predictor,
    report: PredictorReport,
    seen: View,
    seed: int,
) -> tuple[bool, str]:
    """Whether the predictor may be believed that `weights` are better than natural, and why."""
    if only_mixture(trials.constraints) is not None:
        return False, "the bounds leave one mixture, and that is the answer"
    below = predictor.below if isinstance(predictor, Rungs) else ()
    signal = report.found_signal or any(
        cross_validate(predictor.base, cheap, trials.objective, FOLDS, seed).found_signal  # type: ignore[attr-defined]
        for cheap, _ in below
    )
    ranks, mixtures = f"{report.objective.spearman:.2f}", report.objective.n
    if not signal:
        return False, (
            "nothing found: predictions order runs that they have not seen no better than chance might "
            f"(Spearman {ranks}, {mixtures} mixtures); "
            "the natural mixture stands. Run more proxies, or choose an objective with less noise."
        )
    if float(seen.score(weights[None])[0]) >= float(seen.score(home)[0]) - EQUAL:
        return False, "no mixture is predicted better than natural; the natural mixture stands"
    almost = "almost as measured" if report.objective.spearman >= 0.9 else "in part as measured"
    return (
        True,
        f"predicted better than natural; the predictor orders runs that it has not seen {almost} (Spearman {ranks})",
    )


def near_equal(weights: np.ndarray, seen: View, trials: Trials, seed: int, gain: float | None) -> NearEqual:
    """Among neighbours near and far and natural itself. A proxy without noise measures 1,000 of them, and near is what
    keeps all but a twentieth of the `gain` over natural; else 4,000 are predicted, and near is one sd."""
    c, proxy, objective, rng = trials.constraints, trials.proxy, trials.objective, np.random.default_rng(seed)
    exact = isinstance(proxy, Differentiable)

    def score(rows: np.ndarray) -> np.ndarray:
        return objective.score(proxy.losses(rows), proxy.targets) if exact else seen.score(rows)

    home = project(trials.natural[None], c)
    near = [perturb(weights[None], 250 if exact else 1000, width, rng) for width in (0.25, 0.5, 1.0, 2.0)]
    draws = project(np.concatenate([weights[None], home, *near]), c)
    scores = score(draws)
    within = float(seen.sd(weights[None])[0]) if gain is None else GIVEN_UP * gain
    equal = draws[(scores <= scores[0] + within) & seen.allowed(draws)]
    equal = equal if len(equal) else weights[None]
    kept = equal[:1]
    for row in equal[1:]:
        if 0.5 * np.abs(kept - row).sum(axis=1).min() >= 0.1:
            kept = np.concatenate([kept, row[None]])
    moved = project(halved_and_doubled(weights, home[0]), c)
    effect = (score(moved) - scores[0]).reshape(-1, 2).max(axis=1)
    low, high = equal.min(axis=0), equal.max(axis=0)
    return NearEqual(len(kept), round(within, 6), np.round(low, 6), np.round(high, 6), np.round(effect, 6))


def halved_and_doubled(weights: np.ndarray, home: np.ndarray) -> np.ndarray:
    """(2k, k) rows, not yet normalised: each bucket's weight halved and doubled beside the others'. Where the others
    have nothing, what a halved one leaves is shared as in `home`."""
    rows = np.repeat(weights[None], 2 * len(weights), axis=0)
    for i, w in enumerate(weights.tolist()):
        if weights.sum() - w < 1e-9:
            rows[2 * i] = w / 2 * home / max(home.sum() - home[i], 1e-30)
        rows[2 * i : 2 * i + 2, i] = [w / 2, min(max(2 * w, 0.02), 1.0)]
    return rows
