"""Collects what a run's source and reducers could not do, for the terminal, the card and the report."""

from gristmill.pipeline.contract.notes import read_notes
from gristmill.pipeline.contract.shapes import Source
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.losses import counted
from gristmill.pipeline.run.store import Store


def notes(store: Store, plan: Plan) -> list[str]:
    """What the run's source and reducers could not do, each a sentence or two."""
    stage = plan.source.stage
    source = stage.remarks(counted(store, plan)) if isinstance(stage, Source) else []
    made = [s.name for s in plan.steps if s.kind == "reducer" and store.artifact_receipt(s.name) is not None]
    return source + [note for name in made for note in read_notes(store.artifact(name))]
