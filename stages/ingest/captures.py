"""Records of WARC files that a Parquet index names by file, offset and length, as Common Crawl's columnar index does.

Only these records are read: they are sorted by place, and neighbours come in one request. So the pages of some domains
or languages of a crawl need no whole WARC (https://commoncrawl.org/columnar-index).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from posixpath import normpath

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.contract.secrets import real
from gristmill.pipeline.contract.shapes import Part
from gristmill.stages.ingest.archive.grammar import WARC
from gristmill.stages.ingest.archive.members import codec_of
from gristmill.stages.ingest.archive.reader import Record
from gristmill.stages.ingest.archive.records import records
from gristmill.stages.ingest.files.open import File, Stream, open_file

FILE, OFFSET, LENGTH = "warc_filename", "warc_record_offset", "warc_record_length"
MARK = "-captures-"  # in the keys of parts whose start and end count the records of an index
GAP_BYTES = 1 << 16  # between two records that come in one request: a request costs more than so many bytes
REQUEST_BYTES = 16 << 20
MOST_BYTES = 1 << 30  # of one record


@dataclass(frozen=True)
class Capture:
    """A record: `row` is its place among those of the index, sorted by file and offset."""

    row: int
    file: str
    offset: int
    length: int


class Bytes:
    """A stretch of a file that is in memory, as a file."""

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def is_index(names: Sequence[str], text_column: str) -> bool:
    """Whether a table with these columns names records instead of holding texts."""
    return {FILE, OFFSET, LENGTH} <= set(names) and text_column not in names


def is_index_file(file: File, text_column: str) -> bool:
    """Whether a file is a Parquet table that does."""
    try:
        return is_index(pq.read_schema(Stream(file)).names, text_column)  # type: ignore[arg-type]
    except (pa.ArrowException, OSError, ValueError):
        return False


def captures_of(file: File, path: str) -> list[Capture]:
    """All records that the index names, by file and offset; one that stands twice is one. Raises InputError."""
    try:
        table = pl.from_arrow(pq.read_table(Stream(file), columns=[FILE, OFFSET, LENGTH]))  # type: ignore[arg-type]
        assert isinstance(table, pl.DataFrame)
        plain = table.select(pl.col(FILE).cast(pl.String), pl.col(OFFSET, LENGTH).cast(pl.Int64)).drop_nulls()
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise InputError(f"{path}: {FILE}, {OFFSET} and {LENGTH} cannot be read ({error})") from error
    rows = plain.unique().sort(FILE, OFFSET, LENGTH).rows()
    for name, offset, length in rows:
        if (
            "://" in name
            or name.startswith("/")
            or normpath(name).startswith("..")
            or offset < 0
            or not 0 < length <= MOST_BYTES
        ):
            raise InputError(f"{path}: {name!r} at {offset} of {length} bytes is no record below input.paths_base")
    return [Capture(row, name, offset, length) for row, (name, offset, length) in enumerate(rows)]


def parts_of_index(part: Part, text_column: str, part_bytes: int, retry: Retry) -> list[Part]:
    """The parts of a file that is an index, each of records that have about `part_bytes` in their archives; of any
    other file, and of one that cannot be read now, none. `start` and `end` count records.
    """
    try:
        file = open_file(real(part.path), retry)
        try:
            if not is_index_file(file, text_column):
                return []
            edges = _edges(captures_of(file, part.path), part_bytes)
        finally:
            file.close()
    except OSError:
        return []
    key = part.key.rpartition("-")[0]
    return [replace(part, key=f"{key}{MARK}{a:010d}", start=a, end=b) for a, b in edges]


def _edges(captures: Sequence[Capture], part_bytes: int) -> list[tuple[int, int]]:
    edges, size = [0], 0
    for capture in captures:
        if size and size + capture.length > part_bytes:
            edges.append(capture.row)
            size = 0
        size += capture.length
    return list(zip(edges, [*edges[1:], len(captures)], strict=True))


def read_captures(
    captures: Sequence[Capture], base: str, block_bytes: int, retry: Retry
) -> Iterator[tuple[Capture, str, list[Record]]]:
    """(capture, path of its archive, the records there) in their order; no record where there is none to read.

    `base` stands before the names of files. Raises InputError for an archive that cannot be opened.
    """
    opened: tuple[str, File] | None = None
    try:
        for group in _requests(captures):
            path = f"{base.rstrip('/')}/{group[0].file}" if base else group[0].file
            if opened is None or opened[0] != path:
                if opened is not None:
                    opened[1].close()
                opened = path, open_file(path, retry)
            data = opened[1].read_at(group[0].offset, group[-1].offset + group[-1].length - group[0].offset)
            for capture in group:
                at = capture.offset - group[0].offset
                yield capture, path, _records(Bytes(data[at : at + capture.length]), capture, block_bytes)
    finally:
        if opened is not None:
            opened[1].close()


def _requests(captures: Sequence[Capture]) -> Iterator[list[Capture]]:
    group: list[Capture] = []
    for capture in captures:
        last = group[-1] if group else capture
        near = group and capture.file == last.file and capture.offset <= last.offset + last.length + GAP_BYTES
        if near and capture.offset + capture.length - group[0].offset <= REQUEST_BYTES:
            group.append(capture)
            continue
        if group:
            yield group
        group = [capture]
    if group:
        yield group


def _records(data: Bytes, capture: Capture, block_bytes: int) -> list[Record]:
    found = list(records(data, codec_of(data), WARC, 0, data.size, block_bytes))[:1]
    for record in found:
        record.offset += capture.offset
    return found
