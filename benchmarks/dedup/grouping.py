"""Exact and near-duplicate grouping from signatures with planted groups: time, memory and disk, groups as planted.

    python benchmarks/dedup/grouping.py [--documents 1000000] [--memory 4GB] [--workers 2] [--out FOLDER]

Made documents (made_documents.py) go through the machine: source, exact groups, components, election. One worker is
killed while partitions of bands are gathered. Printed per phase: seconds, CPU seconds, and the most memory that any
worker had taken until then; at the end the disk that the run took, and whether every group is as planted.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import psutil

sys.path.insert(0, str(Path(__file__).parent))
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

from made_documents import CHAIN, EXACT, GROUP, Made, MadeComponents, MadeNear, NoFlags, NoReferences, groups, kinds

from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import Recipe
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.engines.job import Job
from gristmill.pipeline.run.engines.local import LocalEngine
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.store import Store, read_parquet
from gristmill.stages.dedup import ExactDuplicates, ExactGate, NearGate

LOOK_S = 10.0  # between two looks at the disk


def peak(pids: Sequence[int]) -> float:
    """The most memory that one of the processes has taken, in MB."""
    found = [0.0]
    for pid in pids:
        status = Path(f"/proc/{pid}/status")
        if status.is_file():
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            found.append(int(lines.get("VmHWM", "0 kB").split()[0]) / 1024)
    return max(found)


class Killing(LocalEngine):
    """Kills a worker once, while it gathers bands."""

    killed = False
    killing = False

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        def strike() -> None:
            tick()
            busy = [w for w in self.pool if w.rank is not None]
            if self.killing and not self.killed and busy:
                os.kill(busy[0].process.pid or 0, signal.SIGKILL)
                self.killed = True

        return super().run(job, strike)


def processor(pids: Sequence[int]) -> float:
    """CPU seconds that processes have taken."""
    found = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            found += sum(psutil.Process(pid).cpu_times()[:2])
    return found


class Timed(Progress):
    """A line per phase."""

    def __init__(self, engine: Killing, root: Path):
        super().__init__()
        self.engine, self.root, self.slices, self.disk = engine, root, 0, 0
        self.at = self.looked = time.perf_counter()
        self.taken = self.spent = 0.0

    def start(self, phase: Phase, *rest: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.named, self.at, self.taken = f"{phase.name} ({phase.kind})", time.perf_counter(), self.cpu()
        self.engine.killing = (phase.name, phase.kind) == ("dedup.components", "group")

    def tick(self) -> None:
        if time.perf_counter() - self.looked > LOOK_S:
            self.look()

    def look(self) -> int:
        """Bytes of slices; what the folder takes at most is noted."""
        slices = whole = 0
        for path in self.root.rglob("*"):
            with suppress(FileNotFoundError):
                size = path.stat().st_size
                whole += size
                slices += size if path.suffix == ".slices" else 0
        self.slices, self.disk = max(self.slices, slices), max(self.disk, whole)
        self.looked = time.perf_counter()
        return slices

    def cpu(self) -> float:
        """Of this process and the workers; what a killed one took is not in it."""
        return processor([os.getpid(), *(w.process.pid or 0 for w in self.engine.pool)])

    def end(self) -> None:
        took, spent = time.perf_counter() - self.at, max(0.0, self.cpu() - self.taken)
        self.spent += spent
        most = peak([w.process.pid or 0 for w in self.engine.pool])
        said = f"{took:8.1f} s {spent:8.1f} CPU-s {most:7,.0f} MB  slices {self.look() / 1e6:9,.0f} MB"
        print(f"{self.named[:34]:34} {said}", flush=True)


def check(store: Store, made: Made) -> str:
    """Whether every planted group has one document that stays, and the size that was planted."""
    n = made.documents
    sizes, stays = np.zeros(max(1, n // 10), np.int64), np.zeros(max(1, n // 10), np.int64)
    exact = chain = left = wrong = 0
    for part in made.parts():
        numbers = np.arange(part.start, part.end)
        kind = kinds(numbers)
        np.add.at(sizes, groups(numbers[kind == GROUP], n), 1)
    links = len(range(7, n, 1000))
    for part in made.parts():
        numbers = read_parquet(store.data("ingest", part.key), ["url"])["url"].cast(pl.Int64).to_numpy()
        gone = read_parquet(store.data("dedup.exact.gate", part.key), ["rule"])["rule"].is_not_null().to_numpy()
        exact += int(gone.sum())
        wrong += int((kinds(numbers[gone]) != EXACT).sum())
        numbers = numbers[~gone]
        near = read_parquet(store.data("dedup.minhash", part.key), ["near_duplicate_of", "minhash_cluster_size"])
        stay, size = near["near_duplicate_of"].is_null().to_numpy(), near["minhash_cluster_size"].to_numpy()
        kind = kinds(numbers)
        member = kind == GROUP
        np.add.at(stays, groups(numbers[member & stay], n), 1)
        planted = np.ones(numbers.size, np.int64)
        planted[member] = sizes[groups(numbers[member], n)]
        planted[kind == CHAIN] = links
        planted[kind == EXACT] = 2
        wrong += int((size != planted).sum()) + int((~stay & ~member & (kind != CHAIN)).sum())
        chain += int((stay & (kind == CHAIN)).sum())
        left += int(stay.sum())
    whole = exact == len(range(3, n, 20)) // 2 and not wrong and chain == 1 and bool((stays == (sizes > 0)).all())
    return f"{'as planted' if whole else f'NOT AS PLANTED ({wrong} documents wrong)'}: {left:,} of {n:,} documents stay"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder) / "run"
        made = Made(options.documents, max(20_000, options.documents // 2000))
        n = options.documents
        exact = (ExactDuplicates(keep=()), ExactGate())
        near = (MadeComponents(documents=n), MadeNear(keep=(), documents=n), NearGate())
        stages = (made, NoReferences(), NoFlags(), *exact, *near)
        recipe = Recipe("grouping", stages, {"name": "grouping"}, {"memory": options.memory}, tuple("x" * len(stages)))
        store, engine = Store(out), Killing(options.workers)
        began = time.perf_counter()
        progress = Timed(engine, out)
        try:
            launch(recipe, survey(recipe, store, "dedup.minhash"), store, engine, "dedup.minhash", progress, _none)
        finally:
            engine.close()
        took = time.perf_counter() - began
        slices, whole = (size / options.documents for size in (progress.slices, progress.disk))
        disk = f"{progress.spent:,.0f} CPU-s; at most {slices:,.0f} bytes a document of slices, {whole:,.0f} in all"
        given = f"{options.documents:,} documents, {options.workers} workers, memory {options.memory}"
        print(f"{given}: {took:,.0f} s, {disk}")
        print(f"a worker was {'' if engine.killed else 'NOT '}killed; {check(store, made)}")


def _none(store: Store, plan: object) -> None:
    return


if __name__ == "__main__":
    main()
