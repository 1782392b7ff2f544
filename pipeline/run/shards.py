"""Output shards of the corpus: where their files lie, which receipt proves them, and which of them are left over.

A shard's record is a Parquet file that the books and the report read: its own, where the sink writes Parquet, else an
index of its rows without their text. The sink's other files stand in the receipt, each with its digest and size.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.corpus.splits import (
    VALIDATION,
    in_order,
    mark,
    place,
    split_of,
    unit_of,
    unit_of_mark,
)
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.state import write_json, write_parquet
from gristmill.pipeline.plan.identity import digest_file
from gristmill.pipeline.run.receipts.receipt import Receipt, finish, proven, read_receipt
from gristmill.pipeline.run.store import Store

RECEIPTS = "corpus.receipts"
INDEX = "corpus.index"
BEGINNINGS, BEGINNING_CHARS = 64, 700  # rows of an index that keep the beginning of their text, for the report


def corpus_folder(store: Store) -> Path:
    return store.root / "corpus"


def gather_receipt_path(store: Store, unit: str) -> Path:
    return store.root / RECEIPTS / f"{mark(unit)}.receipt.json"


def shard_path(store: Store, unit: str) -> Path:
    """Where a sink that writes Parquet puts a shard."""
    return corpus_folder(store) / place(unit, "data", ".parquet")


def index_path(store: Store, unit: str) -> Path:
    return store.root / INDEX / f"{mark(unit)}.parquet"


def record_place(store: Store, unit: str) -> Path:
    path = shard_path(store, unit)
    return path if path.exists() else index_path(store, unit)


def record_path(store: Store, unit: str) -> Path:
    """The record of a shard, to be read."""
    return store.whole(record_place(store, unit))


def written_units(store: Store) -> list[str]:
    """The units of all shards, in order: training, phases by name, validation."""
    corpus = corpus_folder(store)
    paths = [*corpus.glob("data/*-of-*.parquet"), *corpus.glob("*/data/*-of-*.parquet")]
    found = {unit_of(path.relative_to(corpus).parts) for path in paths} - {None}
    found |= {unit_of_mark(path.stem) for path in (store.root / INDEX).glob("*-of-*.parquet")}
    return in_order([unit for unit in found if unit is not None])


def records(store: Store, *splits: str) -> Iterator[Path]:
    """The record of every shard (of these splits), in order."""
    for unit in written_units(store):
        if not splits or split_of(unit) in splits:
            yield record_path(store, unit)


def training_records(store: Store) -> Iterator[Path]:
    """The record of every shard that is trained on."""
    yield from (record_path(store, unit) for unit in written_units(store) if split_of(unit) != VALIDATION)


def shard_receipt(store: Store, unit: str) -> Receipt | None:
    """The receipt, if the record and all other files of the shard are there as it says."""
    receipt = proven(gather_receipt_path(store, unit), record_place(store, unit))
    if receipt is None:
        return None
    there = all(size_of(store.root / name) == size for name, (_, size) in receipt.files.items())
    return receipt if there else None


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def forget_shard(store: Store, unit: str) -> None:
    """Before a shard is written: its receipt goes first, then what an earlier choice of formats left of it."""
    old = read_receipt(gather_receipt_path(store, unit))
    gather_receipt_path(store, unit).unlink(missing_ok=True)
    for name in old.files if old else {}:
        path = store.root / name
        if path.resolve().is_relative_to(corpus_folder(store).resolve()):
            path.unlink(missing_ok=True)
    for path in (shard_path(store, unit), index_path(store, unit)):
        path.unlink(missing_ok=True)


class Index:
    """What is kept of a shard's rows while they pass: how many there are and, with `text`, all but their text."""

    def __init__(self, text: bool):
        self.kept: list[pl.DataFrame] | None = [] if text else None
        self.rows = 0

    def through(self, pieces: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for rows in pieces:
            if self.kept is not None:
                place = pl.int_range(pl.len()) + self.rows
                head = pl.when(place < BEGINNINGS).then(pl.col("text").str.slice(0, BEGINNING_CHARS))
                self.kept.append(rows.with_columns(head.alias("text")))
            self.rows += rows.height
            yield rows


def keep_shard(store: Store, unit: str, identity: str, index: Index, written: Sequence[Path]) -> None:
    """Writes the index where the sink wrote no Parquet, then the receipt."""
    record = shard_path(store, unit)
    if record not in written:
        record = index_path(store, unit)
        record.parent.mkdir(parents=True, exist_ok=True)
        narrow = pl.concat(index.kept or [])
        write_parquet(record, narrow.to_arrow().cast(arrow_schema(narrow.columns)))
    others = {p.relative_to(store.root).as_posix(): (digest_file(p), p.stat().st_size) for p in written if p != record}
    receipt = Receipt(identity, "", "", index.rows, index.rows, files=others)
    path = gather_receipt_path(store, unit)
    write_json(path, vars(finish(receipt, digest_file(record), record.stat().st_size)))


def remove_left_over(store: Store, units: Sequence[str], about: Sequence[Path]) -> None:
    """Removes files of shards of an earlier numbering; `about`: the sink's files about all shards.

    Raises PlanError for a file among the shards that no run wrote.
    """
    keep = {record_place(store, u) for u in units} | set(about)
    for unit in units:
        receipt = read_receipt(gather_receipt_path(store, unit))
        keep |= {store.root / name for name in (receipt.files if receipt else {})}
    known = {unit_of_mark(p.name.removesuffix(".receipt.json")) for p in (store.root / RECEIPTS).glob("*.json")}
    corpus = corpus_folder(store)
    paths = [*corpus.rglob("train-*"), *corpus.rglob("validation-*")]
    among = {p: unit_of(p.relative_to(corpus).parts) for p in paths}
    among |= {p: unit_of_mark(p.stem) for p in (store.root / INDEX).glob("*-of-*")}
    for path, unit in among.items():
        if path in keep or not path.is_file():
            continue
        if unit not in known:
            raise PlanError(f"{path} is none of this run's shards; move it out of the corpus and run again")
        path.unlink()
    for path in corpus.rglob("index.json"):  # of a format or split that the corpus has no more
        if path not in about:
            path.unlink()
    remove_empty(corpus)
    wanted = {gather_receipt_path(store, u) for u in units}
    for path in (store.root / RECEIPTS).glob("*.json"):
        if path not in wanted:
            path.unlink()


def remove_empty(folder: Path) -> None:
    """Removes empty folders below `folder`, the deepest first: of a split or format that the corpus has no more."""
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()
