"""Reads files of texts and records that a config names (references, validation, benchmarks, lists).

As the input's reader does: a byte order mark is no text (and says UTF-16 where it does), a null or empty text is no
record, `._name` files of a Mac are none of texts. What cannot be read is an error with the key, the file and the line.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import polars as pl
import zstandard

from gristmill.pipeline.contract.errors import DataError, InputError

Record: TypeAlias = Mapping[str, object]
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def is_sidecar(path: str) -> bool:
    """Whether a file is a Mac's resource fork, which archives and USB sticks carry beside the file that is meant."""
    return Path(path).name.startswith("._")


def read_records(path: str, key: str) -> Iterator[tuple[str, Record]]:
    """(where it stands, record) of a file in its order; `key`: the setting that named the file.

    .jsonl, .ndjson and .txt may end in .gz or .zst too; .json holds a list of records, alone or as the one list of a
    mapping; .txt is one record with the field `text`. Raises InputError for a file that cannot be read or has another
    ending, DataError for a line that is no record.
    """
    try:
        if path.endswith(".parquet"):
            rows = pl.read_parquet(path, glob=False).iter_rows(named=True)
            yield from ((f"{key}: {path}, row {i}", row) for i, row in enumerate(rows))
        elif re.search(r"\.(?:jsonl|ndjson)(?:\.gz|\.zst)?$", path):
            yield from _of_lines(path, key)
        elif path.endswith(".json"):
            yield from _listed(path, key)
        elif re.search(r"\.txt(?:\.gz|\.zst)?$", path):
            yield f"{key}: {path}", {"text": read_text(path, key)}
        else:
            raise InputError(f"{key}: {path}: texts are .jsonl, .json, .parquet or .txt files (or .gz, .zst of text)")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{key}: cannot read {path}: {error}") from error


def records_of(path: str, field: str, key: str) -> Iterator[tuple[str, str | None]]:
    """(text, language or None) of each record of a file that has text.

    Raises as `read_records` does, and DataError for a record without the field.
    """
    for where, record in read_records(path, key):
        if field not in record:
            raise DataError(f"{where}: no field {field!r}; it has {', '.join(map(str, record))}")
        text, language = record[field], record.get("language")
        if not isinstance(text, str | None) or not isinstance(language, str | None):
            raise DataError(f"{where}: {field!r} and language must be strings")
        if text:
            yield text, language


def read_text(path: str, key: str) -> str:
    """The whole text of a file, of a .gz and .zst one too. Raises InputError for bytes that are no UTF-8 or UTF-16."""
    return _decoded(_decompressed(path), f"{key}: {path}")


def _of_lines(path: str, key: str) -> Iterator[tuple[str, Record]]:
    content = _decompressed(path)
    if any(content.startswith(mark) for mark, name in _MARKS if name == "utf-16"):
        content = _decoded(content, f"{key}: {path}").encode()
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{key}: {path}, line {number}"
        try:
            record = json.loads(_decoded(line, where))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: no JSON ({type(error).__name__}: {str(error)[:80]})") from None
        if not isinstance(record, dict):
            raise DataError(f"{where}: a JSON {type(record).__name__}, not a record with named fields")
        yield where, record


def _listed(path: str, key: str) -> Iterator[tuple[str, Record]]:
    try:
        content = json.loads(read_text(path, key))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{key}: {path}: no JSON ({error}); one record a line is called .jsonl") from None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise DataError(f"{key}: {path}: neither a list of records nor a mapping with one such list")
    yield from ((f"{key}: {path}, record {i}", record) for i, record in enumerate(content, start=1))


def _decoded(content: bytes, where: str) -> str:
    name = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte {error.start} is no {name.removesuffix('-sig').upper()}; convert the file, for "
            "example with iconv -f latin1 -t utf-8"
        ) from None


def _decompressed(path: str) -> bytes:
    content = Path(path).read_bytes()
    if path.endswith(".gz"):
        return gzip.decompress(content)
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    return content
