"""Which engine a name gives, what a stage may ask of it, and the queue's rules on a stand-in for Slurm's commands.

The same rules on a real Slurm are in test_slurm.py, which is there where Slurm is installed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from test_machine import Quiet

import toy
from gristmill.pipeline.books.status import status_lines
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.launch import launch, refuse, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.engines.job import Resources, check_resources, resources_of
from gristmill.pipeline.run.engines.named import make_engine
from gristmill.pipeline.run.store import Store

# Stands in for a cluster: a file per job, and a queue that shows what the file "queue" says.
COMMANDS = {
    "sbatch": """#!/bin/bash
[ -e "$STAND_IN/full" ] && [ $(ls "$STAND_IN/jobs" | wc -l) -ge 2 ] && { echo 'sbatch: error: too many' >&2; exit 1; }
n=$((100 + $(ls "$STAND_IN/jobs" | wc -l))); printf '%s\\n' "$@" > "$STAND_IN/jobs/$n"; echo "$n;cluster"
""",
    "squeue": '#!/bin/bash\ncat "$STAND_IN/queue"\n',
    "scontrol": '#!/bin/bash\necho "MaxArraySize            = 3"; echo "$@" >> "$STAND_IN/released"\n',
    "scancel": '#!/bin/bash\necho "$@" >> "$STAND_IN/cancelled"\n',
}
SECTION = {"slurm": {"time": "1:00:00", "partition": "cpu"}}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "stand-in"
    (place / "jobs").mkdir(parents=True)
    (place / "bin").mkdir()
    for name, text in COMMANDS.items():
        (place / "bin" / name).write_text(text)
        (place / "bin" / name).chmod(0o755)
    monkeypatch.setenv("STAND_IN", str(place))
    monkeypatch.setenv("PATH", f"{place / 'bin'}:{os.environ['PATH']}")
    return place


def queue(
    folder: Path, out: Path, until: str | None = None, more: Mapping[str, object] | None = None, **options: dict
) -> Store:
    """`more`: options of engine.slurm."""
    made, store = toy.recipe(folder, **options), Store(out)
    situation = survey(made, store, until)
    refuse(situation, store, confirmed=False)
    engine = make_engine("slurm", None, {"slurm": {**SECTION["slurm"], **(more or {})}})
    assert launch(made, situation, store, engine, until, Quiet(), toy.papers) == []
    return store


def test_a_chain_is_held_until_it_is_whole_and_arrays_keep_to_the_limit(stand_in: Path, tmp_path: Path):
    store = queue(toy.write_lines(tmp_path / "in", shards=5, lines=4), tmp_path / "run")
    jobs = json.loads((store.root / "jobs.json").read_text())["jobs"]
    given = {p.name: p.read_text().split("\n") for p in (stand_in / "jobs").iterdir()}
    assert [job["id"] for job in jobs] == sorted(given)
    assert max(job["tasks"] for job in jobs) == 2  # MaxArraySize 3: indices 0, 1 and 2 are allowed, one is kept free
    assert given["100"][1:3] == ["--export=ALL", "--hold"]
    for before, job in pairwise(jobs):
        turn = before["name"].endswith("-turn")
        last = f"afterok:{before['id']}" if turn else f"afterany:{before['id']}"
        assert given[job["id"]][2].endswith(last)
        assert given[job["id"]][3] == "--kill-on-invalid-dep=yes"
    turns = [job["id"] for job in jobs if job["name"].endswith("-turn")]
    assert given[turns[1]][2] == f"--dependency=afterok:{turns[0]},afterany:{int(turns[1]) - 1}"
    assert (stand_in / "released").read_text().split("\n")[-2] == "release 100"


def test_a_stage_s_resources_are_asked_for_its_phases(stand_in: Path, tmp_path: Path):
    made, store = toy.recipe(toy.write_lines(tmp_path / "in", shards=5, lines=4)), Store(tmp_path / "run")
    made = replace(made, engine={"resources": {"rank": {"gpus": 1, "cpus": 2, "memory_gb": 6, "time": "00:05:00"}}})
    engine = make_engine("slurm", 7, SECTION)
    assert launch(made, survey(made, store, None), store, engine, None, Quiet(), toy.papers) == []
    scripts = {p.parent.name[3:]: p.read_text() for p in store.root.glob("logs/*/launch_script.slurm")}
    for name in ("rank", "rank-turn"):
        assert {"--gpus=1", "--cpus-per-task=2", "--mem-per-cpu=3G", "--time=00:05:00"} <= asked_in(scripts[name])
    assert {"--cpus-per-task=1", "--mem-per-cpu=2G", "--time=1:00:00", "--array=0-1%7"} <= asked_in(scripts["slow"])


def asked_in(script: str) -> set[str]:
    return {line.removeprefix("#SBATCH ") for line in script.split("\n") if line.startswith("#SBATCH")}


def test_where_slurm_refuses_a_job_the_chain_is_taken_back(stand_in: Path, tmp_path: Path):
    (stand_in / "full").touch()
    with pytest.raises(ConfigError, match=r"sbatch: sbatch: error: too many; nothing is queued"):
        queue(toy.write_lines(tmp_path / "in", shards=5, lines=4), tmp_path / "run")
    assert (stand_in / "cancelled").read_text() == "100 101\n"


def test_where_a_job_s_files_cannot_be_written_the_chain_is_taken_back(stand_in: Path, tmp_path: Path):
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "logs" / "00-ingest-turn").touch()
    with pytest.raises(FileExistsError):
        queue(toy.write_lines(tmp_path / "in", shards=5, lines=4), tmp_path / "run")
    assert (stand_in / "cancelled").read_text() == "100\n"


def test_jobs_that_wait_are_named_and_neither_queued_again_nor_run_beside(stand_in: Path, tmp_path: Path):
    folder = toy.write_lines(tmp_path / "lines", shards=5, lines=4)
    store = queue(folder, tmp_path / "run")
    (stand_in / "queue").write_text("100|COMPLETED|None\n100|RUNNING|None\n101|PENDING|Dependency\n")
    with pytest.raises(
        PlanError, match=r"(?s)2 Slurm jobs .*running:\n  job 100 .* 1 completed, 1 running\n.* 101 .*scancel"
    ):
        queue(folder, tmp_path / "run")
    said = status_lines(store, load_plan(store.root / "plan.json"))[0]
    assert said[0] == "toy: running as 2 Slurm jobs, 1 task at work"
    assert said[1].split() == ["job", "100", "ingest", "1", "completed,", "1", "running"]
    (stand_in / "queue").write_text("100|COMPLETED|None\n101|FAILED|NonZeroExitCode\n")
    assert [line.split()[1:4] for line in status_lines(store, load_plan(store.root / "plan.json"))[0][1:2]] == [
        ["101", "ingest-turn", "1"]
    ]
    refuse(survey(toy.recipe(folder), store, None), store, confirmed=False)
    (stand_in / "bin" / "squeue").write_text("#!/bin/bash\nexit 1\n")
    with pytest.raises(PlanError, match=r"job 101 .* unknown"):  # who cannot ask does not queue a second chain
        refuse(survey(toy.recipe(folder), store, None), store, confirmed=False)
    (store.root / "ledger.json").touch()
    assert status_lines(store, load_plan(store.root / "plan.json"))[0][0].startswith("toy: finished")


def test_unknown_engine_and_options_are_named(stand_in: Path):
    with pytest.raises(ConfigError, match="there are local, ray and slurm"):
        make_engine("spark", 1, {})
    with pytest.raises(ConfigError, match=r"engine\.slurm\.time"):
        make_engine("slurm", 1, {})
    with pytest.raises(ConfigError, match=r"engine\.slurm: unknown partitoin; there are .*partition"):
        make_engine("slurm", 1, {"slurm": {**SECTION["slurm"], "partitoin": "gpu"}})


def test_no_slurm_on_this_machine_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no scontrol on this machine"):
        make_engine("slurm", 1, SECTION)


def test_resources_of_a_phase_are_enough_for_each_of_its_stages():
    engine = {
        "resources": {
            "embed": {"gpus": 1, "time": "30"},
            "mixture": {"cpus": 8, "memory_gb": 20},
            "quality": {"time": "1-0"},
        }
    }
    assert resources_of(engine, ["language", "signals"]) == Resources()
    assert resources_of(engine, ["embed", "quality.model"]) == Resources(gpus=1, time="1-0")
    assert resources_of(engine, ["mixture"]) == Resources(cpus=8, memory_gb=20)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"embd": {"gpus": 1}}, r"engine\.resources\.embd: no such stage; there are embed, mixture"),
        ({"embed": {"gpu": 1}}, r"engine\.resources\.embed: unknown gpu; there are cpus, gpus"),
        ({"embed": {"gpus": True}}, r"engine\.resources\.embed\.gpus: True is no number"),
        ({"embed": {"time": "soon"}}, r"engine\.resources\.embed\.time: 'soon'; write 08:00:00"),
        ({"embed": 1}, r"engine\.resources\.embed: a mapping"),
    ],
)
def test_resources_that_cannot_be_are_named(given: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        check_resources({"resources": given}, ["embed", "mixture"])
