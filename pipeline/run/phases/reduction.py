"""A reducer: the whole corpus to one artifact, in one unit."""

import time
from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl
from loguru import logger

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.shapes import Artifacts
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.phases.work import Opened, Work
from gristmill.pipeline.run.store import Receipt, Store
from gristmill.pipeline.run.view import RunView, Want, corpus_identity


class StoredCorpus:
    """What a reducer reads: one batch per part, straight from the store."""

    def __init__(self, store: Store, plan: Plan, step: Step):
        self.view = store if isinstance(store, RunView) else RunView(store, plan)
        self.plan, self.step = plan, step
        self.artifacts: Artifacts = {a: store.artifact(a) for a in step.needs}
        self.scratch = store.scratch(step.name)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for i, part in enumerate(self.view.usable, 1):
            watch.note(f"part {i:,} of {len(self.view.usable):,}")
            run = PartRun(self.view, self.plan, part, {})
            yield run.batch(self.step, run.ids(self.step), columns)
        watch.note("all parts are read")


class Reduction(Work):
    vital: ClassVar[bool] = True
    limit_s: ClassVar[float | None] = None

    def units(self) -> list[str]:
        return [self.phase.steps[0].name]

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.view.artifact_receipt(unit), Want(corpus_identity(self.view, self.phase.steps[0]))

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        view, step = self.view, self.phase.steps[0]
        started = time.perf_counter()
        identity = corpus_identity(view, step)
        rows = view.plan.rows_source(step).name
        docs = sum(r.docs_out for p in view.usable if (r := view.receipt(rows, p.key)))
        with view.making(step.name, Receipt(identity, "", "", docs, docs)) as out:
            step.reducer.run(StoredCorpus(view, view.plan, step), out)
        logger.info(f"{step.name}: {docs} documents in {time.perf_counter() - started:.1f} s")
