"""Looks at the beginning of input files before anything runs: what a file is, and whether it has the text column."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.stages.ingest.archive.members import Codec
from gristmill.stages.ingest.captures import is_index
from gristmill.stages.ingest.detect import kind_of
from gristmill.stages.ingest.files.open import File, Stream
from gristmill.stages.ingest.tables import first_rows

ROWS = 100  # of a JSON lines file that are looked at
SHOWN = 20  # columns in one message


@dataclass(frozen=True)
class Fault:
    """Why a file gives no document. `schema`: a column of the config is missing, so no file like it will give any."""

    text: str
    schema: bool = False


def fault_of(file: File, path: str, format: str, text: str, line_bytes: int) -> Fault | None:
    """None where the file may give documents. `text`: the column or key that holds the text."""
    if file.size == 0:
        return Fault(f"{path} is empty")
    kind, codec, grammar = kind_of(file, path, format)
    if kind == "unknown_compression":
        return Fault(f"{path} is packed in a way that is not read; unpack it, or pack it with gzip or zstd")
    if kind == "parquet":
        return _parquet_fault(file, path, text)
    if kind == "jsonl":
        return _json_fault(file, codec, path, text, line_bytes)
    if grammar is None:
        return Fault(f"{path} is neither WARC, ARC, WET, Parquet nor JSON lines{_guess(file, path)}")
    return None


def columns_of(file: File, path: str, format: str) -> list[str] | None:
    """The columns of a Parquet file; None where a file has none that are certain, or cannot be read."""
    try:
        return pq.read_schema(Stream(file)).names if kind_of(file, path, format)[0] == "parquet" else None  # type: ignore[arg-type]
    except (pa.ArrowException, OSError, ValueError):
        return None


def _guess(file: File, path: str) -> str:
    head = file.read_at(0, 4096)
    name = path.lower()
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return " (a JSON array); write one object per line: jq -c '.[]'"
    if ".csv" in name or ".tsv" in name:
        return " (CSV); convert it: polars.read_csv(FILE).write_ndjson(...) or .write_parquet(...)"
    return ' (plain text); write each text as a line {"text": ...}' if b"\0" not in head else ""


def _parquet_fault(file: File, path: str, text: str) -> Fault | None:
    try:
        schema = pq.ParquetFile(Stream(file)).schema_arrow  # type: ignore[arg-type]
    except (pa.ArrowException, OSError, ValueError) as error:
        return Fault(f"{path} cannot be read as Parquet, it is cut off or damaged ({str(error).splitlines()[0]})")
    kinds = {f.name: f.type for f in schema}
    strings = [n for n, t in kinds.items() if _is_text(t)]
    if is_index(list(kinds), text):
        return None
    if text not in kinds:
        return Fault(_missing(path, text, list(kinds), strings), schema=True)
    if not _is_text(kinds[text]):
        return Fault(f"{path}: column {text!r} holds {kinds[text]}, no text{_choice(strings)}", schema=True)
    return None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_binary_view,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _json_fault(file: File, codec: Codec | None, path: str, text: str, line_bytes: int) -> Fault | None:
    rows, others = first_rows(file, codec, ROWS, line_bytes)
    if not rows:
        # Lines too long to be read, or damaged ones, may be followed by good ones.
        return Fault(f"{path} is not JSON lines{_guess(file, path)}") if others else None
    keys = list(dict.fromkeys(key for row in rows for key in row))
    strings = [key for key in keys if any(isinstance(row.get(key), str) for row in rows)]
    if text not in keys:
        return Fault(_missing(path, text, keys, strings), schema=True)
    if text not in strings:
        kind = type(next((row[text] for row in rows if row.get(text) is not None), None)).__name__
        return Fault(f"{path}: {text!r} holds {kind}, no text{_choice(strings)}", schema=True)
    return None


def _missing(path: str, text: str, names: Sequence[str], strings: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{path} has no column {text!r}; it has {shown or 'none'}{_choice(strings)}"


def _choice(strings: Sequence[str]) -> str:
    if not strings:
        return ""
    return f"; name the one with the text as text_column ({' or '.join(strings[:SHOWN])})"
