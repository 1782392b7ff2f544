"""One entry for every published search: a proxy, the natural mixture and the rules in, weights and evidence out."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from threadpoolctl import threadpool_limits

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import named
from gristmill.stages.mixture.constraints import Constraints, project, rounded
from gristmill.stages.mixture.objective import Objective, fit_table
from gristmill.stages.mixture.predictors.cross_validation import FOLDS, PredictorReport, across, cross_validate
from gristmill.stages.mixture.predictors.fidelities import Rungs, by_fidelity
from gristmill.stages.mixture.predictors.protocol import Predictor, fit_runs
from gristmill.stages.mixture.runs.runs import Differentiable, Proxy, Runs
from gristmill.stages.mixture.search.bayes import Bayes
from gristmill.stages.mixture.search.final_mixture import FinalRule, View, choose, view
from gristmill.stages.mixture.search.gradient import Direct
from gristmill.stages.mixture.search.ladder import Ladder
from gristmill.stages.mixture.search.method import Method
from gristmill.stages.mixture.search.regmix_climb import Climb, OneShot
from gristmill.stages.mixture.search.trials import Round, Trials
from gristmill.stages.mixture.search.verdict import NearEqual, near_equal, settle, trusted

METHODS: dict[str, Method] = {
    "climb": Climb(),
    "regmix": OneShot(),
    "bayes": Bayes(),
    "direct": Direct(),
    "ladder": Ladder(),
}


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The chosen mixture with its predicted and natural objective, and everything that was run to find it.

    Predictions are per target that the objective weighs, in the objective's sign: lower is better.
    """

    weights: np.ndarray  # (k,) 6 decimals
    buckets: tuple[str, ...]
    method: str
    found: bool  # False: the runs do not tell mixtures apart, and natural stands
    verdict: str
    predicted: float  # objective at `weights`
    predicted_sd: float
    natural: float  # objective at the natural mixture (moved into the constraints)
    targets: dict[str, tuple[float, float, float]]  # target -> predicted, its sd, natural
    runs: Runs
    trace: tuple[Round, ...]
    report: PredictorReport
    trials: Trials
    seen: View  # the predictor of the report
    seed: int
    failed: int = 0  # runs that gave no finite loss, and are left out
    measured: tuple[float, float] | None = None  # objective at `weights` and at natural, by a proxy without noise

    @cached_property
    def near_equal(self) -> NearEqual:
        """Measured when it is asked for: of a result that is moved on, nobody asks."""
        gain = None if self.measured is None else max(self.measured[1] - self.measured[0], 0.0)
        with threadpool_limits(1):
            return near_equal(self.weights, self.seen, self.trials, self.seed, gain)

    def summary(self) -> dict[str, object]:
        """Plain data for weights.json; floats with 6 digits."""
        exact = {}
        if self.measured is not None:
            exact = {"measured_objective": round(self.measured[0], 6), "natural_measured": round(self.measured[1], 6)}
        return {
            "found": self.found,
            "verdict": self.verdict,
            **exact,
            **({"failed_runs": self.failed} if self.failed else {}),
            "predicted_objective": round(self.predicted, 6),
            "predicted_sd": round(self.predicted_sd, 6),
            "natural_objective": round(self.natural, 6),
            "predictor": self.report.predictor,
            "predictor_spearman": self.report.objective.spearman,
            "predictor_spearman_interval": [self.report.objective.low, self.report.objective.high],
            "near_equal_mixtures": self.near_equal.mixtures,
            "near_equal_within": self.near_equal.within,
            "rounds": [
                {
                    "round": r.number,
                    "proxy": r.fidelity.kind,
                    "runs": r.runs_n,
                    "mean": round(r.mean_score, 6),
                    "best": round(r.best_score, 6),
                }
                for r in self.trace
            ],
        }


def search(
    proxy: Proxy,
    natural: np.ndarray,
    constraints: Constraints,
    objective: Objective,
    method: Method | str,
    seed: int,
    buckets_digest: str = "",
    cheaper: tuple[Proxy, ...] = (),
) -> SearchResult:
    """Deterministic for the same arguments. natural (k,) in the order of proxy.buckets; `cheaper` proxies, cheap to
    dear, help the "ladder" method.

    Raises ConfigError if the parts do not fit together, InfeasibleError if nothing may be chosen.
    """
    return search_in(Trials(proxy, constraints, objective, natural, buckets_digest, cheaper), method, seed)


def search_in(trials: Trials, method: Method | str, seed: int) -> SearchResult:
    """As `search`, which begins with these trials: they hold no run yet."""
    chosen = method_of(method)
    for each in (trials.proxy, *trials.cheaper):
        check_fit(each, trials.natural, trials.constraints, trials.objective)
    trials.natural = trials.natural / trials.natural.sum()
    rng = np.random.default_rng(seed)
    with threadpool_limits(1):
        weights = chosen.run(trials, rng)
        predictor = chosen.judge(trials)
        return trials.recalled(
            "concluded", rng, lambda: conclude(weights, trials.runs(), trials, chosen.name, predictor, seed)
        )


