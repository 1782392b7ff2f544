"""Sources whose documents stay, whatever they repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class SourceDedup:
    """Whether duplicates among a source's documents leave the corpus; "off": none of them does."""

    name: str
    dedup: Literal["on", "off"] | None = None  # off: none of its duplicates leaves the corpus; null: as the others


def judged(sources: Sequence[SourceDedup]) -> pl.Expr:
    """Whether a row (with `source`, where there are any) may be dropped as a duplicate."""
    kept = [source.name for source in sources if source.dedup == "off"]
    return ~pl.col("source").is_in(kept).fill_null(False) if kept else pl.lit(True)
