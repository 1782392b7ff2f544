"""Speed and memory of sampling, shuffle, token ids and Parquet: MB of corpus text per second, peak of all processes.

    PYTHONPATH=.src python benchmarks/export/throughput.py --gigabytes 5 [--folder DIR] [--workers 2]
    [--formats parquet,npy]

Documents of some 3.3 kB are cut from the texts of this Python installation into three sources. A run without optional
steps brings them to the mixture; what is measured is the rest of the same run: copies, the sink's two passes, and the
ledger. The bar: 60 MB/s or more on 2 cores, under 2 GB.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import orjson
import psutil

from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.engines.named import make_engine
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.store import Store
from gristmill.stages.ingest import Ingest

BYTES, FILES, SOURCES = 3300, 8, ("web", "books", "code")
CONFIG = """
name: throughput
sources: [{sources}]
language: {{enabled: false}}
license: {{enabled: false}}
signals: {{enabled: false}}
gates: {{enabled: false}}
dedup: {{exact: {{enabled: false}}, minhash: {{enabled: false}}, references: {{enabled: false}}}}
quality: {{enabled: false}}
embed: {{enabled: false}}
cluster: {{enabled: false}}
domain: {{enabled: false, bucket: {{by: source}}}}
mixture: {{budget_share: 1.0, weights: {{web: 0.4, books: 0.3, code: 0.3}}}}
corpus: {{format: [{formats}]}}
"""


def write_documents(folder: Path, size: float) -> None:
    shards = write_sample_data(folder / "demo", shards=1, max_docs=1500).shards
    stage = Ingest(paths=tuple(map(str, shards)))
    texts = [text for part in stage.parts() for text in stage.run(part)[0]["text"]]
    paragraphs = [p[:1200] for text in texts for p in text.split("\n\n") if len(p) > 80]
    mean = sum(len(p.encode()) for p in paragraphs) / len(paragraphs)
    rng = np.random.default_rng(0)
    for number in range(FILES):
        written = 0
        with (folder / f"{SOURCES[number % 3]}-{number}.jsonl").open("wb") as out:
            while written < size / FILES:
                chosen = rng.integers(len(paragraphs), size=max(1, round(rng.lognormal(0, 0.8) * BYTES / mean)))
                text = "\n\n".join(paragraphs[i] for i in chosen)
                out.write(orjson.dumps({"id": f"{number}-{written}", "text": text}) + b"\n")
                written += len(text.encode())


class Timed(Progress):
    """Seconds of every phase."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}

    def start(self, phase: Phase, *rest: object) -> None:
        self.phase, self.began = phase, time.perf_counter()

    def tick(self, *rest: object) -> None:
        return

    def end(self) -> None:
        name = f"{self.phase.kind} {self.phase.name.split('+')[0]}"
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - self.began


class Memory(threading.Thread):
    """The largest sum of this process's and its children's memory (proportional set size), five times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.done = 0, threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.done.wait(0.2):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--formats", default="parquet,npy")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="throughput-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.glob("*.jsonl")):
        write_documents(folder, given.gigabytes * 1e9)
    sources = ", ".join(
        f"{{name: {s}, paths: '{folder}/{s}-*.jsonl', trusted: true, language: en, dedup: off}}" for s in SOURCES
    )
    recipe = make_recipe(parse_yaml(CONFIG.format(sources=sources, formats=given.formats)), "throughput")
    store = Store(folder / "run")
    before = Timed()
    engine = make_engine("local", given.workers, {})
    launch(recipe, survey(recipe, store, "mixture"), store, engine, "mixture", before, lambda store, plan: None)
    engine.close()
    memory, timed = Memory(), Timed()
    memory.start()
    started, cpu, spent = time.perf_counter(), psutil.cpu_times(), cpu_seconds()
    engine = make_engine("local", given.workers, {})
    launch(recipe, survey(recipe, store, None), store, engine, None, timed, lambda store, plan: None)
    engine.close()
    wall, after = time.perf_counter() - started, psutil.cpu_times()
    memory.done.set()
    corpus = json.loads((store.root / "ledger.json").read_text())[-1]
    for name, seconds in timed.seconds.items():
        print(f"{seconds:8.1f} s  {name}")
    core = sum(s for name, s in timed.seconds.items() if not name.startswith("ledger"))
    print(f"{corpus['bytes'] / 1e9:.2f} GB of text, {corpus['rows']:,} rows, {corpus['tokens']:,} tokens")
    print(f"{corpus['bytes'] / 1e6 / core:.0f} MB/s in the phases, {corpus['bytes'] / 1e6 / wall:.0f} MB/s in all")
    mine = cpu_seconds() - spent
    print(f"{mine:.0f} CPU-s: {corpus['bytes'] / 1e6 / mine:.0f} MB per CPU-second, whoever else works here")
    print(f"peak memory {memory.peak / 1e9:.2f} GB; the machine was busy {busy(cpu, after):.0%} of the time")
    if given.folder is None:
        shutil.rmtree(folder)
    sys.exit(corpus["bytes"] / 1e6 / core < 60 or memory.peak > 2e9)


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(
        use.ru_utime + use.ru_stime
        for use in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def busy(before: object, after: object) -> float:
    """The part of all cores' time that anybody used."""
    spent = [y - x for x, y in zip(before, after, strict=True)]  # type: ignore[call-overload]
    return 1 - (after.idle - before.idle) / sum(spent)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
