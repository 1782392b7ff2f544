"""MinHash signatures of word shingles: 64-bit hashes, all values of a document in one pass (Broder 1997).

A document is stored as one 64-bit key per band (LSH) and the low byte of every value, mixed (b-bit minwise hashing,
arXiv:0910.3349): 224 bytes instead of 896, enough to find candidates and to estimate their similarity.
"""

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.hashing import mix64, token_hashes

LEADERS = 1_000  # that one set of candidates may have; a document unlike them all stays


def multipliers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) odd factors and (n,) addends, uint64: value k of a shingle h is factor_k * h + addend_k mod 2^64."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 2**64, n, np.uint64, endpoint=False) | np.uint64(1)
    return factors, rng.integers(0, 2**64, n, np.uint64, endpoint=False)


@kernel
def signatures(data, offsets, table, word_ngram, char_ngram, factors, addends):
    """(n, k) uint64, the minimum of each hash function, and (n,) int64 shingles; a text without words has 0 shingles.

    A shingle starts at every token and spans `word_ngram` tokens, or `char_ngram` where it starts with a character of
    a spaceless script. A text shorter than one shingle is one shingle.
    """
    n = offsets.size - 1
    k = factors.size
    out = np.empty((n, k), np.uint64)
    counts = np.zeros(n, np.int64)
    longest = 0
    for d in range(n):
        longest = max(longest, offsets[d + 1] - offsets[d])
    hashes = np.empty(longest // 2 + 1, np.uint64)
    spaceless = np.empty(longest // 2 + 1, np.bool_)
    found = np.empty(longest // 2 + 1, np.uint64)
    for d in range(n):
        tokens = token_hashes(data, offsets[d], offsets[d + 1], table, False, hashes, spaceless)
        shingles = _shingles(tokens, hashes, spaceless, word_ngram, char_ngram, found)
        counts[d] = shingles
        # One function at a time over all shingles: the minimum stays in registers, and the loop is vectorised.
        for j in range(k):
            factor, addend = factors[j], addends[j]
            best = np.uint64(0xFFFFFFFFFFFFFFFF)
            for s in range(shingles):
                best = min(best, found[s] * factor + addend)
            out[d, j] = best
    return out, counts


@kernel
def _shingles(tokens, hashes, spaceless, word_ngram, char_ngram, found):
    """How many shingles a text of so many tokens has; their hashes go to `found`."""
    shingles = 0
    for t in range(tokens):
        stop = t + (char_ngram if spaceless[t] else word_ngram)
        if stop > tokens:
            if shingles > 0:
                continue
            stop = tokens
        h = np.uint64(0)
        for j in range(t, stop):
            h = h * np.uint64(0x9E3779B97F4A7C15) + hashes[j]
        found[shingles] = mix64(h)
        shingles += 1
    return shingles


@kernel
def shingles_of(data, begin, end, table, word_ngram, char_ngram):
    """Hashes of the shingles of the text data[begin:end], in order, with repeats."""
    n = (end - begin) // 2 + 1
    hashes, spaceless, found = np.empty(n, np.uint64), np.empty(n, np.bool_), np.empty(n, np.uint64)
    tokens = token_hashes(data, begin, end, table, False, hashes, spaceless)
    return found[: _shingles(tokens, hashes, spaceless, word_ngram, char_ngram, found)]


@kernel
def pack(values, bands):
    """(n, k) uint64 values to (n, 8 * bands + k) bytes: little-endian band keys, then a byte of every value."""
    n, k = values.shape
    rows = k // bands
    out = np.empty((n, 8 * bands + k), np.uint8)
    for d in range(n):
        for b in range(bands):
            key = np.uint64(b)
            for j in range(b * rows, (b + 1) * rows):
                key = mix64(key ^ values[d, j])
            for i in range(8):
                out[d, 8 * b + i] = np.uint8((key >> np.uint64(8 * i)) & np.uint64(0xFF))
        for j in range(k):
            out[d, 8 * bands + j] = np.uint8(mix64(values[d, j]) & np.uint64(0xFF))
    return out


def to_binary(packed: np.ndarray, valid: np.ndarray) -> pl.Series:
    """(n, width) bytes to a Binary series; rows that are not valid become null."""
    n, width = packed.shape
    offsets = np.arange(0, (n + 1) * width, width or 1, dtype=np.int64)
    data = pa.py_buffer(np.ascontiguousarray(packed))
    array = pa.LargeBinaryArray.from_buffers(pa.large_binary(), n, [None, pa.py_buffer(offsets), data])
    series = pl.Series("minhash", array, dtype=pl.Binary)
    return series.to_frame().select(pl.when(pl.Series(valid)).then("minhash")).to_series()


def from_binary(series: pl.Series, width: int) -> np.ndarray:
    """(n, width) bytes of a Binary series without nulls. Raises ValueError where a value has another width."""
    joined = b"".join(series.to_list())
    if len(joined) != len(series) * width or bool((series.bin.size() != width).any()):
        raise ValueError(f"a signature is not {width} bytes wide")
    return np.frombuffer(joined, np.uint8).reshape(len(series), width)


def similarity(matching: np.ndarray, values: int) -> np.ndarray:
    """Estimated Jaccard similarity where `matching` of `values` bytes agree; 1 in 256 agrees by chance."""
    return (np.asarray(matching) / values - 1 / 256) / (1 - 1 / 256)


@kernel
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def unite(a, b, rank, parent):
    """Joins a[i] and b[i] for every i in `parent`.

    rank (n,) uint64; parent (n,) int64 is a union-find forest whose roots have the smallest (rank, index) of their set.
    """
    for i in range(a.size):
        x = _root(parent, a[i])
        y = _root(parent, b[i])
        if x == y:
            continue
        if rank[y] < rank[x] or (rank[y] == rank[x] and y < x):
            x, y = y, x
        parent[y] = x


@kernel
def flatten(parent):
    """Makes every entry of a union-find forest point to its root."""
    for i in range(parent.size):
        parent[i] = _root(parent, i)


@kernel
def elect(parent, fingerprints, min_matching, stay):
    """(n,) int64 the document that stands for each: the first of its set that stays and is alike.

    parent (n,) is a flat forest whose sets lie together, in the order in which their documents are asked; fingerprints
    (n, bytes). A document that agrees with no document that stays in at least `min_matching` bytes stays itself, and so
    do those of `stay` (n,).
    """
    standing = np.arange(parent.size)
    leaders = np.empty(LEADERS, np.int64)
    found = 0
    for i in range(parent.size):
        if i == 0 or parent[i] != parent[i - 1]:
            found = 0
        for j in range(0 if stay[i] else found):
            if _matching(fingerprints[leaders[j]], fingerprints[i]) >= min_matching:
                standing[i] = leaders[j]
                break
        if standing[i] == i and found < LEADERS:
            leaders[found] = i
            found += 1
    return standing


@kernel
def matching(fingerprints, of):
    """(n,) int64 bytes in which fingerprint i and fingerprint of[i] agree."""
    out = np.empty(of.size, np.int64)
    for i in range(of.size):
        out[i] = _matching(fingerprints[i], fingerprints[of[i]])
    return out


@kernel
def _matching(a, b):
    same = 0
    for k in range(a.size):
        same += a[k] == b[k]
    return same
