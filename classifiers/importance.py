"""Importance weights of texts by hashed word n-grams (DSIR, arXiv:2302.03169).

The paper resamples by the sum of log ratios over a text; we keep the mean, in nat per n-gram, so that length does not
decide. Counts are smoothed by one each: reference sets are small here, and an unseen n-gram must not weigh 18 nat.
"""

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.text.hashing import code_points, ngram_counts, ngram_means, utf8

DECIMALS = 4  # stored ratios are rounded, so that another CPU's logarithm does not show


def count(texts: pl.Series, buckets: int) -> np.ndarray:
    """(buckets,) int64 counts of hashed words and word pairs."""
    data, offsets = utf8(texts)
    return ngram_counts(data, offsets, code_points(), buckets)


def log_ratios(references: np.ndarray, crawl: np.ndarray) -> np.ndarray:
    """(buckets,) float64: log P(n-gram | references) - log P(n-gram | crawl) from two counts."""
    p = (references + 1) / (references.sum() + references.size)
    q = (crawl + 1) / (crawl.sum() + crawl.size)
    return np.log(p / q).round(DECIMALS)


def importance(texts: pl.Series, ratios: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """(n,) float64: mean log ratio of each text under ratios[choice[i]]; NaN for a text without words and symbols.

    ratios (m, buckets), choice (n,) row of ratios for each text.
    """
    data, offsets = utf8(texts)
    return ngram_means(data, offsets, code_points(), ratios, choice)
