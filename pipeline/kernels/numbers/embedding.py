"""Weighted sums of term vectors, nearest centroids and similarities, row by row in a fixed order of addition.

No BLAS: its results depend on how many rows are multiplied at once.
"""

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.terms import find_term, terms_of


def vectors_of(embeddings: pl.Series, dims: int | None = None) -> np.ndarray:
    """(n, dims) float32 of a column of lists. Raises DataError for nulls or lists of another length."""
    lengths = embeddings.list.len().unique().to_list()
    if embeddings.null_count() or len(lengths) > 1 or (dims is not None and lengths not in ([], [dims])):
        raise DataError(
            f"{embeddings.name} holds {embeddings.null_count()} nulls and vectors of {lengths} dimensions"
            + (f" where {dims} are expected" if dims is not None else "")
            + "; recompute the embed stage and what follows"
        )
    if not len(embeddings):
        return np.zeros((0, dims or 0), np.float32)
    flat = embeddings.explode(empty_as_null=False).cast(pl.Float32).to_numpy()
    return np.ascontiguousarray(flat.reshape(len(embeddings), lengths[0]))


def vectors_to_series(vectors: np.ndarray) -> pl.Series:
    """(n, dims) float32 to a column of lists."""
    if not len(vectors):
        return pl.Series("embedding", [], dtype=pl.List(pl.Float32))
    return pl.Series("embedding", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])).arr.to_list()


@kernel
def embed_rows(data, offsets, classes, lower, max_chars, keys, slots, weights, log_counts):
    """Unit vectors (rows, dims) float32: sum over distinct terms of log_counts[count] * weights[term].

    weights (terms, dims) float32. A row without a known term is all zeros.
    """
    rows, dims = len(offsets) - 1, weights.shape[1]
    size = 2 * max_chars + 2
    hashes, firsts, lasts = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64)
    seen, ids = np.zeros(len(keys), np.int32), np.empty(size, np.int32)
    out = np.zeros((rows, dims), np.float32)
    for row in range(rows):
        n = terms_of(data, offsets[row], offsets[row + 1], classes, lower, max_chars, hashes, firsts, lasts)
        used = 0
        for j in range(n):
            term = find_term(keys, slots, hashes[j])
            if term >= 0:
                if seen[term] == 0:
                    ids[used] = term
                    used += 1
                seen[term] += 1
        total = out[row]
        for j in range(used):
            factor = log_counts[min(seen[ids[j]], len(log_counts) - 1)]
            seen[ids[j]] = 0
            vector = weights[ids[j]]
            for d in range(dims):
                total[d] += factor * vector[d]
        norm = 0.0
        for d in range(dims):
            norm += float(total[d]) * float(total[d])
        if norm > 0.0:
            scale = np.float32(1.0 / np.sqrt(norm))
            for d in range(dims):
                total[d] *= scale
    return out


@kernel
def sparse_product(ends, ids, values, dense, out, back, low, high):
    """Adds columns low to high of A @ dense to `out`, or of A.T @ dense where `back`; A (rows, n) is CSR: the values of
    row r and their columns stand at ends[r] to ends[r + 1]."""
    width = high - low
    for row in range(len(ends) - 1):
        for i in range(ends[row], ends[row + 1]):
            value = values[i]
            to = out[ids[i] if back else row, low:high]
            of = dense[row if back else ids[i], low:high]
            for c in range(width):
                to[c] += value * of[c]


@kernel
def nearest(vectors, centroids):
    """Index (int64) of the centroid at the smallest Euclidean distance per row; ties go to the lowest index.

    vectors (n, dims) float32, centroids (k, dims) float32.
    """
    k, dims = centroids.shape
    columns = np.ascontiguousarray(centroids.T)
    half = np.zeros(k, np.float32)  # |c|^2 / 2
    for d in range(dims):
        for c in range(k):
            half[c] += np.float32(0.5) * columns[d, c] * columns[d, c]
    score = np.empty(k, np.float32)
    out = np.empty(len(vectors), np.int64)
    for row in range(len(vectors)):
        for c in range(k):
            score[c] = -half[c]
        for d in range(dims):
            x = vectors[row, d]
            for c in range(k):
                score[c] += x * columns[d, c]
        best = 0
        for c in range(1, k):
            if score[c] > score[best]:
                best = c
        out[row] = best
    return out


@kernel
def similarities(vectors, others):
    """Inner products (n, k) float32 of vectors (n, dims) with others (k, dims), summed in the order of dims."""
    k, dims = others.shape
    columns = np.ascontiguousarray(others.T)
    out = np.zeros((len(vectors), k), np.float32)
    for row in range(len(vectors)):
        total = out[row]
        for d in range(dims):
            x = vectors[row, d]
            for c in range(k):
                total[c] += x * columns[d, c]
    return out
