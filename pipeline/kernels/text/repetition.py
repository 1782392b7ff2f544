"""Repeated lines, paragraphs and word n-grams of one document, on 64-bit hashes in an open-addressing table.

An n-gram can repeat only where its (n-1)-gram does, so each order looks only at the survivors of the last one: exact,
and in ordinary prose the long orders cost almost nothing.
"""

import numpy as np
from numba import njit

from gristmill.pipeline.kernels.text.characters import SPACE
from gristmill.pipeline.kernels.text.code_points import MULTIPLIER, hash_span, mix


@njit(cache=True, nogil=True)
def table_size(items):
    """Power of two that keeps the table at most half full."""
    size = 4
    while size < 2 * items:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def slot_of(keys, counts, size, key):
    """Slot that holds `key`, or the empty one where it belongs (counts[slot] == 0)."""
    mask = np.uint64(size - 1)
    slot = np.int64(mix(key) & mask)
    while counts[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & (size - 1)
    return slot


@njit(cache=True, nogil=True)
def count_hashes(hashes, items, n, keys, counts, slots):
    """Counts hashes[items[:n]]; slots[j] is where the j-th one was counted. Returns the number of distinct ones."""
    size = table_size(n)
    counts[:size] = 0
    distinct = 0
    for j in range(n):
        key = hashes[items[j]]
        slot = slot_of(keys, counts, size, key)
        if counts[slot] == 0:
            keys[slot] = key
            distinct += 1
        counts[slot] += 1
        slots[j] = slot
    return distinct


@njit(cache=True, nogil=True)
def repeated_spans(points, kinds, starts, ends, n, hashes, items, keys, counts, slots):
    """(spans seen before, their characters, those in blank spans): every occurrence but the first counts."""
    for j in range(n):
        hashes[j] = hash_span(points, starts[j], ends[j])
        items[j] = j
    count_hashes(hashes, items, n, keys, counts, slots)
    repeats, characters, blank = 0, 0, 0
    for j in range(n):
        slot = slots[j]
        if counts[slot] > 0:
            counts[slot] = -counts[slot]  # its first occurrence
        else:
            repeats += 1
            characters += ends[j] - starts[j]
            i = starts[j]
            while i < ends[j] and kinds[i] & SPACE:
                i += 1
            if i == ends[j]:
                blank += ends[j] - starts[j]
    return repeats, characters, blank


@njit(cache=True, nogil=True)
def entropy_sum(n, counts, slots):
    """Sum of count * ln(count) over the distinct items that count_hashes has just counted; empties the counts."""
    total = 0.0
    for j in range(n):
        c = counts[slots[j]]
        if c > 1:
            total += c * np.log(np.float64(c))
        counts[slots[j]] = 0
    return total


@njit(cache=True, nogil=True)
def gram_chars(starts, ends, i, order):
    chars = 0
    for k in range(i, i + order):
        chars += ends[k] - starts[k]
    return chars


@njit(cache=True, nogil=True)
def most_common(hashes, items, n, keys, counts, slots):
    """(count, place) of the most common hash, the earliest on a tie; keeps in `items` only the repeated ones.

    Returns (count, place, how many are kept); (0, -1, 0) for no items.
    """
    count_hashes(hashes, items, n, keys, counts, slots)
    best, place, kept = 0, -1, 0
    for j in range(n):
        c = counts[slots[j]]
        if c > best:
            best = c
            place = items[j]
        if c > 1:
            items[kept] = items[j]
            kept += 1
    return best, place, kept


@njit(cache=True, nogil=True)
def repeated_grams(starts, ends, order, hashes, items, n, keys, counts):
    """Characters of n-grams seen before, left to right; after one, the search goes on behind it (no overlaps)."""
    size = table_size(n)
    counts[:size] = 0
    characters, free = 0, 0
    for j in range(n):
        i = items[j]
        if i < free:
            continue
        key = hashes[i]
        slot = slot_of(keys, counts, size, key)
        if counts[slot] == 0:
            keys[slot] = key
            counts[slot] = 1
        else:
            characters += gram_chars(starts, ends, i, order)
            free = i + order
    return characters


@njit(cache=True, nogil=True)
def gram_repetition(starts, ends, n, words, grams, items, keys, counts, slots, top, duplicate):
    """Fills top[3] (characters of the most common 2-4-gram, all occurrences, joined by spaces) and duplicate[6]
    (characters of repeated 5-10-grams) for the n words with hashes `words`."""
    top[:] = 0
    duplicate[:] = 0
    for i in range(n):
        grams[i] = words[i]
        items[i] = i
    kept = n
    for order in range(2, 11):
        if n < order:
            return
        m = 0
        for j in range(kept):
            if items[j] + order <= n:
                items[m] = items[j]
                m += 1
        kept = m
        for j in range(kept):
            i = items[j]
            grams[i] = mix(grams[i]) * MULTIPLIER + words[i + order - 1]
        if order <= 4:
            best, place, kept = most_common(grams, items, kept, keys, counts, slots)
            if best <= 1:
                best, place = 1, 0  # nothing repeats: the first one
            top[order - 2] = best * (gram_chars(starts, ends, place, order) + order - 1)
        elif kept > 0:
            duplicate[order - 5] = repeated_grams(starts, ends, order, grams, items, kept, keys, counts)
