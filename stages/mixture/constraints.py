"""Which mixtures may be chosen: bounds per bucket and per group, and the nearest allowed mixture to any other.

Nearest means smallest KL divergence: what is not bound keeps its proportions, and what a cap cuts off is
water-filled over the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError

ONE = 1e-5  # a bucket that may move by less cannot be weighed: a token of a corpus of 100,000
SHOWN = 10  # buckets named in a message
SLACK = 1e-9  # bounds and sums are compared with this tolerance; weights are stored with 6 decimals


@dataclass(frozen=True)
class Group:
    """Buckets whose total share is bounded; equal bounds pin it."""

    name: str
    members: tuple[int, ...]
    lower: float
    upper: float


@dataclass(frozen=True)
class Constraints:
    """lower and upper (k,) per bucket; groups must not overlap."""

    buckets: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    groups: tuple[Group, ...] = ()
    guard: tuple[str, ...] = ()  # targets that may not be predicted worse than under the natural mixture
    guard_tolerance: float = 0.0  # nats (or accuracy points) by which a guarded target may be worse
    reasons: tuple[tuple[str, str], ...] = ()  # (bucket, where its bounds come from), for messages

    def __post_init__(self) -> None:
        if not len(self.buckets) == len(self.lower) == len(self.upper):
            raise ConfigError("constraints: one lower and one upper bound per bucket")
        members = [i for g in self.groups for i in g.members]
        if len(set(members)) != len(members):
            twice = sorted({self.buckets[i] for i in members if members.count(i) > 1})
            raise ConfigError(f"constraints: {', '.join(twice)} stand in more than one group")
        check_feasible(self)

    def holds(self, weights: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
        """(n, k) -> (n,) bool: on the simplex and within all bounds."""
        ok = np.abs(weights.sum(axis=1) - 1) <= tolerance * 10
        ok &= (weights >= np.array(self.lower) - tolerance).all(axis=1)
        ok &= (weights <= np.array(self.upper) + tolerance).all(axis=1)
        for g in self.groups:
            total = weights[:, list(g.members)].sum(axis=1)
            ok &= (total >= g.lower - tolerance) & (total <= g.upper + tolerance)
        return ok


def unconstrained(buckets: Sequence[str]) -> Constraints:
    k = len(buckets)
    return Constraints(tuple(buckets), (0.0,) * k, (1.0,) * k)


def constraints_from(
    buckets: Sequence[str],
    *,
    tokens: Mapping[str, float] | None = None,
    budget: float | None = None,
    max_epochs: float = 4.0,  # "usually repeating 4 epochs is okay" (RegMix's code, olmix's default)
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    groups: Sequence[tuple[str, Sequence[str], float, float]] = (),
    guard: Sequence[str] = (),
    guard_tolerance: float = 0.0,
) -> Constraints:
    """Bounds from what is available and what is asked. A bucket's cap is tokens * max_epochs / budget at most.

    Raises ConfigError for unknown buckets, InfeasibleError (naming the binding bounds) if nothing is left.
    """
    names = tuple(buckets)
    for given in (tokens or {}, minimum or {}, maximum or {}, fixed or {}, *(dict.fromkeys(g[1], 0.0) for g in groups)):
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ConfigError(no_bucket(unknown, names, tokens))
    for what, given in (("minimum", minimum), ("maximum", maximum), ("fixed", fixed)):
        for name, value in (given or {}).items():
            check_share(f"the {what} share of {name}", value)
    for name, _, least, most in groups:
        check_share(f"the total of {name}", least)
        check_share(f"the total of {name}", most)
    if (tokens is None) != (budget is None):
        raise ConfigError("caps need both the tokens of each bucket and the target budget")
    if budget is not None and not budget > 0:
        raise ConfigError(f"the target budget must be above 0 tokens, not {budget}")
    lower, upper, reasons = np.zeros(len(names)), np.ones(len(names)), {}
    for i, name in enumerate(names):
        if tokens is not None and budget is not None:
            upper[i] = min(1.0, tokens.get(name, 0.0) * max_epochs / budget)
            reasons[name] = f"{tokens.get(name, 0.0):g} tokens x {max_epochs:g} epochs / budget {budget:g}"
        if maximum and name in maximum and maximum[name] < upper[i]:
            upper[i], reasons[name] = maximum[name], "maximum"
        if minimum and name in minimum:
            lower[i] = minimum[name]
        if fixed and name in fixed:
            if fixed[name] > upper[i] + SLACK:
                raise InfeasibleError(
                    f"{name} is fixed at {fixed[name]:g}, above its cap {upper[i]:g} ({reasons[name]})"
                )
            lower[i] = upper[i] = fixed[name]
            reasons[name] = "fixed"
    return Constraints(
        buckets=names,
        lower=tuple(lower.tolist()),
        upper=tuple(upper.tolist()),
        groups=tuple(Group(name, tuple(names.index(m) for m in members), lo, hi) for name, members, lo, hi in groups),
        guard=tuple(guard),
        guard_tolerance=guard_tolerance,
        reasons=tuple(sorted(reasons.items())),
    )


def check_share(what: str, value: float) -> None:
    """Raises ConfigError for what is no share of the tokens."""
    if not 0 <= value <= 1:
        meant = f"; {value:g}% is {value / 100:g}" if 1 < value <= 100 else ""
        raise ConfigError(f"{what} is {value:g}, and a share lies between 0 and 1{meant}")


def only_mixture(c: Constraints) -> np.ndarray | None:
    """(k,) the one mixture that the bounds leave, within ONE of it; None where there is a choice."""
    lower, upper = np.array(c.lower), np.minimum(np.array(c.upper), 1.0)
    low, high, units = unit_bounds(c)
    least, most = np.maximum(low, 1 - (high.sum() - high)), np.minimum(high, 1 - (low.sum() - low))
    slack = np.empty(len(lower))
    for j, members in enumerate(units):
        m_low, m_high = lower[members], upper[members]
        bottom = np.maximum(m_low, least[j] - (m_high.sum() - m_high))
        top = np.minimum(m_high, most[j] - (m_low.sum() - m_low))
        slack[members] = top - bottom
    if slack.max() > ONE:
        return None
    return project(np.maximum((lower + upper) / 2, 1e-12)[None], c)[0]


def check_feasible(c: Constraints) -> None:
    """Raises InfeasibleError naming the bounds that cannot hold together."""
    reason = dict(c.reasons)
    lower, upper = np.array(c.lower), np.array(c.upper)

    def say(i: int, bound: np.ndarray) -> str:
        why = f" ({reason[c.buckets[i]]})" if c.buckets[i] in reason else ""
        return f"{c.buckets[i]} {bound[i]:.6g}{why}"

    for i in range(len(c.buckets)):
        if not 0 <= lower[i] <= 1 or upper[i] < 0:
            raise InfeasibleError(f"bounds of {c.buckets[i]} must lie in [0, 1]: {lower[i]:g} to {upper[i]:g}")
        if lower[i] > upper[i] + SLACK:
            raise InfeasibleError(f"{c.buckets[i]}: minimum {lower[i]:g} is above its maximum {say(i, upper)}")
    for g in c.groups:
        at = list(g.members)
        if g.lower > g.upper + SLACK:
            raise InfeasibleError(f"group {g.name}: minimum {g.lower:g} is above its maximum {g.upper:g}")
        if lower[at].sum() > g.upper + SLACK:
            members = ", ".join(say(i, lower) for i in at if lower[i] > 0)
            raise InfeasibleError(f"group {g.name} may have {g.upper:g} at most, its members need more: {members}")
        if upper[at].sum() < g.lower - SLACK:
            members = ", ".join(say(i, upper) for i in at)
            raise InfeasibleError(f"group {g.name} must have {g.lower:g}, its members may have less: {members}")
    low, high, units = unit_bounds(c)
    if low.sum() > 1 + SLACK:
        binding = ", ".join(unit_name(c, u, low) for u in range(len(units)) if low[u] > 0)
        raise InfeasibleError(f"the minimum weights sum to {low.sum():.6g}, more than 1: {binding}; lower one of them")
    if high.sum() < 1 - SLACK:
        binding = ", ".join(unit_name(c, u, high) for u in range(min(len(units), SHOWN)))
        binding += f", ... ({len(units)} in all)" if len(units) > SHOWN else ""
        raise InfeasibleError(
            f"the caps sum to {high.sum():.6g}, less than 1: {binding}; "
            "lower the budget, allow more epochs, or raise a maximum"
        )


def no_bucket(unknown: Sequence[str], names: Sequence[str], tokens: Mapping[str, float] | None) -> str:
    """Names buckets that there are: one that is spelt alike, and the largest."""
    near = get_close_matches(unknown[0], names, n=1)
    largest = sorted(names, key=lambda name: -(tokens or {}).get(name, 0.0))
    shown = f"{', '.join(largest[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no bucket {', '.join(unknown[:SHOWN])}{hint}; there are {len(names):,}: {shown}"


def unit_name(c: Constraints, unit: int, bound: np.ndarray) -> str:
    name = c.groups[unit].name if unit < len(c.groups) else c.buckets[unit_members(c)[unit][0]]
    why = dict(c.reasons).get(name, "")
    return f"{name} {bound[unit]:.6g}" + (f" ({why})" if why else "")


def unit_members(c: Constraints) -> list[list[int]]:
    """Groups first, then every bucket that is in none."""
    grouped = {i for g in c.groups for i in g.members}
    return [list(g.members) for g in c.groups] + [[i] for i in range(len(c.buckets)) if i not in grouped]


def unit_bounds(c: Constraints) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """What each group or lone bucket may have in total."""
    lower, upper, units = np.array(c.lower), np.array(c.upper), unit_members(c)
    low = np.array([lower[u].sum() for u in units])
    high = np.array([min(upper[u].sum(), 1.0) for u in units])
    for j, g in enumerate(c.groups):
        low[j], high[j] = max(low[j], g.lower), min(high[j], g.upper)
    return low, high, units


def project(weights: np.ndarray, c: Constraints) -> np.ndarray:
    """(n, k) non-negative rows -> the nearest allowed rows; allowed rows come back unchanged up to their sum."""
    w = np.asarray(weights, dtype=float)
    w = w / w.sum(axis=1, keepdims=True)
    low, high, units = unit_bounds(c)
    lower, upper = np.array(c.lower), np.array(c.upper)
    totals = np.stack([w[:, u].sum(axis=1) for u in units], axis=1)
    totals = fill(totals, low, high, np.ones(len(w)))
    out = np.empty_like(w)
    for j, members in enumerate(units):
        if len(members) == 1:
            out[:, members[0]] = totals[:, j]
        else:
            out[:, members] = fill(w[:, members], lower[members], upper[members], totals[:, j])
    return out


def fill(w: np.ndarray, low: np.ndarray, high: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Scales each row of w (n, m) to its `total` (n,) within [low, high] (m,): clip(s * w) with s solved exactly.

    Fixes the more violated side until nothing is violated (Bitran and Hax 1981): at most m rounds. Buckets with
    weight 0 stay at their minimum unless the others cannot hold the total; then they fill up in proportion to caps.
    """
    n, m = w.shape
    w = np.where(w > 1e-12, w, 0.0)  # smaller ones would need scales beyond float64
    room = np.where(w > 0, high, low).sum(axis=1)
    starved = room < total - SLACK
    if starved.any():
        # The positive ones go to their caps first, and the rest is shared by those that have nothing.
        seeds = np.where(w > 0, w, 1e-12 * np.maximum(high, 1e-12))
        w = np.where(starved[:, None], seeds, w)
    out = np.clip(w, low, high)
    free = np.ones((n, m), dtype=bool)
    for _ in range(m):
        rest = total - np.where(free, 0.0, out).sum(axis=1)
        mass = np.where(free, w, 0.0).sum(axis=1)
        scale = np.divide(rest, mass, out=np.zeros(n), where=mass > 0)
        trial = w * scale[:, None]
        over = np.where(free, np.maximum(trial - high, 0.0), 0.0)
        under = np.where(free, np.maximum(low - trial, 0.0), 0.0)
        out = np.where(free, trial, out)
        gain = over.sum(axis=1) - under.sum(axis=1)
        fix_over = (over > 0) & (gain >= 0)[:, None]
        fix_under = (under > 0) & (gain <= 0)[:, None]
        out = np.where(fix_over, high, np.where(fix_under, low, out))
        free &= ~(fix_over | fix_under)
        if not (fix_over | fix_under).any():
            break
    return np.clip(out, low, high)


