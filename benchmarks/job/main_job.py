"""The main job on real shards: wall time, peak memory per process, books, and the same bytes however it is disturbed.

python benchmarks/job/main_job.py                     time and memory of the quickstart on sample data made here
python benchmarks/job/main_job.py --input "SHARDS"    configs/commoncrawl.yaml on WARC shards of yours (README:
                                                      our shared web/; bar: 3 minutes, 1.5 GB per worker)
python benchmarks/job/main_job.py --workers 1 2 4     the same bytes for any number of workers
python benchmarks/job/main_job.py --kills 20          SIGKILL at 20 moments, parent or worker; rerun; the same bytes
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    paths: str  # glob of WARC shards
    config: str

    def command(self, out: Path, workers: int) -> list[str]:
        run = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(ROOT / "configs" / self.config)]
        return [*run, f"input.paths={self.paths}", "--out", str(out), "--workers", str(workers)]


def start(job: Job, out: Path, workers: int) -> subprocess.Popen:
    log = (out.parent / f"{out.name}.log").open("ab")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    return subprocess.Popen(job.command(out, workers), stdout=log, stderr=log, env=environment, start_new_session=True)


def workers_of(run: subprocess.Popen) -> list[psutil.Process]:
    try:
        children = psutil.Process(run.pid).children(recursive=True)
        return [c for c in children if "spawn_main" in " ".join(c.cmdline())]
    except psutil.Error:
        return []


def watched(job: Job, out: Path, workers: int) -> tuple[float, int, int]:
    """(seconds, peak resident bytes of any worker, exit status)."""
    began, peak = time.monotonic(), 0
    run = start(job, out, workers)
    while run.poll() is None:
        for process in workers_of(run):
            try:
                peak = max(peak, process.memory_info().rss)
            except psutil.Error:
                continue
        time.sleep(0.05)
    return time.monotonic() - began, peak, run.returncode


def result(out: Path) -> dict[str, str]:
    """Checksums of what must not depend on how the run went."""
    files = [
        *sorted((out / "corpus").rglob("*")),
        out / "mixture" / "weights.json",
        out / "ledger.json",
        out / "report.html",
    ]
    return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest()[:16] for f in files if f.is_file()}


def disturbed(job: Job, out: Path, kills: int, rng: random.Random, whole: float) -> int:
    """Starts the run again and again, killing the parent or a worker at a random moment; returns kills that hit."""
    hits = 0
    while hits < kills:
        run = start(job, out, 2)
        time.sleep(rng.uniform(0.2, 1.1) * whole / 3)
        victims = workers_of(run)
        if run.poll() is None:
            if victims and rng.random() < 0.5:
                rng.choice(victims).kill()
                what = "worker"
                code = run.wait()
                print(f"  kill {hits + 1}: {what}; the run went on and returned {code}", flush=True)
            else:
                os.kill(run.pid, signal.SIGKILL)
                run.wait()
                print(f"  kill {hits + 1}: parent", flush=True)
            hits += 1
        if rng.random() < 0.3 or run.returncode == 0:
            # Something to do for the next one.
            stage = rng.choice(["corpus.receipts", "embed", "gates", "ingest", "mixture", "dedup.minhash", "quality"])
            shutil.rmtree(out / stage, ignore_errors=True)
    return hits


def sample(folder: Path) -> Job:
    """The quickstart's job: the texts of this Python installation as WARC shards."""
    make = [sys.executable, "-m", "gristmill.pipeline.cli", "sample-data", str(folder)]
    subprocess.run(make, env={**os.environ, "PYTHONPATH": str(ROOT / ".src")}, check=True)
    return Job(f"{folder}/*.warc.gz", "quickstart.yaml")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--workers", type=int, nargs="*", default=[2])
    options.add_argument("--kills", type=int, default=0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--input", help="glob of WARC shards; without it sample data")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(chosen.input, "commoncrawl.yaml") if chosen.input else sample(Path(folder) / "input")
        base: dict[str, str] | None = None
        seconds = 60.0
        for workers in chosen.workers:
            out = Path(folder) / f"workers{workers}"
            seconds, peak, status = watched(job, out, workers)
            if status:
                print((out.parent / f"{out.name}.log").read_text())
                sys.exit(f"exit status {status}")
            books = json.loads((out / "ledger.json").read_text())
            corpus = f"{books[-1]['docs_out']} documents, {books[-1]['tokens']} tokens"
            print(f"{workers} workers: {seconds:.1f} s, peak {peak / 1e6:.0f} MB per worker, exit {status}, ", end="")
            print(f"{books[0]['docs_in']} records, {corpus}", flush=True)
            if base is not None and result(out) != base:
                sys.exit(f"{workers} workers give other bytes: {set(result(out).items()) ^ set(base.items())}")
            base = base or result(out)
        if len(chosen.workers) > 1:
            print(f"the same bytes for {chosen.workers} workers: {len(base or {})} files")
        if chosen.kills:
            out = Path(folder) / "killed"
            rng = random.Random(chosen.seed)
            hits = disturbed(job, out, chosen.kills, rng, seconds)
            _, _, status = watched(job, out, 2)
            same = result(out) == base
            bytes_are = "the same" if same else "OTHER"
            print(f"{hits} kills, then a rerun: exit {status}, {bytes_are} bytes in {len(base or {})} files")
            if status or not same:
                sys.exit(f"{set(result(out).items()) ^ set((base or {}).items())}")


if __name__ == "__main__":
    main()