def search_runs(
    runs: Runs,
    natural: np.ndarray,
    constraints: Constraints,
    objective: Objective,
    predictor: Predictor,
    rule: FinalRule,
    seed: int,
) -> SearchResult:
    """The best mixture as far as finished runs tell; nothing is trained. Of several fidelities the dearest is what is
    predicted, with the cheaper ones as rungs below it."""
    objective.over(runs.targets)
    natural = natural / natural.sum()
    trials = Trials(Finished(runs.buckets, runs.targets), constraints, objective, natural, runs.buckets_digest)
    rng = np.random.default_rng(seed)
    *below, top = by_fidelity(runs)
    with threadpool_limits(1):
        if below:
            cheaper = tuple((r, fit_table(objective, r.losses, r.targets)[0]) for r in below)
            predictor = Rungs(predictor, cheaper, top)
        columns, _ = fit_table(objective, top.losses, top.targets)
        watch.note(f"predictor {predictor.name}: fitting {len(top):,} runs, {columns.shape[1]} targets")
        fitted = fit_runs(predictor, top, columns, seed)
        seen = view(fitted, objective, top.targets, constraints, natural)
        watch.note("choosing the mixture")
        weights = choose(seen, natural, constraints, rule, rng)
        return replace(conclude(weights, top, trials, "runs", predictor, seed, seen), runs=runs)


@dataclass(frozen=True)
class Finished:
    """A proxy that will not run again."""

    buckets: tuple[str, ...]
    targets: tuple[str, ...]
    kind: str = "table"

    def losses(self, weights: np.ndarray) -> np.ndarray:
        raise ConfigError("these runs are finished; give a proxy to measure other mixtures")


def method_of(method: Method | str) -> Method:
    """Raises ConfigError for a name that is neither in METHODS nor a class of the user's own."""
    return named("mixture.method", method, METHODS, Method) if isinstance(method, str) else method


def check_fit(proxy: Proxy, natural: np.ndarray, constraints: Constraints, objective: Objective) -> None:
    if tuple(constraints.buckets) != tuple(proxy.buckets):
        raise ConfigError(
            f"constraints are about {', '.join(constraints.buckets)}, the proxy about {', '.join(proxy.buckets)}"
        )
    if natural.shape != (len(proxy.buckets),) or (natural < 0).any() or not natural.sum() > 0:
        raise ConfigError(f"natural weights must be {len(proxy.buckets)} numbers >= 0 with a sum above 0")
    objective.over(proxy.targets)


def conclude(
    weights: np.ndarray,
    runs: Runs,
    trials: Trials,
    name: str,
    predictor: Predictor,
    seed: int,
    seen: View | None = None,
) -> SearchResult:
    """The verdict, in one place. A proxy without noise (one that knows its slope) measures the choice, the best run and
    natural, and the lowest stands. For any other the predictor is cross-validated on all runs, and natural stands where
    it ranks no better than chance: the dear runs of a ladder may be too few to tell, then the cheap ones must."""
    c, objective, natural = trials.constraints, trials.objective, trials.natural
    report = cross_validate(predictor, runs, objective, FOLDS, seed)
    if isinstance(predictor, Rungs):
        ranks = tuple(across(predictor.base, cheap, runs, objective, seed) for cheap, _ in predictor.below)
        report = replace(report, fidelities=ranks)
    if seen is None:
        columns, _ = fit_table(objective, runs.losses, runs.targets)
        seen = view(fit_runs(predictor, runs, columns, seed), objective, runs.targets, c, natural)
    home = project(natural[None], c)
    measured = None
    if isinstance(trials.proxy, Differentiable):
        weights, measured, verdict = settle(weights, trials, home[0])
        found = measured[0] < measured[1]
    else:
        found, verdict = trusted(weights, home, runs, trials, predictor, report, seen, seed)
    if not found:
        weights = rounded(natural, c)
    both = np.stack([weights, home[0]])
    mean, sd = seen.fitted.mean(both), seen.fitted.sd(both)
    used = [t for t, a in zip(runs.targets, objective.over(runs.targets), strict=True) if a > 0]
    names = used if objective.fit == "per_target" else ["mean"]
    scores = seen.score(both)
    return SearchResult(
        weights=weights,
        buckets=tuple(c.buckets),
        method=name,
        found=found,
        verdict=verdict,
        predicted=round(float(scores[0]), 9),
        predicted_sd=round(float(seen.sd(both)[0]), 9),
        natural=round(float(scores[1]), 9),
        targets={
            t: (round(float(mean[0, j]), 6), round(float(sd[0, j]), 6), round(float(mean[1, j]), 6))
            for j, t in enumerate(names)
        },
        runs=trials.all_runs() if trials.rows else runs,
        trace=tuple(trials.rounds),
        report=report,
        trials=trials,
        seen=seen,
        seed=seed,
        failed=trials.failed,
        measured=measured,
    )


def moved(result: SearchResult, weights: np.ndarray, found: bool, verdict: str) -> SearchResult:
    """The result with other weights (k,), and with everything that is said about them."""
    trials, seen = result.trials, result.seen
    both = np.stack([weights, project(trials.natural[None], trials.constraints)[0]])
    mean, sd, scores = seen.fitted.mean(both), seen.fitted.sd(both), seen.score(both)
    measured = None
    if result.measured is not None:
        losses = trials.proxy.losses(both)
        chosen, home = np.round(trials.objective.score(losses, trials.proxy.targets), 9).tolist()
        measured = (chosen, home)
    return replace(
        result,
        weights=weights,
        found=found,
        verdict=verdict,
        predicted=round(float(scores[0]), 9),
        predicted_sd=round(float(seen.sd(both)[0]), 9),
        targets={
            t: (round(float(mean[0, j]), 6), round(float(sd[0, j]), 6), round(float(mean[1, j]), 6))
            for j, t in enumerate(result.targets)
        },
        measured=measured,
    )
