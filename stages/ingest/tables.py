"""Documents out of Parquet row groups and JSON lines."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.stages.ingest.archive.members import Codec, Fault, pieces
from gristmill.stages.ingest.arrow_values import values_of
from gristmill.stages.ingest.files.open import File, Stream
from gristmill.stages.ingest.page.evidence import Evidence
from gristmill.stages.ingest.rows import UNDECODABLE_FRAC, Document, Rows, clean

BATCH_ROWS = 4096


@dataclass(frozen=True)
class Fields:
    """Which column or key holds what; a null one is not read."""

    text: str
    id: str
    url: str
    date: str
    license: str
    title: str
    language: str


def read_parquet(file: File, start: int, end: int, fields: Fields, text_bytes: int, rows: Rows) -> None:
    """Rows of the row groups whose first byte lies in [start, end)."""
    if file.size == 0:
        rows.reject("empty_file", 0, None, None, 0)
        return
    try:
        # INT96 has the range of microseconds; as nanoseconds the year 9999 would wrap around
        table = pq.ParquetFile(Stream(file), coerce_int96_timestamp_unit="us")  # type: ignore[arg-type]
    except (pa.ArrowException, OSError, ValueError):
        if start == 0:
            rows.reject("not_a_parquet_file", 0, None, None, file.size)
        return
    names = table.schema_arrow.names
    if fields.text not in names:
        if start == 0:
            rows.reject("no_text_column", 0, None, None, file.size)
        return
    wanted = [name for name in dict.fromkeys(vars(fields).values()) if name and name in names]
    first_row = 0
    for i in range(table.metadata.num_row_groups):
        group = table.metadata.row_group(i)
        if start <= _first_byte(group) < end:
            _read_group(table, i, first_row, wanted, fields, text_bytes, rows)
        first_row += group.num_rows


def _first_byte(group: pq.RowGroupMetaData) -> int:
    column = group.column(0)
    offsets = [column.data_page_offset, column.dictionary_page_offset]
    return min(o for o in offsets if o is not None and o > 0) if any(offsets) else 4


def _read_group(
    table: pq.ParquetFile, i: int, first_row: int, wanted: list[str], fields: Fields, text_bytes: int, rows: Rows
) -> None:
    at, total = first_row, table.metadata.row_group(i).num_rows
    try:
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[i], columns=wanted):
            columns = [values_of(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                _add(dict(zip(batch.schema.names, values, strict=True)), at, 0, fields, text_bytes, 0, rows)
                at += 1
    except (pa.ArrowException, OSError, ValueError):
        for row in range(at, first_row + total):  # the pages that cannot be read are these rows
            rows.reject("broken_record", row, None, None, 0)


def read_jsonl(
    file: File, codec: Codec | None, start: int, end: int, fields: Fields, line_bytes: int, rows: Rows
) -> None:
    """Lines that begin in [start, end) of the file; in a compressed one, in what these bytes inflate to.

    Nothing says where the lines of a compressed file begin, so every part inflates it from its beginning: a fraction of
    what reading the lines costs, and no part is larger than it may be.
    """
    if file.size == 0:
        rows.reject("empty_file", 0, None, None, 0)
        return
    for line in _lines(file, codec, start if codec is None else 0, line_bytes):
        if line.fed >= end:
            return
        if line.fed < start:
            continue
        if line.rule:
            rows.reject(line.rule, line.at, None, None, line.size)
        elif line.data.strip():
            row = _parsed(line.data)
            if row is None:
                rows.reject("broken_line", line.at, None, None, line.size)
            else:
                _add(row, line.at, 0, fields, line_bytes, line.size, rows)


@dataclass(slots=True)
class _Line:
    """`at`: offset in the inflated file; `fed`: offset in the file of the bytes that gave its beginning."""

    at: int
    fed: int
    data: bytes
    size: int
    rule: str = ""


def _parsed(line: bytes) -> dict[str, object] | None:
    """A JSON object; None for anything else."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(line.decode("utf-8", "strict").lstrip("\ufeff"))  # lone surrogates, NaN, a BOM
        except (ValueError, RecursionError):
            return None
    return row if isinstance(row, dict) else None


def _lines(file: File, codec: Codec | None, start: int, line_bytes: int) -> Iterator[_Line]:
    """Lines from the first that begins at or behind `start` on, split at LF only."""
    held: list[bytes] = []
    held_bytes, at, fed = 0, start, start
    skipping = codec is None and start > 0 and file.read_at(start - 1, 1) != b"\n"

    def line() -> _Line:
        if held_bytes > line_bytes:
            return _Line(at, fed, b"", held_bytes, "too_large")
        return _Line(at, fed, b"".join(held), held_bytes)

    for piece in pieces(file, codec, start):
        if isinstance(piece, Fault):
            rule = "truncated" if piece.truncated else "broken_record"
            yield _Line(at, fed if held_bytes else max(fed, piece.fed), b"", held_bytes, rule)
            return
        lines = piece.data.split(b"\n")
        for i, part in enumerate(lines):
            if not held_bytes:
                fed = at if codec is None else max(fed, piece.fed)
            held_bytes += len(part)
            if held_bytes <= line_bytes:
                held.append(part)
            if i == len(lines) - 1:
                break
            if not skipping:
                yield line()
            at, held, held_bytes, skipping = at + held_bytes + 1, [], 0, False
    if held_bytes and not skipping:
        yield line()


def _add(
    row: Mapping[str, object], at: int, inner: int, fields: Fields, text_bytes: int, size: int, rows: Rows
) -> None:
    def string(name: str) -> str | None:
        value = row.get(name) if name else None
        if value is None or isinstance(value, str):
            return clean(value) or None
        return clean(value.decode("utf-8", "replace")) if isinstance(value, bytes) else str(value)

    text, record_id, url = row.get(fields.text), string(fields.id), string(fields.url)
    was_bytes = isinstance(text, bytes)
    text = text.decode("utf-8", "replace") if was_bytes else text
    text = clean(text) if isinstance(text, str) else None
    if not text or text.isspace():
        rows.reject("no_text", at, record_id, url, size)
        return
    if was_bytes and text.count("\ufffd") > UNDECODABLE_FRAC * len(text):
        rows.reject("undecodable", at, record_id, url, max(size, len(text)))
        return
    if len(text) > text_bytes:
        rows.reject("too_large", at, record_id, url, max(size, len(text)))
        return
    evidence = Evidence(declared=string(fields.license))
    document = Document(
        text, len(text.encode()), url, string(fields.date), string(fields.title), string(fields.language),
        "utf-8", "declared", evidence=evidence,
    )  # fmt: skip
    rows.add(document, at, inner, record_id)
