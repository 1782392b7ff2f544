"""Runs units of a phase: a part through a wave, a reducer, a slice of the sink. Skips by receipt, quarantines failures.

`RunStep` is a datatrove PipelineStep, so any datatrove executor can run it: rank r of w takes units[r::w] of the full,
frozen list, and what is done is decided by receipts, never by datatrove's completion markers (they are keyed by rank).
"""

import errno
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from gristmill.pipeline.books.ledger import LEDGER, fates
from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.columns import REJECTED, arrow_schema
from gristmill.pipeline.contract.errors import BooksError, DataError, GristmillError
from gristmill.pipeline.contract.secrets import scrubbed
from gristmill.pipeline.contract.shapes import Artifacts, Part
from gristmill.pipeline.contract.state import DamagedFile, read_state, replaced, write_json, write_parquet
from gristmill.pipeline.plan.identity import digest, digest_file, digest_rows, load_class
from gristmill.pipeline.plan.plan import Phase, Plan, Step, load_plan, part_identity, source_identity
from gristmill.pipeline.run.shards import corpus_folder, forget_shard, keep_shard, shard_receipt
from gristmill.pipeline.run.store import (
    REJECTED_DATASET,
    Receipt,
    Store,
    finish,
    hold_worker_lock,
    read_parquet,
)

ATTEMPTS = 2  # a part that fails is retried once in place; a killed worker's part is retried by the executor
SCATTER = "corpus.scatter"
LEDGER_DATASET = "ledger"
SLICE_BYTES = 96 << 20  # of text in one call of an annotator; parts of 64 MB of a compressed crawl hold less


class NotReady(DataError):
    """A part's earlier step is not done (it was quarantined); the part waits for the next run."""


def units(plan: Plan, phase: Phase, store: Store) -> list[str]:
    """Names of the units of a phase: part keys, the reducer's name, or output shard numbers."""
    if phase.kind in ("wave", "scatter", "ledger"):
        return [p.key for p in plan.parts]
    if phase.kind == "reducer":
        return [phase.steps[0].name]
    sink = phase.steps[0]
    n = sink.sink.shards({a: store.artifact(a) for a in sink.needs})
    return [f"{i:05d}-of-{n:05d}" for i in range(n)]


def record_failure(store: Store, phase: Phase, unit: str, error: BaseException) -> None:
    notes = "; ".join(getattr(error, "__notes__", ()))
    record = {
        "phase": phase.name,
        "unit": unit,
        "error": type(error).__name__,
        "message": scrubbed(f"{error}{f' ({notes})' if notes else ''}"),
        "traceback": scrubbed("".join(traceback.format_exception(error))),
        "exit_status": getattr(error, "exit_status", 1),
    }
    write_json(failure_path(store, phase, unit), record)


def failure_path(store: Store, phase: Phase, unit: str) -> Path:
    return store.root / "failures" / f"{digest([phase.name, unit])[:16]}.json"


def failures(store: Store) -> list[dict[str, object]]:
    """What failed in this run so far, in a fixed order."""
    return [_failure(path) for path in sorted((store.root / "failures").glob("*.json"))]


def _failure(path: Path) -> dict[str, object]:
    try:
        return read_state(path, "phase", "unit", "error", "message", "exit_status")
    except DamagedFile as error:
        return {"phase": "", "unit": path.stem, "error": "DamagedFile", "message": str(error), "exit_status": 1}


def quarantined(store: Store) -> set[str]:
    """Units that failed in an earlier phase of this run: the rest goes on without them."""
    return {str(f["unit"]) for f in failures(store)}


