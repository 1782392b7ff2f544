"""The last phase: every record of a part with the fate that it has met."""

from collections.abc import Iterator

import polars as pl

from gristmill.pipeline.books.ledger import LEDGER, fates
from gristmill.pipeline.books.sums import VERSION as SUMS_VERSION
from gristmill.pipeline.books.sums import part_sums, summed_columns, with_sums
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.plan.identity import digest
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.phases.work import Opened, PartWork
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import REJECTED_DATASET, read_parquet
from gristmill.pipeline.run.view import Want

LEDGER_DATASET = "ledger"


class Fates(PartWork):
    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.view.receipt(LEDGER_DATASET, unit), Want(ledger_identity(self.of(unit)))

    def compute(self, unit: str, opened: Opened) -> None:
        write_fates(self.of(unit))


def ledger_identity(run: PartRun) -> str:
    gates = [s for s in run.plan.steps if s.kind in ("source", "gate") or s in run.plan.replacers]
    seen = [[s.name, (r := run.receipt(s.name)).identity, r.rows, r.kept] for s in gates]
    extra = [*(s.name for s in run.plan.steps), LEDGER.names, SUMS_VERSION]
    columns = ("token_count", "copies_n", *summed_columns(run.plan))
    return digest([seen, extra, *([r.identity, r.rows] if (r := written_by(run, c)) else None for c in columns)])


def written_by(run: PartRun, column: str) -> Receipt | None:
    """The receipt of the dataset that holds a column; None where the run has none."""
    dataset = run.plan.writer(column)
    return run.store.receipt(dataset, run.part.key) if dataset else None


def loaded(run: PartRun, column: str) -> pl.DataFrame | None:
    """doc_id and the column; None where no step of the plan writes it."""
    dataset = run.plan.writer(column)
    return run.load(dataset, (column,)) if dataset else None


def stand_ins(run: PartRun) -> list[tuple[str, pl.DataFrame]]:
    """Per gate that drops a document for another: its label, and that document of those that have one."""
    found = []
    for step in run.plan.steps:
        if step.kind == "gate" and step.gate.instead:
            (dataset,) = [d for d, columns in step.reads.items() if step.gate.instead[0] in columns]
            frame = run.load(dataset, step.gate.instead).drop_nulls(step.gate.instead[0])
            alike = pl.col(step.gate.instead[1]) if step.gate.instead[1:] else pl.lit(1.0)
            found.append(
                (
                    step.label,
                    frame.select("doc_id", stays_doc_id=step.gate.instead[0], similarity=alike.cast(pl.Float64)),
                )
            )
    return found


def replaced_texts(run: PartRun) -> list[tuple[list[str], pl.DataFrame]]:
    """Per replacing step: stages whose drops came before it (its own gate too), and the size of every text after it."""
    steps = run.plan.steps
    found = []
    for step in run.plan.replacers:
        last = max(i for i, s in enumerate(steps) if s.label == step.label)
        before = [s.label for s in steps[: last + 1] if s.kind == "gate"]
        found.append((before, run.load(step.name, ("text_bytes",))))
    return found


def write_fates(run: PartRun) -> None:
    """ledger/<part>.parquet: one row per record of the part, with the stage and rule that ended it."""
    identity = ledger_identity(run)
    if Want(identity).met_by(run.store.receipt(LEDGER_DATASET, run.part.key)):
        return
    plan, store, key = run.plan, run.store, run.part.key
    frame = fates(
        run.load(plan.source.name, ("url", "record_bytes", "text_bytes")),
        read_parquet(store.data(REJECTED_DATASET, key)),
        [(s.label, run.load(s.name, ("rule",))) for s in plan.steps if s.kind == "gate"],
        loaded(run, "token_count"),
        loaded(run, "copies_n"),
        source=plan.source.label,
        replaced=replaced_texts(run),
        instead=stand_ins(run),
    )
    receipt = run.receipt(plan.source.name)
    if frame.height != receipt.docs_in:
        raise BooksError(f"part {key}: {receipt.docs_in} records went in, {frame.height} have a fate")
    store.write_table(
        LEDGER_DATASET,
        key,
        with_sums(frame.to_arrow().cast(LEDGER), part_sums(store, plan, key, frame)),
        Receipt(identity, receipt.rows, receipt.rows, frame.height, frame.height),
    )
