"""One part on its way through the row-local steps of a plan: what each must be, and what computes it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl
import pyarrow as pa

from gristmill.pipeline.contract.columns import REJECTED, arrow_schema
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.shapes import Part
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.plan.identity import digest, digest_file, digest_rows
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import Step, part_identity, source_identity
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import REJECTED_DATASET, Store
from gristmill.pipeline.run.view import Want, artifact_contents, part_receipt

SLICE_BYTES = 96 << 20  # of text in one call of an annotator; parts of 64 MB of a compressed crawl hold less


class PartRun:
    """One part on its way through a wave; frames already read or computed are kept for the next steps."""

    def __init__(self, store: Store, plan: Plan, part: Part, opened: dict[str, Callable]):
        self.store, self.plan, self.part, self.opened = store, plan, part, opened
        self.frames: dict[str, pl.DataFrame] = {}

    def receipt(self, dataset: str) -> Receipt:
        return part_receipt(self.store, dataset, self.part)

    def want(self, step: Step) -> Want:
        """Raises NotReady when an earlier step of this part is not done."""
        if step.kind == "source":
            return Want(source_identity(step, self.part))
        inputs = {d: self.receipt(d).identity for d in step.reads}
        rows = self.receipt(self.plan.rows_source(step).name).kept
        return Want(part_identity(step, inputs, artifact_contents(self.store, step)), rows)

    def found(self, step: Step) -> Receipt | None:
        """The receipt of what is there, which may be of another recipe or of other rows."""
        receipt = self.store.receipt(step.name, self.part.key)
        if receipt is None or step.kind != "source":
            return receipt
        return receipt if self.store.rejected_holds(self.part.key, receipt) else None

    def is_done(self, step: Step) -> bool:
        receipt = self.found(step)
        return receipt is not None and self.want(step).met_by(receipt)

    def do(self, step: Step) -> None:
        receipt = self.found(step)
        want = self.want(step)
        if want.met_by(receipt):
            return
        started = time.perf_counter()
        if step.kind == "source":
            self._ingest(step, want, started)
        elif step.kind == "annotator":
            self._annotate(step, want, started)
        else:
            self._gate(step, want, started)

    def ids(self, step: Step) -> pl.Series:
        """doc_ids of the rows that `step` covers."""
        source = self.plan.rows_source(step)
        frame = self.load(source.name, source.writes if source.kind == "gate" else ())
        return (frame.filter(pl.col("rule").is_null()) if source.kind == "gate" else frame)["doc_id"]

    def load(self, dataset: str, columns: Sequence[str]) -> pl.DataFrame:
        frame = self.frames.get(dataset)
        if frame is None or not set(columns) <= set(frame.columns):
            known = () if frame is None else tuple(c for c in frame.columns if c != "doc_id")
            frame = self.store.read(dataset, self.part.key, tuple(dict.fromkeys((*known, *columns))))
            self.frames[dataset] = frame
        return frame.select("doc_id", *columns)

    def batch(self, step: Step, ids: pl.Series, only: Sequence[str] | None = None) -> pl.DataFrame:
        """doc_id + what `step` reads (or `only` those columns), for exactly these rows.

        Raises DataError when a dataset lacks a row.
        """
        out = pl.DataFrame({"doc_id": ids})
        for dataset, columns in step.reads.items():
            wanted = columns if only is None else tuple(c for c in columns if c in only)
            if not wanted:
                continue
            frame = self.load(dataset, wanted)
            if frame.height != ids.len() or not frame["doc_id"].equals(ids):
                frame = frame.filter(pl.col("doc_id").is_in(ids.implode()))
            if not frame["doc_id"].equals(ids):
                raise DataError(f"{dataset} of part {self.part.key} does not cover the rows of {step.name}")
            out = out.hstack(frame.drop("doc_id").get_columns())
        return out

    def open(self, step: Step) -> Callable[[pl.DataFrame], pl.DataFrame]:
        key = digest([step.fingerprint, artifact_contents(self.store, step)])
        if key not in self.opened:
            self.opened[key] = step.annotator.open({a: self.store.artifact(a) for a in step.needs})
        return self.opened[key]

    def _ingest(self, step: Step, want: Want, started: float) -> None:
        documents, rejected = step.source.run(self.part)
        if documents["doc_id"].n_unique() != documents.height:
            raise DataError(f"{self.part.path}: two records have one doc_id")
        unknown = set(rejected["rule"].unique()) - set(step.rules)
        if unknown:
            raise DataError(f"{step.name} rejected records by undeclared rules {sorted(unknown)}")
        rows = digest_rows(documents["doc_id"])
        lost = int(rejected["record_bytes"].sum())
        bytes_out = int(documents["record_bytes"].sum())
        dropped = {
            rule: {"docs": n, "bytes": int(size)}
            for rule, n, size in rejected.group_by("rule")
            .agg(pl.len().alias("n"), pl.col("record_bytes").sum())
            .sort("rule")
            .iter_rows()
        }
        receipt = Receipt(
            want.identity, rows, rows, documents.height + rejected.height, documents.height,
            bytes_out + lost, bytes_out, dropped, seconds=time.perf_counter() - started,
        )  # fmt: skip
        # The rejected records are written first: the documents' receipt stands for both files.
        path = self.store.place(REJECTED_DATASET, self.part.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.store.unprove(step.name, self.part.key)
        write_parquet(path, rejected.to_arrow().cast(REJECTED))
        receipt = replace(receipt, rejected=digest_file(path))
        self.store.write(step.name, self.part.key, documents, step.writes, receipt)
        self.frames[step.name] = documents

    def _annotate(self, step: Step, want: Want, started: float) -> None:
        ids = self.ids(step)
        old = self.store.receipt(step.name, self.part.key)
        done = None
        if old is not None and old.identity == want.identity:  # same recipe, new rows: compute those only
            done = self.store.read(step.name, self.part.key, step.writes)
            done = done.filter(pl.col("doc_id").is_in(ids.implode()))
        todo = ids if done is None else ids.filter(~ids.is_in(done["doc_id"].implode()))
        batch = (
            self.batch(step, ids)
            if done is None
            else self.batch(step, ids).filter(pl.col("doc_id").is_in(todo.implode()))
        )
        annotate = self.open(step)
        frames = [annotate(piece) for piece in by_text(batch)]
        frame = frames[0] if len(frames) == 1 else pl.concat(frames)
        if frame.height != batch.height or not frame["doc_id"].equals(batch["doc_id"]):
            raise DataError(f"{step.name} changed the rows or their order; an annotator returns the rows it was given")
        if done is not None:
            names = ["doc_id", *step.writes]
            schema = arrow_schema(names)
            both = pa.concat_tables(
                [done.select(names).to_arrow().cast(schema), frame.select(names).to_arrow().cast(schema)]
            )
            frame = pl.DataFrame({"doc_id": ids}).join(
                pl.DataFrame(both), on="doc_id", how="left", maintain_order="left"
            )
        n = frame.height
        receipt = Receipt(want.identity, want.rows, want.rows, n, n, seconds=time.perf_counter() - started)
        self.store.write(step.name, self.part.key, frame, step.writes, receipt)
        self.frames[step.name] = frame

    def _gate(self, step: Step, want: Want, started: float) -> None:
        ids = self.ids(step)
        batch = self.batch(step, ids)
        decision = step.gate.decide(batch).cast(pl.String).alias("rule")
        if decision.len() != ids.len():
            raise DataError(f"{step.name} decided on {decision.len()} of {ids.len()} rows")
        unknown = set(decision.drop_nulls().unique()) - set(step.rules)
        if unknown:
            raise DataError(f"{step.name} dropped by undeclared rules {sorted(unknown)}; add them to its rules")
        frame = pl.DataFrame({"doc_id": ids, "rule": decision})
        size = self.load(text_dataset(self.plan, step), ("text_bytes",))
        sized = frame.join(size, on="doc_id", how="left", maintain_order="left")
        dropped = {
            rule: {"docs": n, "bytes": int(total)}
            for rule, n, total in sized.drop_nulls("rule")
            .group_by("rule")
            .agg(pl.len().alias("n"), pl.col("text_bytes").sum())
            .sort("rule")
            .iter_rows()
        }
        kept = sized.filter(pl.col("rule").is_null())
        receipt = Receipt(
            want.identity, want.rows, digest_rows(kept["doc_id"]), frame.height, kept.height,
            int(sized["text_bytes"].sum()), int(kept["text_bytes"].sum()), dropped,
            seconds=time.perf_counter() - started,
        )  # fmt: skip
        self.store.write(step.name, self.part.key, frame, ("rule",), receipt)
        self.frames[step.name] = frame


def by_text(batch: pl.DataFrame) -> list[pl.DataFrame]:
    """The batch in slices of at most SLICE_BYTES of text, or of one row: an annotator takes a multiple of its text.

    Annotators are row-local, so how a batch is sliced changes nothing.
    """
    if "text" not in batch.columns:
        return [batch]
    sizes = batch["text"].str.len_bytes().fill_null(0).cast(pl.Int64)
    if sizes.sum() <= SLICE_BYTES:
        return [batch]
    ends = sizes.cum_sum().to_numpy()
    slices, begin = [], 0
    while begin < batch.height:
        before = int(ends[begin - 1]) if begin else 0
        stop = max(int(ends.searchsorted(before + SLICE_BYTES, side="right")), begin + 1)
        slices.append(batch[begin:stop])
        begin = stop
    return slices


def text_dataset(plan: Plan, step: Step) -> str:
    """Where the text lies that `step` and the steps after it see."""
    source = plan.source.name
    return next((place for old, name, place in step.moved if (old, name) == (source, "text_bytes")), source)
