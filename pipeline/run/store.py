"""The run folder: datasets and artifacts, and the receipts that say what is done.

Order on disk: delete receipt, write a temporary file, fsync, rename, write receipt. A kill at any point leaves
either a receipt that is true or no receipt.
"""

import errno
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.errors import DataError, PlanError
from gristmill.pipeline.contract.state import synced, temporary, write_json, write_parquet
from gristmill.pipeline.plan.identity import CODE_VERSION, digest, digest_file, digest_folder

REJECTED_DATASET = "ingest.rejected"
FULL_BYTES = 256 << 10  # less is left over when a buffered write has failed; nothing of ours could go on with it
WRITE_BYTES = 128 << 20  # of a frame that are made into Arrow at once


@dataclass(frozen=True)
class Receipt:
    """The proof that a part of a dataset (or an artifact) was computed.

    `identity`: of the values (stage, artifacts and inputs). `rows`: digest of the ids it covers; `kept`: of those that
    go on (differs from `rows` for gates). Counts are documents and bytes of text; tokens are the ledger's.
    """

    identity: str
    rows: str
    kept: str
    docs_in: int
    docs_out: int
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    content: str = ""
    file_bytes: int = 0
    seconds: float = 0.0
    rejected: str = ""  # digest of a source's second file, its rejected records
    files: dict[str, tuple[str, int]] = field(default_factory=dict)  # a shard's other files -> (digest, bytes)
    code: str = CODE_VERSION
    check: str = ""  # digest of the other fields; a receipt that was changed is none


