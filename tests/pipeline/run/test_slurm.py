"""A run on a real Slurm of two nodes on this machine; collected where slurmctld and slurmd are installed."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_engines import queue
from test_machine import corpus_digest, go

import toy
from gristmill.pipeline.books.status import status_lines
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.queued import queue_of
from gristmill.pipeline.run.store import Store

pytestmark = pytest.mark.usefixtures("slurm_nodes")


def told(store: Store) -> list[str]:
    return status_lines(store, load_plan(store.root / "plan.json"))[0]


def until(state: Callable[[], bool], store: Store) -> None:
    end = time.monotonic() + 240
    while not state():
        if time.monotonic() > end:
            logs = "\n".join(f"{p}\n{p.read_text()[-1500:]}" for p in store.root.glob("logs/*/slurm_logs/*.out"))
            raise AssertionError(f"{told(store)}\n{logs}")
        time.sleep(0.1)


def same(a: Path, b: Path, *patterns: str) -> bool:
    def files(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for pattern in patterns for p in root.glob(pattern)}

    assert files(a)
    return files(a) == files(b)


def cancel(*jobs: str) -> None:
    subprocess.run(["scancel", *jobs], check=True, timeout=30)


def test_a_cancelled_task_changes_nothing(tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=5, lines=6)
    store = queue(folder, tmp_path / "run", until="twins", gate={"min_words": 3})
    first = json.loads((store.root / "jobs.json").read_text())["jobs"][0]
    cancel(f"{first['id']}_0")
    with pytest.raises(PlanError, match=r"Slurm jobs of this run are queued or running:\n  job "):
        queue(folder, tmp_path / "run", until="twins", gate={"min_words": 3})
    assert "Slurm job" in told(store)[0]
    until(lambda: not any(job.waits for job in queue_of(store)), store)
    assert ": finished as far as it was asked, " in told(store)[0]
    go(folder, tmp_path / "local", until="twins", gate={"min_words": 3})
    assert same(store.root, tmp_path / "local", "ledger.json", "twins/*.parquet", "words.gate/*.parquet")


def test_where_a_turn_is_cancelled_nothing_waits_for_ever_and_the_same_command_goes_on(tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=5, lines=6)
    store = queue(folder, tmp_path / "run", until="words.gate")
    turn = json.loads((store.root / "jobs.json").read_text())["jobs"][1]
    cancel(turn["id"])
    until(lambda: not any(job.waits for job in queue_of(store)), store)
    assert ": stopped: " in told(store)[0]
    assert any(turn["id"] in line and "cancelled" in line for line in told(store))
    queue(folder, tmp_path / "run", until="words.gate")
    until(lambda: not any(job.waits for job in queue_of(store)), store)
    assert ": finished as far as it was asked, " in told(store)[0]
    go(folder, tmp_path / "local", until="words.gate")
    assert same(store.root, tmp_path / "local", "ledger.json", "words.gate/*.parquet")


def test_few_parts_are_one_job_and_the_last_job_ends_the_run(tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=2, lines=6)
    store = queue(folder, tmp_path / "run")
    assert len(json.loads((store.root / "jobs.json").read_text())["jobs"]) == 1
    until(lambda: not any(job.waits for job in queue_of(store)), store)
    assert ": finished, " in told(store)[0]
    assert (store.root / "paper.txt").read_text() == "2 parts"
    go(folder, tmp_path / "local")
    assert corpus_digest(store.root) == corpus_digest(tmp_path / "local")


def test_a_stage_that_fails_ends_the_chain_with_its_message(tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=1, lines=6)
    store = queue(folder, tmp_path / "run", ranking={"fail": "too few; add more"})
    until(lambda: not any(job.waits for job in queue_of(store)), store)
    assert ": failed at ranking, " in told(store)[0]
    assert "too few; add more" in told(store)[0]
