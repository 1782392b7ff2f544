"""Held-out references: their texts are saved as the objective of the mixture search, then they leave the corpus."""

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.notes import write_notes
from gristmill.pipeline.contract.ranges import Count
from gristmill.pipeline.contract.shapes import Corpus, Gate, Reducer
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
    reads: ClassVar = {"ingest": ("text",), "dedup.references": ("is_held_out",)}
    needs: ClassVar = ("dedup.references",)

    def run(self, corpus: Corpus, out: Path) -> None:
        given = pl.read_parquet(corpus.artifacts["dedup.references"] / "texts.parquet", glob=False)
        batches = chain([given], corpus.batches())
        held_out = pl.concat([batch.filter("is_held_out").select("doc_id", "text") for batch in batches])
        if held_out.height < self.min_texts:
            if json.loads((corpus.artifacts["dedup.references"] / "report.json").read_text())["enabled"]:
                write_notes(out, _too_few(self, held_out.height))
            held_out = held_out.clear()
        drawn = held_out.with_columns(pl.Series("draw", key64(held_out["doc_id"], "held_out.order"), dtype=pl.UInt64))
        drawn = drawn.sort("draw", "doc_id")
        # The first text always stays; a text that crosses the limit is left out with all after it.
        fits = np.cumsum(drawn["text"].str.len_bytes().to_numpy()) <= self.max_bytes
        fits[:1] = True
        chosen = (
            drawn.filter(pl.Series(fits, dtype=pl.Boolean))
            .sort("doc_id")
            .select("doc_id", "text", pl.lit(self.target).alias("target"))
        )
        write_parquet(out / "texts.parquet", chosen.to_arrow())


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
