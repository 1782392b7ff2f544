"""Held-out references: their texts are saved as the objective of the mixture search, then they leave the corpus."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.notes import write_notes
from gristmill.pipeline.contract.ranges import Count
from gristmill.pipeline.contract.samples import drawn, reaching, tables_of, together
from gristmill.pipeline.contract.shapes import Corpus, Gate, Reducer, Tables
from gristmill.pipeline.contract.state import write_parquet


@dataclass(frozen=True)
class HeldOutTexts(Reducer):
    """Saves the held-out texts, of the crawl and of files, as texts.parquet: doc_id, text, target, sorted by doc_id.

    Runs after deduplication, so no two are near-duplicates of each other if they came from the crawl. Where fewer than
    `min_texts` are left, none is saved, notes.json says so, and there is nothing to search the mixture for.
    """

    target: str = "references"  # name of this objective in the mixture search
    max_bytes: Count = 20_000_000  # of UTF-8 text; beyond it texts are left out in the order of their draw
    min_texts: Count = 4  # the loss on fewer would be the loss on those few
    name: ClassVar = "dedup.held_out"
    version: ClassVar = 2
    reads: ClassVar = {"ingest": ("text", "text_bytes"), "dedup.references": ("is_held_out",)}
    needs: ClassVar = ("dedup.references",)
    passes: ClassVar = ("first", "texts")

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """Held-out documents by draw as far as `max_bytes` reach, and how many there are; then the texts of those."""
        if name == "texts":
            batches = corpus.batches(("text",), of=known["first"]["doc_id"])
            return {"texts": together(batch.select("doc_id", "text") for batch in batches)}
        batches = corpus.batches(("is_held_out", "text_bytes"))
        return self._first(sized(batch) for batch in batches)

    def _first(self, frames: Iterable[pl.DataFrame]) -> Tables:
        count = 0

        def counted() -> Iterator[pl.DataFrame]:
            nonlocal count
            for frame in frames:
                count += frame.height
                yield frame

        first = reaching(counted(), "text_bytes", self.max_bytes + 1)  # the first that does not fit, too: it ends them
        return {"first": first, "count": pl.DataFrame({"texts": [count]})}

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        given = pl.read_parquet(corpus.artifacts["dedup.references"] / "texts.parquet", glob=False)
        if name == "texts":
            return {"texts": together([given.select("doc_id", "text"), *tables_of("texts", taken)])}
        all_taken = list(taken)
        size = pl.col("text").str.len_bytes().cast(pl.Int64).alias("text_bytes")
        mine = self._first([sized(given.with_columns(size))])
        joined = self._first([mine["first"], *tables_of("first", all_taken)])
        counts = together([mine["count"], *tables_of("count", all_taken)]).sum()
        return {"first": joined["first"], "count": counts}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        first, count = known["first"], int(known["count"]["texts"][0])
        if count < self.min_texts:
            if json.loads((corpus.artifacts["dedup.references"] / "report.json").read_text())["enabled"]:
                write_notes(out, _too_few(self, count))
            first = first.clear()
        # The first text always stays; a text that crosses the limit is left out with all after it.
        fits = np.cumsum(first["text_bytes"].to_numpy()) <= self.max_bytes
        fits[:1] = True
        chosen = (
            first.filter(pl.Series(fits, dtype=pl.Boolean))
            .select("doc_id")
            .join(known["texts"], on="doc_id")
            .sort("doc_id")
            .select("doc_id", "text", pl.lit(self.target).alias("target"))
        )
        write_parquet(out / "texts.parquet", chosen.to_arrow())


def sized(batch: pl.DataFrame) -> pl.DataFrame:
    """doc_id, text_bytes and draw of the held-out documents."""
    return drawn(batch.filter("is_held_out").select("doc_id", pl.col("text_bytes").cast(pl.Int64)), "held_out.order")


def _too_few(stage: HeldOutTexts, texts: int) -> str:
    return (
        f"Nothing to search the mixture for: {texts} held-out reference texts are left after filtering and "
        f"deduplication, fewer than dedup.held_out.min_texts = {stage.min_texts}. To have a search, raise "
        "dedup.references.held_out_frac, or give more references (dedup.references.paths, dedup.references.hosts)"
    )


@dataclass(frozen=True)
class HeldOutGate(Gate):
    """Drops the held-out references: what the mixture is measured on is never trained on."""

    name: ClassVar = "dedup.held_out"
    version: ClassVar = 1
    reads: ClassVar = {"dedup.references": ("is_held_out",)}
    rules: ClassVar = ("held_out",)

    def table(self) -> dict[str, pl.Expr]:
        return {"held_out": pl.col("is_held_out")}
