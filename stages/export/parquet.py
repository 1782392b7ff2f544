"""The corpus as shuffled Parquet shards: a document's copies land at independent, uniformly random places."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.ranges import Count
from gristmill.pipeline.contract.shapes import Artifacts, Reads, Sink

COLUMNS = (
    "text", "url", "date", "dump", "file_path", "language", "language_score", "token_count", "license", "license_tier",
    "license_confidence", "quality", "quality_rank", "cluster_id", "domain", "domain_prob", "bucket", "copies_n",
)  # fmt: skip

READS: Reads = {
    "ingest": ("text", "url", "date", "dump", "file_path"),
    "language": ("language", "language_score"),
    "ingest.tokens": ("token_count",),
    "license": ("license", "license_tier", "license_confidence"),
    "quadmix": ("quality", "quality_rank"),
    "cluster": ("cluster_id",),
    "domain": ("domain", "domain_prob"),
    "domain.bucket": ("bucket",),
    "sample": ("copies_n",),
}


@dataclass(frozen=True)
class ParquetCorpus(Sink):
    """corpus/data/train-*.parquet."""

    shard_bytes: Count = 400_000_000  # text per shard; design.md: files of 256-512 MB
    # Not a key of this section: (dataset, columns) that the run's stages publish beside the standard columns
    published: tuple[tuple[str, tuple[str, ...]], ...] = ()
    name: ClassVar = "corpus"
    version: ClassVar = 1
    borrowed: ClassVar = {"published": ()}
    needs: ClassVar = ("sample",)

    @property
    def reads(self) -> Reads:
        own = dict(self.published)
        return {d: (*READS.get(d, ()), *own.get(d, ())) for d in dict.fromkeys([*READS, *own])}

    def shards(self, artifacts: Artifacts) -> int:
        quotas = json.loads((artifacts["sample"] / "quotas.json").read_text(encoding="utf-8"))
        return max(1, -(-quotas["corpus_bytes"] // self.shard_bytes))

    def scatter(self, batch: pl.DataFrame, shards: int) -> pl.DataFrame:
        copies = batch["copies_n"].to_numpy()
        rows = np.repeat(np.arange(batch.height), copies)
        copy = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
        out = batch[rows] if len(rows) else batch.clear()
        key = key64((f"{i}/{c}" for i, c in zip(out["doc_id"], copy, strict=True)), "shuffle")
        # High bits choose the shard, the whole key the place in it: one uniform permutation of all rows.
        shard = (key >> np.uint64(32)) * np.uint64(shards) >> np.uint64(32)
        return out.with_columns(pl.Series("shard", shard.astype(np.int64)), pl.Series("_key", key))

    def gather(self, slices: Iterator[pl.DataFrame]) -> pl.DataFrame:
        rows = pl.concat(list(slices)).sort("_key", "doc_id")
        return rows.select("doc_id", *COLUMNS, *(c for _, columns in self.published for c in columns))
