"""Files far away: the same rows as here, few bytes moved, faults tried again, and clear words where nothing helps."""

import gzip
import http.client
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.files import remote
from places import ROOT, SOURCE

ROWS = [{"text": f"Text number {i}.", "id": f"r{i}", "url": f"http://a/{i}"} for i in range(20)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def everything(stage: Ingest) -> tuple[pl.DataFrame, pl.DataFrame]:
    frames = [stage.run(part) for part in stage.parts()]
    return pl.concat([d for d, _ in frames]), pl.concat([r for _, r in frames])


def parquet(rows: list[dict] = ROWS) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=3)
    return out.getvalue()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """What would have been slept."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture(autouse=True)
def fresh_hosts(monkeypatch):
    monkeypatch.setattr(remote, "_HOSTS", {})


# HTTP


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves `data` at any path. Each GET first takes a fault off the list: a status, or a number of bytes to send."""

    protocol_version = "HTTP/1.1"
    data: ClassVar[bytes] = LINES
    faults: ClassVar[list[int | tuple[int, str]]] = []
    ranges: ClassVar[str] = "bytes"  # "bytes": honoured; "none": refused aloud; "": ignored in silence
    length: ClassVar[bool] = True
    etag: ClassVar[str] = ""
    sent: ClassVar[list[int]] = []

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        kind = type(self)
        if "missing" in self.path or "secret" in self.path:
            self.send_error(404 if "missing" in self.path else 403)
            return
        fault = kind.faults.pop(0) if kind.faults else None
        if isinstance(fault, tuple):
            self.send_response(fault[0])
            self.send_header("Retry-After", fault[1])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault is not None and fault >= 400:
            self.send_error(fault)
            return
        data, status, wanted = kind.data, 200, self.headers.get("Range")
        if wanted and kind.ranges == "bytes" and body:
            first, last = (int(edge) for edge in wanted.removeprefix("bytes=").split("-"))
            data, status = data[first : last + 1], 206
        self.send_response(status)
        if kind.ranges:
            self.send_header("Accept-Ranges", kind.ranges)
        if kind.etag:
            self.send_header("ETag", kind.etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{first + len(data) - 1}/{len(kind.data)}")
        if kind.length:
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if body:
            self.wfile.write(data[:fault])
            kind.sent.append(len(data[:fault]))
        if fault is not None or not kind.length:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


def served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    pytest.importorskip("aiohttp")
    handler = type("Handler", (Server,), {"faults": [], "sent": []})
    for root in served(handler):
        yield handler, root


@pytest.mark.parametrize("ranges", ["bytes", "none", ""])
@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("etag", ["", '"abc"'])
def test_file_behind_http_is_read_with_and_without_ranges_length_and_etag(server, ranges, length, etag):
    handler, root = server
    handler.ranges, handler.length, handler.etag = ranges, length, etag
    documents, _ = everything(Ingest(paths=(f"{root}/x.jsonl",), part_bytes=300))
    assert documents["text"].to_list() == [row["text"] for row in ROWS]
    assert documents["file_path"].unique().to_list() == [f"{root}/x.jsonl"]


def test_file_that_comes_whole_only_is_one_part_and_fetched_once(server):
    handler, root = server
    handler.ranges = ""
    stage = Ingest(paths=(f"{root}/x.jsonl",), part_bytes=300)
    parts = stage.parts()
    handler.sent.clear()
    assert [stage.run(part)[0].height for part in parts] == [len(ROWS)]
    assert handler.sent == [len(LINES)]


def test_remote_failures_are_tried_again_until_it_is_enough(server, waits):
    handler, root = server
    handler.faults.extend([503, 500, 502])
    stage = Ingest(paths=(f"{root}/x.jsonl",), retries=5, retry_s=0.5)
    assert everything(stage)[0].height == len(ROWS)
    parts = stage.parts()
    handler.faults.extend([503] * 1000)
    waits.clear()
    with pytest.raises(InputError, match=r"x\.jsonl.*after 5 attempts; try again later"):
        stage.run(parts[0])
    assert waits == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("86400", 60.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5)])
