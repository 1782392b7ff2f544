"""A small real run of the standard recipe, opened for the laws: every step with the batches and artifacts it had."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from frames import FakeCorpus
from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.shapes import Stage
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import Recipe, override, read_config
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import Step, kind_of
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.phases.reduction import StoredCorpus
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.store import Store, declared
from gristmill.pipeline.run.units import RunStep

CONFIG = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
# Everything small; the quickest search (the others: SLOW_VARIANTS in test_laws.py).
SETTINGS = (
    "pii.enabled=true",
    f"input.robots=[{Path(__file__).with_name('robots')}]",
    "clean.enabled=true",  # with rules that leave manuals their text; C4's own: VARIANTS in test_laws.py
    "clean.end_marks=null",
    "clean.min_words=null",
    f"contamination.benchmarks=[{{name: questions, paths: [{Path(__file__).with_name('questions.jsonl')}]}}]",
    "contamination.ngram=2",  # so that questions which no document holds have hits
    "tokenizer.vocab_size=1024",
    "tokenizer.train_bytes=400000",
    "mixture.method=direct",
    "mixture.ngram.corpus_tokens=200000",
    "mixture.target_tokens=20000",
)


def law_recipe(paths: str) -> Recipe:
    return make_recipe(override(read_config(CONFIG), [f"input.paths={paths}", *SETTINGS]), "laws")


class Silent(Progress):
    def say(self, line: str) -> None:
        return


class InProcess:
    """An engine without workers: the ranks of a phase one after another, here."""

    queues = False

    def run(self, job: object, tick: Callable[[], None]) -> list[int]:
        step: RunStep = job.pipeline[0]  # pyright: ignore
        for rank in job.ranks:  # pyright: ignore
            list(step.run(None, rank, job.tasks))  # pyright: ignore
        return []

    def close(self) -> None:
        return


def execute(recipe: Recipe, out: Path) -> Store:
    store = Store(out)
    launch(recipe, survey(recipe, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)
    return store


@dataclass
class LawRun:
    """A finished run. Batches are read once and kept."""

    store: Store
    plan: Plan
    cache: dict[tuple[str, object], list[pl.DataFrame]] = field(default_factory=dict)

    def step(self, stage: Stage) -> Step:
        return self.plan.step(stage.name, kind_of(stage))

    def artifacts(self, stage: Stage) -> dict[str, Path]:
        return {name: self.store.artifact(name) for name in getattr(stage, "needs", ())}

    def parts(self, stage: Stage) -> list[pl.DataFrame]:
        """What the stage reads, a batch per part."""
        step = replace(self.step(stage), stage=stage)
        key = (f"{step.name} {step.kind}", tuple(sorted(step.reads.items())))
        if key not in self.cache:
            self.cache[key] = list(StoredCorpus(self.store, self.plan, step).batches())
        return self.cache[key]

    def batch(self, stage: Stage) -> pl.DataFrame:
        return pl.concat(self.parts(stage)).rechunk()

    def stored(self, stage: Stage) -> pa.Table:
        """What the run wrote for an annotator or a gate."""
        step = self.step(stage)
        frames = [self.store.read(step.name, part.key, step.writes) for part in self.plan.parts]
        return pl.concat(frames).to_arrow().cast(arrow_schema(["doc_id", *step.writes]))


def thinned(batch: pl.DataFrame, rows: int) -> pl.DataFrame:
    """At most about `rows` rows of a batch, from all over it."""
    return batch.gather_every(max(1, batch.height // rows)) if batch.height else batch


def chunks(batch: pl.DataFrame, sizes: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The batch in pieces of these sizes, over and over."""
    start = 0
    for size in cycle(sizes):
        if start >= batch.height:
            return
        yield batch[start : start + size]
        start += size


def shuffled(batch: pl.DataFrame, seed: int) -> pl.DataFrame:
    return batch[np.random.default_rng(seed).permutation(batch.height)] if batch.height else batch


def corpus(run: LawRun, stage: Stage, frames: Sequence[pl.DataFrame]) -> FakeCorpus:
    return FakeCorpus(frames, run.artifacts(stage))


def table_of(stage: Stage, frame: pl.DataFrame) -> pa.Table:
    """The frame as the store would write it: raises DataError where it is not what the stage declares."""
    return declared(frame, stage.writes, stage.name)  # pyright: ignore


def values(table: pa.Table) -> list[str]:
    """A line per row that tells every bit of its values apart (0.0 from -0.0), but not one NaN from another."""
    return [repr(row) for row in table.to_pylist()]