class Store:
    """Paths, reading and writing inside one run folder."""

    def __init__(self, root: Path):
        self.root = root
        self._unchanged: dict[str, Receipt] = {}  # artifacts that were found to hold what their receipts say

    def data(self, dataset: str, key: str) -> Path:
        return self.root / dataset / f"{key}.parquet"

    def receipt_path(self, dataset: str, key: str) -> Path:
        return self.root / dataset / f"{key}.receipt.json"

    def artifact(self, name: str) -> Path:
        return self.root / "artifacts" / name

    def scratch(self, name: str) -> Path:
        """Where a reducer keeps work that a killed run must not lose (pipeline/contract/shapes.py, Corpus)."""
        return self.root / "scratch" / name

    def artifact_receipt_path(self, name: str) -> Path:
        return self.root / "artifacts" / f"{name}.receipt.json"

    def receipt(self, dataset: str, key: str) -> Receipt | None:
        """None unless the receipt is whole and its file holds what it held when the receipt was written: it has its
        size and, where it was written to since, its digest."""
        return proven(self.receipt_path(dataset, key), self.data(dataset, key))

    def unprove(self, dataset: str, key: str) -> None:
        """Takes away a part's receipt, before its file changes."""
        self.receipt_path(dataset, key).unlink(missing_ok=True)

    def remove(self, dataset: str, key: str) -> None:
        """Removes a part's receipt, then its file."""
        self.unprove(dataset, key)
        self.data(dataset, key).unlink(missing_ok=True)

    def rejected_holds(self, source: str, key: str, receipt: Receipt) -> bool:
        """Whether a part's rejected records are those that the source's receipt speaks for."""
        path, receipt_path = self.data(REJECTED_DATASET, key), self.receipt_path(source, key)
        try:
            if not written_since([path], receipt_path):
                return True
            return receipt.rejected in ("", digest_file(path)) and trusted_again([path], receipt_path)
        except FileNotFoundError:
            return False

    def artifact_receipt(self, name: str) -> Receipt | None:
        """As `receipt`, of an artifact's folder; a folder is looked through once per Store."""
        path, folder = self.artifact_receipt_path(name), self.artifact(name)
        receipt = read_receipt(path)
        if receipt is None or not folder.is_dir():
            return None
        if self._unchanged.get(name) != receipt:
            if not unchanged(folder, path, receipt):
                return None
            self._unchanged[name] = receipt
        return receipt

    def read(self, dataset: str, key: str, columns: Sequence[str]) -> pl.DataFrame:
        """doc_id and `columns` of one part, in file order."""
        path = self.data(dataset, key)
        try:
            return read_parquet(path, ["doc_id", *columns])
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
        path = self.data(dataset, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.unprove(dataset, key)
        write_parquet(path, tables, checksums=True)
        done = finish(receipt, digest_file(path), path.stat().st_size)
        write_json(self.receipt_path(dataset, key), asdict(done))
        return done

    @contextmanager
    def making(self, name: str, receipt: Receipt) -> Iterator[Path]:
        """A temporary folder that becomes artifact `name` when the block ends without error."""
        final, receipt_path = self.artifact(name), self.artifact_receipt_path(name)
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


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A file's columns in row order.

    Raises DataError for a file that is none or lacks a column, whose pages have not their checksum or whose strings are
    no UTF-8: the kernels read what is under a valid string only.
    """
    try:
        # No read_table: its datasets take four times as long to open a small file, and import pandas.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names if columns is None else list(columns)
            if missing := [name for name in names if name not in file.schema_arrow.names]:
                raise DataError(f"cannot read {path}: it has no column {missing[0]}; delete it and run again")
            table = file.read(names, use_threads=False).select(names)
        for column in table.columns:
            if not pa.types.is_primitive(column.type):
                column.validate(full=True)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}; delete it and run again to recompute it") from error
    return pl.DataFrame(table)


def read_receipt(path: Path) -> Receipt | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        # A part's receipts hold the same digests of rows over and over: one text of each is kept.
        fields |= {name: sys.intern(fields[name]) for name in ("rows", "kept", "code") if name in fields}
        receipt = Receipt(**fields)
        return receipt if receipt.check in ("", check_of(receipt)) else None
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None  # absent, cut short or changed: not done


def check_of(receipt: Receipt) -> str:
    fields = {**vars(receipt), "check": ""}
    if not receipt.files:  # so that receipts written before there were any still hold
        del fields["files"]
    return digest(fields)


def finish(receipt: Receipt, content: str, size: int) -> Receipt:
    done = replace(receipt, content=content, file_bytes=size)
    return replace(done, check=check_of(done))


def proven(receipt_path: Path, path: Path) -> Receipt | None:
    """The receipt if it proves the file (`Store.receipt`)."""
    receipt = read_receipt(receipt_path)
    if receipt is None:
        return None
    try:
        file = path.stat()
        if file.st_size != receipt.file_bytes:
            return None
        if file.st_mtime_ns < receipt_path.stat().st_mtime_ns:
            return receipt
        same = receipt.content in ("", digest_file(path)) and trusted_again([path], receipt_path)
    except FileNotFoundError:
        return None
    return receipt if same else None


def unchanged(folder: Path, receipt_path: Path, receipt: Receipt) -> bool:
    """Whether an artifact's folder holds what it held when its receipt was written; digested if one of its files was
    written to since."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    if sum(p.stat().st_size for p in files) != receipt.file_bytes:
        return False
    if not written_since([folder, *files], receipt_path):
        return True
    return digest_folder(folder) == receipt.content and trusted_again([folder, *files], receipt_path)


def written_since(paths: Sequence[Path], receipt_path: Path) -> bool:
    written = receipt_path.stat().st_mtime_ns
    return any(path.stat().st_mtime_ns >= written for path in paths)


def trusted_again(paths: Sequence[Path], receipt_path: Path) -> bool:
    """Dates files whose digests were right (a copied run folder) before their receipt, so that they are not digested
    each time; True."""
    before = receipt_path.stat().st_mtime_ns - 1
    for path in paths:
        with suppress(OSError):  # a folder that may only be read
            os.utime(path, ns=(before, before))
    return True


def refuse_links(root: Path) -> None:
    """Raises PlanError where a folder of the run is a link: what a run writes and removes stays inside its folder."""
    if not root.is_dir():
        return
    inside = [*(root / "corpus").glob("*"), *(root / "artifacts").glob("*"), *root.iterdir()]
    for path in inside:
        if path.is_symlink():
            raise PlanError(f"{path} is a link, and a run writes and removes files in it; make it a folder of the run")
