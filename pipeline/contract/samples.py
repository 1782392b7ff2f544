"""Samples and sums of documents that do not depend on the order of batches, nor on which of them come together.

A sample is the rows with the smallest draws: the smallest of a union are among the smallest of its sides, so that what
is sampled of bundles of parts is sampled again when it is joined.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.shapes import Tables

SUMMED_ROWS = 10_000  # fewer are not worth adding up on the way
Trim = Callable[[pl.DataFrame], pl.DataFrame]


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in memory of its own: rows that were filtered out of another keep all of its texts alive."""
    return pl.DataFrame(frame.to_arrow())


def drawn(batch: pl.DataFrame, salt: str) -> pl.DataFrame:
    """The batch with the documents' draws (uint64)."""
    return batch.with_columns(pl.Series("draw", key64(batch["doc_id"], salt), dtype=pl.UInt64))


def drawn_sample(
    batches: Iterable[pl.DataFrame], rows: int | None, salt: str, by: str | Sequence[str] = ()
) -> pl.DataFrame:
    """At most `rows` rows of all batches (per value of `by`, if given; all rows if None), sorted by (draw, doc_id).

    The batches must agree in schema; a column `draw` (uint64) is added. At most about twice the sample is held.
    Returns an empty frame without columns if there is no batch.
    """
    return smallest((drawn(batch, salt) for batch in batches), rows, by)


def smallest(frames: Iterable[pl.DataFrame], rows: int | None, by: str | Sequence[str] = ()) -> pl.DataFrame:
    """The same of rows that have a column `draw`, which may be samples."""
    keys = [by] if isinstance(by, str) else list(by)

    def trim(frame: pl.DataFrame) -> pl.DataFrame:
        if rows is None:
            return frame
        return frame.filter(pl.int_range(pl.len()).over(keys) < rows) if keys else frame.head(rows)

    return _kept(frames, trim, rows)


def reaching(
    frames: Iterable[pl.DataFrame], size: str, limit: int | pl.Expr, by: str | Sequence[str] = ()
) -> pl.DataFrame:
    """The first rows by (draw, doc_id), per value of `by`, before which the column `size` sums to less than `limit`."""
    reach = pl.col(size).cum_sum().over(by) if by else pl.col(size).cum_sum()
    return _kept(frames, lambda frame: frame.filter(reach - pl.col(size) < limit), 1)


def _kept(frames: Iterable[pl.DataFrame], trim: Trim, rows: int | None) -> pl.DataFrame:
    """What is left of all rows when they are sorted by (draw, doc_id) and trimmed, now and then and at the end."""
    return _folded(frames, lambda frame: trim(frame.sort("draw", "doc_id")), rows)


def _folded(frames: Iterable[pl.DataFrame], fold: Trim, least: int | None) -> pl.DataFrame:
    """All rows folded, now and then and at the end. least: rows from which it is worth it; None: at the end alone."""
    held: list[pl.DataFrame] = []
    held_rows = kept_rows = 0
    for frame in frames:
        if not frame.width:
            continue
        held.append(compact(frame))
        held_rows += frame.height
        if least is not None and held_rows > 2 * max(kept_rows, least):
            held = [compact(fold(pl.concat(held)))]
            held_rows = kept_rows = held[0].height
    return compact(fold(pl.concat(held))) if held else pl.DataFrame()


def summed(frames: Iterable[pl.DataFrame], by: str | Sequence[str], greatest: Sequence[str] = ()) -> pl.DataFrame:
    """The sums of all other columns per value of `by`, sorted by it; of some the `greatest` value. Sums of sums are
    sums."""
    keys = [by] if isinstance(by, str) else list(by)
    rest: list[str] = []

    def alike() -> Iterator[pl.DataFrame]:
        """The frames with their columns in one order."""
        for frame in frames:
            rest.extend(() if rest else (name for name in frame.columns if name not in (*keys, *greatest)))
            yield frame.select(*keys, *rest, *greatest) if frame.width else frame

    def total(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.group_by(keys).agg(pl.col(rest).sum(), *(pl.col(name).max() for name in greatest))

    found = _folded(alike(), total, SUMMED_ROWS)
    return found.sort(keys) if found.width else found


def tables_of(name: str, taken: Iterable[Tables]) -> Iterator[pl.DataFrame]:
    """One table of those that were taken, where there is one."""
    return (tables[name] for tables in taken if name in tables)


def together(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all frames that have columns, in no order."""
    found = [compact(frame) for frame in frames if frame.width]
    return pl.concat(found) if found else pl.DataFrame()
