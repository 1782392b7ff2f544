"""Compressed input that is far larger than it looks, or no such thing: bounded memory, one fate for every record."""

import bz2
import gzip
import json
import lzma
import zipfile
from pathlib import Path

import pytest
import zstandard

from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.files.open import PIECE_BYTES, open_file

PAGE = b"<html><body><p>An ordinary page with some words in it, so that it is a page of text.</p></body></html>"


def record(body: bytes = PAGE, headers: bytes = b"Content-Type: text/html\r\n") -> bytes:
    block = b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n" + body
    head = b"WARC-Type: response\r\nWARC-Target-URI: http://a/\r\nContent-Length: %d\r\n\r\n" % len(block)
    return b"WARC/1.0\r\n" + head + block + b"\r\n\r\n"


def fates(path: Path) -> tuple[int, dict[str, int]]:
    """Documents and rejected records by rule."""
    source = Ingest(paths=(str(path),))
    documents, rules = 0, {}
    for part in source.parts():
        made, rejected = source.run(part)
        documents += made.height
        for rule in rejected["rule"]:
            rules[rule] = rules.get(rule, 0) + 1
    return documents, rules


def dictionary_frame(held: bytes, size: int | None = None) -> bytes:
    return b"\x5d\x2a\x4d\x18" + (len(held) if size is None else size).to_bytes(4, "little") + held


PACKED = zstandard.ZstdCompressor().compress(record())


@pytest.mark.parametrize(
    "held",
    [b"", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, b"\x37\xa4\x30\xec" + b"\xff" * 400,
     zstandard.ZstdCompressor().compress(bytes(100 << 20))],
    ids=["empty", "a broken frame", "a broken dictionary", "a bomb"],
)  # fmt: skip
def test_a_zstd_archive_whose_dictionary_is_none_is_read_without_it(held: bytes, tmp_path: Path):
    path = tmp_path / "a.warc.zst"
    path.write_bytes(dictionary_frame(held) + PACKED)
    assert fates(path) == (1, {})


def test_a_dictionary_that_is_longer_than_the_file_is_a_truncated_record(tmp_path: Path):
    path = tmp_path / "a.warc.zst"
    path.write_bytes(dictionary_frame(b"abc", 0xFFFFFFFF))
    assert fates(path) == (0, {"truncated": 1})


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["stored", "deflate", "bzip2", "lzma"],
)  # fmt: skip
def test_a_member_of_a_wacz_is_read_in_every_compression_and_in_pieces(
    method: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.wacz"
    content = record() + record(b"<p>" + b"word river " * 600_000) + record()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/a.warc", content)
    assert fates(path) == (3, {})
    sizes = []
    original = bz2.BZ2Decompressor if method == zipfile.ZIP_BZIP2 else lzma.LZMADecompressor

    class Watched:
        def __init__(self, *arguments, **named):
            self.inner = original(*arguments, **named)

        def __getattr__(self, name: str):
            return getattr(self.inner, name)

        def decompress(self, data: bytes, most: int = -1) -> bytes:
            sizes.append(most)
            return self.inner.decompress(data, most)

    monkeypatch.setattr(bz2, "BZ2Decompressor", Watched)
    monkeypatch.setattr(lzma, "LZMADecompressor", Watched)
    file = open_file(f"{path}!/archive/a.warc", Retry(1, 0.0))
    assert file.read_at(0, len(content) + 1) == content
    file.close()
    if method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert len(sizes) > len(content) / PIECE_BYTES
        assert set(sizes) == {PIECE_BYTES}


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_a_body_that_inflates_beyond_the_limit_is_one_rejected_record(coding: str, tmp_path: Path):
    if coding == "br":
        brotli = pytest.importorskip("brotli")
    large = b"<p>" + b"a " * (20 << 20)
    packed = {
        "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress,
        "deflate": __import__("zlib").compress, "br": lambda data: brotli.compress(data, quality=1),
    }[coding](large)  # fmt: skip
    path = tmp_path / "a.warc"
    headers = b"Content-Type: text/html\r\nContent-Encoding: " + coding.encode() + b"\r\n"
    path.write_bytes(record() + record(packed, headers) + record())
    assert fates(path) == (2, {"too_large": 1})


@pytest.mark.parametrize("key", ["id", "url", "date", "title", "license", "language", "dump"])
def test_a_value_that_is_a_thousand_lists_costs_its_record_at_most(key: str, tmp_path: Path):
    lines = [json.dumps({"text": f"An ordinary text, number {i}."}) for i in range(2)]
    lines.insert(1, f'{{"text": "An ordinary text of its own.", "{key}": {"[" * 1000}{"]" * 1000}}}')
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    documents, rules = fates(path)
    assert documents + sum(rules.values()) == 3
    assert documents >= 2


def test_what_a_part_cannot_hold_is_left_out_and_counted(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"{i} " + "word river " * 1000}) + "\n" for i in range(50)))
    source = Ingest(paths=(str(path),), part_text_bytes=100_000)
    (part,) = source.parts()
    documents, rejected = source.run(part)
    assert documents.height + rejected.height == 50
    assert documents["text"].str.len_bytes().sum() <= 100_000
    assert set(rejected["rule"]) == {"part_full"}
