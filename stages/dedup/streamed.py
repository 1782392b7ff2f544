"""The election in a component that does not fit into memory: leaders and their clusters, frame by frame."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.numbers.minhash import LEADERS
from gristmill.stages.dedup.survival import lines_of, text_of


class Streamed:
    """Leaders are the documents that others may leave for, at most LEADERS; two bytes per document say which is whose.

    A frame is elected behind the leaders of those before it, which stay: the result is that of all rows at once.
    """

    def __init__(self, where: Sequence[str]):
        self.leaders: pl.DataFrame | None = None
        self.places: list[np.ndarray] = []  # per frame (n,) int16: the leader that stands for each row, or -1
        # of each leader's cluster; the last entry is that of -1
        self.members, self.copies = np.zeros(LEADERS + 1, np.int64), np.zeros(LEADERS + 1, np.int64)
        self.where: dict[str, list[set[str]]] = {name: [set() for _ in range(LEADERS)] for name in where}

    def add(self, rows: pl.DataFrame, n: int, standing: np.ndarray) -> None:
        """`rows`: the leaders and the `n` rows of a frame; `standing`: the row that stands for each."""
        before = rows.height - n
        itself = np.flatnonzero(standing[before:] == np.arange(before, rows.height))[: LEADERS - before] + before
        leaders = np.concatenate([np.arange(before), itself])
        of = np.full(rows.height, -1, np.int16)
        of[leaders] = np.arange(leaders.size)
        places = of[standing[before:]]
        self.places.append(places)
        frame, self.leaders = rows[before:], rows[leaders]
        np.add.at(self.members, places, 1)
        np.add.at(self.copies, places, frame["exact_copies_n"].to_numpy())
        self.members[-1] = self.copies[-1] = 0
        for name, found in self.where.items():
            said = frame.select(pl.Series("of", places), name).filter(pl.col("of") >= 0).drop_nulls(name)
            for (leader,), some in said.group_by("of"):
                found[int(str(leader))].update(lines_of(some[name]))

    def lines(self, name: str, of: np.ndarray) -> list[str | None]:
        """Of each leader's cluster, as the column of its documents says it."""
        said = {int(i): text_of(self.where[name][i]) for i in np.unique(of)}
        return [said[int(i)] for i in of]
