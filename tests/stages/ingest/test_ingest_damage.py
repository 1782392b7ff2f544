"""Damage costs the record it hits: every bit of small archives, the middle of solid ones, the first bytes of a file."""

import gzip
import json
import random
from itertools import pairwise
from pathlib import Path

import lz4.frame
import polars as pl
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from test_ingest_archives import PAGE, WRITERS, response

from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.contract.shapes import Part
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.archive import members
from gristmill.stages.ingest.archive.grammar import header_at
from gristmill.stages.ingest.archive.records import records
from gristmill.stages.ingest.detect import kind_of
from gristmill.stages.ingest.files.open import open_file
from places import SHARED, needs_shared

RECORDS = [response(i) for i in range(6)]


def arc() -> list[bytes]:
    bodies = [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE.format(i).encode() for i in range(6)]
    info = b"1 0 test\nURL IP-address Archive-date Content-type Archive-length\n"
    line = b"http://a.example/%d 1.2.3.4 20080430204826 text/html %d\n%s\n"
    first = b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain %d\n%s\n" % (len(info), info)
    return [first, *(line % (i, len(body), body) for i, body in enumerate(bodies))]


SMALL = {
    **{name: make(RECORDS) for name, make in WRITERS.items() if not name.startswith("one")},
    "checked.warc.zst": b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(r) for r in RECORDS),
    "checked.warc.lz4": b"".join(lz4.frame.compress(r, content_checksum=True) for r in RECORDS),
    "a.arc": b"".join(arc()),
    "a.arc.gz": b"".join(gzip.compress(r, mtime=0) for r in arc()),
}


def read(path: Path, start: int = 0, end: int | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    size = path.stat().st_size
    return Ingest(paths=(str(path),)).run(Part("k", str(path), path.name, start, size if end is None else end, ""))


@pytest.mark.parametrize("name", SMALL)
def test_any_flipped_bit_costs_one_record_at_most(tmp_path, name):
    path = tmp_path / name
    for at in range(0, len(SMALL[name]), 3):  # all of them hold too; this is a matter of time
        data = bytearray(SMALL[name])
        data[at] ^= 1 << at % 8
        path.write_bytes(bytes(data))
        documents, rejected = read(path)
        assert documents.height >= 5, at
        assert documents.height + rejected.height >= 6, at


# One member or frame over all: what lies behind the damage depends on it, so it is lost; what lies before it is not.


def big(count: int = 60) -> list[bytes]:
    """Pages that hardly compress, so that 200 KB remain."""
    words = random.Random(1)
    return [response(i, f"<p>Page {i} begins. " + words.randbytes(2500).hex() + ".") for i in range(count)]


def checked_zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def checked_lz4(data: bytes) -> bytes:
    return lz4.frame.compress(data, block_checksum=True, block_size=lz4.frame.BLOCKSIZE_MAX64KB)


SOLID = {"a.warc.gz": gzip.compress, "a.warc.zst": checked_zstd, "a.warc.lz4": checked_lz4}


@pytest.mark.parametrize("name", SOLID)
def test_solid_archive_keeps_all_before_the_damage(tmp_path, name):
    path, count = tmp_path / name, 60
    whole = SOLID[name](b"".join(big(count)))
    path.write_bytes(whole)
    assert read(path)[0].height == count
    for share in (0.3, 0.5, 0.9):
        data = bytearray(whole)
        at = int(len(data) * share)
        data[at : at + 64] = bytes(b ^ 0xFF for b in data[at : at + 64])
        path.write_bytes(bytes(data))
        documents, rejected = read(path)
        # gzip: to the byte; zstd and lz4 give whole blocks of up to 128 KB, here 25 pages. Damage that still inflates
        # shows in the checksum at the end only
        least = max(int(count * share) - (1 if name.endswith(".gz") else 26), 0)
        assert documents.height >= least
        assert documents["url"].to_list()[:least] == [f"http://a.example/{i}" for i in range(least)]
        assert set(rejected["rule"]) == {"broken_record"}
        assert rejected.height == 1


@pytest.mark.parametrize("name", SOLID)
@pytest.mark.parametrize("damage", ["none", "middle", "end"])
def test_solid_archive_cut_anywhere_is_read_exactly_once_and_shared_out(tmp_path, name, damage):
    path = tmp_path / name
    data = bytearray(SOLID[name](b"".join(big())))
    if damage == "middle":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data[:-100]) if damage == "end" else bytes(data))
    whole, size = read(path), path.stat().st_size
    heights = []
    for cut in sorted(
        {*range(0, size, 9973), *range(0, size, members.STEP_BYTES), *range(1, size, members.STEP_BYTES)}
    ):
        left, right = read(path, 0, cut), read(path, cut)
        assert pl.concat([left[0], right[0]]).equals(whole[0]), cut
        assert pl.concat([left[1], right[1]]).equals(whole[1]), cut
        heights.append(left[0].height)
    assert heights == sorted(heights)
    assert len(set(heights)) >= 3  # zstd gives 128 KB of text at once


