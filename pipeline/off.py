"""Stands in for a step that is off: the columns that it would have written, all null."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.shapes import Annotator, Artifacts

# A document that nothing was compared with counts once.
_ONE = ("exact_copies_n", "minhash_cluster_size")


@dataclass(frozen=True)
class Off(Annotator):
    """Writes `writes` as nulls under `name`, so that later steps find the columns they read."""

    name: str  # pyright: ignore[reportIncompatibleVariableOverride] - the dataset of the step that is off
    writes: tuple[str, ...]  # pyright: ignore[reportIncompatibleVariableOverride]
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ()}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        schema = arrow_schema(self.writes)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            nulls = pl.DataFrame(schema.empty_table()).clear(batch.height)
            ones = [pl.lit(1, pl.Int64).alias(name) for name in self.writes if name in _ONE]
            return batch.select("doc_id").hstack(nulls.with_columns(ones))

        return annotate
