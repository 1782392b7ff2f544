"""WARC to gated Parquet (languages, licences, signals, gates) against the bare physical work and against datatrove.

    python benchmarks/ingest/gated.py SHARD.warc.gz [--rounds 5] [--set pii.enabled=false] [--datatrove] [--workers 2]

Ours is the run's own first wave, engine, receipts and files included, as a worker runs it from its second part on
(kernels compiled, models loaded). Bare is inflate, decode, parse and extract with resiliparse, and nothing written.
The two run in turns in one process; CPU seconds (all threads), the least of the rounds, and the ratio of each round.
datatrove (needs spacy): WarcReader, Trafilatura, its four filters and a Parquet writer, once, CPU of its children too.
--set: settings over configs/commoncrawl.yaml, whose steps are what is timed.
--workers: the same shard under several names, by one worker and by N, wall time, with the whole engine.
--megabytes: one archive that repeats the shard's records; time per document against the shard's, and memory.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # as a worker has it from its beginning
sys.path.insert(0, str(Path(__file__).parents[2] / ".src"))
from ingest import bare

from gristmill.pipeline.launch import launch, prepare, survey
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.engines.job import limit_threads
from gristmill.pipeline.run.engines.local import LocalEngine
from gristmill.pipeline.run.failures import failures
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import guarded, work_of
from gristmill.pipeline.run.view import RunView

CONFIG = Path(__file__).parents[2] / "configs/commoncrawl.yaml"
LAST = "gates"


def cpu() -> float:
    """Seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def timed(call: Callable[[], object], clock: Callable[[], float] = cpu) -> float:
    start = clock()
    call()
    return clock() - start


def planned(paths: list[Path], root: Path, given: list[str]) -> tuple[Store, Plan]:
    settings = [f"input.paths=[{','.join(map(str, paths))}]", *given]
    recipe = make_recipe(override(read_config(CONFIG), settings), "gated")
    store = Store(root)
    situation = survey(recipe, store, LAST)
    root.mkdir(parents=True, exist_ok=True)
    prepare(recipe, situation, store)
    return store, situation.plan.until(LAST)


def wave(store: Store, plan: Plan, opened: dict[str, Callable]) -> None:
    work = work_of(RunView(store, plan), plan.phases[0])
    for unit in work.units():
        guarded(work, unit, opened)
    if failed := failures(store):
        raise SystemExit(f"failed: {failed}")


def against_bare(path: Path, rounds: int, folder: Path, given: list[str]) -> float:
    """Documents per CPU second of ours."""
    opened: dict[str, Callable] = {}
    store, plan = planned([path], folder / "warm", given)
    wave(store, plan, opened)
    receipts = [store.receipt(step.name, plan.parts[0].key) for step in plan.phases[0].steps]
    pages = bare(str(path))
    physical, ours = [], []
    for turn in range(rounds):
        physical.append(timed(lambda: bare(str(path)), time.process_time))
        store, plan = planned([path], folder / str(turn), given)
        ours.append(timed(lambda store=store, plan=plan: wave(store, plan, opened), time.process_time))
    ratios = sorted(o / b for o, b in zip(ours, physical, strict=True))
    print(f"{path.name}: {pages} pages with text")
    for step, receipt in zip(plan.phases[0].steps, receipts, strict=True):
        assert receipt is not None
        print(f"  {step.name:14s} {receipt.docs_in:5d} in {receipt.docs_out:5d} out")
    print(f"bare   {min(physical):6.3f} s  {pages / min(physical):6.0f} pages/s")
    print(f"ours   {min(ours):6.3f} s  {pages / min(ours):6.0f} pages/s  ratio {min(ours) / min(physical):.2f}")
    print(f"ratio in each round: {' '.join(f'{r:.2f}' for r in ratios)}")
    return pages / min(ours)


def datatrove(path: Path, folder: Path) -> None:
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import ParquetWriter

    executor = LocalPipelineExecutor(
        pipeline=[
            WarcReader(str(path.parent), glob_pattern=path.name),
            Trafilatura(favour_precision=True),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(),
            FineWebQualityFilter(),
            ParquetWriter(str(folder / "datatrove")),
        ],
        tasks=1,
        workers=1,
        logging_dir=str(folder / "logs"),
    )
    executor.run()


def scaling(path: Path, workers: int, copies: int, folder: Path) -> None:
    """Wall time of the engine over `copies` of the shard, by one worker and by several; the memory of the largest."""
    for i in range(copies):
        shutil.copyfile(path, folder / f"copy-{i:03d}-{path.name}")
    megabytes = copies * path.stat().st_size / 1e6
    walls = []
    for n in (1, workers):
        recipe = make_recipe(override(read_config(CONFIG), [f"input.paths={folder}/copy-*"]), "gated")
        store = Store(folder / f"by-{n}")
        store.root.mkdir()
        situation = survey(recipe, store, LAST)
        engine = LocalEngine(n)
        start = time.monotonic()
        launch(recipe, situation, store, engine, LAST, Progress(), lambda *_: None)
        walls.append(time.monotonic() - start)
        engine.close()
        print(f"{n} of {workers} workers  {walls[-1]:6.1f} s  {megabytes / walls[-1]:6.1f} MB/s of archive")
    print(f"{workers} workers are {walls[0] / walls[1]:.2f} times one")


def one_file(path: Path, megabytes: int, folder: Path, given: list[str]) -> None:
    """One archive of that size from the shard's records: seconds per document and resident memory of a worker."""
    big = folder / "big.warc.gz"
    data = path.read_bytes()
    with big.open("wb") as file:
        for _ in range(max(1, megabytes * 1_000_000 // len(data))):
            file.write(data)
    for archive in (path, big):
        store, plan = planned([archive], folder / archive.stem, given)
        opened: dict[str, Callable] = {}
        seconds = timed(lambda store=store, plan=plan, opened=opened: wave(store, plan, opened), time.process_time)
        receipts = [store.receipt("ingest", part.key) for part in plan.parts]
        documents = sum(r.docs_out for r in receipts if r is not None)
        print(
            f"{archive.stat().st_size / 1e6:7.1f} MB in {len(plan.parts)} parts: {documents} documents, "
            f"{seconds / documents * 1e3:.2f} ms each, at most {peak_mb():.0f} MB resident"
        )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shard", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting over the config's")
    parser.add_argument("--datatrove", action="store_true", help="also run datatrove's chain once (half a minute)")
    parser.add_argument("--workers", type=int, help="compare this many workers with one")
    parser.add_argument("--copies", type=int, default=32, help="of the shard, for the workers")
    parser.add_argument("--megabytes", type=int, help="compare one archive of about this size with the shard")
    a = parser.parse_args()
    limit_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if a.megabytes:
            against_bare(a.shard, 1, Path(folder), a.set)
            one_file(a.shard, a.megabytes, Path(folder), a.set)
            return
        if a.workers:
            scaling(a.shard, a.workers, a.copies, Path(folder))
            return
        rate = against_bare(a.shard, a.rounds, Path(folder), a.set)
        if a.datatrove:
            pages = bare(str(a.shard))
            theirs = pages / timed(lambda: datatrove(a.shard, Path(folder)))
            print(f"datatrove {theirs:.1f} pages/s: ours x {rate / theirs:.1f}")


if __name__ == "__main__":
    main()
