"""Reruns the chosen mixture and the baselines with new seeds; reports paired differences with confidence intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import stdtrit

from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.stages.mixture.constraints import Constraints, project, unimax
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.runs.runs import Failing, Proxy, Reseedable
from gristmill.stages.mixture.search.trials import fidelity_of

LEVEL = 0.95  # of the intervals


@dataclass(frozen=True)
class Comparison:
    """Chosen minus baseline, in the objective's unit: below 0 is better. The interval is paired over seeds."""

    baseline: str
    difference: float
    low: float
    high: float
    better_in: int  # seeds in which the chosen mixture was better
    seeds: int
    targets: tuple[tuple[str, float], ...]  # per target, same sign


@dataclass(frozen=True)
class Confirmation:
    proxy: str
    size: float
    comparisons: tuple[Comparison, ...]
    verdict: str
    better_than_natural: bool

    def summary(self) -> dict[str, object]:
        """Plain data for weights.json."""
        rows = [{**asdict(c), "targets": dict(c.targets)} for c in self.comparisons]
        return {
            "proxy": self.proxy,
            "size": self.size,
            "verdict": self.verdict,
            "better_than_natural": self.better_than_natural,
            "comparisons": rows,
        }


def baselines(
    natural: np.ndarray, c: Constraints, tokens: np.ndarray | None, budget: float | None, max_epochs: float = 4.0
) -> dict[str, np.ndarray]:
    """natural, uniform and UniMax (where sizes are known), each moved into the constraints: what could really be
    built instead."""
    k = len(natural)
    plain = {"natural": natural, "uniform": np.full(k, 1.0 / k)}
    if tokens is not None and budget is not None:
        plain["unimax"] = unimax(tokens, budget, max_epochs)
    return {name: project(w[None], c)[0] for name, w in plain.items()}


def fresh(proxy: Proxy, seeds: Sequence[int]) -> list[Proxy]:
    """The proxy with every seed; a proxy without chance stays alone."""
    if not isinstance(proxy, Reseedable):
        return [proxy]
    return [proxy.reseeded(s) for s in seeds]


def confirm(
    proxies: Sequence[Proxy],
    chosen: np.ndarray,
    plain: Mapping[str, np.ndarray],
    objective: Objective,
    guard: Sequence[str] = (),
    level: float = LEVEL,
) -> Confirmation:
    """Runs every mixture once on each of `proxies`, which differ by chance alone (`fresh`, or draws of the data that
    the search never saw), and compares in pairs. Proxies may be larger than the search's.

    A guarded target that is worse than under natural, the whole interval above 0, makes the mixture no better.
    A single proxy without chance gives one difference and no interval; the verdict then rests on the sign and says so.
    Raises ConfigError without a natural baseline, or with a single seed of a proxy that has chance.
    """
    if "natural" not in plain:
        raise ConfigError("confirm compares with the natural mixture at least; it is missing from the baselines")
    if len(proxies) < 2 and not (proxies and not isinstance(proxies[0], Reseedable)):
        raise ConfigError("confirm needs at least two fresh seeds for an interval; five are a good start")
    names, proxy = list(plain), proxies[0]
    mixtures = np.stack([chosen, *(plain[n] for n in names)])
    measured = np.stack([np.asarray(each.losses(mixtures)) for each in proxies])
    measured = without_failed(measured, proxies)
    targets = proxy.targets
    a = objective.over(targets)
    signed = objective.sign * measured  # (seeds, 1 + baselines, t)
    scores = signed @ a
    comparisons = []
    for j, name in enumerate(names, 1):
        difference = scores[:, 0] - scores[:, j]
        low, high = interval(difference, level)
        per_target = (signed[:, 0] - signed[:, j]).mean(axis=0)
        comparisons.append(
            Comparison(
                baseline=name,
                difference=round(float(difference.mean()), 6),
                low=round(low, 6),
                high=round(high, 6),
                better_in=int((difference < 0).sum()),
                seeds=len(difference),
                targets=tuple((t, round(float(d), 6)) for t, d, w in zip(targets, per_target, a, strict=True) if w > 0),
            )
        )
    against = comparisons[names.index("natural")]
    better, verdict = judged(against, level)
    home = 1 + names.index("natural")
    for name in guard:
        worse = signed[:, 0, targets.index(name)] - signed[:, home, targets.index(name)]
        low, high = interval(worse, level)
        if low > 0:
            better = False
            verdict = (
                f"not better than natural: guarded {name} is worse by {worse.mean():.4f} ({ci_text(low, high, level)})"
            )
            break
    fidelity = fidelity_of(proxy)
    return Confirmation(fidelity.kind, fidelity.size, tuple(comparisons), verdict, better)


def without_failed(measured: np.ndarray, proxies: Sequence[Proxy]) -> np.ndarray:
    """(seeds, mixtures, t) without the seeds of which a run failed: differences are paired. Raises GristmillError where
    fewer than two are left."""
    good = np.array([bool(np.isfinite(m).all()) for m in measured])
    if good.all():
        return measured
    if good.sum() < 2:
        how = next((p.failures[0] for p in proxies if isinstance(p, Failing) and p.failures), "a loss is not finite")
        raise GristmillError(
            f"in {int((~good).sum())} of {len(good)} seeds of the confirmation a run failed; the others are kept and "
            f"are not made again. The first: {how}"
        )
    return measured[good]


def interval(difference: np.ndarray, level: float) -> tuple[float, float]:
    """Student's interval of the mean over seeds; one seed has none."""
    n, mean = len(difference), float(difference.mean())
    if n == 1:
        return mean, mean
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(difference.std(ddof=1)) / np.sqrt(n)
    return mean - half, mean + half


def judged(c: Comparison, level: float) -> tuple[bool, str]:
    if c.seeds == 1:
        side = "better than" if c.difference < 0 else "not better than"
        how = f"difference {c.difference:+.4f} in one run of a proxy without chance, so no interval"
        return c.difference < 0, f"{side} {c.baseline}: {how}"
    where = f"loss {c.difference:+.4f} nats/token ({ci_text(c.low, c.high, level)}), less in {c.better_in} of {c.seeds}"
    if c.high < 0:
        return True, f"better than {c.baseline}: {where}"
    return False, f"{'worse than' if c.low > 0 else 'no measurable gain over'} {c.baseline}: {where}"


def checked_on(proxy: str) -> str:
    """The end of a verdict that a confirmation gives."""
    return f"checked with the {proxy} proxy on text and draws that the search never saw"


def ci_text(low: float, high: float, level: float) -> str:
    return f"{level:.0%}: {low:+.4f} to {high:+.4f}"
