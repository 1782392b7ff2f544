"""Archives: every record once, whatever the compression, the cut, or the damage."""

import gzip
import json
import zlib
from pathlib import Path

import lz4.frame
import polars as pl
import pyarrow as pa
import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipeline.contract.columns import COLUMNS, REJECTED
from gristmill.pipeline.contract.shapes import Part
from gristmill.stages.ingest import Ingest
from places import SHARED, needs_shared

WEB = SHARED / "web"
PAGE = "<html lang=en><title>Page {0}</title><p>This is the paragraph number {0} of a small but real page.</p></html>"


def record(kind: str, block: bytes, length: int | str | None = "right", **fields: str) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Date": "2024-05-20T10:00:00Z",
        **{k.replace("_", "-"): v for k, v in fields.items()},
    }
    if length is not None:
        head["Content-Length"] = str(len(block) if length == "right" else length)
    return b"WARC/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()).encode() + b"\r\n" + block + b"\r\n\r\n"


def response(i: int, page: str | None = None, status: str = "200 OK", mime: str = "text/html", **kwargs: str) -> bytes:
    body = (PAGE.format(i) if page is None else page).encode()
    block = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n\r\n".encode() + body
    return record(
        "response", block, WARC_Target_URI=f"http://a.example/{i}", WARC_Record_ID=f"<urn:uuid:{i}>", **kwargs
    )


def archive() -> list[bytes]:
    rest = [
        record("warcinfo", b"software: x\r\n"),
        record("request", b"GET / HTTP/1.1\r\n\r\n"),
        record("revisit", b""),
    ]
    return [*rest, *(response(i) for i in range(4)), response(9, status="404 Not Found")]


WRITERS = {
    "a.warc.gz": lambda rs: b"".join(gzip.compress(r, 6, mtime=0) for r in rs),
    "a.warc.zst": lambda rs: b"".join(zstandard.compress(r) for r in rs),
    "a.warc.lz4": lambda rs: b"".join(lz4.frame.compress(r) for r in rs),
    "a.warc": lambda rs: b"".join(rs),
    "one.warc.gz": lambda rs: gzip.compress(b"".join(rs), 6, mtime=0),
}


def read(path: Path, start: int = 0, end: int | None = None, **fields) -> tuple[pl.DataFrame, pl.DataFrame]:
    size = path.stat().st_size
    return Ingest(paths=(str(path),), **fields).run(
        Part("k", str(path), path.name, start, size if end is None else end, "")
    )


def fates(path: Path, **fields) -> tuple[int, dict[str, int]]:
    documents, rejected = read(path, **fields)
    return documents.height, dict(sorted(rejected["rule"].value_counts().iter_rows()))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_archive_in_any_compression_gives_the_same_documents(tmp_path, name):
    path = write(tmp_path / name, WRITERS[name](archive()))
    documents, rejected = read(path)
    assert documents["url"].to_list() == [f"http://a.example/{i}" for i in range(4)]
    assert documents["title"].to_list() == [f"Page {i}" for i in range(4)]
    assert documents["date"].unique().to_list() == ["2024-05-20T10:00:00Z"]
    assert rejected["rule"].to_list() == ["not_a_response", "not_a_response", "revisit", "bad_status"]
    assert documents["doc_id"].n_unique() == 4


@pytest.mark.parametrize("name", [n if n.endswith(".gz") else pytest.param(n, marks=pytest.mark.slow) for n in WRITERS])
def test_archive_cut_anywhere_is_read_exactly_once(tmp_path, name):
    path = write(tmp_path / name, WRITERS[name](archive()))
    whole, size = read(path), path.stat().st_size
    for cut in range(0, size + 1, 1 if size < 3000 else 3):
        left, right = read(path, 0, cut), read(path, cut, size)
        assert pl.concat([left[0], right[0]]).equals(whole[0]), cut
        assert pl.concat([left[1], right[1]]).equals(whole[1]), cut


