"""What a run costs beside its work: N tiny parts; seconds and reads of receipts of an idle rerun, plan, status, verify.

python benchmarks/job/bookkeeping.py 1000 10000     bar: linear, at most 3 reads of any log of receipts per command, and
                                                    an idle rerun of 10,000 parts in under 60 s
python benchmarks/job/bookkeeping.py --files RUN    files of a run folder: per part, and beside the parts
The recipe is the machine tests' (tests/laws/toy.py): six datasets, a reducer, a sink with 8 shards, the ledger.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "laws"))

import toy
from gristmill.pipeline.books.status import status_lines
from gristmill.pipeline.books.verify import verify
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.contract.shapes import Artifacts
from gristmill.pipeline.contract.state import read_state
from gristmill.pipeline.launch import describe, launch, survey
from gristmill.pipeline.plan.config import Recipe
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.receipts.logs import LOGS
from gristmill.pipeline.run.store import Store

SHARDS = 8
LINES = 3  # of a part


@dataclass(frozen=True)
class Length(toy.Rank):
    """In place of the place among all texts, which takes the square of their number."""

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda batch: batch.select("doc_id", pl.col("text").str.len_bytes().cast(pl.Int64).alias("rank_toy"))


@dataclass(frozen=True)
class Shards(toy.TwoShards):
    def shards(self, artifacts: Artifacts) -> int:
        return SHARDS


class Here:
    """An engine without workers."""

    queues = False

    def run(self, job: object, tick: Callable[[], None]) -> list[int]:
        for rank in job.ranks:  # pyright: ignore
            list(job.pipeline[0].run(None, rank, job.tasks))  # pyright: ignore
        return []

    def close(self) -> None:
        return


class Quiet(Progress):
    def say(self, line: str) -> None:
        return


READS: Counter[str] = Counter()


def note_opened(event: str, arguments: tuple) -> None:
    path = str(arguments[0]) if event == "open" and not str(arguments[1]).startswith("a") else ""
    if path.endswith(".receipt.json") or Path(path).parent.name == LOGS:
        READS[path] += 1


def measured(what: str, parts: int, call: Callable[[], object]) -> None:
    READS.clear()
    began, worked = time.perf_counter(), time.process_time()
    call()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    most = max(READS.values(), default=0)
    print(
        f"{parts:7,} parts  {what:8} {seconds:8.2f} s {worked:8.2f} CPU-s {1e3 * worked / parts:8.3f} CPU-ms a part"
        f" {READS.total():8,} reads of {len(READS):6,} files of receipts, at most {most} of one",
        flush=True,
    )


def made(folder: Path) -> Recipe:
    recipe = toy.recipe(folder)
    return replace(recipe, stages=(*recipe.stages[:-2], Length(), Shards()))


def go(recipe: Recipe, out: Path) -> None:
    store = Store(out)
    launch(recipe, survey(recipe, store, None), store, Here(), None, Quiet(), lambda store, plan: None)


def status(out: Path) -> None:
    status_lines(Store(out), load_plan(out / "plan.json"))


def verified(out: Path) -> None:
    """Up to the tokens and shares of the mixture, which this recipe has not."""
    try:
        verify(Store(out), load_plan(out / "plan.json"))
    except (BooksError, Exception) as error:
        if "bucket" not in str(error) and "token_count" not in str(error):
            raise


def count_files(out: Path) -> None:
    """By how many files a run grows with a part: those that are named after one."""
    keys = {part["key"] for part in read_state(out / "plan.json")["parts"]}
    paths = [p for p in out.rglob("*") if p.is_file() and p.relative_to(out).parts[0] != "logs"]
    of_parts = Counter(
        p.parent.name for p in paths if p.name.removesuffix(".receipt.json").removesuffix(".parquet") in keys
    )
    logs = sum(p.parent.name == LOGS for p in paths)
    print(f"{of_parts.total() / len(keys):.1f} files per part in {len(of_parts)} folders, of {len(keys):,} parts")
    print(f"{logs:,} logs of receipts, {len(paths) - of_parts.total() - logs:,} other files, without logs/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", type=int, nargs="*")
    parser.add_argument("--files", type=Path, help="a run folder whose files are counted")
    parser.add_argument("--keep", type=Path, help="folder for the runs, which a second call finds again")
    a = parser.parse_args()
    if a.files:
        count_files(a.files)
    sys.addaudithook(note_opened)
    with tempfile.TemporaryDirectory() as temporary:
        for parts in a.parts:
            place = (a.keep or Path(temporary)) / str(parts)
            lines, out = place / "lines", place / "run"
            lines.mkdir(parents=True, exist_ok=True)
            for i in range(parts):
                mark = hashlib.blake2b(str(i).encode(), digest_size=8).hexdigest()
                text = "\n".join(f"{mark} line {n} of a tiny part" for n in range(LINES))
                if not (path := lines / f"part{i:06d}.txt").exists():
                    path.write_text(text)
            recipe = made(lines)
            measured("run", parts, lambda recipe=recipe, out=out: go(recipe, out))
            measured("rerun", parts, lambda recipe=recipe, out=out: go(recipe, out))
            measured("plan", parts, lambda recipe=recipe, out=out: describe(survey(recipe, Store(out), None), None))
            measured("status", parts, lambda out=out: status(out))
            measured("verify", parts, lambda out=out: verified(out))


if __name__ == "__main__":
    main()
