"""Gives every document its copies per split at the solved scales, and drops those that get none."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads, first_broken
from gristmill.stages.sample.plan import ADJUSTED, QUOTAS
from gristmill.stages.sample.schedule import Division
from gristmill.stages.sample.solving import copies_for


@dataclass(frozen=True)
class Sample(Annotator):
    """copies_n of every document, and of these the copies of each split."""

    name: ClassVar = "sample"
    version: ClassVar = 2
    reads: ClassVar[Reads] = {
        "ingest": ("source",),
        "domain.bucket": ("bucket",),
        "quadmix": ("sampling_value",),
    }
    writes: ClassVar = ("copies_n", "splits_n")
    needs: ClassVar = ("sample",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        quotas = json.loads((artifacts["sample"] / QUOTAS).read_text(encoding="utf-8"))
        adjusted = pl.read_parquet(artifacts["sample"] / ADJUSTED, glob=False)
        division = Division.from_json(quotas["division"])
        exact = {split: adjusted.filter(pl.col("split") == split).drop("split") for split in division.names}

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            held = division.held_out(batch["doc_id"])
            counts = []
            for split in division.names:
                copies = np.zeros(batch.height, np.int64)
                mine = division.members(batch, split)
                k = {name: row["k"] for name, row in quotas["splits"][split]["buckets"].items()}
                scale = np.array([k.get(b, 0.0) for b in batch["bucket"].filter(pl.Series(mine))])
                some = batch.filter(pl.Series(mine))
                rate, u = some["sampling_value"].to_numpy(), division.draws(some["doc_id"], split)
                copies[mine] = copies_for(scale, rate, u, quotas["max_copies"])
                frame = pl.DataFrame({"doc_id": batch["doc_id"], "copies_n": copies})
                counts.append(frame.update(exact[split], on="doc_id", how="left")["copies_n"].to_numpy())
            if division.validation:
                # What training would have taken at least one copy of, of the documents that it never sees.
                held_back = held & (sum(counts) > 0)
                counts = [np.where(held, 0, n) for n in counts] + [held_back.astype(np.int64)]
            table = np.stack(counts, axis=1)
            splits = pl.Series("splits_n", table).arr.to_list()
            return pl.DataFrame({"doc_id": batch["doc_id"], "copies_n": table.sum(axis=1), "splits_n": splits})

        return annotate


@dataclass(frozen=True)
class SampleGate(Gate):
    """Drops documents that the mixture has no copy for."""

    name: ClassVar = "sample.gate"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"sample": ("copies_n",)}
    rules: ClassVar = ("not_sampled",)
    chooses: ClassVar = True

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        return first_broken(batch, {"not_sampled": pl.col("copies_n") == 0})
