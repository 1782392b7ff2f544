"""Ends a run at the step that lets no document through, and says by which rule."""

from collections import Counter

from gristmill.pipeline.contract.errors import GristmillError
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import usable_parts


class NothingLeft(GristmillError):
    """Every document was dropped."""


def refuse_nothing(store: Store, plan: Plan, phase: Phase) -> None:
    """Raises NothingLeft where a step of the wave let no document through: whatever comes next could only guess why.

    Where nothing comes next that asks for documents (`--until`), that is an outcome like another.
    """
    for step in phase.steps:
        behind = plan.steps[plan.index(step) + 1 :]
        asks = any(s.kind != "gate" and (step.kind == "source" or not s.all_rows) for s in behind)
        if step.kind not in ("source", "gate") or not asks:
            continue
        receipts = [r for p in usable_parts(store, plan) if (r := store.receipt(step.name, p.key)) is not None]
        if not receipts or sum(r.docs_out for r in receipts):
            continue
        rules: Counter[str] = Counter()
        for receipt in receipts:
            rules.update({rule: total["docs"] for rule, total in receipt.dropped.items()})
        n = sum(r.docs_in for r in receipts)
        by = ", ".join(f"{rule} {docs:,}" for rule, docs in rules.most_common())
        what = "records" if step.kind == "source" else "documents"
        way_out = f"gristmill inspect {store.root} {step.label} shows them" if n else "look at input.paths"
        raise NothingLeft(f"{step.label} left no document: {n:,} {what} in, dropped by {by or 'no rule'}; {way_out}")
