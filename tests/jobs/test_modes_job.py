"""Modes quadmix and both through the command line: shares as asked, the same bytes for any workers and after kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from test_main_job import ROOT, gristmill, outputs

from gristmill.pipeline.demo.shards import write_sample_data
from places import SOURCE

pytestmark = pytest.mark.slow
SETTINGS = ("tokenizer.vocab_size=4096", "mixture.parameters.runs=200", "mixture.confirm.seeds=3")


def command(base: Path, out: Path, mode: str, *more: str) -> list[str]:
    config = ROOT / "configs" / "quickstart.yaml"
    paths = f"input.paths={base.parent}/input/*.warc.gz"
    return ["run", str(config), paths, *SETTINGS, f"mixture.mode={mode}", *more, "--out", str(out)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has come to its buckets."""
    folder = tmp_path_factory.mktemp("modes-job")
    write_sample_data(folder / "input", shards=3, max_docs=700)
    done = gristmill(*command(folder / "base", folder / "base", "climb", "--until", "domain.bucket"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "base"


@pytest.fixture(scope="session", params=["both", "quadmix"])
def finished(request: pytest.FixtureRequest, base: Path) -> tuple[str, Path]:
    out = base.parent / request.param
    shutil.copytree(base, out)
    done = gristmill(*command(base, out, request.param, "--workers", "2"))
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param, out


def test_corpus_holds_the_asked_shares_and_every_paper_tells_of_climb(finished: tuple[str, Path]):
    mode, out = finished
    found = json.loads((out / "mixture" / "weights.json").read_text())
    corpus = pl.read_parquet(out / "corpus" / "data" / "*.parquet")
    total = int(corpus["token_count"].sum())
    assert abs(total / found["budget_tokens"] - 1) <= 0.005
    shares = dict(corpus.group_by("bucket").agg(pl.col("token_count").sum() / total).iter_rows())
    for row in found["buckets"]:
        assert abs(shares.get(row["bucket"], 0.0) - row["weight"]) <= 0.005 or row["limited"]
        assert row["epochs"] <= found["max_epochs"] + 1e-9
    assert found["search"]["mode"] == mode
    assert found["search"]["parameters"]["found"] is True
    (climb,) = (c for c in found["confirm"]["comparisons"] if c["baseline"] == "climb")
    assert "climb" in found["verdict"]
    assert f"{climb['difference']:+.4f}" in found["verdict"]
    assert found["verdict"] in gristmill(*command(out.parent / "base", out, mode)).stdout
    assert "| climb | all |" in (out / "corpus" / "README.md").read_text()
    assert f"Parameters of the sampling value, mode {mode}." in (out / "report.html").read_text()
    tables = json.loads((out / "artifacts" / "quadmix" / "quadmix.json").read_text())["buckets"]
    stored = json.loads((out / "artifacts" / "mixture" / "parameters.json").read_text())["buckets"]
    assert {b: t["shape"] for b, t in tables.items()} == {b: p["shape"] for b, p in stored.items()}
    assert gristmill("verify", out).returncode == 0


def test_one_worker_and_kills_while_it_searches_give_the_same_bytes(
    base: Path, finished: tuple[str, Path], tmp_path: Path
):
    mode, whole = finished
    out = tmp_path / "run"
    shutil.copytree(base, out)
    line = [sys.executable, "-m", "gristmill.pipeline.cli", *command(base, out, mode, "--workers", "1")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    for seconds in (3, 6):
        process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    done = gristmill(*command(base, out, mode, "--workers", "1"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(out) == outputs(whole)


def test_what_cannot_be_meant_is_refused_before_anything_runs(base: Path, tmp_path: Path):
    wrong = 'quadmix.buckets=[{"bucket": "c00"}]'
    done = gristmill(*command(base, tmp_path / "run", "both", wrong))
    assert done.returncode == 2
    assert "searches what quadmix.buckets sets" in done.stderr
    assert "Traceback" not in done.stderr
