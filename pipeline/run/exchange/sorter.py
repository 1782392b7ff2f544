"""External sort by a 64-bit key: rows beyond a budget of memory are spilled, and merged one range of keys at a time."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from gristmill.pipeline.run.exchange.planes import packed
from gristmill.pipeline.run.exchange.slices import (
    Slices,
    between,
    pieces_for,
    ranges,
    together,
    weight,
    write_slices,
)

SHARE = 4  # of the budget a quarter is held before it is spilled: sorting takes the rows once more


class Sorter:
    """Takes frames in any order and writes their rows as one slice file, sorted by `by` (the first is the key).

    What is written depends on the rows alone where `by` orders them totally: `budget` (bytes) decides only what is
    spilled on the way, into `folder`, which is removed at the end.
    """

    def __init__(self, folder: Path, by: Sequence[str], budget: int):
        self.folder, self.by, self.budget = folder, tuple(by), budget
        self.held: list[pl.DataFrame] = []
        self.holds = self.weight = self.rows = 0
        self.spilled: list[Slices] = []

    def add(self, frame: pl.DataFrame) -> None:
        if not frame.height:
            return
        size = weight(frame)
        self.held.append(frame)
        self.holds, self.weight, self.rows = self.holds + size, self.weight + size, self.rows + frame.height
        if self.holds > self.budget // SHARE:
            self._spill()

    def write(self, path: Path) -> int:
        """How many rows it wrote. Raises OSError for a full disk."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            n = pieces_for(self.weight)
            if not self.spilled:
                return write_slices(path, self._cut(n), packed)
            self._spill()
            return write_slices(path, self._merged(n), packed)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _sorted(self) -> pl.DataFrame | None:
        frame = pl.concat(self.held).sort(self.by) if self.held else None
        self.held, self.holds = [], 0
        return frame

    def _cut(self, n: int) -> Iterator[pl.DataFrame]:
        frame = self._sorted()
        if frame is None:
            return
        for low, high in ranges(n):
            piece = between(frame, self.by[0], low, high)
            yield piece if piece.height else pl.DataFrame()

    def _spill(self) -> None:
        if not self.held:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{len(self.spilled)}.slices"
        write_slices(path, self._cut(pieces_for(self.holds)), packed)
        self.spilled.append(Slices(path, self.by[0]))

    def _merged(self, n: int) -> Iterator[pl.DataFrame]:
        for low, high in ranges(n):
            frame = together(self.spilled, low, high)
            yield pl.DataFrame() if frame is None else frame.sort(self.by)
