"""Looks up the word n-grams of texts in an index: sorted hashes, a bit filter, and a table by the top bits.

An n-gram is n words in a row, as `kernels.hashing` cuts them; a text of fewer words is one n-gram, itself. Hashes are
rolling polynomials over word hashes modulo 2^64. Two n-grams share a hash by chance once in 2^64 / index size.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.copies import copied
from gristmill.pipeline.kernels.text.hashing import mix64, token_ends

BASE = 0x9E3779B97F4A7C15 | 1  # odd, so that no factor of 2 is lost; the golden ratio's bits
FILTER_BITS = 16  # per n-gram of the index: 6% of the others pass the filter


@kernel
def _ngrams(words, count, n, grams):
    """Hashes of the n-grams of words[:count] into `grams`; how many. A shorter text gives one, of all its words."""
    if count == 0:
        return 0
    size = min(n, count)
    base = np.uint64(BASE)
    top = np.uint64(1)
    for _ in range(size - 1):
        top *= base
    h = np.uint64(0)
    for i in range(size):
        h = h * base + words[i]
    length = np.uint64(size)
    grams[0] = mix64(h ^ length)
    for i in range(size, count):
        h = (h - words[i - size] * top) * base + words[i]
        grams[i - size + 1] = mix64(h ^ length)
    return count - size + 1


@kernel
def _longest(offsets):
    longest = 0
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    return longest // 2 + 2


@kernel
def text_ngrams(data, offsets, table, n):
    """All n-grams of each text: hashes uint64 (total,), and starts int64 (texts + 1,) into them."""
    texts = offsets.size - 1
    room = _longest(offsets)
    words, ends, grams = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.uint64)
    starts = np.zeros(texts + 1, np.int64)
    out = np.empty(max(1024, (offsets[texts] - offsets[0]) // 6), np.uint64)
    for d in range(texts):
        count = _ngrams(words, token_ends(data, offsets[d], offsets[d + 1], table, words, ends), n, grams)
        filled = starts[d]
        if filled + count > out.size:
            larger = np.empty(2 * (filled + count), np.uint64)
            copied(larger, 0, out, 0, filled)
            out = larger
        starts[d + 1] = copied(out, filled, grams, 0, count)
    return out[: starts[texts]].copy(), starts


@kernel
def lookup_tables(hashes):
    """Of sorted distinct hashes: the filter (uint64 words, a power of two of bits), `first` (2^k + 1,) int32, and k.

    first[h >> (64 - k)] is where hashes with those top bits begin.
    """
    k = 1
    while (1 << k) < hashes.size and k < 30:
        k += 1
    bits = 64
    while bits < FILTER_BITS * hashes.size:
        bits *= 2
    seen = np.zeros(bits // 64, np.uint64)
    first = np.zeros((1 << k) + 1, np.int32)
    for h in hashes:
        at = h & np.uint64(bits - 1)
        seen[at >> np.uint64(6)] |= np.uint64(1) << (at & np.uint64(63))
        first[(h >> np.uint64(64 - k)) + np.uint64(1)] += 1
    for i in range(1 << k):
        first[i + 1] += first[i]
    return seen, first, k


@kernel
def _find(h, hashes, seen, first, shift):
    """Place of h in `hashes`, or -1."""
    at = h & np.uint64(seen.size * 64 - 1)
    if not (seen[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1):
        return -1
    top = h >> shift
    for e in range(first[top], first[top + np.uint64(1)]):
        if hashes[e] == h:
            return e
    return -1


@kernel
def find_hits(data, offsets, table, n, hashes, seen, first, k):
    """Every n-gram of the texts that is in the index, in text order.

    Returns starts int64 (texts + 1,) into the hits; entry int64 (hits,), its place in `hashes`; begin and end int64
    (hits,), the bytes of `data` that it spans (begin: where the word before it ends); total int64 (texts,) n-grams.
    """
    texts = offsets.size - 1
    room = _longest(offsets)
    words, ends, grams = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.uint64)
    starts, total = np.zeros(texts + 1, np.int64), np.zeros(texts, np.int64)
    found = np.empty((1024, 3), np.int64)
    filled = 0
    shift = np.uint64(64 - k)
    for d in range(texts):
        count = token_ends(data, offsets[d], offsets[d + 1], table, words, ends)
        total[d] = _ngrams(words, count, n, grams)
        size = min(n, count)
        for i in range(total[d]):
            e = _find(grams[i], hashes, seen, first, shift)
            if e < 0:
                continue
            if filled == found.shape[0]:
                larger = np.empty((2 * filled, 3), np.int64)
                copied(larger.ravel(), 0, found.ravel(), 0, found.size)
                found = larger
            found[filled, 0] = e
            found[filled, 1] = ends[i - 1] if i else offsets[d]
            found[filled, 2] = ends[i + size - 1]
            filled += 1
        starts[d + 1] = filled
    return starts, found[:filled, 0].copy(), found[:filled, 1].copy(), found[:filled, 2].copy(), total


@kernel
def _distinct(entries):
    """Sorted distinct values."""
    values = np.sort(entries)
    kept = 0
    for i in range(values.size):
        if i == 0 or values[i] != values[i - 1]:
            values[kept] = values[i]
            kept += 1
    return values[:kept]


@kernel
def count_partial(starts, entries, posting_starts, postings, telling, sizes, whole, counts):
    """Adds 1 to counts[e] per text that holds n-gram e but of every item with e less than the share `whole`.

    Such texts share words with the items without holding one; an n-gram in many of them is common language.
    """
    held = np.zeros(sizes.size, np.int32)
    for d in range(starts.size - 1):
        mine = _distinct(entries[starts[d] : starts[d + 1]])
        for e in mine:
            if telling[e]:
                for p in range(posting_starts[e], posting_starts[e + 1]):
                    held[postings[p]] += 1
        for e in mine:
            part = True
            for p in range(posting_starts[e], posting_starts[e + 1]):
                item = postings[p]
                part = part and held[item] < whole * sizes[item]
            counts[e] += part
        for e in mine:
            for p in range(posting_starts[e], posting_starts[e + 1]):
                held[postings[p]] = 0


@kernel
def match_items(starts, entries, posting_starts, postings, telling, rare, sizes, wanted, fewest):
    """Per text the wanted item with most distinct rare n-grams in it; ties: most of its n-grams, the smaller number.

    Returns item int64 (texts,), -1 where there is none; its rare n-grams and its telling ones in the text int64
    (texts,); and for all items with at least `fewest` rare ones: starts int64 (texts + 1,) and items int64.
    """
    texts = starts.size - 1
    best, hits, shared = np.full(texts, -1, np.int64), np.zeros(texts, np.int64), np.zeros(texts, np.int64)
    held, common = np.zeros(sizes.size, np.int32), np.zeros(sizes.size, np.int32)
    many_starts = np.zeros(texts + 1, np.int64)
    many = np.empty(1024, np.int64)
    filled = 0
    for d in range(texts):
        mine = _distinct(entries[starts[d] : starts[d + 1]])
        for e in mine:
            for p in range(posting_starts[e], posting_starts[e + 1]):
                held[postings[p]] += rare[e]
                common[postings[p]] += telling[e]
        for e in mine:
            for p in range(posting_starts[e], posting_starts[e + 1]):
                item = postings[p]
                n, m, b = held[item], common[item], best[d]
                if n == 0 or m < 0 or not wanted[item]:
                    continue  # m < 0: seen
                if b < 0 or n > hits[d] or (n == hits[d] and (m > shared[d] or (m == shared[d] and item < b))):
                    best[d], hits[d], shared[d] = item, n, m
                if n >= fewest:
                    if filled == many.size:
                        larger = np.empty(2 * filled, np.int64)
                        copied(larger, 0, many, 0, filled)
                        many = larger
                    many[filled] = item
                    filled += 1
                common[item] = -1
        for e in mine:
            for p in range(posting_starts[e], posting_starts[e + 1]):
                held[postings[p]] = 0
                common[postings[p]] = 0
        many_starts[d + 1] = filled
    return best, hits, shared, many_starts, many[:filled].copy()