class RunStep(PipelineStep):
    """Carries a run folder and a phase's number, nothing heavy."""

    name = "gristmill"
    type = "phase"

    def __init__(
        self, root: str, phase: int, steps: int, only: Sequence[str] | None = None, code: tuple[str, ...] = ()
    ):
        """`only`: these units, in the place of all that the phase has. `code`: classes outside this package that the
        config names; plan.json alone lets nothing be imported."""
        super().__init__()
        self.root, self.phase, self.steps, self.only, self.code = root, phase, steps, only, code

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[object]:  # pyright: ignore
        yield from data or ()  # pyright: ignore
        store = Store(Path(self.root))
        lock = hold_worker_lock(store.root)
        for reference in self.code:
            load_class(reference)
        plan = load_plan(store.root / "plan.json")
        plan = Plan(plan.name, plan.config_digest, plan.steps[: self.steps], plan.parts)
        phase = plan.phases[self.phase]
        aside = quarantined(store)
        opened = opened_in(self.root, self.phase)
        for unit in (units(plan, phase, store) if self.only is None else self.only)[rank::world_size]:
            if unit in aside:
                continue
            watch.begin_unit(store.root, unit, None if phase.kind == "reducer" else watch.UNIT_S)
            try:
                with self.track_time("unit"):
                    guarded(store, plan, phase, unit, opened)
            finally:
                watch.end_unit()
        del lock


_opened: dict[tuple[str, int], dict[str, Callable]] = {}


def opened_in(root: str, phase: int) -> dict[str, Callable]:
    """Models that this process has opened for the phase: once per worker, not per rank; those of others go."""
    if (root, phase) not in _opened:
        _opened.clear()
        _opened[root, phase] = {}
    return _opened[root, phase]


def guarded(store: Store, plan: Plan, phase: Phase, unit: str, opened: dict[str, Callable]) -> None:
    """Runs one unit; on failure retries, then writes failures/<unit>.json. A full disk ends the rank at once."""
    failure = failure_path(store, phase, unit)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            run_unit(store, plan, phase, unit, opened)
            failure.unlink(missing_ok=True)
            return
        except Exception as error:  # the unit's boundary: recorded, reported, run exits non-zero
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                error.add_note(f"no space left under {store.root}; free some and run the same command to resume")
                raise
            # A warning: into the rank's log, not on the console, where the failure is reported once at the end.
            said = scrubbed("".join(traceback.format_exception(error)))
            logger.warning(f"{phase.name} {unit}: attempt {attempt} of {ATTEMPTS}\n{said}")
            record_failure(store, phase, unit, error)
            if isinstance(error, GristmillError):  # a verdict on the data, the same at every attempt
                return


def run_unit(store: Store, plan: Plan, phase: Phase, unit: str, opened: dict[str, Callable]) -> None:
    if phase.kind == "reducer":
        run_reducer(store, plan, phase.steps[0])
        return
    if phase.kind == "gather":
        gather(store, plan, phase.steps[0], unit)
        return
    part = next(p for p in plan.parts if p.key == unit)
    run = PartRun(store, plan, part, opened)
    if phase.kind == "scatter":
        scatter(run, phase.steps[0])
        return
    if phase.kind == "ledger":
        write_fates(run)
        return
    for step in phase.steps:
        try:
            run.do(step)
        except Exception as error:
            error.add_note(f"in step {step.name} of part {part.key} ({part.path})")
            raise


@dataclass(frozen=True)
class Want:
    """What a step of a part must be: its identity and the rows it covers."""

    identity: str
    rows: str