@pytest.mark.parametrize("damage", ["none", "middle", "end"])
@pytest.mark.parametrize(
    ("name", "compress"),
    [("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", checked_zstd), ("a.jsonl.lz4", checked_lz4)],
)
def test_compressed_lines_cut_anywhere_are_read_exactly_once_and_shared_out(tmp_path, name, compress, damage):
    words = random.Random(2)
    lines = [json.dumps({"text": f"{i} {words.randbytes(700).hex()}"}) for i in range(200)]
    data = bytearray(compress("\n".join([*lines[:50], "", "broken", *lines[50:]]).encode()))
    if damage == "middle":
        data[len(data) // 2 : len(data) // 2 + 64] = b"\xff" * 64
    path = tmp_path / name
    path.write_bytes(bytes(data[:-100]) if damage == "end" else bytes(data))
    whole, size = read(path), path.stat().st_size
    assert whole[1]["rule"].to_list()[0] == "broken_line"
    assert whole[0].height == 200 if damage == "none" else 20 < whole[0].height < 200
    edges = [size * i // 7 for i in range(8)]
    parts = [read(path, a, b) for a, b in pairwise(edges)]
    assert pl.concat([d for d, _ in parts]).equals(whole[0])
    assert pl.concat([r for _, r in parts]).equals(whole[1])
    assert sum(d.height > 0 for d, _ in parts) >= 2
    for cut in range(0, size, 7919):
        left, right = read(path, 0, cut), read(path, cut)
        assert pl.concat([left[0], right[0]]).equals(whole[0]), cut
        assert pl.concat([left[1], right[1]]).equals(whole[1]), cut


# The files of web/: each fate, by its rule, in records and bytes.

WEB = SHARED / "web"


# documents, and rejected records by rule; with what their own makers do where that differs
HOSTILE: dict[str, tuple[int, dict[str, int]]] = {
    "warcio__bad.arc": (0, {"broken_record": 1, "truncated": 1}),  # lengths -1, -1, 1, abc
    "warcio__example-bad-non-chunked.warc.gz": (1, {"not_a_response": 4, "revisit": 1}),
    "warcio__example-bad.warc.gz.bad": (1, {"bad_status": 1, "not_a_response": 3, "revisit": 1}),
    "warcio__example-trunc.warc": (0, {"broken_record": 1, "not_a_response": 3}),  # cut response, then a request
    "warcio__example-wrong-chunks.warc.gz": (1, {"not_a_response": 1}),
    "warcio__example-space-in-target-uri.warc.gz": (0, {"not_a_response": 2}),
    "warcio__example-space-in-url.arc": (0, {"not_a_response": 1, "truncated": 1}),  # it had CRLF once
    "warcio__example-wget-bad-target-uri.warc.gz": (1, {"not_a_response": 5}),
    "chatnoir-resiliparse__clipped.warc.gz": (0, {"truncated": 1}),
    "chatnoir-resiliparse__clueweb-quirk.warc.gz": (29, {"not_a_response": 1}),
    "chatnoir-resiliparse__block-sized-records.warc": (0, {"not_a_response": 3}),
    "chatnoir-resiliparse__block-sized-records.warc.gz": (0, {"not_a_response": 3}),
    "chatnoir-resiliparse__block-sized-records.warc.lz4": (0, {"not_a_response": 3}),
    "jwarc__gzip_extra_sl.warc.gz": (0, {"not_a_response": 1}),
    "aut__badexample.arc.gz": (0, {"broken_record": 3, "not_a_response": 2, "not_html": 1}),
    "aut__issue-493.warc": (3, {"bad_status": 1, "no_text": 1, "not_a_response": 17, "not_html": 5, "revisit": 5}),
    "aut__issue-514.warc": (1, {"bad_status": 1, "not_a_response": 6}),
    "pywb__missing-status-text.warc": (0, {"broken_record": 1}),  # its line ends are CR CR LF
    "pywb__invalid_example_1.wacz": (0, {"not_an_archive": 1}),
    "pywb__zipnum-bad.idx": (0, {"not_an_archive": 1}),
    "webarchive-commons__IAH-20080430204825-00000-blackbook-truncated.arc": (2, {"not_a_response": 2, "not_html": 5}),
    "webarchive-commons__double-single-inflate-error.gz": (0, {"not_an_archive": 1}),
    "webarchive-commons__empty.gz": (0, {"not_an_archive": 1}),
    "webarchive-commons__hi-2.gz": (0, {"not_an_archive": 1}),
    "webarchive-commons__mutliple-headers.warc": (0, {"no_text": 1}),
    "webarchive-commons__link-extraction-test.warc": (6, {"no_text": 1, "not_a_response": 1}),
    "derived/cut-inside-member.warc.gz": (4, {"not_a_response": 9, "truncated": 1}),
    "derived/bit-flip.warc.gz": (4, {"broken_record": 1, "not_a_response": 9}),
    "derived/one-member.warc.gz": (5, {"not_a_response": 9}),
    "derived/garbage-between-members.warc.gz": (5, {"broken_record": 13, "not_a_response": 9}),  # between each two
    "derived/lf-only.warc.gz": (5, {"not_a_response": 9}),
    "derived/content-length-too-large.warc.gz": (6, {"not_a_response": 9}),
    "derived/content-length-too-small.warc.gz": (6, {"not_a_response": 10}),
    "derived/content-length-negative.warc.gz": (6, {"not_a_response": 9}),
    "derived/no-content-length.warc.gz": (6, {"not_a_response": 9}),
    "derived/huge-header.warc.gz": (5, {"broken_record": 1, "not_a_response": 9}),
    "derived/no-blank-line-end.warc.gz": (5, {"not_a_response": 9}),
    "derived/empty.warc.gz": (0, {"empty_file": 1}),
    "derived/not-gzip.warc.gz": (5, {"not_a_response": 9}),
    "derived/charset-lies.warc.gz": (6, {"not_a_response": 9}),
    "derived/zeros-bomb.warc.gz": (5, {"not_a_response": 9, "too_large": 1}),
}


def manifest(folder: str) -> list[str]:
    path = WEB / folder / "MANIFEST.json"
    return [entry["file"] for entry in json.loads(path.read_text())] if path.exists() else []


def gzipped(blocks: list[bytes]) -> bytes:
    return WRITERS["a.warc.gz"](blocks)


def length(said: int | None) -> bytes:
    """The second of six records with another Content-Length."""
    return gzipped([RECORDS[0], response(1, length=said), *RECORDS[2:]])


def with_line_feeds(record: bytes) -> bytes:
    """The record's head with line feeds alone; its block as it is."""
    head, blank, block = record.partition(b"\r\n\r\n")
    return head.replace(b"\r\n", b"\n") + blank.replace(b"\r\n", b"\n") + block


# what happens to archives on their way -> documents, and rejected records by rule
MADE_HOSTILE: dict[str, tuple[bytes, int, dict[str, int]]] = {
    "cut-inside-member.warc.gz": (gzipped(RECORDS)[:-40], 5, {"truncated": 1}),
    "cut-between-members.warc.gz": (gzipped(RECORDS[:4]), 4, {}),
    "one-member.warc.gz": (gzip.compress(b"".join(RECORDS), mtime=0), 6, {}),
    "garbage-between-members.warc.gz": (
        gzipped(RECORDS[:2]) + b"garbage" * 9 + gzipped(RECORDS[2:]),
        6,
        {"broken_record": 1},
    ),
    "lf-only.warc": (b"".join(map(with_line_feeds, RECORDS)), 6, {}),
    "content-length-too-large.warc.gz": (length(10_000), 6, {}),
    "content-length-negative.warc.gz": (length(-5), 6, {}),
    "no-content-length.warc.gz": (length(None), 6, {}),
    "no-blank-line-end.warc.gz": (gzipped([r.removesuffix(b"\r\n\r\n") for r in RECORDS]), 6, {}),
    "empty.warc.gz": (b"", 0, {"empty_file": 1}),
    "not-gzip.warc.gz": (b"".join(RECORDS), 6, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE_HOSTILE)
def test_damaged_archive_has_the_fates_it_should_have(name, tmp_path):
    data, documents, rejected = MADE_HOSTILE[name]
    (tmp_path / name).write_bytes(data)
    found = read(tmp_path / name)
    assert (found[0].height, dict(found[1]["rule"].value_counts().iter_rows())) == (documents, rejected)


def test_the_same_pages_have_the_same_texts_in_every_kind_of_archive(tmp_path):
    for name, data in SMALL.items():
        (tmp_path / name).write_bytes(data)
    found = {name: read(tmp_path / name) for name in SMALL}
    assert len({tuple(documents["text_hash"]) for documents, _ in found.values()}) == 1
    assert all(set(rejected["rule"]) <= {"not_a_response"} for _, rejected in found.values())


@needs_shared
@pytest.mark.parametrize("name", manifest("hostile"))
def test_hostile_file_has_the_fates_it_should_have(name):
    ingest = Ingest(paths=(str(WEB / "hostile" / name),))
    frames = [ingest.run(part) for part in ingest.parts()]
    documents, rejected = sum(d.height for d, _ in frames), pl.concat([r for _, r in frames])
    plain_text = (0, {"not_an_archive": 1})
    assert (documents, dict(rejected["rule"].value_counts().iter_rows())) == HOSTILE.get(name, plain_text)
    if documents and name == "derived/charset-lies.warc.gz":
        assert set(frames[0][0]["charset"]) == {"utf-8"}


ODD = ("pywb__iana.warc.gz",)  # "chunked" bodies that are not: the other reader stops


@needs_shared
@pytest.mark.parametrize("name", [n for n in manifest("native") if "warc" in n and n not in ODD])
def test_native_file_has_the_records_and_bytes_that_another_reader_finds(name):
    compare_with_another_reader(WEB / "native" / name)


def test_demo_shard_has_the_records_and_bytes_that_another_reader_finds(demo_shard):
    compare_with_another_reader(demo_shard)


def compare_with_another_reader(path: Path) -> None:
    documents, rejected = read(path)
    kinds, aside, pages = WarcRecordType, 0, []
    for i, record in enumerate(ArchiveIterator(str(path), auto_decode="all"), 1):
        count, url = i, (record.headers.get("WARC-Target-URI") or "").strip("<>")
        if record.record_type in (kinds.warcinfo, kinds.request, kinds.metadata) or not url.startswith("http"):
            aside += int(record.headers["Content-Length"])
        else:
            pages.append((url, len(record.reader.read())))
    assert documents.height + rejected.height == count
    assert not set(documents.select("url", "record_bytes").rows()) - set(pages)
    assert rejected.filter(pl.col("rule") == "not_a_response")["record_bytes"].sum() == aside


@needs_shared
@pytest.mark.parametrize("name", [f"{f}/{n}" for f in ("native", "hostile") for n in manifest(f)])
def test_records_cover_every_byte_of_an_archive(name):
    cover_every_byte(WEB / name)


@pytest.mark.parametrize("name", [*SMALL, *MADE_HOSTILE, "demo"])
def test_records_cover_every_byte_of_a_made_archive(name, tmp_path, demo_shard):
    if name != "demo":
        (tmp_path / name).write_bytes(SMALL[name] if name in SMALL else MADE_HOSTILE[name][0])
    cover_every_byte(demo_shard if name == "demo" else tmp_path / name)


def cover_every_byte(path: Path) -> None:
    """Header, block and blank lines of one record end where the next one begins; what is lost is somebody's size."""
    file = open_file(str(path), Retry(1, 0.0))
    _, codec, grammar = kind_of(file, path.name, "auto")
    if grammar is None or file.size == 0:
        return
    begin: dict[int, int] = {}  # of members, in the inflated file
    data, found = b"", list(records(file, codec, grammar, 0, file.size, 8 << 20))
    for start in sorted({0, *(record.offset for record in found)}) if codec else [0]:
        if start in begin:
            continue
        for piece in members.pieces(file, codec, start):
            if isinstance(piece, members.Piece):
                begin.setdefault(piece.member, len(data))
                data += piece.data
    found = [record for record in found if codec is None or record.offset in begin]  # the rest does not inflate
    at = [begin[r.offset] + r.inner if codec else r.offset for r in found]
    assert not data[: at[0]].strip(b"\r\n")
    for record, start, stop in zip(found, at, [*at[1:], len(data)], strict=True):
        header = header_at(grammar, data, start)
        behind = header[1] if header and record.fields else start
        if record.rule:
            assert stop - behind <= record.size + 4
        else:
            assert not data[behind + record.size : stop].strip(b"\r\n")
            assert record.block == data[behind : behind + record.size]
