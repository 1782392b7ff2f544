"""hf:// inputs: huggingface_hub's own file system against a server of the hub's protocol on this machine."""

import http.server
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import polars as pl
import pytest
from test_ingest_remote import served

from places import SOURCE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/corpus"


def parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"text": [f"Text number {i}." for i in range(500)]}).write_parquet(out)
    return out.getvalue()


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub answers for the files of one public dataset (huggingface.co/docs/hub/api)."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    moved: ClassVar[list[int]] = []

    def entry(self, path: str) -> dict:
        data = self.files.get(path)
        if data is None:
            return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
        return {"type": "file", "path": path, "oid": f"{len(data):040x}", "size": len(data)}

    def answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = (
            json.loads(given)["paths"]
            if given.startswith("{")
            else [unquote(pair.partition("=")[2]) for pair in given.split("&") if pair.startswith("paths=")]
        )
        folders = {path.rpartition("/")[0] for path in self.files}
        self.answer([self.entry(path) for path in asked if path in self.files or path in folders])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith(f"/api/datasets/{REPO}/tree/"):
            folder = "/".join(path.split("/")[7:])
            inside = [name.removeprefix(folder).lstrip("/") for name in self.files if name.startswith(folder)]
            names = dict.fromkeys(f"{folder}/{name.split('/')[0]}".lstrip("/") for name in inside)
            self.answer([self.entry(name) for name in names])
        elif path.startswith(f"/api/datasets/{REPO}"):
            self.answer({"id": REPO, "sha": COMMIT, "siblings": [], "private": False, "disabled": False, "gated": False,
                         "downloads": 0, "likes": 0, "tags": []})  # fmt: skip
        elif path.startswith(f"/datasets/{REPO}/resolve/"):
            self.send_file(self.files.get(path.split("/", 6)[6]))
        else:
            self.answer({"error": "Repository not found"}, 404)

    def send_file(self, data: bytes | None) -> None:
        if data is None:
            self.answer({"error": "Entry not found"}, 404)
            return
        wanted = self.headers.get("Range")
        size = len(data)
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            data = data[int(first) : int(last or size) + 1]
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{size}")
        self.send_header("ETag", '"x"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    pytest.importorskip("huggingface_hub")
    files = {"data/a.parquet": parquet(), "data/b.jsonl": b'{"text": "A line."}\n' * 3}
    yield from served(type("OneHub", (Hub,), {"files": files}))


PROGRAM = """
import sys
from gristmill.stages.ingest import Ingest
stage = Ingest(paths=(sys.argv[1],), retries=1)
parts = stage.parts()
stage.preview(parts)
print(sum(stage.run(part)[0].height for part in parts), len(parts))
"""


@pytest.mark.parametrize(
    ("path", "said"),
    [("data/a.parquet", "500 1"), ("data/*", "503 2"), ("data/missing.parquet", "data/missing.parquet")],
)
def test_a_dataset_of_the_hub_is_read(hub: str, path: str, said: str, tmp_path):
    environment = {"PYTHONPATH": str(SOURCE), "HF_ENDPOINT": hub, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", PROGRAM, f"hf://datasets/{REPO}/{path}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert said in done.stdout + done.stderr.strip().split("\n")[-1], done.stderr