@pytest.mark.parametrize("status", [429, 503])
def test_wait_is_what_the_server_asks_for_within_bounds(server, waits, status, asked, waited):
    handler, root = server
    stage = Ingest(paths=(f"{root}/x.jsonl",), retry_s=0.5)
    parts = stage.parts()
    handler.faults.extend([(status, asked)] * 2)  # HEAD, and the GET that fsspec tries then
    assert stage.run(parts[0])[0].height == len(ROWS)
    assert waits == [waited]


@pytest.mark.parametrize("ranges", ["bytes", ""])
def test_connection_cut_in_the_middle_is_tried_again(server, waits, ranges):
    handler, root = server
    handler.ranges = ranges
    stage = Ingest(paths=(f"{root}/x.jsonl",))
    parts = stage.parts()
    handler.faults.extend([0, 5, 100] if ranges else [0, 5])  # the first meets the question for the size
    documents, rejected = stage.run(parts[0])
    assert (documents.height, rejected.height) == (len(ROWS), 0)
    assert len(waits) >= 1


@pytest.mark.parametrize(("name", "said"), [("missing", "not found"), ("secret", "no access")])
def test_file_that_no_attempt_can_get_is_named_at_once(server, waits, name, said):
    with pytest.raises(InputError, match=f"{name}.jsonl: {said}"):
        Ingest(paths=(f"{server[1]}/{name}.jsonl",), retries=50, retry_s=10.0).parts()
    assert waits == []


def test_address_that_is_none_is_named(server):
    with pytest.raises(InputError, match="http:///x"):
        Ingest(paths=("http:///x.jsonl",), retries=1).parts()


def test_memory_filesystem_globs_like_s3():
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    fs.pipe("/bucket/a/x.jsonl", LINES)
    fs.pipe("/bucket/b/x.jsonl", LINES)
    stage = Ingest(paths=("memory://bucket/*/x.jsonl",))
    assert [part.name for part in stage.parts()] == ["a/x.jsonl", "b/x.jsonl"]
    documents, _ = everything(stage)
    assert documents["doc_id"].n_unique() == 2 * len(ROWS)


# S3


class Proxy(http.server.BaseHTTPRequestHandler):
    """Hands requests on to an S3 server; each GET of an object first takes a fault: a status or a number of bytes."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str] = ""
    broken: ClassVar[str] = "-"  # an object that can be seen but not read
    faults: ClassVar[list[int]] = []
    sent: ClassVar[list[int]] = []

    def handle_one(self) -> None:
        kind = type(self)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(kind.upstream, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data, status, fault = answer.read(), answer.status, None
        if self.command == "GET" and "list-type" not in self.path:
            fault = 500 if self.path.endswith(kind.broken) else kind.faults.pop(0) if kind.faults else None
            kind.sent.append(len(data))
        if fault is not None and fault >= 400:
            status, fault = fault, None
            data = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
        self.send_response_only(status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", size)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:fault])
        self.close_connection = fault is not None

    do_GET = do_HEAD = do_PUT = do_POST = handle_one

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def bucket_server() -> Iterator[str]:
    """Address (host:port) of a server that speaks S3."""
    pytest.importorskip("s3fs")
    logging = pytest.importorskip("logging")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


def moto_api(server: str, command: str, body: bytes = b"") -> None:
    connection = http.client.HTTPConnection(server)
    connection.request("POST", f"/moto-api/{command}", body)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.fixture
def s3(bucket_server, monkeypatch) -> Iterator[type[Proxy]]:
    """A bucket `crawl`, reached as the environment says."""
    import boto3
    import s3fs

    moto_api(bucket_server, "reset")
    handler = type("Handler", (Proxy,), {"upstream": bucket_server, "faults": [], "sent": []})
    for root in served(handler):
        for name, value in {
            "AWS_ENDPOINT_URL": root, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket="crawl")
        handler.put = partial(client.put_object, Bucket="crawl")
        yield handler
    s3fs.S3FileSystem.clear_instance_cache()


def wacz(shard: Path) -> bytes:
    """A web archive collection (a zip, stored) that holds the shard."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as collection:
        collection.writestr("datapackage.json", "{}")
        collection.write(shard, "archive/data.warc.gz")
    return out.getvalue()


