"""Counts every document's fates beside its rows in the corpus, by an external sort of the documents' keys.

A document is a 128-bit key of its id here: 32 bytes per fate, and per document and shard that holds it. More than
HELD_BYTES of them lie on disk, sorted, while they are counted.
"""

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.corpus.splits import VALIDATION
from gristmill.pipeline.contract.draws import key128
from gristmill.pipeline.run.exchange.slices import Slices
from gristmill.pipeline.run.exchange.sorter import SHARE, Sorter

HELD_BYTES = 16 << 20  # of rows in memory at once; concatenated and sorted they take it three times
FATE = -1  # in the place of a split's number
Key = tuple[int, int]


@dataclass(eq=False)
class Counted:
    """documents: that have a fate; docs, rows: by split. Of what does not hold the first document, by key."""

    splits: tuple[str, ...]
    documents: int = 0
    written: int = 0  # documents in the corpus
    twice: int = 0  # documents with two fates
    docs: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    of_two_fates: Key | None = None
    of_other_rows: tuple[Key, int, int] | None = None  # its rows, and its copies by its fate
    of_two_splits: tuple[Key, str, str] | None = None

    def add(self, found: pl.DataFrame, free: Collection[str]) -> None:
        """found: high, low, fates, copies and, by the number of each split, its rows; a row per document."""
        self.documents += int((found["fates"] > 0).sum())
        several = found.filter(pl.col("fates") > 1)
        self.twice += several.height
        self.of_two_fates = self.of_two_fates or first_of(several)
        for number, name in enumerate(self.splits):
            rows = found[str(number)]
            self.docs[name] = self.docs.get(name, 0) + int((rows > 0).sum())
            self.rows[name] = self.rows.get(name, 0) + int(rows.sum())
        found = found.with_columns(written=pl.sum_horizontal(pl.lit(0), *map(str, range(len(self.splits)))))
        self.written += int((found["written"] > 0).sum())
        other = found.filter(pl.col("written") != pl.col("copies"))
        if self.of_other_rows is None and (key := first_of(other)):
            self.of_other_rows = key, other["written"][0], other["copies"][0]
        for one, another in refused(self.splits, free):
            both = found.filter((pl.col(str(one)) > 0) & (pl.col(str(another)) > 0))
            if self.of_two_splits is None and (key := first_of(both)):
                self.of_two_splits = key, self.splits[one], self.splits[another]


def refused(splits: Sequence[str], free: Collection[str]) -> Iterator[tuple[int, int]]:
    """Pairs of splits that share no document: phases without reuse, and validation with any."""
    for (i, one), (j, another) in combinations(enumerate(splits), 2):
        if VALIDATION in (one, another) or not {one, another} & set(free):
            yield i, j


def first_of(found: pl.DataFrame) -> Key | None:
    return next(found.select("high", "low").iter_rows(), None)  # pyright: ignore[reportReturnType]


def count(
    fates: Iterable[pl.DataFrame], rows: Iterable[tuple[str, pl.DataFrame]], splits: Sequence[str],
    free: Collection[str], folder: Path,
) -> Counted:  # fmt: skip
    """fates: doc_id and copies_n (null: none) of documents; rows: a split beside doc_id of rows of the corpus; free:
    splits that may hold documents of others, but of validation; folder: where rows are sorted, on its disk or, where it
    may not be written to, on that of temporary files."""
    counted = Counted(tuple(splits))
    place = folder if os.access(folder, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".verify.tmp-", dir=place) as name:
        sorter = Sorter(Path(name) / "spill", ("high", "low"), SHARE * HELD_BYTES)
        for frame in fates:
            sorter.add(keyed(frame, FATE, frame["copies_n"].fill_null(0)))
        for split, frame in rows:
            several = frame.group_by("doc_id").len()
            sorter.add(keyed(several, counted.splits.index(split), several["len"]))
        path = Path(name) / "sorted"
        sorter.write(path)
        for frame in Slices(path, "high").walk(HELD_BYTES // 2):
            counted.add(summed(frame, counted.splits), free)
    return counted


def keyed(frame: pl.DataFrame, split: int, n: pl.Series) -> pl.DataFrame:
    keys = key128(frame["doc_id"].to_list(), "verify")
    return pl.DataFrame(
        {
            "high": np.ascontiguousarray(keys[:, 0]),
            "low": np.ascontiguousarray(keys[:, 1]),
            "split": pl.repeat(split, frame.height, dtype=pl.Int16, eager=True),
            "n": n.cast(pl.Int64),
        }
    )


def summed(frame: pl.DataFrame, splits: Sequence[str]) -> pl.DataFrame:
    """A row per document."""

    def of(number: int) -> pl.Expr:
        return pl.when(pl.col("split") == number).then("n").otherwise(0)

    columns = [of(FATE).alias("copies"), (pl.col("split") == FATE).cast(pl.Int64).alias("fates")]
    columns += [of(i).alias(str(i)) for i in range(len(splits))]
    return frame.select("high", "low", *columns).group_by("high", "low", maintain_order=True).sum()


def doc_id_of(key: Key, ids: Iterable[pl.Series]) -> str:
    """The id with this key among series of ids; the key itself where there is none."""
    for series in ids:
        listed = series.drop_nulls().to_list()
        at = np.flatnonzero((key128(listed, "verify") == np.array(key, np.uint64)).all(axis=1))
        if at.size:
            return listed[int(at[0])]
    return f"{key[0]:016x}{key[1]:016x}"
