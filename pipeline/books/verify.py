"""Recounts a finished run from its files: nothing here trusts a receipt's counts or the stored ledger."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import polars as pl

from gristmill.pipeline.books.copies import Counted, Key, count, doc_id_of
from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.books.ledger import books, finished_parts, labels, read_books, read_fates
from gristmill.pipeline.books.seal import SEAL, check_seal
from gristmill.pipeline.books.splits import check_splits, shared
from gristmill.pipeline.books.stopped import STOPPED
from gristmill.pipeline.books.sums import SUMMED, added, record_sums
from gristmill.pipeline.contract.corpus.splits import split_of
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.contract.loading import is_imported
from gristmill.pipeline.plan.identity import digest_file, digest_folder
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import corpus_folder, record_path, written_units
from gristmill.pipeline.run.shards import records as shard_records
from gristmill.pipeline.run.store import Store, read_parquet
from gristmill.pipeline.run.view import RunView


def verify(store: Store, plan: Plan) -> list[str]:
    """Lines that say what was checked. Raises BooksError at the first thing that does not hold."""
    store = RunView(store, plan)
    stopped = (store.root / STOPPED).is_file() and not (store.root / SEAL).is_file()
    lines = [files(store, plan) if stopped else check_seal(store)]
    stored = read_books(store)
    cut = behind(store, plan, [str(entry["stage"]) for entry in stored])
    sink = next((s.sink for s in cut.steps if s.kind == "sink"), None)
    units = [] if sink is None else written_units(store)
    records, counted, tokens = recount(store, plan, sink.splits if sink and units else (), units)
    if counted.of_two_fates:
        said = id_of(store, plan, counted.of_two_fates)
        raise BooksError(f"{counted.twice} documents have two fates, {said} among them")
    lines.append(f"{records:,} records, {counted.documents:,} of them documents: each has one fate")
    counted_again = added(record_sums(store, cut, key, fates) for key, fates in read_fates(store, cut, SUMMED))
    if books(store, cut, counted_again) != stored:
        raise BooksError("ledger.json is not what the fates add up to; run again to rewrite it")
    lines.append("the books balance and ledger.json is their sum")
    if units:
        lines += corpus(store, plan, counted, tokens, stored[-1])
    return lines


def recount(
    store: Store, plan: Plan, splits: Sequence[str], units: Sequence[str]
) -> tuple[int, Counted, dict[str, int]]:
    """Records; documents beside their rows in these shards; tokens by split. Every file is read once."""
    splits = tuple(dict.fromkeys((*splits, *map(split_of, units))))
    tokens = dict.fromkeys(splits, 0)
    records = 0

    def fates() -> Iterator[pl.DataFrame]:
        nonlocal records
        for _, frame in read_fates(store, plan, ("doc_id", "copies_n")):
            records += frame.height
            yield frame.drop_nulls("doc_id").with_columns(copies_n=pl.col("copies_n") if units else 0)

    def rows() -> Iterator[tuple[str, pl.DataFrame]]:
        for unit in units:
            frame = read_parquet(record_path(store, unit), ["doc_id", "token_count"])
            tokens[split_of(unit)] += int(frame["token_count"].sum())
            yield split_of(unit), frame.select("doc_id")

    counted = count(fates(), rows(), splits, shared(plan), store.root)
    return records, counted, tokens


def id_of(store: Store, plan: Plan, key: Key) -> str:
    """The id of the document with this key; read again, as keys alone are kept."""
    fates = (frame["doc_id"] for _, frame in read_fates(store, plan, ("doc_id",)))
    shards = (read_parquet(path, ["doc_id"])["doc_id"] for path in shard_records(store))
    return doc_id_of(key, chain(fates, shards))


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


def corpus(store: Store, plan: Plan, counted: Counted, tokens: Mapping[str, int], entry: Mapping) -> list[str]:
    """entry: what the books say of the corpus."""
    if counted.of_other_rows:
        key, rows, copies = counted.of_other_rows
        raise BooksError(f"document {id_of(store, plan, key)} is written {rows} times, its fate says {copies}")
    run = FinishedRun(store, plan)
    for step in plan.steps:
        for complaint in step.stage.complaints(run):
            raise BooksError(complaint)
    if counted.of_two_splits:
        key, one, another = counted.of_two_splits
        raise BooksError(f"document {id_of(store, plan, key)} is in {one} and in {another}")
    rows, total = sum(counted.rows.values()), sum(tokens.values())
    found = {name: {"docs": counted.docs[name], "rows": counted.rows[name], "tokens": tokens[name]} for name in tokens}
    said = f"{rows:,} rows of {counted.written:,} documents, {total:,} tokens: as sampled, shares as weighted"
    return [said, *check_splits(found, entry), *recounted(store, plan, rows, total)]


def recounted(store: Store, plan: Plan, rows: int, tokens: int) -> list[str]:
    """A line per export format, counted from its files. A format of token ids has up to two marks more per document."""
    sink = next(s for s in plan.steps if s.kind == "sink").sink
    lines = []
    for name, (found, ids) in sink.recount(store.whole(corpus_folder(store)), written_units(store)).items():
        if found != rows or (ids is not None and ids - tokens not in (0, rows, 2 * rows)):
            raise BooksError(
                f"format {name} holds {found:,} documents{'' if ids is None else f' and {ids:,} ids'}; the corpus has "
                f"{rows:,} rows and {tokens:,} tokens"
            )
        lines.append(f"{name}: {found:,} documents" + ("" if ids is None else f", {ids:,} ids"))
    unseen = [name for name in sink.own_code if not is_imported(name)]
    return [*lines, *(f"{name}: not counted, for only a run imports code that a config names" for name in unseen)]
