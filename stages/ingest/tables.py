"""Reads documents out of Parquet row groups and JSON lines."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gristmill.pipeline.contract.carried.types import notation_of, notation_of_value
from gristmill.pipeline.contract.carried.values import carried_json, plain_column
from gristmill.stages.ingest.archive.members import Codec, Fault, pieces
from gristmill.stages.ingest.arrow_values import values_of
from gristmill.stages.ingest.files.open import File, Stream
from gristmill.stages.ingest.page.evidence import Evidence, declared_of
from gristmill.stages.ingest.rows import FULL, UNDECODABLE_FRAC, Document, PartFull, Rows, clean

ALL = ("all",)
Carried: TypeAlias = tuple[str, str] | None  # values and types, as JSON
BATCH_ROWS = 4096
BATCH_BYTES = 16 << 20  # of values that are made into Python's at once
SPLIT_BYTES = 1 << 20
BROKEN_ROWS = 1 << 16  # rows of unreadable pages that are booked each; a footer may claim any number


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
    dump: str = ""
    keep: tuple[str, ...] = ()  # carried along; ALL: all but those of which the corpus has columns of its own

    @property
    def roles(self) -> list[str]:
        return [
            name
            for name in (self.text, self.id, self.url, self.date, self.license, self.title, self.language, self.dump)
            if name
        ]

    def kept(self, names: Iterable[str]) -> list[str]:
        """Those of a table's columns that its documents carry along."""
        if self.keep == ALL:
            return [name for name in names if name not in (self.text, self.id, self.url, self.date, self.dump)]
        return [name for name in names if name in self.keep and name != self.text]


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
    wanted = [name for name in dict.fromkeys([*fields.roles, *fields.kept(names)]) if name in names]
    # As dictionaries: a value that stands once in the file is held once, however many rows have it.
    texts = [name for name in wanted if _is_text(table.schema_arrow.field(name).type)]
    table = pq.ParquetFile(
        Stream(file),  # type: ignore[arg-type]
        metadata=table.metadata,
        coerce_int96_timestamp_unit="us",
        read_dictionary=texts,
    )
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
            for piece in _by_bytes(batch):
                if rows.full:
                    for row in range(at, at + piece.num_rows):
                        rows.reject(FULL, row, None, None, 0)
                    at += piece.num_rows
                    continue
                roles = [name for name in batch.schema.names if name in fields.roles]
                columns = [values_of(piece.column(name)) for name in roles]
                carried = _carried(piece, fields.kept(batch.schema.names))
                for *values, own in zip(*columns, carried, strict=True):
                    _add(dict(zip(roles, values, strict=True)), at, fields, text_bytes, 0, rows, own)
                    at += 1
    except (pa.ArrowException, OSError, ValueError):  # the pages that cannot be read are these rows
        readable = [name for name in wanted if _is_readable(table, i, name)] if at == first_row else wanted
        if fields.text in readable and len(readable) < len(wanted):  # what else a row has is decoration
            return _read_group(table, i, first_row, readable, fields, text_bytes, rows)
        stop = first_row + total
        for row in range(at, stop if stop - at <= BROKEN_ROWS else at + 1):
            rows.reject("broken_record", row, None, None, 0)


def _carried(piece: pa.RecordBatch, kept: list[str]) -> Iterable[Carried]:
    """Per row the carried values and their types."""
    if not kept:
        return [None] * piece.num_rows
    types = json.dumps({name: notation_of(piece.column(name).type) for name in kept}, ensure_ascii=False)
    columns = [plain_column(piece.column(name)) for name in kept]
    return ((carried_json(dict(zip(kept, values, strict=True))), types) for values in zip(*columns, strict=True))


def _is_readable(table: pq.ParquetFile, i: int, column: str) -> bool:
    try:
        return all(batch.num_rows > 0 for batch in table.iter_batches(BATCH_ROWS, row_groups=[i], columns=[column]))
    except (pa.ArrowException, OSError, ValueError):
        return False


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_binary(kind)


