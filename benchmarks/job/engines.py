"""Local, Ray and Slurm beside each other on one small main job: seconds, overhead per phase, the same bytes.

python benchmarks/job/engines.py ray           three nodes on this machine (ray.cluster_utils)
python benchmarks/job/engines.py ray --kill    a node is killed, then the driver; the same command goes on
python benchmarks/job/engines.py slurm         three nodes on this machine (tests/pipeline/run/cluster.py)
python benchmarks/job/engines.py slurm --shards 5    enough parts for arrays, here of two tasks
python benchmarks/job/engines.py slurm --bucket      the run folder in a bucket, nodes that share no folder
python benchmarks/job/engines.py s3            the local engine, the run folder in a bucket (moto's server, here)

The input is the quickstart's, made here: so many pages that a phase takes seconds. Bar: Ray under 1 s per phase beyond
the local engine with as many workers.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "pipeline" / "run"
sys.path[:0] = [str(ROOT / ".src"), str(TESTS), str(TESTS / "objects")]

from cluster import slurm  # noqa: E402
from faulty import Faulty, moto, proxied  # noqa: E402

from gristmill.pipeline.demo.shards import write_sample_data  # noqa: E402
from gristmill.pipeline.plan.plan import load_plan  # noqa: E402
from gristmill.pipeline.run.objects.reached import run_folder  # noqa: E402
from gristmill.pipeline.run.store import Store  # noqa: E402

STORE_BYTES = 80 << 20
SETTINGS = (
    "tokenizer.vocab_size=1024", "tokenizer.train_bytes=400000", "mixture.method=direct",
    "mixture.ngram.corpus_tokens=200000", "mixture.target_tokens=20000", "mixture.budget_tokens=100000",
)  # fmt: skip
SLURM = "engine.slurm={max_array_size: 2, time: 1:00:00, mem_per_cpu_gb: 1}"


def command(shards: str, out: Path, *more: str) -> list[str]:
    run = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(ROOT / "configs" / "quickstart.yaml")]
    return [*run, f"input.paths={shards}", *SETTINGS, "--out", str(out), *more]


def start(given: list[str], log: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    with log.open("ab") as file:
        return subprocess.Popen(given, stdout=file, stderr=file, env=environment, start_new_session=True)


def seconds(given: list[str], log: Path) -> float:
    began = time.monotonic()
    if start(given, log).wait():
        sys.exit(f"failed: {log.read_text()[-2000:]}")
    return time.monotonic() - began


def corpus(out: Path) -> str:
    whole = hashlib.blake2b()
    for path in [*sorted((out / "corpus" / "data").iterdir()), out / "ledger.json"]:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


@contextmanager
def three_nodes() -> Iterator[object]:
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(ROOT / ".src")
    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    made.others = [made.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
    try:
        yield made
    finally:
        made.shutdown()


def until_phase(out: Path, log: Path, number: int, run: subprocess.Popen) -> None:
    """Waits until the run has told of so many phases."""
    while run.poll() is None and sum(line.strip()[:1].isdigit() for line in log.read_text().splitlines()) < number:
        time.sleep(0.05)


def on_ray(shards: str, place: Path, local: float, kill: bool) -> None:
    with three_nodes() as made:
        ray = ["--engine", "ray", f"engine.ray={{address: '{made.address}', mem_per_cpu_gb: 0.5}}"]
        if not kill:
            took = seconds(command(shards, place / "ray", "--workers", "2", *ray), place / "ray.log")
            again = seconds(command(shards, place / "ray", "--workers", "2", *ray), place / "ray-again.log")
            report("ray", place, local, took, again)
            return
        log = place / "ray.log"
        run = start(command(shards, place / "ray", *ray), log)
        until_phase(place / "ray", log, 2, run)
        made.remove_node(made.others[0], allow_graceful=False)
        print("node killed", flush=True)
        until_phase(place / "ray", log, 6, run)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        print("driver killed", flush=True)
        took = seconds(command(shards, place / "ray", *ray), log)
        report("ray after kills", place, local, took, 0.0)


def on_slurm(shards: str, place: Path, local: float) -> None:
    report("slurm", place, local, queued(shards, place, place / "slurm", ", partition: cpu"), 0.0)


def on_slurm_in_a_bucket(shards: str, place: Path, local: float) -> None:
    paths = f'export XDG_CACHE_HOME="{place}/$SLURMD_NODENAME" PATH="{Path(sys.executable).parent}:$PATH"'
    apart = f", partition: whole, env_command: '{paths}', slurm_logs_folder: {place / 'said'}"
    with a_bucket(place) as handler:
        took = queued(shards, place, Path("s3:/bucket/run"), apart)
        tell("together", handler.seen, 0)
        root = run_folder("s3://bucket/run")
        Store(root).whole(root)
        shutil.copytree(root, place / "slurm")
    report("slurm in a bucket", place, local, took, 0.0)


def queued(shards: str, place: Path, out: Path, more: str) -> float:
    """`more`: options of engine.slurm. Seconds from the command to the end of the last of its jobs."""
    with slurm(place / "cluster", nodes=3) as conf:
        os.environ["SLURM_CONF"] = str(conf)
        began = time.monotonic()
        seconds(command(shards, out, "--engine", "slurm", f"{SLURM[:-1]}{more}}}"), place / "slurm.log")
        while subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout.strip():
            time.sleep(0.2)
        return time.monotonic() - began


@contextmanager
def a_bucket(place: Path) -> Iterator[type[Faulty]]:
    """The proxy's handler before an empty one, of the name bucket."""
    with moto() as upstream, proxied(upstream) as (handler, environment):
        os.environ.update(environment, XDG_CACHE_HOME=str(place / "node"))
        import boto3

        boto3.client("s3").create_bucket(Bucket="bucket")
        handler.seen.clear()
        yield handler


