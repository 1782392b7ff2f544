"""The same plan on datatrove's Ray executor, on a real Ray in this machine: the same bytes."""

import json
import os
import sys
from pathlib import Path

import pytest
from test_machine import Quiet, corpus_digest, go

import toy
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.launch import launch, refuse, survey
from gristmill.pipeline.run.executors import RayEngine, SlurmEngine, make_engine
from gristmill.pipeline.run.phases import sinking
from gristmill.pipeline.run.store import Store
from places import SOURCE


@pytest.mark.slow
def test_ray_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    # Ray's workers are fresh processes: they find the toy recipe as an installed package would be found.
    monkeypatch.setenv("PYTHONPATH", f"{Path(toy.__file__).parent}:{SOURCE}")
    folder = toy.write_lines(tmp_path / "in", shards=3)
    go(folder, tmp_path / "local", gate={"min_words": 3})
    made, store = toy.recipe(folder, gate={"min_words": 3}), Store(tmp_path / "ray")
    engine = RayEngine(2, {"mem_per_cpu_gb": 0.5})
    try:
        launch(made, survey(made, store, None), store, engine, None, Quiet(), lambda store, plan: None)
    finally:
        engine.close()
    assert corpus_digest(tmp_path / "ray") == corpus_digest(tmp_path / "local")


SBATCH = """#!{python}
# Stands in for a cluster: runs each array task of a job where it is submitted, then prints a job id as sbatch does.
import os, re, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
last = int(re.search(r"--array=0-([0-9]+)", text)[1])
for task in range(last + 1):
    environment = dict(os.environ, SLURM_ARRAY_TASK_ID=str(task), SLURM_NODELIST="localhost", RUN_OFFSET="0")
    subprocess.run(["bash", script], env=environment, stdout=sys.stderr, check=True)
with open(os.environ["SBATCH_LOG"], "a") as log:
    log.write(" ".join(a for a in sys.argv[1:-1]) + "\\n")
print("Submitted batch job", 1000 + len(open(os.environ["SBATCH_LOG"]).readlines()))
"""


def test_slurm_queues_every_phase_behind_the_one_before_and_a_rerun_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """datatrove's real Slurm executor, its scripts and its pickled pipelines; only the cluster's commands stand in."""
    tools = tmp_path / "bin"
    tools.mkdir()
    commands = {"sbatch": SBATCH.format(python=sys.executable), "scontrol": "#!/bin/sh\necho localhost\n"}
    for name, text in commands.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{Path(toy.__file__).parent}:{SOURCE}")
    monkeypatch.setenv("SBATCH_LOG", str(tmp_path / "submitted"))
    monkeypatch.setattr(sinking, "GATHER_RANKS", 3)
    folder = toy.write_lines(tmp_path / "in", shards=2)
    go(folder, tmp_path / "local", gate={"min_words": 3})
    made, store = toy.recipe(folder, gate={"min_words": 3}), Store(tmp_path / "slurm")
    options: dict = {"time": "1:00:00", "partition": "cpu", "with_srun": False}
    results = []
    for _ in range(2):
        engine = SlurmEngine(2, options)
        results.append(launch(made, survey(made, store, None), store, engine, None, Quiet(), lambda store, plan: None))
    assert results[0] == []
    assert results[1][-1]["stage"] == "corpus"
    assert corpus_digest(tmp_path / "slurm") == corpus_digest(tmp_path / "local")
    submitted = (tmp_path / "submitted").read_text().split("\n")
    assert sum("--dependency=afterok:" in line for line in submitted) >= 5


def test_unknown_engine_and_missing_slurm_options_are_named():
    with pytest.raises(ConfigError, match="there are local, ray and slurm"):
        make_engine("spark", 1, {})
    with pytest.raises(ConfigError, match=r"engine\.slurm\.time"):
        SlurmEngine(1, {})


def test_jobs_that_wait_are_not_queued_again_and_no_local_run_starts_beside_them(tmp_path: Path, monkeypatch):
    folder = toy.write_lines(tmp_path / "lines", shards=1, lines=4)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in (("sbatch", "echo Submitted batch job $RANDOM"), ("squeue", f"cat {tmp_path}/queue")):
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    store, made = Store(tmp_path / "run"), toy.recipe(folder)
    engine = make_engine("slurm", 1, {"slurm": {"time": "1:00:00", "partition": "cpu"}})
    situation = survey(made, store, None)
    launch(made, situation, store, engine, None, Quiet(), lambda store, plan: None)
    jobs = json.loads((store.root / "jobs.json").read_text())["jobs"]
    assert len(jobs) == len(situation.plan.phases)
    (tmp_path / "queue").write_text(f"1\n{jobs[-1]}\n")
    with pytest.raises(PlanError, match=rf"1 Slurm jobs .*{jobs[-1]}.* scancel"):
        refuse(survey(made, store, None), store, confirmed=False)
    refuse(survey(made, store, None), store, confirmed=True)
    (tmp_path / "queue").write_text("1\n")
    refuse(survey(made, store, None), store, confirmed=False)
