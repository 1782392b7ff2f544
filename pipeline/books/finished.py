"""A run folder as stages see it when a run ends: artifacts, columns, mean scores, tokens written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import polars as pl

from gristmill.pipeline.books.ledger import finished_parts
from gristmill.pipeline.books.sums import MEANS, columns_of, sums_of
from gristmill.pipeline.contract.drawing.told import Means, Told
from gristmill.pipeline.contract.draws import drawn_order
from gristmill.pipeline.contract.samples import drawn_sample
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import records, training_records
from gristmill.pipeline.run.store import Store, read_parquet
from gristmill.pipeline.run.view import view_of

_PAIRS = {
    **dict.fromkeys(("doc_id", "url", "text", "stays_doc_id", "stays_url", "stays_text"), pl.String),
    "similarity": pl.Float64,
}


@dataclass(frozen=True)
class FinishedRun:
    """A run folder as stages see it in `tell` (contract.drawing.told.Finished)."""

    store: Store
    plan: Plan

    @property
    def root(self) -> Path:
        return self.store.root

    def artifact(self, name: str) -> Path:
        return self.store.artifact(name)

    def columns(self, prefix: str) -> tuple[str, ...]:
        return columns_of(self.plan, prefix)

    def dropped(self, stage: str) -> dict[str, tuple[int, int]]:
        gate = next(s for s in self.plan.steps if s.kind == "gate" and s.label == stage)
        found: dict[str, tuple[int, int]] = {}
        for part in self.plan.parts:
            receipt = self.store.receipt(gate.name, part.key)
            if receipt is not None:
                seen, gone = found.get(part.source, (0, 0))
                found[part.source] = (seen + receipt.docs_in, gone + receipt.docs_in - receipt.docs_out)
        return found

    def pairs(self, stage: str, n: int) -> pl.DataFrame:
        keys = [part.key for part in finished_parts(self.store, self.plan)]

        def fates(columns: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
            return ((key, read_parquet(self.store.data("ledger", key), ["doc_id", *columns])) for key in keys)

        losers = (
            frame.with_columns(part=pl.lit(key)).filter(
                (pl.col("stage") == stage) & pl.col("stays_doc_id").is_not_null()
            )
            for key, frame in fates(("stage", "url", "stays_doc_id", "similarity"))
        )
        lost = drawn_sample(losers, n, f"pairs.{stage}")
        if not lost.height:
            return pl.DataFrame(schema=_PAIRS)
        winners = pl.concat(
            frame.filter(pl.col("doc_id").is_in(lost["stays_doc_id"].implode())).with_columns(part=pl.lit(key))
            for key, frame in fates(("url",))
        )
        both = pl.concat([lost.select("doc_id", "part"), winners.select("doc_id", "part")])
        place = [self.plan.source, *self.plan.replacers][-1].name
        texts = pl.concat(
            self.store.read(place, str(key), ("text",), of["doc_id"].to_list())
            for (key,), of in both.group_by("part", maintain_order=True)
        ).unique("doc_id")
        stays = winners.join(texts, on="doc_id").select(stays_doc_id="doc_id", stays_url="url", stays_text="text")
        found = lost.join(texts, on="doc_id", maintain_order="left")
        return found.join(stays, on="stays_doc_id", maintain_order="left").select(_PAIRS.keys())

    def seen(self, step: str, n: int) -> Iterator[pl.DataFrame]:
        reads = next(s for s in self.plan.steps if s.name == step).reads
        keys = [part.key for part in finished_parts(self.store, self.plan)]
        for key in drawn_order(keys, "report"):
            frames = [self.store.read(dataset, key, columns) for dataset, columns in reads.items()]
            yield reduce(lambda a, b: a.join(b, on="doc_id", maintain_order="left"), frames)
            n -= frames[0].height
            if n <= 0:
                return

    def means(self, by: str, prefix: str) -> dict[object, Means]:
        means: dict[object, Means] = {}
        for (column, value, score), (total, n) in sums_of(self.store, self.plan).get(MEANS, {}).items():
            if column == by and str(score).startswith(prefix):
                means.setdefault(value, Means()).sums[str(score)] = (total, n)
        return means

    def written(self, column: str, split: str = "") -> dict[object, int]:
        tokens: dict[object, int] = {}
        for path in records(self.store, split) if split else training_records(self.store):
            frame = read_parquet(path, [column, "token_count"])
            for value, n in frame.group_by(column).agg(pl.col("token_count").sum()).iter_rows():
                tokens[value] = tokens.get(value, 0) + n
        return tokens


def told_of(store: Store, plan: Plan) -> list[Told]:
    """What every stage tells of the run, in the order of the steps."""
    run = FinishedRun(store, plan)
    return view_of(store, plan).once("told", lambda: [step.stage.tell(run) for step in plan.steps])