def rounded(weights: np.ndarray, c: Constraints, decimals: int = 6) -> np.ndarray:
    """(k,) as it is stored: `decimals` places, sum exactly 1 up to float addition, still within the bounds."""
    w = project(weights[None, :], c)[0]
    low, high, units = unit_bounds(c)
    lower, upper = np.array(c.lower), np.array(c.upper)
    totals = on_grid(np.array([w[u].sum() for u in units]), low, high, 1.0, decimals)
    for j, members in enumerate(units):
        w[members] = on_grid(w[members], lower[members], upper[members], totals[j], decimals)
    return w


def on_grid(w: np.ndarray, low: np.ndarray, high: np.ndarray, total: float, decimals: int) -> np.ndarray:
    """(m,) rounded; what is missing from `total` goes where there is most room."""
    unit = 10.0**-decimals
    w = np.round(w, decimals)
    missing = round((total - w.sum()) / unit)
    room = high - w if missing > 0 else w - low
    for i in sorted(range(len(w)), key=lambda i: (-room[i], i)):
        if missing == 0:
            break
        if room[i] >= unit:
            step = int(np.sign(missing) * min(abs(missing), np.floor(room[i] / unit + 1e-9)))
            w[i] += step * unit
            missing -= step
    return np.round(w, decimals)


def floored(c: Constraints, natural: np.ndarray, floor: float) -> Constraints:
    """Every bucket keeps at least `floor` of its natural share (k,), or its cap where that is less."""
    if floor == 0:
        return c
    least = np.maximum(c.lower, np.minimum(floor * natural, c.upper))
    added = [(b, f"{floor:g} of its natural share") for b in c.buckets if b not in dict(c.reasons)]
    return replace(c, lower=tuple(least.tolist()), reasons=tuple(sorted((*c.reasons, *added))))


def without_guard(c: Constraints) -> Constraints:
    return replace(c, guard=())


def unimax(tokens: np.ndarray, budget: float, max_epochs: float = 4.0) -> np.ndarray:
    """(k,) as uniform as max_epochs allows (UniMax, arXiv:2304.09151): small buckets at their cap, the rest equal."""
    order = np.argsort(tokens, kind="stable")
    share = np.zeros(len(tokens))
    left = budget
    for seen, i in enumerate(order):
        share[i] = min(tokens[i] * max_epochs, left / (len(order) - seen))
        left -= share[i]
    return share / share.sum()
