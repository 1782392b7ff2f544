"""A run whose mixture is searched with a trainer that workers share: their number and kills leave the bytes."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_main_job import gristmill

from places import SOURCE

pytestmark = pytest.mark.slow
WORDS = {
    "prose": "the old man walked slowly down to the river and looked at the boats in the evening light again",
    "code": "def return self import for in range ( ) : = + [ ] None True if else class x y i",
    "law": "section shall pursuant thereof the provisions of this act subsection paragraph authority may not",
}
# Trains a unigram model. With HOLD, a run waits at the pipe of this name once three are done.
TRAINER = """
import json, math, os, sys
from collections import Counter
folder = os.path.dirname(__file__)
asked = json.load(open(sys.argv[1]))
log = os.path.join(folder, "log")
if "HOLD" in os.environ and os.path.exists(log) and len(open(log).readlines()) >= 3:
    open(os.environ["HOLD"]).read()
read = lambda paths: " ".join(json.loads(line)["text"] for path in paths for line in open(path)).split()
counts = Counter()
for bucket, weight in asked["weights"].items():
    words = read(asked["data"][bucket])
    for word in words:
        counts[word] += weight / len(words)
loss = lambda words: -sum(math.log(0.99 * counts[word] + 1e-4) for word in words) / len(words)
json.dump({"losses": {t: loss(read(paths)) for t, paths in asked["target_data"].items()}}, open(sys.argv[2], "w"))
open(log, "a").write(json.dumps([asked["seed"], asked["weights"]]) + "\\n")
"""


def text(kind: str, seed: int) -> str:
    """Triples of neighbours of the kind's words."""
    known = WORDS[kind].split()
    starts = np.random.default_rng((seed, len(kind))).integers(len(known) - 3, size=66)
    return " ".join(" ".join(known[i : i + 3]) for i in starts)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with input and config, and in `base` a run that has come as far as the buckets."""
    folder = tmp_path_factory.mktemp("job")
    for kind in WORDS:
        lines = [json.dumps({"text": text(kind, i)}) for i in range(30)]
        (folder / f"{kind}.jsonl").write_text("\n".join(lines))
    goal = [json.dumps({"text": text("code", 100 + i)}) for i in range(30)]
    (folder / "goal.jsonl").write_text("\n".join(goal))
    sources = ", ".join(f"{{name: {kind}, paths: {folder}/{kind}.jsonl}}" for kind in WORDS)
    (folder / "job.yaml").write_text(
        f"sources: [{sources}]\nlicense: {{enabled: false}}\ngates: {{presets: []}}\ntokenizer: {{vocab_size: 400}}\n"
        "dedup: {references: {enabled: false}}\ndomain: {bucket: {by: source}}\n"
        f"mixture: {{validation: [{folder}/goal.jsonl], proxy: command, runs: 10, confirm: {{seeds: 2}}}}\n"
    )
    done = gristmill("run", folder / "job.yaml", *command(folder, 2), "--out", folder / "base", "--until", "domain")
    assert done.returncode == 0, done.stderr
    return folder


def command(work: Path, spread: int) -> list[str]:
    """Settings with a trainer in the folder `work`, two runs of which are made at once."""
    (work / "train.py").write_text(TRAINER)
    line = f"{sys.executable} {work}/train.py {{mixture}} {{metrics}}"
    settings = {"run": line, "tokens": 2000, "retries": 0, "spread": spread, "at_once": 2 // spread}
    return [f"mixture.command={json.dumps(settings)}"]


def searching(job: Path, work: Path, spread: int, workers: int) -> list[str]:
    """The command that searches in a copy of `base`."""
    if not (work / "run").exists():
        shutil.copytree(job / "base", work / "run")
    arguments = [
        "run",
        job / "job.yaml",
        *command(work, spread),
        "--out",
        work / "run",
        "--until",
        "mixture",
        "--workers",
    ]
    return [sys.executable, "-m", "gristmill.pipeline.cli", *map(str, arguments), str(workers)]


def search(job: Path, work: Path, spread: int, workers: int) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    called = searching(job, work, spread, workers)
    done = subprocess.run(called, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def found(work: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (work / "run" / "artifacts" / "mixture").iterdir()}


def runs(work: Path) -> Counter[str]:
    return Counter((work / "log").read_text().splitlines())


@pytest.fixture(scope="module")
def alone(job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search by one process."""
    work = tmp_path_factory.mktemp("alone")
    assert "(round" not in search(job, work, spread=1, workers=1)
    assert json.loads(found(work)["weights.json"])["confirm"] is not None
    return work


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_that_workers_share_give_the_bytes_of_one_process(job: Path, alone: Path, tmp_path: Path, workers: int):
    said = search(job, tmp_path, 2, workers)
    assert "mixture (round 1, 5 runs)" in said
    assert found(tmp_path) == found(alone)
    assert runs(tmp_path) == runs(alone)
    assert "(round" not in search(job, tmp_path, 2, 3 - workers)
    assert runs(tmp_path) == runs(alone)


def test_a_killed_command_loses_the_runs_in_flight_and_makes_no_other_again(job: Path, alone: Path, tmp_path: Path):
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    called, environment = searching(job, tmp_path, 2, 2), {**os.environ, "PYTHONPATH": str(SOURCE), "HOLD": str(hold)}
    killed = subprocess.Popen(called, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with hold.open("w") as pipe:  # opens when a run waits at it, in the midst of the first round
        said = gristmill("status", tmp_path / "run").stdout
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        gone = select.poll()
        gone.register(pipe, 0)
        gone.poll()  # answers when no run waits any longer: they have died with their workers
    assert "at: mixture (round 1, 5 runs)" in said
    assert "3 of 5 runs" in said or "4 of 5 runs" in said
    before = runs(tmp_path)
    assert 3 <= before.total() < 5
    search(job, tmp_path, 2, workers=1)
    assert found(tmp_path) == found(alone)
    assert runs(tmp_path) == runs(alone)
    assert max(runs(tmp_path).values()) == 1
