"""A run folder in an object store and a real Slurm, whose nodes share no folder: the same bytes as a local run."""

import json
import re
import sys
from pathlib import Path

import fsspec.config
import pytest
from faulty import Faulty
from test_engines import queue
from test_machine import go
from test_objects import ADDRESS, files, objects, results
from test_slurm import cancel, told, until

import toy
from gristmill.pipeline.queued import queue_of
from gristmill.pipeline.run.objects.mirror import is_stub
from gristmill.pipeline.run.objects.reached import run_folder
from gristmill.pipeline.run.store import Store
from places import SOURCE

pytestmark = pytest.mark.usefixtures("slurm_nodes", "bucket")


@pytest.fixture
def apart(tmp_path: Path) -> dict[str, object]:
    """Options of engine.slurm by which two tasks are on two nodes, each with mirrors of its own, in tmp_path/NODE."""
    env = f'export XDG_CACHE_HOME="{tmp_path}/$SLURMD_NODENAME" PATH="{Path(sys.executable).parent}:$PATH"'
    return {"partition": "whole", "env_command": env, "slurm_logs_folder": str(tmp_path / "said")}


def jobs_of(store: Store) -> list[dict]:
    return json.loads((store.root / "jobs.json").read_text())["jobs"]


def at_its_end(store: Store) -> str:
    """What `status` says of the bucket's run once no job is left."""
    until(lambda: not any(job.waits for job in queue_of(store)), store)
    return told(Store(run_folder(ADDRESS)))[0]


@pytest.mark.slow
def test_whatever_the_store_answers_nodes_that_share_no_folder_bring_a_queued_run_to_its_end(
    bucket: type[Faulty], apart: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"key": "key", "secret": "secret-of-the-test"})
    folder = toy.write_lines(tmp_path / "in", shards=5, lines=6)
    bucket.often = 12
    store = queue(folder, run_folder(ADDRESS), more=apart, gate={"min_words": 3})
    cancel(f"{jobs_of(store)[0]['id']}_0")
    assert "Slurm job" in told(Store(run_folder(ADDRESS)))[0]
    assert ": finished, " in at_its_end(store)
    bucket.often = 0
    go(folder, tmp_path / "local", gate={"min_words": 3})
    found = objects()
    assert results(found) == results(files(tmp_path / "local"))
    assert b"secret-of-the-test" not in b"".join(found.values())
    assert {name.rpartition("/")[2] for name in found if name.startswith("logs/")} == {
        "executor.pik", "progress.json", "ranks_to_run.json"
    }  # fmt: skip
    used = [
        [path for path in (tmp_path / node).rglob("*.parquet") if not is_stub(path.lstat())] for node in ("n0", "n1")
    ]
    assert all(used)


def test_tasks_say_what_they_do_where_any_node_has_a_folder(apart: dict[str, object], tmp_path: Path):
    del apart["slurm_logs_folder"]
    folder = toy.write_lines(tmp_path / "in", shards=2, lines=6)
    store = queue(folder, run_folder(ADDRESS), "words.gate", {**apart, "sbatch_args": {"begin": "now+1hour"}})
    script = next(store.root.glob("logs/*/launch_script.slurm")).read_text()
    assert "#SBATCH --output=/tmp/%A_%a.out\n" in script
    cancel(jobs_of(store)[0]["id"])
    assert "/tmp/JOB_TASK.out on their nodes" in "\n".join(told(Store(run_folder(ADDRESS))))


def test_what_a_node_cannot_import_is_told_by_status(apart: dict[str, object], tmp_path: Path):
    env = f"{apart['env_command']} PYTHONPATH={SOURCE}"
    folder = toy.write_lines(tmp_path / "in", shards=2, lines=6)
    store = queue(folder, run_folder(ADDRESS), "words.gate", {**apart, "env_command": env})
    assert re.search(r": failed, .* cannot load 'toy:", at_its_end(store))


def test_where_a_turn_is_cancelled_the_same_command_goes_on(apart: dict[str, object], tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=5, lines=6)
    store = queue(folder, run_folder(ADDRESS), "words.gate", apart)
    cancel(jobs_of(store)[1]["id"])
    assert ": stopped: " in at_its_end(store)
    queue(folder, run_folder(ADDRESS), "words.gate", apart)
    assert ": finished as far as it was asked, " in at_its_end(store)
    go(folder, tmp_path / "local", until="words.gate")
    assert results(objects()) == results(files(tmp_path / "local"))
