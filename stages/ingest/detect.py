"""What a file is: by what it holds, and where its beginning is broken by its name."""

import re

from gristmill.stages.ingest.archive.grammar import ARC, WARC, Grammar, grammar_of
from gristmill.stages.ingest.archive.members import CODEC_NAMES, Codec, RandomAccess, codec_of
from gristmill.stages.ingest.archive.records import head_of

_PACKINGS = (
    ("zip", b"PK\x03\x04", 0),
    ("7z", b"7z\xbc\xaf\x27\x1c", 0),
    ("rar", b"Rar!\x1a\x07", 0),
    ("compress", b"\x1f\x9d", 0),
    ("lzip", b"LZIP\x01", 0),
    ("lzma", b"\x5d\0\0\x80\0", 0),
    ("lzma", b"\x5d\0\0\0\x04", 0),
    ("lzop", b"\x89LZO\0\r\n", 0),
    ("snappy", b"\xff\x06\0\0sNaPpY", 0),
    ("tar", b"ustar", 257),
)
SEARCH_BYTES = 1 << 20
_ARCHIVE_NAME = re.compile(r"\.(?:(arc)|warcs?|wet|wat)(?:\.\w+)?$")
_JSON_NAME = re.compile(r"\.(?:jsonl|ndjson|json)(?:\.\w+)?$")


def kind_of(file: RandomAccess, name: str, format: str) -> tuple[str, Codec | None, Grammar | None]:
    """(warc, parquet, jsonl or unknown_compression; compression; grammar of an archive). `format` decides unless it is
    auto.

    An archive without a grammar is none.
    """
    codec, named = codec_of(file), CODEC_NAMES.get(name.rpartition(".")[2])
    head = head_of(file, codec, 0)
    if codec is None and packing_of(head, name) is not None:
        return "unknown_compression", None, None
    grammar = grammar_of(head)
    if format == "warc" or (format == "auto" and grammar is not None):
        return "warc", codec or (None if grammar else named), grammar or _grammar_named(name) or WARC
    if format == "parquet" or (format == "auto" and (head.startswith(b"PAR1") or name.endswith(".parquet"))):
        return "parquet", codec, None
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "jsonl", codec, None
    if format == "jsonl" or _JSON_NAME.search(name):
        return "jsonl", codec or named, None
    grammar, codec = _grammar_named(name), codec or named
    if grammar is not None and codec is None and grammar.mark_in(file.read_at(0, SEARCH_BYTES), 0) < 0:
        grammar = None
    return "warc", codec, grammar


def packing_of(head: bytes, name: str) -> str | None:
    """Name of the compression or the container that nothing here reads; None for what is read, or is neither.

    `head`: the file's first bytes, 262 or more.
    """
    for packing, magic, at in _PACKINGS:
        if packing == "zip" and name.endswith(".wacz"):  # one that could not be opened
            continue
        if head[at : at + len(magic)] == magic:
            return packing
    # brotli has no magic number: its bytes are no text, and the name says what they are
    return "brotli" if name.endswith(".br") and not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else None


def _grammar_named(name: str) -> Grammar | None:
    found = _ARCHIVE_NAME.search(name)
    return None if found is None else ARC if found.group(1) else WARC
