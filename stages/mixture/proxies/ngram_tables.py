"""The counts of an n-gram proxy: where its buckets' slices end, and the tables of every order.

Slices are equal parts of a bucket's stream, the first of them cut by halves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.kernels.numbers import ngram as kernels
from gristmill.pipeline.kernels.threads import side_by_side

HALVINGS = 5  # of the first slice: small weights read little of a bucket

Kept = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Order:
    """Grams of one length that the targets hold. tables: see kernels.tabulate; suffix (g,): gram -> shorter gram."""

    tables: tuple[np.ndarray, ...]
    suffix: np.ndarray

    @cached_property
    def halves(self) -> tuple[tuple[int, int], ...]:
        """Ranges of contexts with as many counts each, about: what two threads go through. One context is one."""
        tables = self.tables
        work = tables[0] + tables[3] + tables[7][tables[6]] + tables[9][tables[14]]
        contexts = len(work) - 1
        cut = max(1, int(np.searchsorted(work, work[-1] / 2)))
        return ((0, cut), (cut, contexts)) if cut < contexts else ((0, contexts),)

    def kept(self, lanes: int) -> Kept:
        """Room for what `slopes` needs of `probabilities`."""
        contexts = len(self.tables[0]) - 1
        return np.empty((contexts, lanes)), np.zeros((contexts, lanes)), np.empty((len(self.suffix), lanes))

    def probabilities(
        self, rate: np.ndarray, discount: np.ndarray, strength: np.ndarray, lower: np.ndarray, kept: Kept, threads: int
    ) -> np.ndarray:
        """(g, lanes), see kernels.probabilities; the halves on so many threads."""
        out, absent = np.empty((len(self.suffix), lower.shape[1])), 1 - np.minimum(rate, 1)

        def half(i: int) -> None:
            kernels.probabilities(
                self.tables, *self.halves[i], rate, absent, discount, strength, lower, self.suffix, out, kept
            )

        side_by_side(half, range(len(self.halves)), threads)
        return out

    def slopes(
        self, rate: np.ndarray, moving: np.ndarray, constants: tuple[float, float], lower: np.ndarray,
        slope: np.ndarray, kept: Kept, threads: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """Of the loss by `lower`, by the rates and by what of them is absent, from its `slope` by the probabilities,
        see kernels.slopes. constants: discount and strength of all lanes. The halves are summed apart, on however many
        threads."""
        absent = 1 - np.minimum(rate, 1)

        def half(i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            found = np.zeros(lower.shape), np.zeros(rate.shape), np.zeros(rate.shape)
            kernels.slopes(
                self.tables, *self.halves[i], kept, absent, moving, *constants, lower, self.suffix, slope, *found
            )
            return found

        first, *rest = side_by_side(half, range(len(self.halves)), threads)
        for found in rest:
            for whole, part in zip(first, found, strict=True):
                whole += part
        return first


def ends(size: int, slices: int) -> np.ndarray:
    """Ends of equal slices, the first one cut by halves: (slices + HALVINGS,), the last is `size`. Short streams have
    empty slices."""
    equal = size * np.arange(1, slices + 1) // slices
    return np.maximum(np.concatenate([equal[0] >> np.arange(HALVINGS, 0, -1), equal]), min(1, size))


def ends_at(size: int, read: np.ndarray) -> np.ndarray:
    """Ends of slices where the last, incomplete epochs of these readings (n,) end: (n + 1,), the last is `size`."""
    rest = np.ceil(read - np.floor(read / size) * size).astype(np.int64)
    return np.append(np.sort(rest), size)


def counted(
    streams: Sequence[np.ndarray],
    texts: Sequence[np.ndarray],
    slice_ends: np.ndarray,
    vocab: int,
    end_id: int,
    max_order: int,
) -> tuple[tuple[Order, ...], tuple[np.ndarray, ...]]:
    """Tables of all orders, and the longest gram at each position of every target."""
    slices = slice_ends.shape[1]
    features = slice_ends.size
    if features > np.iinfo(np.uint16).max:
        raise DataError(f"{len(streams)} buckets x {slices} slices are more than 65,535; use fewer slices or buckets")
    # A target starts with a fresh history: its last token is a document's end or is made one here.
    text = np.concatenate([t if t[-1] == end_id else np.append(t, end_id) for t in texts]).astype(np.int32)
    text_states = np.zeros(text.size, np.int32)
    states = [np.zeros(s.size, np.int32) for s in streams]
    orders: list[Order] = []
    position = np.zeros(text.size, np.int64)
    for n in range(max_order):
        before = np.concatenate([[0], text_states[:-1]]).astype(np.int64)
        if (int(before.max()) + 1) * vocab * features >= 2**63:
            raise DataError("vocabulary x buckets x slices x target contexts do not fit 63 bits; use fewer slices")
        grams, shorter = np.unique(before * vocab + text, return_inverse=True)
        distinct, counts = kernels.run_lengths(composites(states, streams, slice_ends, vocab))
        tables = kernels.tabulate(distinct, counts, vocab, features, slices, np.unique(before), grams)
        suffix = np.zeros(grams.size, np.int64)
        suffix[shorter] = position
        orders.append(Order(tables, suffix))
        position = shorter
        if n + 1 < max_order:
            table = kernels.hash_table(grams)
            text_states = kernels.next_states(text_states, text, end_id, vocab, grams, table)
            states = [
                kernels.next_states(s, t, end_id, vocab, grams, table) for s, t in zip(states, streams, strict=True)
            ]
    kept = np.concatenate([np.arange(t.size + (t[-1] != end_id)) < t.size for t in texts])
    return tuple(orders), tuple(np.split(position[kept], np.cumsum([t.size for t in texts])[:-1]))


def composites(
    states: Sequence[np.ndarray], streams: Sequence[np.ndarray], slice_ends: np.ndarray, vocab: int
) -> np.ndarray:
    """(e,) sorted `kernels.events` of all buckets."""
    found, n = np.empty(sum(s.size for s in streams), np.int64), 0
    for b, (s, t) in enumerate(zip(states, streams, strict=True)):
        n += kernels.events(s, t, vocab, slice_ends.size, slice_ends[b], b * slice_ends.shape[1], found[n:])
    found = found[:n]
    found.sort()
    return found


def distinct_grams(longest: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m,) gram, target and share of the target's tokens, from the gram at each position of every target."""
    parts = []
    for t, grams in enumerate(longest):
        gram, count = np.unique(grams, return_counts=True)
        order = np.argsort(count, kind="stable")  # equal shares side by side: surprisals takes them together
        gram, count = gram[order], count[order]
        parts.append((gram, np.full(gram.size, t, np.int64), count / grams.size))
    gram, target, share = (np.concatenate(column) for column in zip(*parts, strict=True))
    return gram, target, share