def on_s3(shards: str, place: Path, local: float) -> None:
    with a_bucket(place) as handler:
        given, log = command(shards, Path("s3:/bucket/run"), "--workers", "2"), place / "s3.log"
        began, told, seen = time.monotonic(), 0, 0
        print(f"{'':52} {'PUT':>4} {'GET':>4} {'LIST':>4} {'POST':>4}   requests until the phase had ended")
        run = start(given, log)
        while run.poll() is None:
            time.sleep(0.02)
            lines = [line for line in log.read_text().splitlines() if line.strip()[:1].isdigit() and "/" in line[:6]]
            for line in lines[told:]:
                seen = tell(line[:52], handler.seen, seen)
            told = len(lines)
        took = time.monotonic() - began
        tell("books, card, report", handler.seen, seen)
        tell("together", handler.seen, 0)
        handler.seen.clear()
        again = seconds(given, log)
        tell("a rerun with nothing to do", handler.seen, 0)
        whole = next((place / "node").rglob("plan.json")).parent
        print(f"local {local:.1f} s; in a bucket {took:.1f} s; a rerun with nothing to do {again:.1f} s")
        print(f"same bytes {corpus(whole) == corpus(place / 'local')}")


def tell(what: str, seen: list[str], since: int) -> int:
    n = len(seen)
    found = seen[since:n]
    print(f"{what:52} {' '.join(f'{found.count(kind):4}' for kind in ('PUT', 'GET', 'LIST', 'POST'))}", flush=True)
    return n


def report(name: str, place: Path, local: float, took: float, again: float) -> None:
    out = place / name.split()[0]
    phases = len(load_plan(out / "plan.json").phases)
    print(f"local, 2 workers {local:6.1f} s")
    print(f"{name:16} {took:6.1f} s; a rerun with nothing to do {again:.1f} s")
    print(f"per phase        {(took - local) / phases:6.2f} s beyond local, {phases} phases")
    print(f"same bytes       {corpus(out) == corpus(place / 'local')}; finished: {(out / 'report.html').is_file()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["ray", "slurm", "s3"])
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--bucket", action="store_true")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--shards", type=int, default=2)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_sample_data(place / "in", shards=a.shards, max_docs=a.pages)
        shards = str(place / "in" / "*")
        seconds(command(shards, place / "warm", "--workers", "2"), place / "warm.log")  # compiles the kernels
        local = seconds(command(shards, place / "local", "--workers", "2"), place / "local.log")
        if a.engine == "s3":
            on_s3(shards, place, local)
        elif a.engine == "ray":
            on_ray(shards, place, local, a.kill)
        elif a.bucket:
            on_slurm_in_a_bucket(shards, place, local)
        else:
            on_slurm(shards, place, local)


if __name__ == "__main__":
    main()
