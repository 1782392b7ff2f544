"""Solves the number of copies per document so that each bucket meets its token quota at QuaDMix's relative rates S.

v = min(k_b * S, cap); copies = floor(v + 1 - u), u = uniform(doc_id): floor(v), and one more with probability frac(v).
For given draws the tokens written grow with k_b, so k_b is solved for the *written* tokens, not for their expectation;
documents too large for the last gap are passed over, so that a quota is met within the smallest document that is left.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

PROMISE = 0.005  # of the budget: how far a bucket's tokens, and all together, may be off
CLOSE_ENOUGH = 0.001  # of a bucket's quota: a fifth of that
PASSED = 20_000  # copies that are looked at behind the cut: a gap that so many do not fill is left
SUBSET_SUM_BITS = (
    4e9  # copies x tokens for which a subset sum is worth it: 0.5 GB at most; larger buckets are fine-grained
)


@dataclass(frozen=True, eq=False)
class Solved:
    """Copies (n,) of a bucket's documents, and those that its scale k alone would give."""

    k: float
    copies: np.ndarray
    plain: np.ndarray


def shared(
    written: Callable[[str, float], float], asked: Mapping[str, float], budget: float
) -> tuple[dict[str, float], set[str]]:
    """Quota of every bucket where the others share what one cannot hold (too few documents, or too large ones), and the
    buckets that cannot. written: tokens of a bucket at a quota."""
    quota, limited = dict(asked), set()
    found: dict[str, float] = {}
    while True:
        found |= {b: written(b, quota[b]) for b in quota if b not in limited}
        short = {b for b in quota if b not in limited and abs(found[b] - quota[b]) > PROMISE / 5 * budget}
        limited |= short
        free = [b for b in quota if b not in limited]
        if not short or not free:
            return quota, limited
        rest = budget - sum(found[b] for b in limited)
        scale = max(0.0, rest / sum(quota[b] for b in free))
        quota = {b: q if b in limited else q * scale for b, q in quota.items()}


def turns_of(rate: np.ndarray, u: np.ndarray, cap: int) -> np.ndarray:
    """(n, cap) when k * rate reaches j + u: the turn of every possible copy."""
    return (np.arange(cap)[None, :] + u[:, None]) / np.maximum(rate, 1e-12)[:, None]


def solve(tokens: np.ndarray, rate: np.ndarray, u: np.ndarray, quota: float, cap: int) -> Solved:
    """Copies so that copies @ tokens comes close to `quota`.

    tokens (n,), rate (n,) > 0 relative rates, u (n,) in [0, 1). Copy j+1 of a document has its turn when k * rate
    reaches j + u. Copies are taken in order of their turns; one that would overshoot by more than 0.1% is passed over.
    Where that leaves a gap, the first copies that together come closest are found by subset sum.
    """
    n = len(tokens)
    if n == 0 or quota <= 0:
        return Solved(0.0, np.zeros(n, np.int64), np.zeros(n, np.int64))
    # The sort is the whole cost, and a bucket's documents fit in memory.
    turns = turns_of(rate, u, cap).ravel()
    order = np.argsort(turns, kind="stable")
    document = order // cap
    found = closest_cut(turns[order], document, tokens, quota, quota)
    sizes = tokens[document]
    if quota - found.copies @ tokens > CLOSE_ENOUGH * quota and len(order) * int(sizes.sum()) <= SUBSET_SUM_BITS:
        return Solved(found.k, np.bincount(document[closest_subset(sizes, quota)], minlength=n), found.plain)
    return found


def closest_cut(turns: np.ndarray, document: np.ndarray, tokens: np.ndarray, quota: float, left: float) -> Solved:
    """Takes copies in order while they fit into `left`, then passes over those that do not, PASSED at most.

    turns, document (c,): of the copies, in order; tokens (n,) of the documents; quota: of the whole bucket.
    """
    copies = np.zeros(len(tokens), np.int64)
    sizes = tokens[document]
    reach = np.cumsum(sizes)
    cut = int(np.searchsorted(reach, left, side="right"))
    np.add.at(copies, document[:cut], 1)
    plain = copies.copy()
    left -= reach[cut - 1] if cut else 0
    slack = CLOSE_ENOUGH * quota
    skipped: set[int] = set()
    for i in range(cut, min(len(turns), cut + PASSED)):
        if left <= slack:
            break
        d, size = int(document[i]), int(sizes[i])
        if d in skipped:
            continue  # a document's later copies never come without its earlier ones
        if size <= left + slack:
            copies[d] += 1
            left -= size
        else:
            skipped.add(d)
    return Solved(float(turns[cut - 1]) if cut else 0.0, copies, plain)


def closest_subset(sizes: np.ndarray, quota: float) -> np.ndarray:
    """Positions whose sizes sum as closely as possible to `quota` (the lower sum on a tie), earliest ones preferred."""
    # Bit s of reachable[i]: some of sizes[i:] sum to s.
    reachable = [1]
    for size in reversed(sizes.tolist()):
        reachable.append(reachable[-1] | reachable[-1] << size)
    reachable.reverse()
    target = round(quota)
    everything = reachable[0]
    below = everything & ((1 << (target + 1)) - 1)
    low = below.bit_length() - 1
    above = everything >> (target + 1)
    high = target + (above & -above).bit_length() if above else None
    goal = low if high is None or quota - low <= high - quota else high
    taken = []
    for i, size in enumerate(sizes.tolist()):
        if size <= goal and reachable[i + 1] >> (goal - size) & 1:
            taken.append(i)
            goal -= size
    return np.array(taken, np.int64)


def copies_for(k: np.ndarray, rate: np.ndarray, u: np.ndarray, cap: int) -> np.ndarray:
    """Copies (n,) written at scale k: how many j < cap have their turn (j + u) / rate at or before k."""
    rate = np.maximum(rate, 1e-12)
    count = np.zeros(len(u), np.int64)
    for j in range(cap):
        # The same expression as in `solve`, so that the document at the cut falls on the same side.
        count += (j + u) / rate <= k
    return count * (k > 0)