def without_place(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop("file_path") if "file_path" in frame.columns else frame


def test_bucket_gives_the_same_rows_as_the_folder_in_every_format(s3, demo_shard, tmp_path):
    folder = tmp_path / "crawl"
    folder.mkdir()
    files = {
        "warc/a.warc.gz": demo_shard.read_bytes(),
        "table/b.parquet": parquet(),
        "lines/c.jsonl.gz": gzip.compress(LINES),
        "lines/d.jsonl": LINES,
        "wacz/e.wacz": wacz(demo_shard),
        "warc.paths.gz": gzip.compress(b"warc/a.warc.gz\nlines/d.jsonl\n"),
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        s3.put(Key=name, Body=data)
    patterns = ("warc/*.warc.gz", "table/b.parquet", "**/c.jsonl.gz", "warc.paths.gz", "wacz/*.wacz")
    for pattern in patterns:
        here = everything(Ingest(paths=(f"{folder}/{pattern}",), part_bytes=200_000))
        there = everything(Ingest(paths=(f"s3://crawl/{pattern}",), part_bytes=200_000))
        assert here[0].height > 0, pattern
        for mine, theirs in zip(here, there, strict=True):
            assert without_place(mine).equals(without_place(theirs)), pattern


def test_part_of_a_remote_file_moves_its_own_bytes_only(s3, demo_shard, monkeypatch):
    monkeypatch.setattr(remote, "AHEAD_BYTES", 1 << 20)
    shard = demo_shard.read_bytes()
    s3.put(Key="a.warc.gz", Body=shard * -(-(11 << 20) // len(shard)))
    stage = Ingest(paths=("s3://crawl/a.warc.gz",), part_bytes=4 << 20)
    parts = stage.parts()
    assert len(parts) == 3
    assert s3.sent == []  # planning reads no bytes
    for part in parts:
        s3.sent.clear()
        stage.run(part)
        # a look at either end, and what was fetched ahead
        assert part.end - part.start <= sum(s3.sent) <= part.end - part.start + (2 << 20)
        assert max(s3.sent) <= 1 << 20


def test_parquet_in_a_bucket_moves_only_the_columns_that_are_read(s3):
    rows = [{**row, "embedding": os.urandom(20_000).hex()} for row in ROWS]
    data = parquet(rows)
    s3.put(Key="x.parquet", Body=data)
    assert everything(Ingest(paths=("s3://crawl/x.parquet",)))[0].height == len(ROWS)
    assert sum(s3.sent) < len(data)


def test_added_changed_and_overwritten_objects_have_other_digests(s3):
    import s3fs

    s3.put(Key="x.jsonl", Body=LINES)
    stage = Ingest(paths=("s3://crawl/*.jsonl",))
    first = stage.parts()[0].digest
    s3.put(Key="x.jsonl", Body=LINES.replace(b"Text", b"Word"))
    s3fs.S3FileSystem.clear_instance_cache()
    assert stage.parts()[0].digest != first
    s3.put(Key="x.jsonl", Body=LINES)
    s3fs.S3FileSystem.clear_instance_cache()
    assert stage.parts()[0].digest == first


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://crawl/none.warc.gz", "not found"),
        ("s3://no-such-bucket/x.warc.gz", "not found"),
        ("s3://crawl/none/*.warc.gz", "no file matches"),
        ("s3://no-such-bucket/*.warc.gz", "no file matches"),
        ("s3://crawl/folder", "is a folder"),
        ("s3://crawl", "is a folder"),
    ],
)
def test_object_that_is_not_there_is_named_at_once(s3, waits, path, said):
    s3.put(Key="folder/x.jsonl", Body=LINES)
    with pytest.raises(InputError, match=f"{path.replace('*', '.')}.*{said}|{said} {path.replace('*', '.')}"):
        Ingest(paths=(path,), retries=50, retry_s=10.0).parts()
    assert waits == []


def test_bucket_without_rights_or_credentials_is_named_at_once(s3, bucket_server, waits, monkeypatch):
    import s3fs

    s3.put(Key="x.jsonl", Body=LINES)
    stage = Ingest(paths=("s3://crawl/x.jsonl",), retries=50, retry_s=10.0)
    parts = stage.parts()
    try:
        moto_api(bucket_server, "reset-auth", b"0")  # from now on nobody may do anything
        with pytest.raises(InputError, match=r"s3://crawl/x\.jsonl: no access .*AWS_PROFILE"):
            stage.parts()
        with pytest.raises(InputError, match=r"s3://crawl/x\.jsonl: no access"):
            stage.run(parts[0])
    finally:
        moto_api(bucket_server, "reset-auth", b"inf")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=r"no access .*Unable to locate credentials"):
        stage.parts()
    assert waits == []


def test_bucket_that_fails_and_cuts_connections_is_tried_again(s3, waits):
    s3.put(Key="x.jsonl", Body=LINES * 100)
    stage = Ingest(paths=("s3://crawl/x.jsonl",), retries=5, retry_s=0.5)
    parts = stage.parts()
    s3.faults.extend([500, 7, 503, 1000])
    documents, rejected = stage.run(parts[0])
    assert (documents.height, rejected.height) == (100 * len(ROWS), 0)
    s3.faults.extend([500] * 1000)
    with pytest.raises(InputError, match=r"s3://crawl/x\.jsonl.*after 5 attempts"):
        stage.run(parts[0])


@pytest.mark.slow
def test_whole_run_from_a_bucket_is_the_run_from_the_folder(s3, tmp_path):
    folder = tmp_path / "data"
    write_sample_data(folder, shards=3, max_docs=900)
    for path in sorted(folder.glob("*.warc.gz")):
        s3.put(Key=f"crawl/{path.name}", Body=path.read_bytes())

    def run(paths: str, out: Path) -> pl.DataFrame:
        command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(ROOT / "configs" / "quickstart.yaml")]
        command += [f"input.paths={paths}/*.warc.gz", "tokenizer.vocab_size=4096", "mixture.method=regmix"]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            [*command, "--out", str(out), "--workers", "2"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return pl.read_parquet(out / "corpus" / "data" / "*.parquet")

    here, there = run(str(folder), tmp_path / "here"), run("s3://crawl/crawl", tmp_path / "there")
    assert without_place(here).equals(without_place(there))
    assert there["file_path"].str.starts_with("s3://crawl/crawl/").all()


def test_object_that_keeps_failing_is_set_aside_and_the_rest_goes_on(s3, tmp_path):
    """The run says which part failed and why, exits non-zero, and the next one does that part alone."""
    for name in "abc":
        s3.put(Key=f"{name}.jsonl", Body=LINES)
    config = tmp_path / "lines.yaml"
    config.write_text("name: lines\ninput: {paths: 's3://crawl/*.jsonl', retries: 2, retry_s: 0.01}\n")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(config), "--until", "ingest"]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        out = tmp_path / "run"
        return subprocess.run(
            [*command, "--out", str(out), "--workers", "1"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    s3.broken = "b.jsonl"
    done = run()
    assert done.returncode != 0
    assert "b.jsonl" in done.stdout + done.stderr
    assert sorted(p.name[0] for p in (tmp_path / "run" / "ingest").glob("*.parquet")) == ["a", "c"]
    s3.broken = "-"
    assert run().returncode == 0
    assert sorted(p.name[0] for p in (tmp_path / "run" / "ingest").glob("*.parquet")) == ["a", "b", "c"]
