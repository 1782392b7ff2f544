"""Planted near-duplicates: made pairs of known similarity through the configured parameters, against the theory.

Two documents of similarity J share one of b bands of r values with probability 1 - (1 - J^r)^b (Leskovec, Rajaraman,
Ullman: Mining of Massive Datasets, 3.4.2). The pairs take the way of any document: signature, bands, comparison.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.numbers.minhash import similarity
from gristmill.stages.dedup.minhash import Scheme
from gristmill.stages.dedup.near import NearDuplicates

LEVELS = tuple(round(0.5 + 0.05 * i, 2) for i in range(11))
WORDS = 400  # of a text
SEED = 0


def curve(scheme: Scheme, jaccard: np.ndarray) -> np.ndarray:
    """(n,) probability that documents of these similarities share a band."""
    return 1 - (1 - jaccard**scheme.rows) ** scheme.bands


def planted_pairs(level: float, n: int, seed: int, ngram: int) -> tuple[list[str], list[str]]:
    """n pairs of texts whose sets of shingles of `ngram` words have about this Jaccard similarity: the second has other
    words in one stretch."""
    rng = np.random.default_rng([seed, round(1000 * level)])
    shingles = WORDS - ngram + 1
    changed = round(shingles * (1 - level) / (1 + level))  # J = (shingles - changed) / (shingles + changed)
    stretch = max(0, changed - ngram + 1)
    left, right = [], []
    for _ in range(n):
        words = [f"w{v}" for v in rng.integers(0, 1 << 40, WORDS)]
        at = int(rng.integers(ngram, WORDS - stretch - ngram + 1))
        other = [f"w{v}" for v in rng.integers(0, 1 << 40, stretch)]
        left.append(" ".join(words))
        right.append(" ".join([*words[:at], *other, *words[at + stretch :]]))
    return left, right


def measured(stage: NearDuplicates, level: float, n: int, seed: int = SEED) -> tuple[float, float, float, float]:
    """Of n planted pairs: the mean similarity; the shares that meet in a band, that would in theory, of which one
    leaves."""
    scheme = stage.scheme
    left, right = planted_pairs(level, n, seed, scheme.word_ngram)
    jaccard = scheme.jaccard(pl.Series(left), pl.Series(right))
    a, b = (scheme.pack(pl.Series(side))[0] for side in (left, right))
    keys = 8 * scheme.bands
    meet = (a[:, :keys] == b[:, :keys]).reshape(n, scheme.bands, 8).all(axis=2).any(axis=1)
    values = scheme.bands * scheme.rows
    alike = similarity((a[:, keys:] == b[:, keys:]).sum(axis=1), values)
    if stage.verified.verify:
        alike = jaccard
    leave = meet if stage.min_similarity is None else meet & (alike >= stage.min_similarity - 1e-9)
    return float(jaccard.mean()), float(meet.mean()), float(curve(scheme, jaccard).mean()), float(leave.mean())


def planted_lines(stage: NearDuplicates, pairs: int, levels: Sequence[float] = LEVELS) -> Iterator[str]:
    """A table to print."""
    s = stage.scheme
    limit = "no limit of similarity" if stage.min_similarity is None else f"min_similarity {stage.min_similarity}"
    how = "of the texts (dedup.verify)" if stage.verified.verify else "estimated from the signatures"
    yield f"{s.bands} bands of {s.rows} values, shingles of {s.word_ngram} words, {limit} {how}"
    yield f"{pairs:,} planted pairs of texts of {WORDS} words per similarity"
    yield f"{'similarity':>10} {'share a band':>13} {'theory':>8} {'one leaves':>11}"
    worst = 0.0
    for level in levels:
        jaccard, meet, theory, leave = measured(stage, level, pairs)
        worst = max(worst, abs(meet - theory))
        yield f"{jaccard:10.2f} {meet:13.1%} {theory:8.1%} {leave:11.1%}"
    grid = np.linspace(0, 1, 1001)
    half, most = (float(grid[np.searchsorted(curve(s, grid), share)]) for share in (0.5, 0.95))
    yield (
        f"half of the pairs of similarity {half:.2f} share a band, 95 of 100 of {most:.2f}; largest difference to "
        f"theory {100 * worst:.1f} points"
    )
