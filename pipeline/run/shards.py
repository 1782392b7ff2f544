"""Output shards of the corpus: where their files lie, which receipt proves them, and which of them are left over.

A shard's record is a Parquet file that the books and the report read: its own, where the sink writes Parquet, else an
index of its rows without their text. The sink's other files stand in the receipt, each with its digest and size.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.state import write_json, write_parquet
from gristmill.pipeline.plan.identity import digest_file
from gristmill.pipeline.run.store import Receipt, Store, finish, proven, read_receipt

RECEIPTS = "corpus.receipts"
INDEX = "corpus.index"
BEGINNINGS, BEGINNING_CHARS = 64, 700  # rows of an index that keep the beginning of their text, for the report


def corpus_folder(store: Store) -> Path:
    return store.root / "corpus"


def gather_receipt_path(store: Store, unit: str) -> Path:
    return store.root / RECEIPTS / f"train-{unit}.receipt.json"


def shard_path(store: Store, unit: str) -> Path:
    """Where a sink that writes Parquet puts a shard."""
    return corpus_folder(store) / "data" / f"train-{unit}.parquet"


def index_path(store: Store, unit: str) -> Path:
    return store.root / INDEX / f"train-{unit}.parquet"


def record_path(store: Store, unit: str) -> Path:
    path = shard_path(store, unit)
    return path if path.exists() else index_path(store, unit)


def records(store: Store) -> Iterator[Path]:
    """The record of every shard, in order."""
    names = {
        p.name for folder in (corpus_folder(store) / "data", store.root / INDEX) for p in folder.glob("train-*.parquet")
    }
    for name in sorted(names):
        yield record_path(store, name.removeprefix("train-").removesuffix(".parquet"))


def shard_receipt(store: Store, unit: str) -> Receipt | None:
    """The receipt, if the record and all other files of the shard are there as it says."""
    receipt = proven(gather_receipt_path(store, unit), record_path(store, unit))
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


def keep_shard(store: Store, unit: str, identity: str, rows: pl.DataFrame, written: Sequence[Path]) -> None:
    """Writes the index where the sink wrote no Parquet, then the receipt."""
    record = shard_path(store, unit)
    if record not in written:
        record = index_path(store, unit)
        record.parent.mkdir(parents=True, exist_ok=True)
        head = pl.when(pl.int_range(pl.len()) < BEGINNINGS).then(pl.col("text").str.slice(0, BEGINNING_CHARS))
        narrow = rows.with_columns(head.alias("text"))
        write_parquet(record, narrow.to_arrow().cast(arrow_schema(narrow.columns)))
    others = {p.relative_to(store.root).as_posix(): (digest_file(p), p.stat().st_size) for p in written if p != record}
    receipt = Receipt(identity, "", "", rows.height, rows.height, files=others)
    path = gather_receipt_path(store, unit)
    write_json(path, vars(finish(receipt, digest_file(record), record.stat().st_size)))


def remove_left_over(store: Store, units: Sequence[str], about: Sequence[Path]) -> None:
    """Removes files of shards of an earlier numbering; `about`: the sink's files about all shards.

    Raises PlanError for a file among the shards that no run wrote.
    """
    keep = {record_path(store, u) for u in units} | set(about)
    for unit in units:
        receipt = read_receipt(gather_receipt_path(store, unit))
        keep |= {store.root / name for name in (receipt.files if receipt else {})}
    known = {p.name.removesuffix(".receipt.json") for p in (store.root / RECEIPTS).glob("*.json")}
    for path in [*corpus_folder(store).rglob("train-*"), *(store.root / INDEX).glob("train-*")]:
        if path in keep or not path.is_file():
            continue
        found = re.match(r"train-\d+-of-\d+", path.name)
        if found is None or found[0] not in known:
            raise PlanError(f"{path} is none of this run's shards; move it out of the corpus and run again")
        path.unlink()
    wanted = {gather_receipt_path(store, u) for u in units}
    for path in (store.root / RECEIPTS).glob("*.json"):
        if path not in wanted:
            path.unlink()
