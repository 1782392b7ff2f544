"""Sources that the quality criteria do not judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class SourceQuality:
    """ "exempt": the source's documents train no model and have null criteria, so that no limit drops them."""

    name: str
    # exempt: its documents train no model and have null criteria, so that no limit drops them; null: as the others
    quality: Literal["exempt"] | None = None


def judged(sources: Sequence[SourceQuality]) -> pl.Expr:
    """Whether a row (with `source`, where there are any) is scored."""
    spared = [source.name for source in sources if source.quality == "exempt"]
    return ~pl.col("source").is_in(spared).fill_null(False) if spared else pl.lit(True)
