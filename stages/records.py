"""Reads small files of texts that a config names (benchmarks, targets, lists): JSONL, JSON, Parquet, plain text."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import zstandard

from gristmill.pipeline.contract.errors import DataError, InputError

Record = Mapping[str, object]
_UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeDecodeError, pl.exceptions.ComputeError)


def read_records(path: str) -> Iterator[Record]:
    """The records of a file in its order; a .txt file is one record with the field `text`.

    .jsonl and .txt may end in .gz or .zst too; .json holds a list of records, alone or as the one list of a mapping.
    Raises InputError for a file that cannot be read or has another ending, DataError for a line that is no record.
    """
    try:
        if path.endswith(".parquet"):
            yield from pl.read_parquet(path).iter_rows(named=True)
        elif re.search(r"\.jsonl(\.gz|\.zst)?$", path):
            for number, line in enumerate(decompressed(path).split("\n"), start=1):
                if line.strip():
                    yield record_of(line, f"{path}, line {number}")
        elif path.endswith(".json"):
            yield from _listed(path)
        elif re.search(r"\.txt(\.gz|\.zst)?$", path):
            yield {"text": decompressed(path)}
        else:
            raise InputError(
                f"{path}: texts are read from .jsonl, .json, .parquet or .txt files (or .gz, .zst of text)"
            )
    except _UNREADABLE as error:
        raise InputError(f"cannot read {path}: {error}") from error


def record_of(line: str, where: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: no JSON ({error})") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: a JSON {type(record).__name__}, not a record with named fields")
    return record


def _listed(path: str) -> Iterator[Record]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({error}); one record a line is called .jsonl") from error
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise DataError(f"{path}: neither a list of records nor a mapping with one such list")
    yield from content


def decompressed(path: str) -> str:
    """The whole UTF-8 text of a file, of a .gz and .zst one too."""
    content = Path(path).read_bytes()
    if path.endswith(".gz"):
        content = gzip.decompress(content)
    elif path.endswith(".zst"):
        content = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    return content.decode()


def field_text(record: Record, names: Sequence[str]) -> str:
    """The texts under these (dotted) names, a line each; of lists and mappings all texts in them. "" for none."""
    return "\n".join(text for name in names for text in _texts(_at(record, name)))


def has_field(record: Record, name: str) -> bool:
    return _at(record, name) is not None


def _at(record: Record, name: str) -> object:
    if name in record:
        return record[name]
    value: object = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
