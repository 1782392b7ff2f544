"""Which copy of a text stays: the order in which the documents of a group are asked.

A held-out document comes first where the group has one (so that no copy of a held-out text stays in the corpus), then
the smallest draw: no crawl, file or worker is preferred. Exact and near-duplicates share it, so that the same document
survives in both.
"""

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import key64

SALT = "dedup"


def ranks(batch: pl.DataFrame) -> pl.Series:
    """UInt64 per row of `batch` (doc_id, is_held_out): the smaller stays. Equal ones are told apart by doc_id."""
    draws = key64(batch["doc_id"], SALT) >> np.uint64(1)
    behind = (~batch["is_held_out"].to_numpy()).astype(np.uint64) << np.uint64(63)
    return pl.Series("rank", draws | behind, dtype=pl.UInt64)
