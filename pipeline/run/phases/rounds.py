"""The rounds of a reducer: it asks for work, workers do it side by side, and it asks for more or makes its artifact.

An answer lies in `<step>.taken/` under a digest of the row that was asked and of what all passes joined, so it is the
same whoever made it, when and in which round. What is asked is made anew where an answer before it is another.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from gristmill.pipeline.plan.identity import digest
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.phases.reduction import Interim
from gristmill.pipeline.run.phases.work import Opened
from gristmill.pipeline.run.receipts.receipt import Receipt, read_receipt
from gristmill.pipeline.run.view import Want

FAILED = "failed"  # column of an answer


class Round(Interim):
    """What asking and answering share."""

    limit_s: ClassVar[float | None] = None

    def touched(self, units: Iterable[str]) -> tuple[str, ...]:
        return ()


class Ask(Round):
    """What is to be done before the artifact can be made."""

    def units(self) -> list[str]:
        ended = not self.bundles() or (self.phase.number > 0 and not self.asked(self.phase.number - 1))
        return [] if ended else ["asked"]

    def most(self) -> int:
        return 1

    def stem_of(self, unit: str) -> str:
        return f"{unit}-{self.phase.number:03d}"

    def identity(self) -> str:
        """Of what is asked: all answers so far. Raises NotReady where one is missing."""
        answers = [self.proven(stem).files["answer"][0] for stem in self.answering(self.phase.number)]
        return digest([self.joined(len(self.stage.passes) - 1).identity, self.phase.number, answers])

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.receipt_of(self.stem_of(unit)), Want(self.identity())

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        identity, stem = self.identity(), self.stem_of(unit)
        self.unprove_tables(stem)
        asked = self.sharing(opened)["ask"](self.answers(self.phase.number))
        self.keep(stem, {"asked": asked}, identity, asked.height)


class Answer(Round):
    """A unit for each row that was asked."""

    def units(self) -> list[str]:
        return list(self.asked(self.phase.number))

    def most(self) -> int:
        return self.stage.spread

    @property
    def widest(self) -> int:
        return self.stage.spread

    def stem_of(self, unit: str) -> str:
        return unit.replace(":", "-")

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.receipt_of(self.stem_of(unit)), Want(unit)

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        stem = self.stem_of(unit)
        self.unprove_tables(stem)
        answer = self.sharing(opened)["answer"](self.asked(self.phase.number)[unit])
        failed = int(answer[FAILED].sum()) if FAILED in answer.columns else 0
        self.keep(stem, {"answer": answer}, unit, answer.height, answer.height - failed)


def forget_failed(root: Path) -> None:
    """Takes away the receipts of answers that are failures, which the next command tries anew."""
    for path in root.glob("*.taken/answer-*.receipt.json"):
        receipt = read_receipt(path)
        if receipt is None or receipt.docs_out < receipt.docs_in:
            path.unlink()


def go_on(before: Phase, after: Phase) -> bool:
    """Whether what a worker has opened for a phase serves it in another."""
    kinds = {"ask", "answer", "reducer"}
    return {before.kind, after.kind} <= kinds and before.steps[0].name == after.steps[0].name
