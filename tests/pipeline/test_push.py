"""`gristmill push`: what would be sent, what is refused, and an upload by huggingface_hub to a server of our own."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gristmill.pipeline.books.summary import write_papers
from gristmill.pipeline.cli import main
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent
from places import SOURCE

CONFIG = """
name: pushed
sources:
  - {{name: short, paths: {paths}, share: 1, trusted: true, dedup: off, language: en}}
quality: {{enabled: false}}
embed: {{enabled: false}}
cluster: {{enabled: false}}
domain: {{enabled: false}}
tokenizer: {{vocab_size: 280}}
mixture: {{budget_tokens: 500}}
corpus: {{format: [parquet, jsonl.zst]}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pushed")
    rows = [{"text": f"document number {i} of them all, " * 5, "id": str(i)} for i in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = make_recipe(parse_yaml(CONFIG.format(paths=folder / "rows.jsonl")), "pushed")
    store = Store(folder / "run")
    launch(recipe, survey(recipe, store, None), store, InProcess(), None, Silent(), write_papers)
    return store.root


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_dry_run_says_files_bytes_and_card(finished: Path, capsys):
    assert main(["push", str(finished), "--to", "someone/corpus", "--dry-run"]) == 0
    said = capsys.readouterr().out
    files = [p for p in (finished / "corpus").rglob("*") if p.is_file()]
    assert f"sent are   {len(files)} files, {sum(p.stat().st_size for p in files):,} bytes" in said
    assert "datasets/someone/corpus (private if it is new)" in said
    assert "card       # Gristmill corpus (pushed)" in said
    assert "dry run: nothing was sent" in said


def test_without_a_token_one_line_says_how_to_have_one(finished: Path, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert main(["push", str(finished), "--to", "someone/corpus"]) == 2
    assert "no token of the Hugging Face hub: hf auth login" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["corpus", "a/b/c", "some one/corpus", "x/-y"])
def test_a_name_that_the_hub_would_not_take_is_refused(finished: Path, to: str, capsys):
    assert main(["push", str(finished), "--to", to, "--dry-run"]) == 2
    assert f"--to {to}" in capsys.readouterr().err


def test_an_edited_shard_is_not_pushed(out: Path, capsys):
    shard = next((out / "corpus" / "jsonl").glob("*.zst"))
    shard.write_bytes(shard.read_bytes() + b"\0")
    assert main(["push", str(out), "--to", "someone/corpus", "--dry-run"]) == 1
    assert "was changed after the run" in capsys.readouterr().err


def test_an_unfinished_run_is_not_pushed(out: Path, capsys):
    (out / "seal.json").unlink()
    assert main(["push", str(out), "--to", "someone/corpus", "--dry-run"]) == 1
    assert "only a finished run is pushed" in capsys.readouterr().err


class Hub(BaseHTTPRequestHandler):
    """The requests of an upload without xet; what is committed is kept in `held`."""

    held: dict[str, bytes]

    def log_message(self, format: str, *args: object) -> None:
        return

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        tree = [{"type": "file", "path": p, "size": len(d), "oid": "0" * 40} for p, d in sorted(self.held.items())]
        path = self.path.partition("?")[0]
        if "/tree/" in path:
            self.answer(tree)
            return
        siblings = [{"rfilename": item["path"]} for item in tree]
        self.answer({"id": "someone/corpus", "sha": "0" * 40, "siblings": siblings, "private": True})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/repos/create"):
            self.answer({"url": f"http://{self.headers['Host']}/datasets/someone/corpus"})
        elif self.path.endswith("/validate-yaml"):
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]})
        else:
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    self.held[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
                elif item["key"] == "deletedFile":
                    self.held.pop(item["value"]["path"])
            url = f"http://{self.headers['Host']}/datasets/someone/corpus"
            self.answer({"commitUrl": f"{url}/commit/{'0' * 40}", "commitOid": "0" * 40, "hookOutput": ""})


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHub", (Hub,), {"held": {}}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_huggingface_hub_sends_the_corpus_and_takes_shards_of_an_earlier_push_away(finished: Path, hub, tmp_path):
    held: dict[str, bytes] = hub.RequestHandlerClass.held
    held |= {"data/train-00007-of-00009.parquet": b"old", "notes.md": b"a person's own"}
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_TOKEN": "hf_none", "HF_HOME": str(tmp_path)}
    settings |= {"HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "push", str(finished), "--to", "someone/corpus"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    corpus = finished / "corpus"
    sent = {p.relative_to(corpus).as_posix(): p.read_bytes() for p in corpus.rglob("*") if p.is_file()}
    assert held == {**sent, "notes.md": b"a person's own"}
    assert "sent       http://127.0.0.1" in done.stdout


def test_a_hub_that_cannot_be_reached_is_one_line(finished: Path, tmp_path):
    settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_none", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "push", str(finished), "--to", "someone/corpus"]
    env = {**os.environ, **settings, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("gristmill: someone/corpus: ")
