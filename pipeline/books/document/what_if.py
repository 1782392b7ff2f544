"""Judges stored columns by other limits of a gate: documents by rule, before and after, without running anything."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import cast

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Gate
from gristmill.pipeline.plan.config import build, override
from gristmill.pipeline.plan.identity import stage_fields
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.store import Store


def limit_change(step: Step, change: str) -> str:
    """ "min_words=60" from that, "gates.min_words=60" or, by the rule's name, "too_few_words=60"."""
    name, sign, value = change.partition("=")
    field = name.strip().removeprefix(f"{step.name}.").removeprefix(f"{step.label}.")
    known = stage_fields(step.stage)
    by_rule = step.gate.limits
    if not sign:
        raise ConfigError(f"{change!r}: write limit=value")
    if field not in known and field not in by_rule:
        near = get_close_matches(field, [*known, *by_rule], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}"
        raise ConfigError(f"{step.name} has no limit {field!r}{hint}")
    return f"{by_rule.get(field, field)}={value}"


def what_if(store: Store, plan: Plan, stage: str, changes: Sequence[str]) -> list[str]:
    """What other limits of a gate would change, from the stored columns alone: documents by rule, before and after.

    Only documents that reach the gate are judged. Raises ConfigError for a stage without a gate or an unknown limit.
    """
    gates = [s for s in plan.steps if s.kind == "gate" and stage in (s.name, s.label)]
    if not gates:
        raise ConfigError(
            f"{stage!r} has no gate; there are {', '.join(s.label for s in plan.steps if s.kind == 'gate')}"
        )
    step = gates[-1]
    changed = override(stage_fields(step.stage), [limit_change(step, change) for change in changes])
    other = cast(Gate, build(type(step.stage), changed, step.name))
    moves: Counter[tuple[str, str]] = Counter()
    for part in plan.parts:
        if store.receipt(step.name, part.key) is None:
            continue
        run = PartRun(store, plan, part, {})
        ids = run.ids(step)
        before = run.load(step.name, ("rule",))["rule"].fill_null("kept")
        after = other.decide(run.batch(step, ids)).fill_null("kept")
        moves.update(zip(before, after, strict=True))
    total = sum(moves.values())
    kept = [sum(n for pair, n in moves.items() if pair[side] == "kept") for side in (0, 1)]
    lines = [f"{step.label}: {kept[0]:,} of {total:,} documents kept, {kept[1]:,} with {' '.join(changes)}"]
    lines += [f"{n:8,}  {a} -> {b}" for (a, b), n in moves.most_common() if a != b]
    return lines
