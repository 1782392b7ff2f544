"""Formats of rows with text: Parquet, JSON lines in zstd, WebDataset."""

import base64
import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson
import polars as pl
import pyarrow.parquet as pq
import zstandard

from gristmill.pipeline.contract.state import parquet_writer, replaced, row_group_rows
from gristmill.stages.export.format import Format, Writing


def plain_value(value: object) -> str:
    """What JSON has no form for: bytes in base64, decimals and durations as they are written."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Parquet(Format):
    """zstd, page index, row groups of at most 50,000 rows and 128 MB."""

    folder: ClassVar = "data"
    suffix: ClassVar = ".parquet"

    def writing(self, path: Path) -> Writing:
        with replaced(path) as file, ExitStack() as stack:
            out: pq.ParquetWriter | None = None
            while (piece := (yield)) is not None:
                table = piece.table
                out = out or stack.enter_context(parquet_writer(file, table.schema))
                out.write_table(table, row_group_size=row_group_rows(table))
        return [path]

    def recount(self, path: Path) -> tuple[int, int | None]:
        return pq.read_metadata(path).num_rows, None


@dataclass(frozen=True)
class JsonLines(Format):
    """A row per line with all its columns, null ones too, compressed with zstd."""

    level: int = 3  # of zstd; its default

    folder: ClassVar = "jsonl"
    suffix: ClassVar = ".jsonl.zst"

    def writing(self, path: Path) -> Writing:
        with replaced(path) as file, zstandard.ZstdCompressor(self.level).stream_writer(file, closefd=False) as out:
            while (piece := (yield)) is not None:
                for row in piece.rows.iter_rows(named=True):
                    out.write(orjson.dumps(row, plain_value, orjson.OPT_APPEND_NEWLINE))
        return [path]

    def recount(self, path: Path) -> tuple[int, int | None]:
        with path.open("rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file)
            return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(1 << 20), b"")), None


@dataclass(frozen=True)
class WebDataset(Format):
    """A tar of <place>-<doc_id>.txt and .json (the other columns) per row; place is the row's number in the shard."""

    folder: ClassVar = "webdataset"
    suffix: ClassVar = ".tar"

    def writing(self, path: Path) -> Writing:
        with replaced(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as out:
            place = 0
            while (piece := (yield)) is not None:
                for name, data in self._members(piece.rows, place):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    out.addfile(member, io.BytesIO(data))
                out.members = []  # type: ignore[misc]  # tarfile keeps a record of every member that it wrote
                place += piece.rows.height
        return [path]

    def _members(self, rows: pl.DataFrame, first: int) -> Iterator[tuple[str, bytes]]:
        for place, row in enumerate(rows.iter_rows(named=True), first):
            name = f"{place:08d}-{row['doc_id']}"
            yield f"{name}.txt", row.pop("text").encode()
            yield f"{name}.json", orjson.dumps(row, plain_value)

    def recount(self, path: Path) -> tuple[int, int | None]:
        with tarfile.open(path) as tar:
            return sum(member.name.endswith(".txt") for member in tar), None
