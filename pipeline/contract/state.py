"""Reads and writes the files of a run: whole or not at all (temporary name, fsync, rename), damaged ones named."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.contract.errors import PlanError


class DamagedFile(PlanError):
    """A file of the run folder does not hold what Gristmill writes into it."""


ROW_GROUP_ROWS = 50_000  # design.md, Columns
ROW_GROUP_BYTES = 128 << 20  # design.md, Columns; uncompressed
WAY_OUT = "the same gristmill run command makes it again"


def parse_json(text: str) -> Any:
    """A JSON value. Raises ValueError for anything else, and for a key that stands twice in one object, of which
    Python's reader silently takes the last."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return found


def read_state(path: Path, *holds: str) -> dict:
    """The object in a file. Raises DamagedFile where it is missing, cut short, no JSON object or without a key."""
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedFile(f"{path} is missing; {WAY_OUT}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is damaged ({error}); {WAY_OUT}") from None
    if not isinstance(value, dict):
        raise DamagedFile(f"{path} is damaged (no JSON object); {WAY_OUT}")
    if lacking := [key for key in holds if key not in value]:
        raise DamagedFile(f"{path} is damaged (it has no {lacking[0]}); {WAY_OUT}")
    return value


def unique() -> str:
    """A name that no other process on any host has: the process and a random number."""
    return f"{os.getpid()}-{token_hex(8)}"


def temporary(path: Path) -> Path:
    """Beside `path`, with a name of its own; what a killed process leaves there, the next run removes."""
    return path.with_name(f".{path.name}.tmp-{unique()}")


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` when the block ends without error."""
    begun = temporary(path)
    try:
        with begun.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        begun.replace(path)
    except BaseException:
        begun.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    with replaced(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: object) -> None:
    """Indented, sorted, atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def row_group_rows(table: pa.Table) -> int:
    """Rows per row group so that none exceeds 50k rows or, on average rows, 128 MB uncompressed."""
    if table.num_rows == 0:
        return ROW_GROUP_ROWS
    mean_bytes = max(1, table.nbytes // table.num_rows)
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // mean_bytes))


def write_parquet(path: Path, tables: pa.Table | Iterator[pa.Table], checksums: bool = False) -> None:
    """zstd, page index, bounded row groups. The tables have one schema.

    `checksums`: each page with its CRC-32, by which a reader notices a flipped bit.
    """
    rest: Iterator[pa.Table] = iter([tables]) if isinstance(tables, pa.Table) else tables  # pyright: ignore
    with replaced(path) as file:
        first = next(rest)
        with parquet_writer(file, first.schema, checksums) as out:
            for table in chain([first], rest):
                out.write_table(table, row_group_size=row_group_rows(table))


def parquet_writer(file: IO[bytes], schema: pa.Schema, checksums: bool = False) -> pq.ParquetWriter:
    """zstd, page index, the Arrow schema stored."""
    return pq.ParquetWriter(
        file, schema, compression="zstd", write_page_index=True, store_schema=True, write_page_checksum=checksums
    )


def synced(folder: Path) -> None:
    """Waits until all files of a folder are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