class PartRun:
    """One part on its way through a wave; frames already read or computed are kept for the next steps."""

    def __init__(self, store: Store, plan: Plan, part: Part, opened: dict[str, Callable]):
        self.store, self.plan, self.part, self.opened = store, plan, part, opened
        self.frames: dict[str, pl.DataFrame] = {}

    def receipt(self, dataset: str) -> Receipt:
        receipt = self.store.receipt(dataset, self.part.key)
        if receipt is None:
            raise NotReady(f"{dataset} of part {self.part.key} is not done")
        return receipt

    def want(self, step: Step) -> Want:
        """Raises NotReady when an earlier step of this part is not done."""
        if step.kind == "source":
            return Want(source_identity(step, self.part), "")
        inputs = {d: self.receipt(d).identity for d in step.reads}
        rows = self.receipt(self.plan.rows_source(step).name).kept
        return Want(part_identity(step, inputs, artifact_contents(self.store, step)), rows)

    def is_done(self, step: Step) -> bool:
        receipt = self.store.receipt(step.name, self.part.key)
        if receipt is None:
            return False
        want = self.want(step)
        if step.kind == "source":
            return receipt.identity == want.identity and self.store.rejected_holds(step.name, self.part.key, receipt)
        return receipt.identity == want.identity and receipt.rows == want.rows

    def do(self, step: Step) -> None:
        if self.is_done(step):
            return
        started = time.perf_counter()
        want = self.want(step)
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
        path = self.store.data(REJECTED_DATASET, self.part.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.store.receipt_path(step.name, self.part.key).unlink(missing_ok=True)
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


def artifact_contents(store: Store, step: Step) -> dict[str, str]:
    """Content digests of the artifacts that a step needs. Raises NotReady when one is not made."""
    contents = {}
    for name in step.needs:
        receipt = store.artifact_receipt(name)
        if receipt is None:
            raise NotReady(f"artifact {name} is not made")
        contents[name] = receipt.content
    return contents


def usable_parts(store: Store, plan: Plan) -> list[Part]:
    aside = quarantined(store)
    return [p for p in plan.parts if p.key not in aside]


def corpus_identity(store: Store, plan: Plan, step: Step, extra: str = "") -> str:
    """Identity of what a reducer or the sink computes: its recipe, artifacts, and every part's inputs and rows."""
    per_part = []
    for part in usable_parts(store, plan):
        run = PartRun(store, plan, part, {})
        inputs = {d: run.receipt(d).identity for d in step.reads}
        per_part.append([part.key, inputs, run.receipt(plan.rows_source(step).name).kept])
    return digest([step.fingerprint, artifact_contents(store, step), per_part, extra])


class StoredCorpus:
    """What a reducer reads: one batch per part, straight from the store."""

    def __init__(self, store: Store, plan: Plan, step: Step):
        self.store, self.plan, self.step = store, plan, step
        self.artifacts: Artifacts = {a: store.artifact(a) for a in step.needs}
        self.scratch = store.scratch(step.name)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for part in usable_parts(self.store, self.plan):
            run = PartRun(self.store, self.plan, part, {})
            yield run.batch(self.step, run.ids(self.step), columns)


def reducer_done(store: Store, plan: Plan, step: Step) -> bool:
    receipt = store.artifact_receipt(step.name)
    return receipt is not None and receipt.identity == corpus_identity(store, plan, step)


def run_reducer(store: Store, plan: Plan, step: Step) -> None:
    if reducer_done(store, plan, step):
        return
    started = time.perf_counter()
    identity = corpus_identity(store, plan, step)
    kept = [store.receipt(plan.rows_source(step).name, p.key) for p in usable_parts(store, plan)]
    docs = sum(r.docs_out for r in kept if r)
    receipt = Receipt(identity, "", "", docs, docs)
    with store.making(step.name, receipt) as out:
        step.reducer.run(StoredCorpus(store, plan, step), out)
    logger.info(f"{step.name}: {docs} documents in {time.perf_counter() - started:.1f} s")


def sink_identity(store: Store, plan: Plan, sink: Step, unit: str) -> str:
    return corpus_identity(store, plan, sink, unit)


def gathered(store: Store, plan: Plan, sink: Step, unit: str) -> bool:
    receipt = shard_receipt(store, unit)
    return receipt is not None and receipt.identity == sink_identity(store, plan, sink, unit)


def scattered(run: PartRun, sink: Step) -> bool:
    receipt = run.store.receipt(SCATTER, run.part.key)
    want = run.want(sink)
    return receipt is not None and (receipt.identity, receipt.rows) == (want.identity, want.rows)


def scatter(run: PartRun, sink: Step) -> None:
    """One file per part, sorted by output shard, a row group (or more) per shard, so that gather reads only its own."""
    if scattered(run, sink):
        return
    want = run.want(sink)
    artifacts = {a: run.store.artifact(a) for a in sink.needs}
    n = sink.sink.shards(artifacts)
    ids = run.ids(sink)
    rows = sink.sink.scatter(run.batch(sink, ids), n)
    receipt = Receipt(want.identity, want.rows, want.rows, ids.len(), ids.len())
    path = run.store.data(SCATTER, run.part.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    receipt_path = run.store.receipt_path(SCATTER, run.part.key)
    receipt_path.unlink(missing_ok=True)
    table = rows.sort("shard", maintain_order=True).to_arrow()
    with replaced(path) as file, pq.ParquetWriter(file, table.schema, compression="zstd") as writer:
        for _, group in pl.DataFrame(table).group_by("shard", maintain_order=True):
            writer.write_table(group.to_arrow().cast(table.schema))
    write_json(receipt_path, vars(finish(receipt, "", path.stat().st_size)))


def gather(store: Store, plan: Plan, sink: Step, unit: str) -> None:
    if gathered(store, plan, sink, unit):
        return
    identity = sink_identity(store, plan, sink, unit)
    number = int(unit.split("-")[0])

    def slices() -> Iterator[pl.DataFrame]:
        for part in usable_parts(store, plan):
            yield read_parquet(store.data(SCATTER, part.key), shard=number).drop("shard")

    rows = sink.sink.gather(slices())
    forget_shard(store, unit)
    written = sink.sink.write(rows, corpus_folder(store), unit, {a: store.artifact(a) for a in sink.needs})
    keep_shard(store, unit, identity, rows, written)


def ledger_identity(run: PartRun) -> str:
    gates = [s for s in run.plan.steps if s.kind in ("source", "gate") or s in run.plan.replacers]
    seen = [[s.name, (r := run.receipt(s.name)).identity, r.rows, r.kept] for s in gates]
    extra = [s.name for s in run.plan.steps]
    tokens, sample = (written_by(run, column) for column in ("token_count", "copies_n"))
    return digest([seen, extra, tokens and tokens.identity, sample and [sample.identity, sample.rows]])


def written_by(run: PartRun, column: str) -> Receipt | None:
    """The receipt of the dataset that holds a column; None where the run has none."""
    dataset = run.plan.writer(column)
    return run.store.receipt(dataset, run.part.key) if dataset else None


def loaded(run: PartRun, column: str) -> pl.DataFrame | None:
    """doc_id and the column; None where no step of the plan writes it."""
    dataset = run.plan.writer(column)
    return run.load(dataset, (column,)) if dataset else None


def fates_written(run: PartRun) -> bool:
    receipt = run.store.receipt(LEDGER_DATASET, run.part.key)
    return receipt is not None and receipt.identity == ledger_identity(run)


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
    if fates_written(run):
        return
    identity = ledger_identity(run)
    plan, store, key = run.plan, run.store, run.part.key
    frame = fates(
        run.load(plan.source.name, ("url", "record_bytes", "text_bytes")),
        read_parquet(store.data(REJECTED_DATASET, key)),
        [(s.label, run.load(s.name, ("rule",))) for s in plan.steps if s.kind == "gate"],
        loaded(run, "token_count"),
        loaded(run, "copies_n"),
        source=plan.source.label,
        replaced=replaced_texts(run),
    )
    receipt = run.receipt(plan.source.name)
    if frame.height != receipt.docs_in:
        raise BooksError(f"part {key}: {receipt.docs_in} records went in, {frame.height} have a fate")
    store.write_table(
        LEDGER_DATASET,
        key,
        frame.to_arrow().cast(LEDGER),
        Receipt(identity, receipt.rows, receipt.rows, frame.height, frame.height),
    )


def pending(store: Store, plan: Plan, phase: Phase) -> list[str]:
    """Units of a phase that are not done; by receipts alone."""
    aside = quarantined(store)
    todo = []
    for unit in units(plan, phase, store):
        if unit not in aside and not unit_done(store, plan, phase, unit):
            todo.append(unit)
    return todo


def unit_done(store: Store, plan: Plan, phase: Phase, unit: str) -> bool:
    if phase.kind == "reducer":
        return reducer_done(store, plan, phase.steps[0])
    if phase.kind == "gather":
        return gathered(store, plan, phase.steps[0], unit)
    run = PartRun(store, plan, next(p for p in plan.parts if p.key == unit), {})
    if phase.kind == "scatter":
        return scattered(run, phase.steps[0])
    try:
        return fates_written(run) if phase.kind == "ledger" else all(run.is_done(step) for step in phase.steps)
    except NotReady:
        return False
