"""Single values of tabular inputs that cannot be read: they cost themselves or their row, never their neighbours."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from gristmill.pipeline.contract.errors import InputError
from gristmill.stages.ingest.arrow_values import values_of
from gristmill.stages.ingest.source import Ingest
from gristmill.stages.signals import Signals

GOOD, BAD = b"Die Stra\xc3\x9fe", b"Die Stra\xdfe"


def read(path: Path, **fields) -> tuple[pl.DataFrame, list[str]]:
    stage = Ingest(paths=(str(path),), **fields)
    frames = [stage.run(part) for part in stage.parts()]
    return pl.concat([d for d, _ in frames]), pl.concat([r for _, r in frames])["rule"].to_list()


def strings(*values: bytes, kind: pa.DataType) -> pa.Array:
    """A string column that nobody checked for UTF-8, as other writers store it."""
    plain = pa.array(values, pa.binary())
    checked = pa.Array.from_buffers(pa.string(), len(values), plain.buffers())
    return checked.cast(pa.large_string()) if kind == pa.large_string() else checked


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("column", ["title", "url", "id", "license", "text"])
def test_byte_that_is_no_utf8_costs_no_other_row(tmp_path, kind, column):
    good = pa.array(["A text of some words."] * 3)
    table = pa.table({"text": good} | {column: strings(GOOD, BAD, GOOD, kind=kind)})
    pq.write_table(table, tmp_path / "x.parquet")
    documents, rejected = read(tmp_path / "x.parquet")
    assert (documents.height, rejected) == (3, [])
    if column in ("title", "text", "url"):
        assert documents[column].to_list() == ["Die Straße", "Die Stra\ufffde", "Die Straße"]


def test_column_that_arrow_cannot_read_costs_no_row(tmp_path):
    titles = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), strings(GOOD, BAD, kind=pa.string()))
    pq.write_table(pa.table({"text": ["A text of some words."] * 3, "title": titles}), tmp_path / "x.parquet")
    documents, rejected = read(tmp_path / "x.parquet")
    assert (documents["title"].to_list(), rejected) == ([None] * 3, [])


def test_licence_column_of_any_shape_is_read(tmp_path):
    address = "https://creativecommons.org/licenses/by-nc/4.0/"
    shapes = [
        pa.array([[address]]), pa.array([{"url": address, "name": None}]), pa.array([address.encode()], pa.binary()),
        pa.array([[("url", address)]], pa.map_(pa.string(), pa.string())), pa.array([address]).dictionary_encode(),
    ]  # fmt: skip
    for i, shape in enumerate(shapes):
        pq.write_table(pa.table({"text": ["A text of some words."], "license": shape}), tmp_path / f"{i}.parquet")
        assert read(tmp_path / f"{i}.parquet")[0]["license_declared"].to_list() == [address]


def test_text_that_is_mostly_no_utf8_is_undecodable(tmp_path):
    table = pa.table({"text": strings(b"whole", "Привет".encode("cp1251"), kind=pa.string())})
    pq.write_table(table, tmp_path / "x.parquet")
    documents, rejected = read(tmp_path / "x.parquet")
    assert (documents["text"].to_list(), rejected) == (["whole"], ["undecodable"])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0, 2**31 - 1, -(2**31), None], pa.int32()).cast(pa.date32()), ["1970-01-01", None, None, None]),
        (pa.array([86_400_000, 2**62], pa.int64()).view(pa.date64()), ["1970-01-02", None]),
        (
            pa.array([253402300799, 253402300800, -62135596800, -62135596801], pa.timestamp("s", tz="UTC")),
            ["9999-12-31T23:59:59Z", None, "0001-01-01T00:00:00Z", None],
        ),
        (pa.array([1_500], pa.timestamp("ms", tz="GMT+2")), ["1970-01-01T00:00:01.5Z"]),
        (pa.array([1_500], pa.timestamp("ms", tz="Mars/Olympus")), ["1970-01-01T00:00:01.5Z"]),
        (pa.array([1_714_557_600_123_456_789], pa.timestamp("ns")), ["2024-05-01T10:00:00.123456789"]),
        (pa.array([1_714_557_600_000_000_000], pa.timestamp("ns")), ["2024-05-01T10:00:00"]),
        (pa.array([2**63 - 1, -(2**63)], pa.timestamp("us")), [None, None]),
        (pa.array([2**62], pa.duration("s")), [None]),
        (pa.array([None, None]), [None, None]),
        (pa.array([], pa.timestamp("us")), []),
    ],
)
def test_dates_are_iso_8601_or_null(column, expected):
    assert values_of(column) == expected


def test_nanoseconds_need_no_pandas(tmp_path):
    """datetime has no nanoseconds, so pyarrow asks pandas, which is no dependency."""
    table = pa.table({"text": ["A text."], "date": pa.array([1_714_557_600_123_456_789], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "x.parquet")
    program = (
        "import importlib.machinery, sys\n"
        "class NoPandas(importlib.machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('pandas', 'pytz'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoPandas)\n"
        "from gristmill.stages.ingest.source import Ingest\n"
        "s = Ingest(paths=(sys.argv[1],)); print(s.run(s.parts()[0])[0]['date'].to_list())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x.parquet")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.strip() == "['2024-05-01T10:00:00.123456789']"


def test_far_int96_date_does_not_wrap_around(tmp_path):
    far = pa.array([253402300799 * 10**6], pa.timestamp("us"))
    pq.write_table(
        pa.table({"text": ["A text."], "date": far}), tmp_path / "x.parquet", use_deprecated_int96_timestamps=True
    )
    assert read(tmp_path / "x.parquet")[0]["date"].to_list() == ["9999-12-31T23:59:59"]


# line ends

PROSE = ["The ferry leaves at seven.", "Nobody was surprised by the fog.", "", "It came back at nine, as ever."]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_text_with_other_line_ends_is_its_lf_twin(tmp_path, end):
    texts = {ends: ends.join(PROSE) for ends in ("\n", end)}
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts.values()))
    pq.write_table(pa.table({"text": list(texts.values())}), tmp_path / "x.parquet")
    for name in ("x.jsonl", "x.parquet"):
        documents, _ = read(tmp_path / name)
        assert documents["text"].to_list() == ["\n".join(PROSE)] * 2
        signals = Signals().open({})(documents.with_columns(pl.lit("en").alias("language")))
        assert signals.drop("doc_id").n_unique() == 1


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_plain_text_records_with_other_line_ends_are_their_lf_twin(tmp_path, end):
    block = end.join(PROSE).encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + block
    records = (("conversion", "text/plain", block), ("response", "application/http; msgtype=response", http))
    (tmp_path / "x.warc").write_bytes(b"".join(warc_record(*record) for record in records))
    documents, _ = read(tmp_path / "x.warc", mimes=("text/plain",))
    assert documents["text"].to_list() == ["\n".join(PROSE)] * 2


def warc_record(kind: str, content_type: str, block: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.example/\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


# compression

LINES = b"".join(json.dumps({"text": f"Line number {i}.", "id": i}).encode() + b"\n" for i in range(300))
TEXTS = [f"Line number {i}." for i in range(300)]
PACKED = {
    "xz": lzma.compress(LINES),
    "xz streams, padded": lzma.compress(LINES[: len(LINES) // 2]) + bytes(8) + lzma.compress(LINES[len(LINES) // 2 :]),
    "bz2": bz2.compress(LINES),
    "bz2 streams": bz2.compress(LINES[:99]) + bz2.compress(LINES[99:]) + bz2.compress(b""),
    "gzip members": gzip.compress(LINES[:99]) + gzip.compress(LINES[99:]),
    "zst frames": zstandard.compress(LINES[:99]) + zstandard.compress(LINES[99:]),
}


def zstd_window(log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=log, enable_ldm=log > 27)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return writer.compress(LINES) + writer.flush()


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("part_bytes", [1 << 26, 700])
def test_compressed_lines_are_read_whole_in_any_cut(tmp_path, packed, part_bytes):
    (tmp_path / "x.jsonl.xz").write_bytes(packed)
    documents, rejected = read(tmp_path / "x.jsonl.xz", part_bytes=part_bytes)
    assert (documents["text"].to_list(), rejected) == (TEXTS, [])


@pytest.mark.parametrize("log", [27, 28, 30, 31])
def test_zstd_window_of_any_size_is_read(tmp_path, log):
    (tmp_path / "x.jsonl.zst").write_bytes(zstd_window(log))
    assert read(tmp_path / "x.jsonl.zst")[0]["text"].to_list() == TEXTS


@pytest.mark.parametrize("packed", [lzma.compress(LINES), bz2.compress(LINES)])
def test_truncated_lines_give_what_is_left(tmp_path, packed):
    (tmp_path / "x.jsonl.xz").write_bytes(packed[:-8])
    documents, rejected = read(tmp_path / "x.jsonl.xz")
    assert rejected == ["truncated"]
    assert documents["text"].to_list() == TEXTS[: documents.height]


def test_archives_in_xz_and_bzip2_are_read(tmp_path):
    record = warc_record("conversion", "text/plain", b"A text.")
    for name, packed in (("a.wet.xz", lzma.compress(record * 3)), ("b.wet.bz2", bz2.compress(record * 3))):
        (tmp_path / name).write_bytes(packed)
        documents, rejected = read(tmp_path / name)
        assert (documents.height, rejected) == (3, [])


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("x.jsonl.zip", b"PK\x03\x04\x14\0\0\0"), ("x.jsonl.7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        ("x.jsonl", b"PK\x03\x04\x14\0"),
        ("x.jsonl.Z", b"\x1f\x9d\x90{"),
        ("x.jsonl.lzma", lzma.compress(LINES, lzma.FORMAT_ALONE)),
        ("x.jsonl.br", b"\x1b\x0e\x00\xf8\n\n\n"),
        ("x.json.tar", b"x.jsonl".ljust(257, b"\0") + b"ustar\x0000"),
        ("x.jsonl.sz", b"\xff\x06\0\0sNaPpY"), ("x.warc.zip", b"PK\x03\x04\x14\0\0\0"),
    ],
)  # fmt: skip
def test_compression_that_is_not_read_is_one_refusal_by_name(tmp_path, name, head):
    (tmp_path / name).write_bytes(head + b"\x81\n\x82\n" * 50)
    documents, rejected = read(tmp_path / name)
    assert (documents.height, rejected) == (0, ["unknown_compression"])


# names


def test_path_with_wildcard_characters_that_exists_is_that_path(tmp_path):
    for name in ("part[1].jsonl", "what?.jsonl", "star*.jsonl", "f[1]/a.jsonl", "f[1]/b.jsonl", "f1/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"text": name}) + "\n")
    for pattern, expected in (
        ("part[1].jsonl", ["part[1].jsonl"]),
        ("what?.jsonl", ["what?.jsonl"]),
        ("star*.jsonl", ["star*.jsonl"]),
        ("part[[]1].jsonl", ["part[1].jsonl"]),
        ("f[1]/a.jsonl", ["f[1]/a.jsonl"]),
        ("f[1]/*.jsonl", ["f[1]/a.jsonl", "f[1]/b.jsonl"]),
        ("f[2]/../f1/*.jsonl", []),
        ("f?/c.jsonl", ["f1/c.jsonl"]),
    ):
        if expected:
            assert read(tmp_path / pattern)[0]["text"].to_list() == expected
        else:
            with pytest.raises(InputError, match="no file matches"):
                read(tmp_path / pattern)


def test_list_of_paths_with_a_byte_order_mark_and_brackets(tmp_path):
    (tmp_path / "part[1].jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "all[1].paths").write_bytes(b"\xef\xbb\xbfpart[1].jsonl\r\n")
    assert read(tmp_path / "all[1].paths")[0].height == 1
