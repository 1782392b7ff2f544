"""A wave: a part through consecutive row-local steps, each with a dataset and a receipt of its own."""

from collections.abc import Iterator

from gristmill.pipeline.run.phases.work import Opened, PartWork
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.view import Want


class Wave(PartWork):
    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        run = self.of(unit)
        for step in self.phase.steps:
            yield run.found(step), run.want(step)

    def compute(self, unit: str, opened: Opened) -> None:
        run = self.of(unit, opened)
        for step in self.phase.steps:
            try:
                run.do(step)
            except Exception as error:
                error.add_note(f"in step {step.name} of part {unit} ({run.part.path})")
                raise
