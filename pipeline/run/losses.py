"""Hands the source what became of every part's records, once all are read."""

from gristmill.pipeline.contract.shapes import Counted, Part
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of


def receipts_of(store: Store, plan: Plan, step: Step) -> list[tuple[Part, Receipt]]:
    found = ((part, store.receipt(step.name, part.key)) for part in view_of(store, plan).usable)
    return [(part, receipt) for part, receipt in found if receipt is not None]


def counted(store: Store, plan: Plan) -> list[Counted]:
    """What became of the records of every part that is read."""
    return [
        Counted(part, r.docs_out, {rule: int(n["docs"]) for rule, n in r.dropped.items()})
        for part, r in receipts_of(store, plan, plan.source)
    ]


def review_source(store: Store, plan: Plan, phase: Phase) -> None:
    """Raises DataError after the wave of a source that lost too many records."""
    if plan.source in phase.steps:
        plan.source.source.review(counted(store, plan))
