"""An index across runs: what it costs to make, to read, and on disk, and whether the second crawl loses what it must.

    python benchmarks/dedup/index.py [--documents 1000000] [--memory 4GB] [--workers 2]

Two crawls of made documents (made_documents.py) with the same signatures and different texts: every document of the
second has a near-duplicate that the first kept or knew. Printed per phase of both: seconds, most memory of a worker.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from grouping import Killing, Timed
from made_documents import Made, MadeSignatures, NoFlags, NoReferences

from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import Recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.dedup import Components, ExactDuplicates, ExactGate, KeptIndex, NearDuplicates, NearGate
from gristmill.stages.dedup.index.segments import Across
from gristmill.stages.dedup.kept import Near


def run(crawl: str, folder: Path, options: argparse.Namespace) -> int:
    """How many documents stay."""
    made = Made(options.documents, max(20_000, options.documents // 2000), crawl)
    index = str(folder / "index")
    across = Across(index)
    exact = (ExactDuplicates(keep=(), across=across), ExactGate(across=across))
    near = (Components(across=across), NearDuplicates(keep=(), across=across))
    kept = (KeptIndex(index, near=Near(keep=())), NearGate(across=across))
    stages = (made, NoReferences(), NoFlags(), *exact, MadeSignatures(options.documents), *near, *kept)
    recipe = Recipe("index", stages, {"name": "index"}, {"memory": options.memory}, tuple("x" * len(stages)))
    store, engine = Store(folder / f"run-{crawl}"), Killing(options.workers)
    engine.killed = True
    began = time.perf_counter()
    try:
        situation = survey(recipe, store, "dedup.minhash")
        print(f"\ncrawl {crawl}: {situation.notes[0]}")
        progress = Timed(engine, store.root)
        entries = launch(recipe, situation, store, engine, "dedup.minhash", progress, lambda store, plan: None)
    finally:
        engine.close()
    took = time.perf_counter() - began
    plan, began = situation.plan.until("dedup.minhash"), time.perf_counter()
    for step in plan.steps:
        step.stage.deliver(FinishedRun(store, plan))
    size = sum(p.stat().st_size for p in (folder / "index").rglob("*") if p.is_file())
    added = time.perf_counter() - began
    stay = int(str(entries[-1]["docs_out"]))
    print(f"{took:.1f} s, added in {added:.1f} s; index {size / 1e6:,.0f} MB; {stay:,} documents stay")
    return stay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, second = (run(crawl, Path(folder), options) for crawl in ("a", "b"))
        print(f"\n{'as it must' if second == 0 and first else 'NOT AS IT MUST'}: {second:,} of the second crawl stay")
        sys.exit(second != 0)


if __name__ == "__main__":
    main()
