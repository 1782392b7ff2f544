"""How far a predictor can be trusted: cross-validation by whole runs, ranks, errors, calibration, other fidelities."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from gristmill.classifiers.calibration import mid_ranks
from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.objective import Objective, fit_table
from gristmill.stages.mixture.predictors.protocol import (
    Fitted,
    Predictor,
    fit_runs,
    group_folds,
    normalised,
    objective_mean,
    objective_sd,
    refuse_few,
    refuse_leak,
)
from gristmill.stages.mixture.runs.runs import Fidelity, Runs
from gristmill.stages.mixture.search.trials import keys

FOLDS = 5  # of every cross-validation: of runs, and of comparisons across fidelities that share mixtures


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; 0 where one side does not vary (a constant prediction ranks nothing)."""
    x, y = mid_ranks(a), mid_ranks(b)
    x, y = x - x.mean(), y - y.mean()
    length = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / length if length > 0 else 0.0


def spearman_interval(rho: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Fisher's interval with the variance of Bonett and Wright 2000, (1 + rho^2 / 2) / (n - 3)."""
    if n < 5:
        return -1.0, 1.0
    half = float(ndtri(0.5 + level / 2)) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    return float(np.tanh(z - half)), float(np.tanh(z + half))


@dataclass(frozen=True)
class Score:
    """Predictions against what was measured on runs that were not fitted."""

    target: str
    n: int  # different mixtures: seeds and copies of one are one piece of evidence
    spearman: float
    low: float  # 95% interval of the rank correlation
    high: float
    rmse: float  # nats/token (or accuracy points)
    within_1sd: float  # share of runs inside the predicted sd; 0.68 if calibrated
    within_2sd: float  # 0.95 if calibrated


@dataclass(frozen=True)
class PredictorReport:
    """Cross-validated figures of the predictor that chose; `objective` is the one number that was minimised."""

    predictor: str
    folds: int
    objective: Score
    targets: tuple[Score, ...]
    points: tuple[tuple[float, float], ...]  # (measured, predicted) objective of each mixture that was not fitted
    fidelities: "tuple[Across, ...]" = ()  # of a search over several: how far the cheap ones rank like the dear ones

    @property
    def correlation(self) -> float:
        """Pearson's, of measured and predicted objective; 0 where one side does not vary."""
        measured, predicted = np.array(self.points).T
        spread = float(measured.std() * predicted.std())
        return float(np.mean((measured - measured.mean()) * (predicted - predicted.mean()))) / spread if spread else 0.0

    @property
    def found_signal(self) -> bool:
        """False if neither ranks nor values of unseen runs can be told from chance: then nothing was learned about
        weights. Values, for most runs of a good search lie near its optimum, where noise alone ranks them. At 99%, for
        a search that finds something in noise once in 20 times is no evidence."""
        n = self.objective.n
        return any(spearman_interval(r, n, 0.99)[0] > 0 for r in (self.objective.spearman, self.correlation))


@dataclass(frozen=True)
class Across:
    """Rank correlation from cheap runs to dear ones. Only ranks mean something: the losses have other levels."""

    cheap: Fidelity
    dear: Fidelity
    shared: int  # mixtures run at both
    paired: float  # Spearman of the objective over the shared mixtures; 0 with fewer than 3
    paired_targets: float  # the same, mean over the targets
    predicted: float  # Spearman of the dear runs' objective with what cheap runs of other mixtures predict
    predicted_targets: float


def score_of(target: str, measured: np.ndarray, mean: np.ndarray, sd: np.ndarray, groups: np.ndarray) -> Score:
    """Ranks over the means of the `groups` (n,), errors over the n runs."""
    of_groups = means(measured, groups)
    rho = spearman(means(mean, groups), of_groups)
    low, high = spearman_interval(rho, len(of_groups))
    z = np.abs(measured - mean) / np.maximum(sd, 1e-12)
    values = rho, low, high, np.sqrt(((measured - mean) ** 2).mean()), (z < 1).mean(), (z < 2).mean()
    return Score(target, len(of_groups), *(round(float(v), 6) for v in values))


def cross_validate(predictor: Predictor, runs: Runs, objective: Objective, folds: int, seed: int) -> PredictorReport:
    """Grouped by run: checkpoints and repeats of a run never stand on both sides."""
    refuse_few(runs, 3)
    columns, mix = fit_table(objective, runs.losses, runs.targets)
    groups = runs.groups()
    mean, sd = np.empty_like(columns), np.empty_like(columns)
    score_mean, score_sd = np.empty(len(runs)), np.empty(len(runs))
    weights = normalised(runs.realised)
    folds = min(folds, len(np.unique(groups)))
    for i, test in enumerate(group_folds(groups, folds, np.random.default_rng(seed)), 1):
        watch.note(f"predictor {predictor.name}: cross-validation, fold {i} of {folds}")
        fitted = fit_runs(predictor, runs.take(~test), columns[~test], seed)
        mean[test] = fitted.mean(weights[test])
        sd[test] = np.hypot(fitted.sd(weights[test]), fitted.noise)
        score_mean[test] = objective_mean(fitted, weights[test], mix)
        score_sd[test] = objective_sd(fitted, weights[test], mix, noise=True)
    names = [t for t, a in zip(runs.targets, objective.over(runs.targets), strict=True) if a > 0]
    names = names if objective.fit == "per_target" else ["mean"]
    return PredictorReport(
        predictor.name,
        folds,
        score_of("objective", columns @ mix, score_mean, score_sd, groups),
        tuple(score_of(t, columns[:, j], mean[:, j], sd[:, j], groups) for j, t in enumerate(names)),
        pairs(means(columns @ mix, groups), means(score_mean, groups)),
    )


def means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) -> (g,) mean of every group, in the order of their first rows."""
    _, first, at = np.unique(groups, return_index=True, return_inverse=True)
    return (np.bincount(at, weights=values) / np.bincount(at))[np.argsort(first, kind="stable")]


def pairs(measured: np.ndarray, predicted: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(a), 6), round(float(b), 6)) for a, b in zip(measured, predicted, strict=True))


def evaluate_split(predictor: Predictor, train: Runs, test: Runs, objective: Objective, seed: int) -> PredictorReport:
    """Fit on one table, judge on another. Raises DataError if a run (or a mixture) stands in both."""
    if train.buckets != test.buckets or train.targets != test.targets:
        raise DataError("train and test runs have other buckets or targets")
    names = {name: i for i, name in enumerate(sorted({*train.run_id, *test.run_id}))}
    mixtures = {row.tobytes(): i for i, row in enumerate(np.round(np.concatenate([train.weights, test.weights]), 6))}
    for of in (
        lambda r: [names[i] for i in r.run_id],
        lambda r: [mixtures[w.tobytes()] for w in np.round(r.weights, 6)],
    ):
        refuse_leak(np.array(of(train)), np.array(of(test)))
    columns, mix = fit_table(objective, train.losses, train.targets)
    measured, _ = fit_table(objective, test.losses, test.targets)
    fitted = fit_runs(predictor, train, columns, seed)
    return judge(predictor.name, fitted, test, measured, mix, objective)


def judge(
    name: str, fitted: Fitted, test: Runs, measured: np.ndarray, mix: np.ndarray, objective: Objective
) -> PredictorReport:
    """Scores of a fitted predictor on runs of any fidelity: across fidelities only the ranks mean something."""
    weights, groups = normalised(test.realised), test.groups()
    mean, sd = fitted.mean(weights), np.hypot(fitted.sd(weights), fitted.noise)
    used = [t for t, a in zip(test.targets, objective.over(test.targets), strict=True) if a > 0]
    names = used if objective.fit == "per_target" else ["mean"]
    score_mean = objective_mean(fitted, weights, mix)
    score_sd = objective_sd(fitted, weights, mix, noise=True)
    return PredictorReport(
        name,
        0,
        score_of("objective", measured @ mix, score_mean, score_sd, groups),
        tuple(score_of(t, measured[:, j], mean[:, j], sd[:, j], groups) for j, t in enumerate(names)),
        pairs(means(measured @ mix, groups), means(score_mean, groups)),
    )


def across(predictor: Predictor, cheap: Runs, dear: Runs, objective: Objective, seed: int) -> Across:
    """Through the surrogate, because tables seldom share mixtures (RegMix's 1B runs share none with its others: joined
    by index they correlate at 0). A dear run is predicted by cheap runs of other mixtures only."""
    (low, mix), (high, _) = (fit_table(objective, r.losses, r.targets) for r in (cheap, dear))
    at = {k: i for i, k in enumerate(keys(cheap.weights))}
    there = [(at[k], j) for j, k in enumerate(keys(dear.weights)) if k in at]
    pairs_low, pairs_high = low[[i for i, _ in there]], high[[j for _, j in there]]
    weights, mean = normalised(dear.realised), np.empty_like(high)
    groups = dear.groups()
    folds = group_folds(groups, min(FOLDS, len(np.unique(groups))), np.random.default_rng(seed)) if there else []
    for test in folds or [np.ones(len(dear), dtype=bool)]:
        known = {k for k, inside in zip(keys(dear.weights), test, strict=True) if inside}
        rows = np.array([k not in known for k in keys(cheap.weights)])
        mean[test] = fit_runs(predictor, cheap.take(rows), low[rows], seed).mean(weights[test])

    def ranks_alike(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
        if len(a) < 3:
            return 0.0, 0.0
        each = [spearman(a[:, j], b[:, j]) for j in range(a.shape[1])]
        return round(spearman(a @ mix, b @ mix), 6), round(float(np.mean(each)), 6)

    return Across(
        cheap.fidelity[0], dear.fidelity[0], len(there), *ranks_alike(pairs_low, pairs_high), *ranks_alike(mean, high)
    )


def best_predictor(
    predictors: tuple[Predictor, ...], runs: Runs, objective: Objective, folds: int, seed: int
) -> tuple[Predictor, tuple[PredictorReport, ...]]:
    """The one whose cross-validated ranking of the objective is best; ties go to the first. Training runs only."""
    reports = tuple(cross_validate(p, runs, objective, folds, seed) for p in predictors)
    best = max(range(len(reports)), key=lambda i: (round(reports[i].objective.spearman, 4), -i))
    return predictors[best], reports