def test_archive_inside_a_record_is_no_start_wherever_the_cut_is(tmp_path):
    inner = response(7, "\r\n\r\n".join(["<p>A sentence.", response(8).decode(), "WARC/1.0", "WARC/1.0\r\n"]))
    path = write(tmp_path / "a.warc", b"".join([response(1), inner, b"\r\n", response(2)]))
    whole, size = read(path), path.stat().st_size
    assert whole[0]["url"].to_list() == ["http://a.example/1", "http://a.example/7", "http://a.example/2"]
    for cut in range(size + 1):
        assert pl.concat([read(path, 0, cut)[0], read(path, cut, size)[0]]).equals(whole[0]), cut


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_archive_cut_anywhere_is_read_exactly_once(tmp_path_factory, data):
    raw = bytearray(WRITERS[data.draw(st.sampled_from(["a.warc.gz", "a.warc"]))](archive()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = write(tmp_path_factory.mktemp("cut") / "a.warc.gz", bytes(raw))
    whole, size = read(path), path.stat().st_size
    cut = data.draw(st.integers(1, size))
    left, right = read(path, 0, cut), read(path, cut, size)
    assert pl.concat([left[0], right[0]]).equals(whole[0])


def test_frames_have_the_declared_schema_even_when_empty(tmp_path):
    path = write(tmp_path / "a.warc.gz", WRITERS["a.warc.gz"](archive()))
    for documents, rejected in (read(path), read(path, 1, 2)):
        assert documents.columns == ["doc_id", *Ingest.writes]
        assert documents.to_arrow().cast(_schema(documents.columns)).num_rows == documents.height
        assert rejected.to_arrow().cast(REJECTED).num_rows == rejected.height


def _schema(columns: list[str]) -> pa.Schema:
    return pa.schema([(name, COLUMNS[name].type) for name in columns])


def test_two_runs_are_equal(tmp_path):
    path = write(tmp_path / "a.warc.gz", WRITERS["a.warc.gz"](archive()))
    assert read(path)[0].equals(read(path)[0])


def member(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def test_broken_member_costs_its_record_and_names_it(tmp_path):
    members = [member(r) for r in archive()]
    broken = bytearray(members[4])
    broken[-6] ^= 0xFF  # the checksum
    path = write(tmp_path / "a.warc.gz", b"".join([*members[:4], bytes(broken), *members[5:]]))
    documents, rejected = read(path)
    assert documents["url"].to_list() == ["http://a.example/0", "http://a.example/2", "http://a.example/3"]
    lost = rejected.filter(pl.col("rule") == "broken_record").row(0, named=True)
    assert (lost["url"], lost["record_id"]) == ("http://a.example/1", "<urn:uuid:1>")
    assert lost["record"] == len(b"".join(members[:4]))


def test_file_that_ends_in_a_member_is_truncated(tmp_path):
    data = WRITERS["a.warc.gz"](archive()[:5])
    assert fates(write(tmp_path / "a.warc.gz", data[:-20])) == (1, {"not_a_response": 2, "revisit": 1, "truncated": 1})


def test_uncompressed_file_that_ends_in_a_record_is_truncated(tmp_path):
    data = b"".join(archive()[:5])
    assert fates(write(tmp_path / "a.warc", data[:-40])) == (1, {"not_a_response": 2, "revisit": 1, "truncated": 1})


@pytest.mark.parametrize("length", [None, -1, 10, 10**6, 10**12, "x"])
def test_wrong_length_in_an_intact_member_is_mended(tmp_path, length):
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE.format(7).encode()
    odd = record("response", block, length, WARC_Target_URI="http://a.example/7")
    path = write(tmp_path / "a.warc.gz", b"".join(map(member, [response(1), odd, response(2)])))
    documents, rejected = read(path)
    assert documents["url"].to_list() == [f"http://a.example/{i}" for i in (1, 7, 2)]
    assert rejected.is_empty()


@pytest.mark.parametrize("length", [None, -1, 10, 500, 10**6, 10**12])
@pytest.mark.parametrize("name", ["a.warc", "one.warc.gz"])
def test_wrong_length_elsewhere_costs_that_record_only(tmp_path, name, length):
    odd = record("response", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 99, length, WARC_Target_URI="http://a.example/7")
    path = write(tmp_path / name, WRITERS[name]([response(1), odd, response(2), response(3)]))
    documents, rejected = read(path)
    assert documents["url"].to_list() == [f"http://a.example/{i}" for i in (1, 2, 3)]
    assert rejected["url"].to_list() == ["http://a.example/7"]


def test_folded_header_lines_are_read_even_behind_a_nameless_one(tmp_path):
    odd = response(1).replace(
        b"WARC-Target-URI: http://a.example/1", b"WARC-Target-URI: http://\r\n a.example/1\r\nno name\r\n x"
    )
    documents, _ = read(write(tmp_path / "a.warc", odd))
    assert documents["url"].to_list() == ["http:// a.example/1"]


def test_mark_in_lower_case_begins_a_record(tmp_path):
    lower = (response(1) + response(2)).replace(b"WARC/1.0", b"warc/1.0")
    assert fates(write(tmp_path / "a.warc", lower)) == (2, {})
    assert fates(write(tmp_path / "a.warc.gz", gzip.compress(lower))) == (2, {})


def test_segments_of_a_record_are_no_whole_page(tmp_path):
    first = response(1, WARC_Segment_Number="1")
    rest = record("continuation", b"and so on", WARC_Segment_Number="2", WARC_Segment_Origin_ID="<urn:uuid:1>")
    path = write(tmp_path / "a.warc", first + rest + response(2))
    assert fates(path) == (1, {"not_a_response": 1, "truncated": 1})


def segments(*blocks: bytes, total: int | None = None) -> list[bytes]:
    """A response cut into a first record and continuations, the last of which says how long the whole is."""
    size = sum(map(len, blocks)) if total is None else total
    made = []
    for i, block in enumerate(blocks, 1):
        last = {"WARC_Segment_Total_Length": str(size)} if i == len(blocks) else {}
        if i == 1:
            names = {"WARC_Record_ID": "<urn:uuid:7>", "WARC_Target_URI": "http://a.example/7"}
            made.append(record("response", block, WARC_Segment_Number="1", **names, **last))
        else:
            origin = {"WARC_Segment_Origin_ID": "<urn:uuid:7>", "WARC_Segment_Number": str(i)}
            made.append(record("continuation", block, **origin, **last))
    return made


CUT = (b"HTTP/1.1 200 OK\r\nContent-Type: text/ht", b"ml\r\n\r\n<p>first half of it", b" and the other half</p>")


@pytest.mark.parametrize("name", ["a.warc", "one.warc.gz", "a.warc.gz"])
def test_segments_that_follow_each_other_are_one_record(tmp_path, name):
    path = write(tmp_path / name, WRITERS[name]([response(1), *segments(*CUT), response(2)]))
    documents, rejected = read(path)
    assert documents["url"].to_list() == ["http://a.example/1", "http://a.example/7", "http://a.example/2"]
    assert documents["text"][1] == "first half of it and the other half"
    assert rejected["rule"].to_list() == ["not_a_response"] * 2
    for cut in range(0, path.stat().st_size, 97):  # a part that ends inside holds the whole record, the next one none
        both = [read(path, 0, cut), read(path, cut)]
        assert pl.concat([d for d, _ in both]).equals(documents), cut
        assert pl.concat([r for _, r in both]).equals(rejected), cut


def test_segments_that_are_not_all_there_are_truncated(tmp_path):
    first, second, third = segments(*CUT)
    short = segments(*CUT, total=7)
    for data in ([first, third], [first, second], [first, response(2), second, third], short):
        documents, rejected = read(write(tmp_path / "a.warc", b"".join(data)))
        assert "http://a.example/7" not in documents["url"].to_list()
        assert "truncated" in rejected["rule"].to_list()


def test_segments_beyond_the_cap_are_too_large_together(tmp_path):
    big = segments(CUT[0], CUT[1] + b"x" * 6000, b"y" * 6000)
    assert fates(write(tmp_path / "a.warc", b"".join(big)), body_bytes=5000)[1]["too_large"] == 1


def test_garbage_between_records_is_one_broken_record(tmp_path):
    path = write(tmp_path / "a.warc", response(1) + b"rubbish rubbish\r\n" * 9 + response(2))
    assert fates(path) == (2, {"broken_record": 1})


def test_garbage_between_members_is_counted_and_passed_over(tmp_path):
    path = write(tmp_path / "a.warc.gz", member(response(1)) + b"rubbish" * 30 + member(response(2)))
    assert fates(path) == (2, {"broken_record": 1})


def test_block_beyond_the_cap_is_too_large_and_the_next_record_is_read(tmp_path):
    big = response(5, "<p>" + "word " * 300_000)
    for name, make in WRITERS.items():
        path = write(tmp_path / name, make([response(1), big, response(2)]))
        assert fates(path, body_bytes=100_000) == (2, {"too_large": 1}), name


def test_record_that_spans_members_is_read(tmp_path):
    whole = b"".join(archive())
    path = write(tmp_path / "a.warc.gz", b"".join(member(whole[i : i + 100]) for i in range(0, len(whole), 100)))
    assert fates(path)[0] == 4


def test_zstd_dictionary_in_the_first_frame_is_used(tmp_path):
    samples = [response(i, PAGE.format(i) + "<p>some common words here</p>" * (i % 5)) for i in range(400)]
    dictionary = zstandard.train_dictionary(4096, samples)
    frame = dictionary.as_bytes()
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    data = b"\x5d\x2a\x4d\x18" + len(frame).to_bytes(4, "little") + frame
    path = write(tmp_path / "a.warc.zst", data + b"".join(map(compressor.compress, samples[:5])))
    assert fates(path) == (5, {})


def test_responses_are_rejected_by_rule(tmp_path):
    records = [
        response(0, status="301 Moved"), response(1, mime="image/png"), response(2, ""), response(3, "<html></html>"),
        response(4, "<p>x</p>", mime="application/octet-stream"), record("response", b"", WARC_Target_URI="dns:a"),
        response(5, "\x00\x01\x02" * 500), record("metadata", b"x"), record("conversion", b""),
    ]  # fmt: skip
    _, rejected = read(write(tmp_path / "a.warc", b"".join(records)))
    assert rejected["rule"].to_list() == [
        "bad_status", "not_html", "empty_body", "no_text", "not_html", "not_a_response", "undecodable",
        "not_a_response", "empty_body",
    ]  # fmt: skip


def test_html_without_a_type_is_sniffed(tmp_path):
    page = record("response", b"HTTP/1.1 200 OK\r\n\r\n" + PAGE.format(1).encode(), WARC_Target_URI="http://a/1")
    documents, _ = read(write(tmp_path / "a.warc", page))
    assert documents["mime"].to_list() == ["text/html"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "chunked", "zstd", "br"])
def test_encoded_bodies_are_decoded(tmp_path, encoding):
    body, name = PAGE.format(1).encode(), "Content-Encoding"
    if encoding == "chunked":
        name = "Transfer-Encoding"
        data = b"%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
    elif encoding == "br":
        with BrotliWriter(str(tmp_path / "body.br")) as writer:
            writer.write(body)
        data = (tmp_path / "body.br").read_bytes()
    else:
        data = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}[encoding](body)
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n%s: %s\r\n\r\n" % (name.encode(), encoding.encode()) + data
    documents, _ = read(write(tmp_path / "a.warc", record("response", block, WARC_Target_URI="http://a/1")))
    assert documents["title"].to_list() == ["Page 1"]


def test_body_that_is_not_what_its_encoding_says_is_taken_as_it_is(tmp_path):
    block = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    path = write(tmp_path / "a.warc", record("response", block + PAGE.format(3).encode(), WARC_Target_URI="http://a/1"))
    assert read(path)[0]["title"].to_list() == ["Page 3"]


def test_compressed_body_that_explodes_is_too_large(tmp_path):
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(
        b"\0" * 50_000_000
    )
    assert fates(write(tmp_path / "a.warc", record("response", block, WARC_Target_URI="http://a/1"))) == (
        0,
        {"too_large": 1},
    )


def test_arc_in_both_versions_is_read(tmp_path):
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE.format(1).encode()
    info = b"1 0 test\nURL IP-address Archive-date Content-type Archive-length\n"
    lines = [
        b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain %d\n%s\n" % (len(info), info),
        b"http://a.example/with space 1.2.3.4 20080430204826 text/html %d\n%s\n" % (len(body), body),
        b"http://a.example/2 1.2.3.4 20080430204827 text/html 200 - - 0 a.arc %d\n%s\n" % (len(body), body),
    ]
    for name, data in (("a.arc", b"".join(lines)), ("a.arc.gz", b"".join(map(member, lines)))):
        documents, rejected = read(write(tmp_path / name, data))
        assert documents["url"].to_list() == ["http://a.example/with space", "http://a.example/2"]
        assert documents["date"].to_list() == ["2008-04-30T20:48:26Z", "2008-04-30T20:48:27Z"]
        assert rejected["rule"].to_list() == ["not_a_response"]


def test_wet_text_is_taken_as_it_is(tmp_path):
    text = "Erste Zeile\nzweite Zeile über ©"
    page = record("conversion", text.encode(), WARC_Target_URI="http://a/1", Content_Type="text/plain")
    documents, _ = read(write(tmp_path / "a.warc.wet", page))
    assert documents["text"].to_list() == [text]


def _manifest(folder: str) -> list[Path]:
    path = WEB / folder / "MANIFEST.json"
    return [WEB / folder / entry["file"] for entry in json.loads(path.read_text())] if path.exists() else []


@needs_shared
def test_every_native_archive_is_read_without_a_broken_record():
    for path in _manifest("native"):
        ingest = Ingest(paths=(str(path),))
        for part in ingest.parts():
            documents, rejected = ingest.run(part)
            assert documents.height + rejected.height > 0, path.name
            assert not {"broken_record", "truncated", "not_an_archive"} & set(rejected["rule"]), path.name


@needs_shared
def test_native_archive_as_arc_and_as_warc_gives_the_same_pages():
    arc, warc = (read(WEB / "native" / f"aut__example.{kind}.gz")[0] for kind in ("arc", "warc"))
    assert arc["text_hash"].to_list() == warc["text_hash"].to_list()
    assert arc.height == 93


@needs_shared
def test_every_hostile_file_ends_in_documents_and_counted_rejections():
    for path in _manifest("hostile"):
        ingest = Ingest(paths=(str(path),))
        for part in ingest.parts():
            documents, rejected = ingest.run(part)
            assert documents.height + rejected.height > 0, path.name
            assert set(rejected["rule"]) <= set(ingest.rules), path.name


@needs_shared
def test_shard_in_small_parts_is_the_shard():
    whole = compare_parts_with_whole(WEB / "CC-MAIN-shard-00000.warc.gz", 100_000, 14)
    assert whole == 189


def test_demo_shard_in_small_parts_is_the_shard(demo_shard):
    assert compare_parts_with_whole(demo_shard, demo_shard.stat().st_size // 6 + 1, 6) > 200


def compare_parts_with_whole(path: Path, part_bytes: int, n: int) -> int:
    whole, cut = Ingest(paths=(str(path),)), Ingest(paths=(str(path),), part_bytes=part_bytes)
    assert len(cut.parts()) == n
    parts = [cut.run(part) for part in cut.parts()]
    expected = whole.run(whole.parts()[0])
    assert pl.concat([d for d, _ in parts]).equals(expected[0])
    assert pl.concat([r for _, r in parts]).equals(expected[1])
    return expected[0].height + expected[1].height
