"""The n-gram proxy: the loss of any mixture at any budget from counts that are made once per bucket, without training.

An interpolated n-gram model with absolute discounting and a strength (the Pitman-Yor predictive rule, Teh 2006; with
strength 0 it is Ney's absolute discounting). A mixture reads w_b * budget tokens of bucket b: whole epochs of its
stream, then the beginning of one more. Each stream is cut into equal slices, the first of them by halves: where the
reading ends at a slice's end the model equals, to rounding, one counted on the written-out mixture (in which a
token that is read again counts `repeat_value`); between two ends, counts and the number of distinct followers are
interpolated, so the loss is piecewise smooth in the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.kernels.numbers import ngram as kernels
from gristmill.pipeline.kernels.threads import side_by_side
from gristmill.stages.mixture.proxies.ngram_tables import Kept, Order, counted, distinct_grams, ends, ends_at
from gristmill.stages.mixture.runs.runs import Fidelity
from gristmill.stages.mixture.simplex import mixtures

LANES = 32  # mixtures per pass: hides the gathers, and the rates of 20 buckets stay in cache (benchmarks' proxies.py)
VECTOR = 4  # lanes that a processor works on at once: blocks of 6 take longer than of 8
HELD_OUT_TOKENS = 40_000  # tokens that tune the discounts: enough for their second decimal
GRID = 12  # candidate values per order and sweep


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
    orders: tuple[Order, ...]
    longest: tuple[np.ndarray, ...]  # of each target, the longest gram at each of its tokens
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
        if exact is None:
            slice_ends = np.array([ends(s.size, slices) for s in streams])
        else:
            rows = mixtures(exact, len(streams))
            slice_ends = np.array([ends_at(s.size, rows[:, b] * budget_tokens) for b, s in enumerate(streams)])

        def count() -> tuple[tuple[Order, ...], tuple[np.ndarray, ...]]:
            return counted(streams, texts, slice_ends, vocab, end_id, max_order)

        if discounts is None or strengths is None:
            with ThreadPoolExecutor(1) as beside:
                counting = beside.submit(count)
                tuned = _tune(streams, budget_tokens, vocab, end_id, max_order, slices, repeat_value, threads)
            discounts, strengths, (orders, longest) = discounts or tuned[0], strengths or tuned[1], counting.result()
        else:
            orders, longest = count()
        if len(discounts) != max_order or len(strengths) != max_order:
            raise DataError(f"the n-gram proxy of order {max_order} takes {max_order} discounts and strengths")
        if not all(0 < d <= 1 for d in discounts) or not all(s >= 0 for s in strengths):
            raise DataError("discounts must lie in (0, 1] and strengths must not be negative")
        return cls(
            tuple(buckets), tuple(targets), budget_tokens, tuple(s.size for s in streams), slice_ends, vocab,
            discounts, strengths, repeat_value, threads, orders, longest, *distinct_grams(longest),
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

    def on_stretches(self, stretches: Mapping[str, tuple[str, int, int]]) -> "NgramProxy":
        """The same counts with stretches of the targets as targets: name -> target, its first token, and the token
        behind its last. Whole documents, as history never crosses a document's end."""
        longest = tuple(self.longest[self.targets.index(t)][a:b] for t, a, b in stretches.values())
        gram, target, share = distinct_grams(longest)
        return replace(self, targets=tuple(stretches), longest=longest, gram=gram, target=target, share=share)

    def realised(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) -> (n, k): as asked, counts are read to the token."""
        return np.array(weights, dtype=np.float64)

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) rows on the simplex -> (n, t) nats/token. A row depends on itself alone, bit for bit."""
        rows = mixtures(weights, len(self.buckets))
        discount, strength = np.array(self.discounts), np.array(self.strengths)

        def block(at: slice, threads: int) -> np.ndarray:
            rate = self._rates(rows[at])
            lanes = np.ones(rate.shape[1])
            return self._surprisals(rate, discount[:, None] * lanes, strength[:, None] * lanes, threads=threads).T

        return self._by_lanes(block, len(rows), len(self.targets))

    def gradient(self, weights: np.ndarray, target_weights: np.ndarray) -> np.ndarray:
        """d(target_weights . losses)/d weights of each row, every weight moved alone: (n, k), (n, t) -> (n, k),
        nats/token.

        Exact; at a kink (a slice's end, a whole epoch) it is the slope to the right.
        """
        rows, wanted = np.asarray(weights, dtype=np.float64), np.asarray(target_weights, dtype=np.float64)
        return self._by_lanes(
            lambda at, threads: self._slopes(rows[at], wanted[at], threads), len(rows), len(self.buckets)
        )

    def _by_lanes(self, block: Callable[[slice, int], np.ndarray], n: int, columns: int) -> np.ndarray:
        """(n, columns) of blocks of rows, several threads side by side; one block has them for itself."""
        each = -(-n // self.threads)
        step = max(1, min(LANES, -(-each // VECTOR) * VECTOR))
        threads = self.threads if step >= n else 1
        found = side_by_side(lambda start: block(slice(start, start + step), threads), range(0, n, step), self.threads)
        return np.concatenate(found) if found else np.empty((0, columns))

    def _slopes(self, w: np.ndarray, target_weights: np.ndarray, threads: int) -> np.ndarray:
        """(n, k), (n, t) -> (n, k). Only slices in which a reading ends have a slope that counts."""
        rate, growing = self._rates(w), self._growing(w)
        lanes = np.ones(len(w))
        discount, strength = np.array(self.discounts)[:, None] * lanes, np.array(self.strengths)[:, None] * lanes
        kept = [order.kept(len(w)) for order in self.orders]
        probability = self._probabilities(rate, discount, strength, kept, threads=threads)
        slope = np.zeros(probability[-1].shape)
        for x, wanted in enumerate(target_weights):
            np.add.at(slope[:, x], self.gram, -wanted[self.target] * self.share)
        slope /= probability[-1]
        rate_slope, absent_slope = np.zeros(rate.shape), np.zeros(rate.shape)
        moving = (growing > 0).any(axis=0).ravel()
        for n in reversed(range(len(self.orders))):
            constants = self.discounts[n], self.strengths[n]
            slope, by_rate, by_absent = self.orders[n].slopes(
                rate, moving, constants, probability[n], slope, kept[n], threads
            )
            rate_slope += by_rate
            absent_slope += by_absent
        rate_slope -= np.where(rate < 1, absent_slope, 0)
        return (rate_slope.T.reshape(growing.shape) * growing).sum(axis=2)

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
        """(n, k) -> (n, k, slices): d rate / d weight."""
        epochs, rest, starts, widths = self._reading(weights)
        inside = (rest >= starts) & (rest < starts + widths)
        value = np.where(epochs < 1, 1.0, self.repeat_value)
        return np.where(inside, value * self.budget_tokens / np.maximum(widths, 1), 0)

    def _probabilities(
        self,
        rate: np.ndarray,
        discount: np.ndarray,
        strength: np.ndarray,
        kept: Sequence[Kept] | None = None,
        shorter: Sequence[np.ndarray] = (),
        threads: int = 1,
    ) -> list[np.ndarray]:
        """rate (features, n or 1), discount and strength (orders, n) -> (grams, n) for orders 0 (uniform), 1, 2, ...
        as far as there are discounts.

        kept: of each order what its slopes need, to be filled in; shorter: (grams, n or 1) of the first orders.
        """
        lanes = discount.shape[1]
        nothing: Kept = np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0))
        given = [np.full((1, 1), 1 / self.vocab), *shorter[1:]]
        result = [np.array(np.broadcast_to(g, (len(g), lanes))) for g in given]
        for n in range(len(result) - 1, len(discount)):
            order = self.orders[n]
            further = nothing if kept is None else kept[n]
            result.append(order.probabilities(rate, discount[n], strength[n], result[-1], further, threads))
        return result

    def _surprisals(
        self,
        rate: np.ndarray,
        discount: np.ndarray,
        strength: np.ndarray,
        shorter: Sequence[np.ndarray] = (),
        threads: int = 1,
    ) -> np.ndarray:
        """-> (t, n) nats/token."""
        longest = self._probabilities(rate, discount, strength, shorter=shorter, threads=threads)[-1]
        return kernels.surprisals(longest, self.gram, self.target, self.share, len(self.targets))


def _checked(tokens: np.ndarray, whose: str, vocab: int) -> np.ndarray:
    stream = np.ascontiguousarray(tokens, dtype=np.int32)
    if stream.ndim != 1 or not stream.size:
        raise DataError(f"{whose} has no tokens; drop it or give it text")
    if stream.min() < 0 or stream.max() >= vocab:
        raise DataError(f"{whose} has token ids outside [0, {vocab}); it was made with another tokenizer")
    return stream


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
    rate = proxy._rates(natural)
    ranges = {"discount": (0.05, 1.0), "strength": (0.02, 20.0)}
    for sweep in range(4):
        for n in reversed(range(max_order)):
            at = np.array(discounts)[:n, None], np.array(strengths)[:n, None]
            shorter = proxy._probabilities(rate, *at, threads=threads)
            for what, values in (("discount", discounts), ("strength", strengths)):
                low, high = ranges[what]
                if sweep > 1:  # the second pair of sweeps looks closer
                    low, high = max(low, values[n] / 1.5), min(high, values[n] * 1.5)
                grid = np.geomspace(low, high, GRID)
                candidates = {"discount": np.array(discounts), "strength": np.array(strengths)}
                lanes = {k: np.repeat(v[:, None], GRID, axis=1) for k, v in candidates.items()}
                lanes[what][n] = grid
                loss = proxy._surprisals(rate, lanes["discount"], lanes["strength"], shorter, threads)[0]
                values[n] = round(float(grid[int(np.argmin(loss))]), 3)
    return tuple(discounts), tuple(strengths)
