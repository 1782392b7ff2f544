"""Samples documents independently of the order of batches: the rows with the smallest draws."""

from collections.abc import Iterable

import polars as pl

from gristmill.pipeline.contract.draws import key64


def drawn_sample(batches: Iterable[pl.DataFrame], rows: int | None, salt: str, by: str | None = None) -> pl.DataFrame:
    """At most `rows` rows of all batches (per value of `by`, if given; all rows if None), sorted by (draw, doc_id).

    The batches must agree in schema; a column `draw` (uint64) is added. At most about twice the sample is held.
    Returns an empty frame without columns if there is no batch.
    """
    held: list[pl.DataFrame] = []
    held_rows = kept_rows = 0
    for batch in batches:
        held.append(batch.with_columns(pl.Series("draw", key64(batch["doc_id"], salt), dtype=pl.UInt64)))
        held_rows += batch.height
        if rows is not None and held_rows > 2 * max(kept_rows, rows):
            held = [_smallest(pl.concat(held), rows, by)]
            held_rows = kept_rows = held[0].height
    return _smallest(pl.concat(held), rows, by) if held else pl.DataFrame()


def _smallest(frame: pl.DataFrame, rows: int | None, by: str | None) -> pl.DataFrame:
    ordered = frame.sort("draw", "doc_id")
    if rows is None:
        return ordered
    return ordered.head(rows) if by is None else ordered.filter(pl.int_range(pl.len()).over(by) < rows)
