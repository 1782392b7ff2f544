"""The run folder: datasets and artifacts, and the receipts that say what is done.

Order on disk: take the receipt away, write a temporary file, fsync, rename, write the receipt. A kill at any point
leaves either a receipt that is true or no receipt.
"""

import errno
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.errors import DataError, PlanError
from gristmill.pipeline.contract.state import synced, temporary, write_json, write_parquet
from gristmill.pipeline.plan.identity import digest_file, digest_folder
from gristmill.pipeline.run.objects.found import mirror_of
from gristmill.pipeline.run.receipts.logs import LOGS, Receipts
from gristmill.pipeline.run.receipts.receipt import Receipt, dated, finish, proves, read_receipt, unchanged

REJECTED_DATASET = "ingest.rejected"
FULL_BYTES = 256 << 10  # less is left over when a buffered write has failed; nothing of ours could go on with it
READ_ROWS = 1_000  # that are looked through at once for some documents
WRITE_BYTES = 128 << 20  # of a frame that are made into Arrow at once


class Store:
    """Paths, reading and writing inside one run folder."""

    def __init__(self, root: Path):
        self.root = root
        self.mirror = mirror_of(root)  # None: the folder is the run itself, and no node's mirror of objects
        self.receipts = Receipts(root)
        self._unchanged: dict[str, Receipt] = {}  # artifacts that were found to hold what their receipts say

    @property
    def name(self) -> str:
        """The run folder as its user named it."""
        return str(self.root) if self.mirror is None else str(self.mirror.address)

    def place(self, dataset: str, key: str) -> Path:
        """Where a part's file lies; it may not be here yet."""
        return self.root / dataset / f"{key}.parquet"

    def data(self, dataset: str, key: str) -> Path:
        """A part's file, to be read. Raises DataError where an object is not the one its receipt was written for."""
        path = self.place(dataset, key)
        if self.mirror is not None and self.mirror.whole(path):
            receipt = self.receipts.read(dataset, key)
            if receipt is not None and receipt.content not in ("", digest_file(path)):
                self.unprove(dataset, key)
                raise DataError(f"{self.name}/{dataset}/{path.name} was changed; run again to make it anew")
        return path

    def artifact(self, name: str) -> Path:
        """An artifact's folder, to be read."""
        return self.whole(self.artifact_place(name))

    def artifact_place(self, name: str) -> Path:
        return self.root / "artifacts" / name

    def whole(self, path: Path) -> Path:
        """A file or folder of the run, to be read: what is an object so far is fetched."""
        if self.mirror is not None:
            self.mirror.whole(path)
        return path

    def send(self, *paths: Path) -> None:
        """Of a run in an object store: puts what was written there (in these files and folders; none: anywhere)."""
        if self.mirror is not None:
            self.mirror.send(paths or None)

    def scratch(self, name: str) -> Path:
        """Where a reducer keeps work that a killed run must not lose (pipeline/contract/shapes.py, Corpus)."""
        return self.root / "scratch" / name

    def artifact_receipt_path(self, name: str) -> Path:
        return self.root / "artifacts" / f"{name}.receipt.json"

    def receipt(self, dataset: str, key: str) -> Receipt | None:
        """None unless the part's file is the one that the receipt was written for (`proves`)."""
        self.receipts.look_again()
        return self.proven_receipt(dataset, key)

    def proven_receipt(self, dataset: str, key: str) -> Receipt | None:
        """As `receipt`, by the logs as they were looked at last."""
        receipt = self.receipts.read(dataset, key)
        return receipt if receipt is not None and proves(receipt, self.place(dataset, key)) else None

    def prove(self, dataset: str, key: str, receipt: Receipt, content: str) -> Receipt:
        """Writes the receipt of a part's file; returns it with the file's size and time. `content`: its digest."""
        file = self.place(dataset, key).stat()
        done = replace(receipt, content=content, file_bytes=file.st_size, modified=file.st_mtime_ns)
        self.receipts.record(dataset, key, done)
        return done

    def unprove(self, dataset: str, key: str) -> None:
        """Takes away a part's receipt, before its file changes."""
        self.receipts.look_again()
        self._take_away(dataset, key)

    def _take_away(self, dataset: str, key: str) -> None:
        log = self.receipts.take_away(dataset, key)
        if log is not None:
            self.send(log)

    def remove(self, dataset: str, key: str) -> None:
        """Removes a part's receipt, then its file."""
        self.unprove(dataset, key)
        self.place(dataset, key).unlink(missing_ok=True)

    def rejected_holds(self, key: str, receipt: Receipt) -> bool:
        """Whether a part's rejected records, which were written before its documents, are those that the source's
        receipt speaks for."""
        path = self.place(REJECTED_DATASET, key)
        try:
            if path.stat().st_mtime_ns <= receipt.modified:
                return True
            return receipt.rejected in ("", digest_file(path)) and dated([path], receipt.modified)
        except FileNotFoundError:
            return False

    def artifact_receipt(self, name: str) -> Receipt | None:
        """As `receipt`, of an artifact's folder; a folder is looked through once per Store."""
        path, folder = self.artifact_receipt_path(name), self.artifact_place(name)
        receipt = read_receipt(path)
        if receipt is None or not folder.is_dir():
            return None
        if self._unchanged.get(name) != receipt:
            if not unchanged(folder, path, receipt):
                return None
            self._unchanged[name] = receipt
        return receipt

    def read(
        self, dataset: str, key: str, columns: Sequence[str], doc_ids: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """doc_id and `columns` of one part, or of some of its documents, in file order."""
        path = self.data(dataset, key)
        try:
            return read_parquet(path, ["doc_id", *columns], doc_ids)
        except FileNotFoundError as error:
            raise DataError(f"cannot read {path}: {error}; run again to recompute it") from error

    def write(self, dataset: str, key: str, frame: pl.DataFrame, columns: Sequence[str], receipt: Receipt) -> Receipt:
        """Writes doc_id + `columns` with their declared types, then the receipt (returned with the file's digest)."""
        slices = _slices(frame)
        tables = (declared(piece, columns, dataset) for piece in slices)
        return self.write_tables(dataset, key, tables, receipt)

    def write_table(self, dataset: str, key: str, table: pa.Table, receipt: Receipt) -> Receipt:
        return self.write_tables(dataset, key, iter([table]), receipt)

    def write_tables(self, dataset: str, key: str, tables: Iterator[pa.Table], receipt: Receipt) -> Receipt:
        """Writes a file of one or more tables of one schema, which are made when it is their turn, then the receipt."""
        path = self.place(dataset, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.unprove(dataset, key)
        write_parquet(path, tables, checksums=True)
        return self.prove(dataset, key, receipt, digest_file(path))

    @contextmanager
    def making(self, name: str, receipt: Receipt) -> Iterator[Path]:
        """A temporary folder that becomes artifact `name` when the block ends without error."""
        final, receipt_path = self.artifact_place(name), self.artifact_receipt_path(name)
        final.parent.mkdir(parents=True, exist_ok=True)
        receipt_path.unlink(missing_ok=True)
        begun = temporary(final)
        begun.mkdir()
        try:
            try:
                yield begun
            except Exception as error:
                refuse_full_disk(begun, error)
                raise
            refuse_full_disk(begun, None)
            synced(begun)
            shutil.rmtree(final, ignore_errors=True)
            begun.rename(final)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        size = sum(p.stat().st_size for p in final.rglob("*") if p.is_file())
        write_json(receipt_path, asdict(finish(receipt, digest_folder(final), size)))

    def remove_leftovers(self) -> None:
        """Temporary files of killed processes."""
        for path in [
            *self.root.glob("*/.*.tmp-*"),
            *self.root.glob(f"*/{LOGS}/.*.tmp-*"),
            *self.root.glob("corpus/*/.*.tmp-*"),
            *self.root.glob("corpus/*/*/.*.tmp-*"),
            *self.root.glob(".*.tmp-*"),
        ]:
            if path.parent.is_symlink():
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def refuse_full_disk(place: Path, error: Exception | None) -> None:
    """Raises OSError (ENOSPC) where the disk is full: libraries that write files themselves (fastText, numpy) cut them
    short without a word, or fail with another one."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return
    if shutil.disk_usage(place).free < FULL_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place)) from error


def _slices(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Slices of about WRITE_BYTES: as Arrow a frame takes its memory once more."""
    count = math.ceil(frame.estimated_size() / WRITE_BYTES)
    return [frame] if count < 2 else list(frame.iter_slices(math.ceil(frame.height / count)))


def declared(frame: pl.DataFrame, columns: Sequence[str], dataset: str) -> pa.Table:
    """The frame as Arrow with the dictionary's types. Raises DataError for a missing, extra or lossy column."""
    want = ["doc_id", *columns]
    if set(frame.columns) != set(want):
        missing, extra = set(want) - set(frame.columns), set(frame.columns) - set(want)
        raise DataError(f"{dataset}: missing columns {sorted(missing)}, undeclared columns {sorted(extra)}")
    table = frame.select(want).to_arrow()
    try:
        return table.cast(arrow_schema(want))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"{dataset}: columns do not have their declared types: {error}") from error


def read_parquet(
    path: Path, columns: Sequence[str] | None = None, doc_ids: Sequence[str] | None = None
) -> pl.DataFrame:
    """A file's columns in row order. `doc_ids`: the rows of these documents alone; behind the last of them nothing is
    read.

    Raises DataError for a file that is none or lacks a column, whose pages have not their checksum or whose strings are
    no UTF-8: the kernels read what is under a valid string only.
    """
    try:
        # No read_table: its datasets take twice as long for a small file, and import pandas (docs/decisions/export.md).
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            there = file.schema_arrow.names  # converted from the file's schema each time it is asked for
            names = there if columns is None else list(columns)
            if missing := [name for name in names if name not in there]:
                raise DataError(f"cannot read {path}: it has no column {missing[0]}; delete it and run again")
            table = file.read(names, use_threads=False) if doc_ids is None else rows_of(file, names, doc_ids)
            table = table.select(names)
        for column in table.columns:
            if not pa.types.is_primitive(column.type):
                column.validate(full=True)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}; delete it and run again to recompute it") from error
    return pl.DataFrame(table)


def rows_of(file: pq.ParquetFile, columns: Sequence[str], doc_ids: Sequence[str]) -> pa.Table:
    """The rows of these documents, of which a file has at most one each."""
    schema = file.schema_arrow
    wanted, found = pa.array(doc_ids, schema.field("doc_id").type), list[pa.RecordBatch]()
    for batch in file.iter_batches(READ_ROWS, columns=list(columns), use_threads=False):
        chosen = pc.is_in(batch["doc_id"], value_set=wanted)  # pyright: ignore[reportAttributeAccessIssue]
        found.append(batch.filter(chosen))
        if sum(rows.num_rows for rows in found) == len(set(doc_ids)):
            break
    return pa.Table.from_batches(found) if found else schema.empty_table()


def refuse_links(root: Path) -> None:
    """Raises PlanError where a folder of the run is a link: what a run writes and removes stays inside its folder."""
    if not root.is_dir():
        return
    inside = [*(root / "corpus").glob("*"), *(root / "artifacts").glob("*"), *root.iterdir()]
    for path in inside:
        if path.is_symlink():
            raise PlanError(f"{path} is a link, and a run writes and removes files in it; make it a folder of the run")
