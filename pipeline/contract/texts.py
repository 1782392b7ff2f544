"""Reads files of texts that a person gives (references, validation): JSON lines, Parquet, plain text, also compressed.

As the input's reader does: a byte order mark is no text (and says UTF-16 where it does), a null or empty text is no
record, `._name` files of a Mac are none of texts. What cannot be read is an error with the key, the file and the line.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import zstandard

from gristmill.pipeline.contract.errors import DataError, InputError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def is_sidecar(path: str) -> bool:
    """Whether a file is a Mac's resource fork, which archives and USB sticks carry beside the file that is meant."""
    return Path(path).name.startswith("._")


def records_of(path: str, field: str, key: str) -> Iterator[tuple[str, str | None]]:
    """(text, language or None) of each record of a file that has text; `key`: the setting that named the file.

    Raises InputError for a file that cannot be read, DataError for a record without the field.
    """
    try:
        if path.endswith(".parquet"):
            yield from _of_parquet(path, field, key)
        elif re.search(r"\.(?:jsonl|ndjson)(?:\.gz|\.zst)?$", path):
            yield from _of_lines(path, field, key)
        elif re.search(r"\.txt(?:\.gz|\.zst)?$", path):
            text = _decoded(_decompressed(path), path, key)
            if text:
                yield text, None
        else:
            raise InputError(f"{key}: {path}: texts are .jsonl, .parquet or .txt files (or .gz, .zst of text)")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{key}: cannot read {path}: {error}") from error


def _of_parquet(path: str, field: str, key: str) -> Iterator[tuple[str, str | None]]:
    frame = pl.read_parquet(path, glob=False)
    if field not in frame.columns:
        raise DataError(f"{key}: {path} has no column {field!r}; it has {', '.join(frame.columns)}")
    if frame[field].dtype != pl.String:
        raise DataError(f"{key}: column {field!r} of {path} holds {frame[field].dtype}, no text")
    languages = frame["language"].cast(pl.String).to_list() if "language" in frame.columns else [None] * frame.height
    yield from ((text, language) for text, language in zip(frame[field].to_list(), languages, strict=True) if text)


def _of_lines(path: str, field: str, key: str) -> Iterator[tuple[str, str | None]]:
    content = _decompressed(path)
    if any(content.startswith(mark) for mark, name in _MARKS if name == "utf-16"):
        content = _decoded(content, path, key).encode()
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{key}: {path}, line {number}"
        text_line = _decoded(line, where, "")
        try:
            record = json.loads(text_line)
            text, language = record[field], record.get("language")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{where}: no JSON record with {field!r} ({_short(error)})") from None
        if not isinstance(text, str | None) or not isinstance(language, str | None):
            raise DataError(f"{where}: {field!r} and language must be strings")
        if text:
            yield text, language


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:80]}"


def _decoded(content: bytes, where: str, key: str) -> str:
    name = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        prefix = f"{key}: " if key else ""
        raise InputError(
            f"{prefix}{where}: byte {error.start} is no {name.removesuffix('-sig').upper()}; convert the file, for "
            "example with iconv -f latin1 -t utf-8"
        ) from None


def _decompressed(path: str) -> bytes:
    content = Path(path).read_bytes()
    if path.endswith(".gz"):
        return gzip.decompress(content)
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    return content
