"""The n-gram proxy: the loss of any mixture at any budget from counts that are made once per bucket, without training.

An interpolated n-gram model with absolute discounting and a strength (the Pitman-Yor predictive rule, Teh 2006; with
strength 0 it is Ney's absolute discounting). A mixture reads w_b * budget tokens of bucket b: whole epochs of its
stream, then the beginning of one more. Each stream is cut into equal slices, the first of them by halves: where the
reading ends at a slice's end the model equals, to rounding, one counted on the written-out mixture (in which a
token that is read again counts `repeat_value`); between two ends, counts and the number of distinct followers are
interpolated, so the loss is piecewise smooth in the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.kernels.numbers import ngram as kernels
from gristmill.pipeline.kernels.threads import side_by_side
from gristmill.stages.mixture.runs.runs import Fidelity
from gristmill.stages.mixture.simplex import mixtures

LANES = 32  # mixtures per pass: hides the gathers, and the rates of 20 buckets stay in cache (benchmarks' proxies.py)
HALVINGS = 5  # of the first slice: small weights read little of a bucket
HELD_OUT_TOKENS = 40_000  # tokens that tune the discounts: enough for their second decimal
GRID = 12  # candidate values per order and sweep


@dataclass(frozen=True, eq=False)
class _Order:
    """Grams of one length that the targets hold. tables: see kernels.tabulate; suffix (g,): gram -> shorter gram."""

    tables: tuple[np.ndarray, ...]
    suffix: np.ndarray


@dataclass(frozen=True, eq=False)
class NgramProxy:
    """Counts of k buckets for the grams of t targets. Make it with `fit`."""

    buckets: tuple[str, ...]
    targets: tuple[str, ...]
    budget_tokens: int  # tokens of one mixture, document ends counted
    bucket_tokens: tuple[int, ...]  # length of each bucket's stream
    slice_ends: np.ndarray  # (k, slices) int64, where each slice ends in its stream
    vocab: int
    discounts: tuple[float, ...]  # one per order, from 1 up
    strengths: tuple[float, ...]  # likewise, tokens
    repeat_value: float  # what a token counts when it is read again
    threads: int
    orders: tuple[_Order, ...]
    gram: np.ndarray  # (m,) distinct longest grams of each target ...
    target: np.ndarray  # (m,) ... whose they are ...
    share: np.ndarray  # (m,) ... and their share of the target's tokens
    kind: ClassVar[str] = "ngram"

    @classmethod
    def fit(
        cls,
        bucket_tokens: Sequence[np.ndarray],
        target_tokens: Sequence[np.ndarray],
        buckets: Sequence[str],
        targets: Sequence[str],
        *,
        budget_tokens: int,
        vocab: int,
        end_id: int,
        max_order: int = 3,
        slices: int = 32,
        exact: np.ndarray | None = None,
        discounts: tuple[float, ...] | None = None,
        strengths: tuple[float, ...] | None = None,
        repeat_value: float = 0.1,
        threads: int = 2,
    ) -> "NgramProxy":
        """Counts once. Tokens: int ids in [0, vocab), documents in the order of their draw, each closed by end_id.

        History never crosses end_id; end_id itself is predicted. discounts and strengths, one per order, are tuned on
        a held-out tail of the natural mixture where None (never on the targets). repeat_value: what a token counts
        when it is read again; at 1 counts are those of the written-out text, and n-grams overrate what they saw twice:
        0.1 ranks repeated buckets as trained models do (docs/decisions/proxies.md). exact: (n, k) mixtures at whose
        readings the slices end, instead of `slices` equal ones: theirs are the losses of the written-out text.

        Raises DataError for an empty bucket or target and for ids outside the vocabulary.
        """
        streams = [_checked(t, f"bucket {b!r}", vocab) for b, t in zip(buckets, bucket_tokens, strict=True)]
        texts = [_checked(t, f"target {n!r}", vocab) for n, t in zip(targets, target_tokens, strict=True)]
        if len(set(buckets)) < len(buckets) or len(set(targets)) < len(targets):
            raise DataError("two buckets or two targets have the same name; names identify them in the runs")
        if budget_tokens < 1 or max_order < 1 or slices < 1:
            raise DataError("budget_tokens, max_order and slices of the n-gram proxy must be at least 1")
        if discounts is None or strengths is None:
            tuned = _tune(streams, budget_tokens, vocab, end_id, max_order, slices, repeat_value, threads)
            discounts, strengths = discounts or tuned[0], strengths or tuned[1]
        if len(discounts) != max_order or len(strengths) != max_order:
            raise DataError(f"the n-gram proxy of order {max_order} takes {max_order} discounts and strengths")
        if not all(0 < d <= 1 for d in discounts) or not all(s >= 0 for s in strengths):
            raise DataError("discounts must lie in (0, 1] and strengths must not be negative")
        if exact is None:
            slice_ends = np.array([_ends(s.size, slices) for s in streams])
        else:
            rows = mixtures(exact, len(streams))
            slice_ends = np.array([_ends_at(s.size, rows[:, b] * budget_tokens) for b, s in enumerate(streams)])
        orders, last = _count(streams, texts, slice_ends, vocab, end_id, max_order)
        gram, target, share = _distinct(last, texts)
        return cls(
            tuple(buckets), tuple(targets), budget_tokens, tuple(s.size for s in streams), slice_ends, vocab,
            discounts, strengths, repeat_value, threads, orders, gram, target, share,
        )  # fmt: skip

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity("ngram", 0.0, float(self.budget_tokens))

    @property
    def cost(self) -> float:
        """Floating-point operations of one mixture, about: a multiplication and an addition per stored number."""
        return 2.0 * sum(table.size for order in self.orders for table in order.tables)

    def at_budget(self, budget_tokens: int) -> "NgramProxy":
        """The same counts read at another budget."""
        return replace(self, budget_tokens=budget_tokens)

    def realised(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) -> (n, k): as asked, counts are read to the token."""
        return np.array(weights, dtype=np.float64)

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) rows on the simplex -> (n, t) nats/token. A row depends on itself alone, bit for bit."""
        rows = mixtures(weights, len(self.buckets))
        discount, strength = np.array(self.discounts), np.array(self.strengths)

        step = max(1, min(LANES, -(-len(rows) // self.threads)))

        def block(start: int) -> np.ndarray:
            rate = self._rates(rows[start : start + step])
            lanes = np.ones(rate.shape[1])
            return self._surprisals(rate, discount[:, None] * lanes, strength[:, None] * lanes)

        blocks = side_by_side(block, range(0, len(rows), step), self.threads)
        return np.concatenate([b.T for b in blocks]) if blocks else np.empty((0, len(self.targets)))

    def gradient(self, weights: np.ndarray, target_weights: np.ndarray) -> np.ndarray:
        """d(target_weights . losses)/d weights, every weight moved alone: (k,), (t,) -> (k,), nats/token.

        Exact; at a kink (a slice's end, a whole epoch) it is the slope to the right.
        """
        w = np.asarray(weights, dtype=np.float64).reshape(1, -1)
        rate = self._rates(w)
        absent = 1 - np.minimum(rate, 1)
        probability = self._probabilities(rate, np.array(self.discounts)[:, None], np.array(self.strengths)[:, None])
        slope = np.zeros(len(probability[-1]))
        np.add.at(slope, self.gram, -np.asarray(target_weights)[self.target] * self.share)
        slope /= probability[-1][:, 0]
        rate_slope, absent_slope = np.zeros(len(rate)), np.zeros(len(rate))
        for n in reversed(range(len(self.orders))):
            lower = probability[n]
            lower_slope = np.zeros(len(lower))
            kernels.slopes(
                self.orders[n].tables, rate[:, 0], absent[:, 0], self.discounts[n], self.strengths[n], lower[:, 0],
                self.orders[n].suffix, slope, lower_slope, rate_slope, absent_slope,
            )  # fmt: skip
            slope = lower_slope
        rate_slope -= np.where(rate[:, 0] < 1, absent_slope, 0)
        return (rate_slope.reshape(self.slice_ends.shape) * self._growing(w)).sum(axis=1)

    def _reading(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Whole epochs (n, k, 1), tokens of the next one (n, k, 1), slices' starts and widths (k, slices)."""
        size = np.array(self.bucket_tokens, dtype=np.float64)
        epochs = np.floor(weights * self.budget_tokens / size)
        rest = weights * self.budget_tokens - epochs * size
        starts = np.concatenate([np.zeros((len(size), 1)), self.slice_ends[:, :-1]], axis=1)
        return epochs[:, :, None], rest[:, :, None], starts, self.slice_ends - starts

    def _rates(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) -> (k * slices, n): how often each slice is read."""
        epochs, rest, starts, widths = self._reading(weights)
        rate = epochs + np.clip((rest - starts) / np.maximum(widths, 1), 0, 1)
        rate = np.minimum(rate, 1) + self.repeat_value * np.maximum(rate - 1, 0)
        return np.ascontiguousarray(rate.reshape(len(weights), -1).T)

    def _growing(self, weights: np.ndarray) -> np.ndarray:
        """(1, k) -> (k, slices): d rate / d weight."""
        epochs, rest, starts, widths = self._reading(weights)
        inside = (rest[0] >= starts) & (rest[0] < starts + widths)
        value = np.where(epochs[0] < 1, 1.0, self.repeat_value)
        return np.where(inside, value * self.budget_tokens / np.maximum(widths, 1), 0)

    def _probabilities(self, rate: np.ndarray, discount: np.ndarray, strength: np.ndarray) -> list[np.ndarray]:
        """rate (features, n), discount and strength (orders, n) -> (grams, n) for orders 0 (uniform), 1, 2, ..."""
        absent = 1 - np.minimum(rate, 1)
        result = [np.full((1, rate.shape[1]), 1 / self.vocab)]
        for n, order in enumerate(self.orders):
            out = np.empty((len(order.suffix), rate.shape[1]))
            kernels.probabilities(order.tables, rate, absent, discount[n], strength[n], result[-1], order.suffix, out)
            result.append(out)
        return result

    def _surprisals(self, rate: np.ndarray, discount: np.ndarray, strength: np.ndarray) -> np.ndarray:
        """-> (t, n) nats/token."""
        longest = self._probabilities(rate, discount, strength)[-1]
        return kernels.surprisals(longest, self.gram, self.target, self.share, len(self.targets))


def _checked(tokens: np.ndarray, whose: str, vocab: int) -> np.ndarray:
    stream = np.ascontiguousarray(tokens, dtype=np.int32)
    if stream.ndim != 1 or not stream.size:
        raise DataError(f"{whose} has no tokens; drop it or give it text")
    if stream.min() < 0 or stream.max() >= vocab:
        raise DataError(f"{whose} has token ids outside [0, {vocab}); it was made with another tokenizer")
    return stream


def _ends(size: int, slices: int) -> np.ndarray:
    """Ends of equal slices, the first one cut by halves: (slices + HALVINGS,), the last is `size`. Short streams have
    empty slices."""
    equal = size * np.arange(1, slices + 1) // slices
    return np.maximum(np.concatenate([equal[0] >> np.arange(HALVINGS, 0, -1), equal]), min(1, size))


def _ends_at(size: int, read: np.ndarray) -> np.ndarray:
    """Ends of slices where the last, incomplete epochs of these readings (n,) end: (n + 1,), the last is `size`."""
    rest = np.ceil(read - np.floor(read / size) * size).astype(np.int64)
    return np.append(np.sort(rest), size)


def _count(
    streams: Sequence[np.ndarray],
    texts: Sequence[np.ndarray],
    slice_ends: np.ndarray,
    vocab: int,
    end_id: int,
    max_order: int,
) -> tuple[tuple[_Order, ...], np.ndarray]:
    """Tables of all orders, and the longest gram at each position of the targets (concatenated)."""
    slices = slice_ends.shape[1]
    features = slice_ends.size
    if features > np.iinfo(np.uint16).max:
        raise DataError(f"{len(streams)} buckets x {slices} slices are more than 65,535; use fewer slices or buckets")
    # A target starts with a fresh history: its last token is a document's end or is made one here.
    text = np.concatenate([t if t[-1] == end_id else np.append(t, end_id) for t in texts]).astype(np.int32)
    text_states = np.zeros(text.size, np.int32)
    states = [np.zeros(s.size, np.int32) for s in streams]
    orders: list[_Order] = []
    position = np.zeros(text.size, np.int64)
    for n in range(max_order):
        before = np.concatenate([[0], text_states[:-1]]).astype(np.int64)
        if (int(before.max()) + 1) * vocab * features >= 2**63:
            raise DataError("vocabulary x buckets x slices x target contexts do not fit 63 bits; use fewer slices")
        grams, shorter = np.unique(before * vocab + text, return_inverse=True)
        composite = np.concatenate(
            [
                kernels.events(s, t, vocab, features, slice_ends[b], b * slices)
                for b, (s, t) in enumerate(zip(states, streams, strict=True))
            ]
        )
        composite.sort()
        distinct, counts = kernels.run_lengths(composite)
        tables = kernels.tabulate(distinct, counts, vocab, features, slices, np.unique(before), grams)
        suffix = np.zeros(grams.size, np.int64)
        suffix[shorter] = position
        orders.append(_Order(tables, suffix))
        position = shorter
        if n + 1 < max_order:
            table = kernels.hash_table(grams)
            text_states = kernels.next_states(text_states, text, end_id, vocab, grams, table)
            states = [
                kernels.next_states(s, t, end_id, vocab, grams, table) for s, t in zip(states, streams, strict=True)
            ]
    kept = np.concatenate([np.arange(t.size + (t[-1] != end_id)) < t.size for t in texts])
    return tuple(orders), position[kept]


def _distinct(last: np.ndarray, texts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m,) gram, target and share of the target's tokens, from the gram at each position."""
    parts = []
    start = 0
    for t, text in enumerate(texts):
        gram, count = np.unique(last[start : start + text.size], return_counts=True)
        order = np.argsort(count, kind="stable")  # equal shares side by side: surprisals takes them together
        gram, count = gram[order], count[order]
        parts.append((gram, np.full(gram.size, t, np.int64), count / text.size))
        start += text.size
    gram, target, share = (np.concatenate(column) for column in zip(*parts, strict=True))
    return gram, target, share


def _tune(
    streams: Sequence[np.ndarray],
    budget_tokens: int,
    vocab: int,
    end_id: int,
    max_order: int,
    slices: int,
    repeat_value: float,
    threads: int,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Discounts and strengths with the lowest loss on the streams' tails, under the natural mixture of what is left."""
    total = sum(s.size for s in streams)
    part = min(0.05, HELD_OUT_TOKENS / total)
    cut = [max(1, s.size - max(1, int(s.size * part))) for s in streams]
    kept = [s[:c] for s, c in zip(streams, cut, strict=True)]
    tail = np.concatenate([np.append(s[c:], end_id) for s, c in zip(streams, cut, strict=True)])
    discounts, strengths = [0.75] * max_order, [1.0] * max_order
    names = [str(b) for b in range(len(kept))]
    proxy = NgramProxy.fit(
        kept, [tail], names, ["held out"], budget_tokens=budget_tokens, vocab=vocab, end_id=end_id,
        max_order=max_order, slices=slices, discounts=tuple(discounts), strengths=tuple(strengths),
        repeat_value=repeat_value, threads=threads,
    )  # fmt: skip
    natural = np.array([[k.size for k in kept]]) / sum(k.size for k in kept)
    n_parts = min(threads, GRID)
    rates = [np.repeat(proxy._rates(natural), len(part), axis=1) for part in np.array_split(np.arange(GRID), n_parts)]
    ranges = {"discount": (0.05, 1.0), "strength": (0.02, 20.0)}
    for sweep in range(4):
        for n in reversed(range(max_order)):
            for what, values in (("discount", discounts), ("strength", strengths)):
                low, high = ranges[what]
                if sweep > 1:  # the second pair of sweeps looks closer
                    low, high = max(low, values[n] / 1.5), min(high, values[n] * 1.5)
                grid = np.geomspace(low, high, GRID)
                candidates = {"discount": np.array(discounts), "strength": np.array(strengths)}
                lanes = {k: np.repeat(v[:, None], GRID, axis=1) for k, v in candidates.items()}
                lanes[what][n] = grid
                parts = list(zip(rates, *(np.array_split(lanes[k], n_parts, axis=1) for k in candidates), strict=True))
                loss = side_by_side(lambda i, parts=parts: proxy._surprisals(*parts[i])[0], range(n_parts), threads)
                values[n] = round(float(grid[int(np.argmin(np.concatenate(loss)))]), 3)
    return tuple(discounts), tuple(strengths)
