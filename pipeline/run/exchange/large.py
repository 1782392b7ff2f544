"""Ranges of keys whose rows do not fit into memory: an external merge sort by key and order, read back key by key.

Runs of an eighth of the budget are sorted and spilled; then a piece of each run is held, and what is not behind the
last row of any piece is in order (Knuth, The Art of Computer Programming 3, 5.4.1, by pieces in place of rows).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.run.exchange.planes import packed
from gristmill.pipeline.run.exchange.slices import Pieces, weight, write_slices

RUN_SHARE = 8  # of the budget an eighth is sorted at once; the pieces of all runs together are another


@dataclass(frozen=True)
class LongKey:
    """A key whose rows are on disk, in order."""

    key: int
    rows: int
    size: int  # bytes in memory
    frames: Callable[[], Iterator[pl.DataFrame]]


def in_order(
    frames: Iterable[pl.DataFrame], by: Sequence[str], size: int, budget: int, folder: Path
) -> Iterator[pl.DataFrame]:
    """The rows of all frames (about `size` bytes, no nulls in `by`) sorted by `by`, in frames; runs lie in `folder`."""
    run = max(1, budget // RUN_SHARE)
    piece = max(1, run // (size // run + 1))  # bytes
    runs: list[Pieces] = []
    held: list[pl.DataFrame] = []

    def spill() -> None:
        rows = pl.concat(held).sort(by)
        held.clear()
        step = max(1, rows.height * piece // max(1, weight(rows)))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"run-{len(runs)}.slices"
        write_slices(path, (rows[i : i + step] for i in range(0, rows.height, step)), packed)
        runs.append(Pieces(path))

    holds = 0
    for frame in frames:
        held.append(frame)
        holds += weight(frame)
        if holds > run:
            spill()
            holds = 0
    if held:
        spill()
    yield from _merged([file.frames(range(len(file.index))) for file in runs], by)


def _merged(runs: Sequence[Iterator[pl.DataFrame]], by: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Sorted runs as one."""
    waiting = [[next(run), run] for run in runs]
    while waiting:
        bound = min(head.select(by).row(-1) for head, _ in waiting)
        ready = []
        for pair in waiting:
            order = pair[0].select(by)
            n = bisect_right(range(order.height), bound, key=order.row)
            ready.append(pair[0][:n])
            pair[0] = pair[0][n:] if n < order.height else next(pair[1], None)
        waiting = [pair for pair in waiting if pair[0] is not None]
        yield pl.concat(ready).sort(by)


def by_keys(ordered: Iterator[pl.DataFrame], limit: int, path: Path) -> Iterator[pl.DataFrame | LongKey]:
    """Rows sorted by `key` as frames of whole keys, of about `limit` bytes at most, or keys that are longer. The frames
    of a long key can be read until the next item is asked for."""
    held: list[pl.DataFrame] = []
    for frame in ordered:
        held.append(frame)
        if sum(map(weight, held)) <= limit:
            continue
        rows = pl.concat(held)
        last = rows["key"][-1]
        begin = int(np.searchsorted(rows["key"].to_numpy(), np.uint64(last)))
        if begin:
            yield rows[:begin]
        held = [rows[begin:]]
        if weight(held[0]) <= limit:
            continue
        held = yield from _long(last, held[0], ordered, path)
    if held:
        yield pl.concat(held)


def _long(key: int, head: pl.DataFrame, rest: Iterator[pl.DataFrame], path: Path) -> Iterator[LongKey]:
    """The key that begins with `head`; returns the rows behind it."""
    behind: list[pl.DataFrame] = []
    size = 0

    def pieces() -> Iterator[pl.DataFrame]:
        nonlocal size
        size += weight(head)
        yield head
        for frame in rest:
            end = int(np.searchsorted(frame["key"].to_numpy(), np.uint64(key), "right"))
            if end:
                size += weight(frame[:end])
                yield frame[:end]
            if end < frame.height:
                behind.append(frame[end:])
                return

    rows = write_slices(path, pieces(), packed)
    file = Pieces(path)
    yield LongKey(key, rows, size, lambda: file.frames(range(len(file.index))))
    path.unlink()
    return behind
