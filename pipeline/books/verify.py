"""Recounts a finished run from its files: nothing here trusts a receipt's counts or the stored ledger."""

from collections import Counter
from dataclasses import replace

import polars as pl

from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.books.ledger import books, finished_parts, labels, read_books, read_fates
from gristmill.pipeline.books.seal import SEAL, check_seal
from gristmill.pipeline.books.splits import check_splits
from gristmill.pipeline.books.stopped import STOPPED
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.plan.identity import digest_file, digest_folder
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import corpus_folder, written_units
from gristmill.pipeline.run.shards import records as shard_records
from gristmill.pipeline.run.store import Store, read_parquet
from gristmill.pipeline.run.view import RunView


def verify(store: Store, plan: Plan) -> list[str]:
    """Lines that say what was checked. Raises BooksError at the first thing that does not hold."""
    store = RunView(store, plan)
    stopped = (store.root / STOPPED).is_file() and not (store.root / SEAL).is_file()
    lines = [files(store, plan) if stopped else check_seal(store)]
    ids: Counter[str] = Counter()
    copies: dict[str, int] = {}
    records = 0
    for _, fates in read_fates(store, plan):
        records += fates.height
        documents = fates.drop_nulls("doc_id")
        ids.update(documents["doc_id"])
        chosen = documents.filter(pl.col("copies_n") > 0)
        copies.update(zip(chosen["doc_id"], chosen["copies_n"], strict=True))
    twice = [i for i, n in ids.items() if n > 1]
    if twice:
        raise BooksError(f"{len(twice)} documents have two fates, {twice[0]} among them")
    lines.append(f"{records:,} records, {len(ids):,} of them documents: each has one fate")
    stored = read_books(store)
    counted = behind(store, plan, [str(entry["stage"]) for entry in stored])
    if books(store, counted) != stored:
        raise BooksError("ledger.json is not what the fates add up to; run again to rewrite it")
    lines.append("the books balance and ledger.json is their sum")
    if any(s.kind == "sink" for s in counted.steps) and any(shard_records(store)):
        lines += corpus(store, plan, copies)
    return lines


def behind(store: Store, plan: Plan, stages: list[str]) -> Plan:
    """The plan cut where the books end, which `run --until` may have set: the longest cut with these stages whose steps
    have receipts. Raises BooksError where the plan has other stages."""
    finished = [part.key for part in finished_parts(store, plan)][:1]
    cuts = [replace(plan, steps=plan.steps[:n]) for n in range(len(plan.steps), 0, -1)]
    cuts = [cut for cut in cuts if labels(cut) == stages]
    if not cuts:
        raise BooksError(f"ledger.json ends at {stages[-1:]}, which this plan does not; run again to rewrite it")
    for cut in cuts:
        steps = [s.name for s in cut.steps if s.kind not in ("reducer", "sink")]
        if all(store.receipt(name, key) is not None for name in steps for key in finished):
            return cut
    return cuts[0]


def files(store: Store, plan: Plan) -> str:
    """Every data file is the one its receipt was written for."""
    n = 0
    for step in plan.steps:
        if step.kind == "reducer":
            receipt = store.artifact_receipt(step.name)
            if receipt is None:
                continue
            if digest_folder(store.artifact(step.name)) != receipt.content:
                raise BooksError(f"artifacts/{step.name} was changed after it was made; delete it and run again")
            n += 1
        elif step.kind != "sink":
            for part in plan.parts:
                receipt, path = store.receipt(step.name, part.key), store.data(step.name, part.key)
                if receipt is None:
                    if path.is_file():
                        raise BooksError(f"{path} has no valid receipt; run again to recompute it")
                    continue
                if digest_file(path) != receipt.content:
                    raise BooksError(f"{path} was changed after it was written; delete it and run again")
                n += 1
    return f"{n:,} files are as their receipts say"


def corpus(store: Store, plan: Plan, copies: dict[str, int]) -> list[str]:
    rows: Counter[str] = Counter()
    total = 0
    for path in shard_records(store):
        frame = read_parquet(path, ["doc_id", "token_count"])
        rows.update(frame["doc_id"])
        total += int(frame["token_count"].sum())
    if dict(rows) != copies:
        wrong = next(i for i in {*rows, *copies} if rows.get(i, 0) != copies.get(i, 0))
        raise BooksError(
            f"document {wrong} is written {rows.get(wrong, 0)} times, its fate says {copies.get(wrong, 0)}"
        )
    run = FinishedRun(store, plan)
    for step in plan.steps:
        for complaint in step.stage.complaints(run):
            raise BooksError(complaint)
    said = f"{sum(rows.values()):,} rows of {len(rows):,} documents, {total:,} tokens: as sampled, shares as weighted"
    return [said, *check_splits(store, plan, read_books(store)[-1]), *recounted(store, plan, sum(rows.values()), total)]


def recounted(store: Store, plan: Plan, rows: int, tokens: int) -> list[str]:
    """A line per export format, counted from its files. A format of token ids has up to two marks more per document."""
    sink = next(s for s in plan.steps if s.kind == "sink").sink
    lines = []
    for name, (found, ids) in sink.recount(corpus_folder(store), written_units(store)).items():
        if found != rows or (ids is not None and ids - tokens not in (0, rows, 2 * rows)):
            raise BooksError(
                f"format {name} holds {found:,} documents{'' if ids is None else f' and {ids:,} ids'}; the corpus has "
                f"{rows:,} rows and {tokens:,} tokens"
            )
        lines.append(f"{name}: {found:,} documents" + ("" if ids is None else f", {ids:,} ids"))
    return lines
