"""Ends a run at the step that lets no document through, and says by which rule."""

from collections import Counter

from gristmill.pipeline.contract.errors import GristmillError
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.run.losses import receipts_of
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store


class NothingLeft(GristmillError):
    """Every document was dropped."""


def refuse_nothing(store: Store, plan: Plan, phase: Phase) -> None:
    """Raises NothingLeft where a step of the wave let no document through, or none of a named source.

    A gate that chooses documents may choose none of a source: its share can be 0, or smaller than a document. One that
    drops a document for another may drop all of a source, whose texts others or older runs have; its `tell` warns.
    Where nothing comes next that asks for documents (`--until`), that is an outcome like another.
    """
    for step in phase.steps:
        behind = plan.steps[plan.index(step) + 1 :]
        asks = any(s.kind != "gate" and (step.kind == "source" or not s.all_rows) for s in behind)
        if step.kind not in ("source", "gate") or not asks:
            continue
        by_source: dict[str, list[Receipt]] = {}
        for part, receipt in receipts_of(store, plan, step):
            together = step.kind == "gate" and (step.gate.chooses or step.gate.instead)
            by_source.setdefault("" if together else part.source, []).append(receipt)
        for source, receipts in by_source.items():
            if sum(r.docs_out for r in receipts):
                continue
            rules: Counter[str] = Counter()
            for receipt in receipts:
                rules.update({rule: total["docs"] for rule, total in receipt.dropped.items()})
            n = sum(r.docs_in for r in receipts)
            if step.kind == "gate" and not n:
                continue  # an earlier gate left none of this source
            by = ", ".join(f"{rule} {docs:,}" for rule, docs in rules.most_common())
            what, of = "records" if step.kind == "source" else "documents", f" of source {source}" if source else ""
            way_out = f"gristmill inspect {store.name} {step.label} shows them" if n else "look at input.paths"
            left = f"{step.label} left no document{of}: {n:,} {what} in, dropped by {by or 'no rule'}; {way_out}"
            raise NothingLeft(left)