def _by_bytes(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Slices whose values together have at most BATCH_BYTES, or one row."""
    sizes = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        sizes += _value_bytes(column)
    ends = np.cumsum(sizes)
    begin = 0
    while begin < batch.num_rows:
        before = int(ends[begin - 1]) if begin else 0
        stop = max(int(np.searchsorted(ends, before + BATCH_BYTES, side="right")), begin + 1)
        yield batch.slice(begin, stop - begin)
        begin = stop


def _value_bytes(column: pa.Array) -> np.ndarray:
    """Bytes of each value; of nested ones their mean."""
    if isinstance(column, pa.DictionaryArray):
        lengths = _value_bytes(column.dictionary)
        places = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.where(places < 0, 0, lengths[places]) if len(lengths) else np.zeros(len(column), dtype=np.int64)
    if _is_text(column.type) or pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type):
        lengths = pc.binary_length(column)  # pyright: ignore[reportAttributeAccessIssue] - made at import
        return lengths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.full(len(column), column.nbytes // max(len(column), 1), dtype=np.int64)


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
        elif rows.full and line.data:
            rows.reject(FULL, line.at, None, None, line.size)
        elif line.data.strip():
            row = _parsed(line.data)
            if row is None:
                rows.reject("broken_line", line.at, None, None, line.size)
            else:
                _add(row, line.at, fields, line_bytes, line.size, rows)


def first_rows(file: File, codec: Codec | None, n: int, line_bytes: int) -> tuple[list[dict[str, object]], int]:
    """The JSON objects among the first `n` whole lines that are not blank, and how many of those are none."""
    rows: list[dict[str, object]] = []
    others = 0
    for line in _lines(file, codec, 0, line_bytes):
        if line.rule or not line.data.strip():
            continue
        row = _parsed(line.data)
        others += row is None
        rows += [] if row is None else [row]
        if len(rows) + others == n:
            break
    return rows, others


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
        if not line.rstrip(b" \t\r\n").endswith(b"}"):  # what is no object for any reader, at a tenth of the time
            return None
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
        for begin in range(0, len(piece.data), SPLIT_BYTES):  # 32 MB of line ends would be a list of 256 MB
            lines = piece.data[begin : begin + SPLIT_BYTES].split(b"\n")
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


def _written(value: object) -> str | None:
    """A value that is no text, as Python writes it; None where it is nested too deep for that."""
    try:
        return str(value)
    except RecursionError:
        return None


def _add(
    row: Mapping[str, object],
    at: int,
    fields: Fields,
    text_bytes: int,
    size: int,
    rows: Rows,
    carried: Carried = None,
) -> None:
    try:
        _add_row(row, at, fields, text_bytes, size, rows, carried)
    except PartFull:
        raise
    except Exception as error:  # the record's boundary: no record costs its neighbours
        rows.reject_unreadable(error, at, None, None, size)


def _add_row(
    row: Mapping[str, object],
    at: int,
    fields: Fields,
    text_bytes: int,
    size: int,
    rows: Rows,
    carried: Carried,
) -> None:
    def string(name: str) -> str | None:
        value = row.get(name) if name else None
        if value is None or isinstance(value, str):
            return clean(value) or None
        return clean(value.decode("utf-8", "replace")) if isinstance(value, bytes) else clean(_written(value))

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
    if carried is None and fields.keep:
        own = {name: row[name] for name in fields.kept(row)}
        types = {name: notation_of_value(value) for name, value in own.items()}
        carried = carried_json(own), carried_json(types)
    evidence = Evidence(declared=declared_of(row.get(fields.license)))
    document = Document(
        text, len(text.encode()), url, string(fields.date), string(fields.title), string(fields.language),
        "utf-8", "declared", evidence=evidence, dump=string(fields.dump),
        carried=carried and carried[0], carried_types=carried and carried[1],
    )  # fmt: skip
    rows.add(document, at, 0, record_id)
