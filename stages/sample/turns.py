"""Large buckets solved without holding them: a histogram of turns says where the cut lies, and what is near it is read.

A copy has its turn at (j + u) / rate. Copies far before the cut are known by sums alone; those of the cut's bin, and
PASSED of them before and behind it, are read, and the cut is found among them as in a bucket that is held.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.stages.sample.solving import PASSED, SUBSET_SUM_BITS, Solved, closest_cut, turns_of

HELD_DOCS = 5_000  # documents of a bucket that is held; with 4 copies of each no more than PASSED
BIN_BITS = 22  # of a float64's first bits: 1,024 bins per doubling of the turn
SUMS = ("copies", "tokens", "bytes", "docs", "distinct")  # of a bin; docs and distinct tokens of first copies


def bin_of(turns: np.ndarray) -> np.ndarray:
    """uint64, ordered as the turns, which are not negative."""
    return (turns + 0.0).view(np.uint64) >> np.uint64(64 - BIN_BITS)


def is_large(docs: int, tokens: int, cap: int) -> bool:
    """Whether a bucket is not held; one that is small enough for a subset sum always is."""
    return docs > HELD_DOCS and docs * cap * tokens * cap > SUBSET_SUM_BITS


def bins_of(docs: pl.DataFrame, cap: int) -> pl.DataFrame:
    """Sums per bucket and bin. docs: bucket, token_count, text_bytes, sampling_value, u."""
    bins = bin_of(turns_of(docs["sampling_value"].to_numpy(), docs["u"].to_numpy(), cap))
    first = np.arange(cap)[None, :] == 0
    tokens = docs["token_count"].cast(pl.Int64).to_numpy()[:, None]

    def flat(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, bins.shape).ravel().astype(np.int64)

    rows = {
        "bucket": docs["bucket"].gather(np.repeat(np.arange(docs.height), cap)),
        "bin": bins.ravel(),
        "copies": flat(np.ones(1)),
        "tokens": flat(tokens),
        "bytes": flat(docs["text_bytes"].cast(pl.Int64).to_numpy()[:, None]),
        "docs": flat(first),
        "distinct": flat(tokens * first),
    }
    return pl.DataFrame(rows).group_by("bucket", "bin").agg(pl.col(*SUMS).sum())


@dataclass(frozen=True)
class Window:
    """Bins low to high of a bucket hold the cut; the sums of all before them."""

    low: int
    high: int
    before: Mapping[str, int]

    @staticmethod
    def around(bins: pl.DataFrame, quota: float) -> "Window":
        """bins: of one bucket, sorted."""
        reach = np.cumsum(bins["tokens"].to_numpy())
        cut = min(int(np.searchsorted(reach, quota, side="right")), bins.height - 1)
        copies = np.cumsum(bins["copies"].to_numpy())
        ahead = copies[cut - 1] if cut else 0  # copies before the cut's bin
        low = max(0, int(np.searchsorted(copies, ahead - PASSED, side="right")) - 1) if cut else 0
        high = min(int(np.searchsorted(copies, copies[cut] + PASSED)), bins.height - 1)
        before = bins[:low].select(pl.col(*SUMS).sum()).row(0, named=True)
        return Window(int(bins["bin"][low]), int(bins["bin"][high]), before)

    def near(self, docs: pl.DataFrame, cap: int) -> np.ndarray:
        """(n,) bool: documents of the bucket that have a copy in the window."""
        bins = bin_of(turns_of(docs["sampling_value"].to_numpy(), docs["u"].to_numpy(), cap))
        return np.any((bins >= self.low) & (bins <= self.high), axis=1)

    def solve(self, docs: pl.DataFrame, quota: float, cap: int) -> tuple[Solved, dict[str, int]]:
        """Copies of the near documents (sorted by doc_id), and the sums of all copies of the bucket."""
        turns = turns_of(docs["sampling_value"].to_numpy(), docs["u"].to_numpy(), cap)
        tokens, size = docs["token_count"].to_numpy(), docs["text_bytes"].to_numpy()
        bins = bin_of(turns)
        inside = np.flatnonzero(((bins >= self.low) & (bins <= self.high)).ravel())
        order = inside[np.argsort(turns.ravel()[inside], kind="stable")]
        earlier = (bins < self.low).sum(axis=1)
        cut = closest_cut(turns.ravel()[order], order // cap, tokens, quota, quota - self.before["tokens"])
        taken = cut.copies
        first = (earlier == 0) & (taken > 0)
        sums = {
            "copies": int(taken.sum()), "tokens": int(taken @ tokens), "bytes": int(taken @ size),
            "docs": int(first.sum()), "distinct": int(tokens[first].sum()),
        }  # fmt: skip
        whole = {name: self.before[name] + sums[name] for name in SUMS}
        return Solved(cut.k, earlier + taken, earlier + cut.plain), whole
