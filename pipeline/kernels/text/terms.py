"""Hashes the terms of a text to 64 bits, from UTF-8 buffers.

A term is a lower-cased word (any digit reads as 0), or a pair of neighbouring characters where the script has no
spaces. All loops run in the order of the text, so a row's result depends on that row alone.
"""

import unicodedata
from functools import cache

import numpy as np

from gristmill.pipeline.kernels.compiled import inlined, kernel
from gristmill.pipeline.kernels.copies import copied
from gristmill.pipeline.kernels.text.hashing import mix64

SEPARATOR, WORD, SPACELESS, IGNORED = 0, 1, 2, 3

# Scripts written without spaces between words: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han (Unicode blocks).
_SPACELESS_BLOCKS = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
)


@cache
def character_tables() -> tuple[np.ndarray, np.ndarray]:
    """Class (uint8) and lower-case form (uint32) of every code point below 65,536."""
    classes, lower = np.zeros(0x10000, np.uint8), np.arange(0x10000, dtype=np.uint32)
    for i in range(0x10000):
        if 0xD800 <= i < 0xE000:
            continue
        char = chr(i)
        category = unicodedata.category(char)
        if category[0] in "LMN":
            classes[i] = WORD
        elif category == "Cf":  # soft hyphens, joiners, direction marks stand inside words
            classes[i] = IGNORED
        if category == "Nd":
            lower[i] = ord("0")
        elif len(char.lower()) == 1 and ord(char.lower()) < 0x10000:
            lower[i] = ord(char.lower())
    for first, last in _SPACELESS_BLOCKS:
        block = classes[first : last + 1]
        block[block == WORD] = SPACELESS
    return classes, lower


@kernel
def terms_of(data, start, end, classes, lower, max_chars, hashes, firsts, lasts):
    """Terms of data[start:end] in text order: hash, first byte, end byte. Returns how many.

    Reads `max_chars` characters; the three outputs hold 2 * max_chars + 2 entries. `data` is valid UTF-8.
    """
    basis, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    n = 0
    h = basis
    word_start = -1  # first byte of the open word
    run_start = -1  # first byte of the previous character of a run without spaces
    run_length = 0
    previous = np.uint64(0)
    i = start
    chars = 0
    while i <= end:
        here = i
        kind = SEPARATOR
        code = np.uint64(0)
        if i < end and chars < max_chars:
            b = data[i]
            if b < 0x80:
                code = np.uint64(b)
                i += 1
            elif b < 0xE0:
                code = np.uint64(((b & 0x1F) << 6) | (data[i + 1] & 0x3F))
                i += 2
            elif b < 0xF0:
                code = np.uint64(((b & 0x0F) << 12) | ((data[i + 1] & 0x3F) << 6) | (data[i + 2] & 0x3F))
                i += 3
            else:
                high = ((b & 0x07) << 18) | ((data[i + 1] & 0x3F) << 12)
                code = np.uint64(high | ((data[i + 2] & 0x3F) << 6) | (data[i + 3] & 0x3F))
                i += 4
            chars += 1
            if code < np.uint64(0x10000):
                kind = classes[code]
                code = np.uint64(lower[code])
            elif code >= np.uint64(0x20000):  # Han extensions
                kind = SPACELESS
            elif code < np.uint64(0x1F000):  # historic scripts, mathematical letters; emoji and pictographs separate
                kind = WORD
        else:
            i = end + 1
        if kind == IGNORED:
            continue
        if kind == WORD:
            if word_start < 0:
                word_start = here
                h = basis
            h = (h ^ code) * prime
        elif word_start >= 0:
            hashes[n], firsts[n], lasts[n] = mix64(h), word_start, here
            n += 1
            word_start = -1
        if kind == SPACELESS:
            if run_length > 0:
                hashes[n], firsts[n], lasts[n] = mix64((((basis ^ previous) * prime) ^ code) * prime), run_start, i
                n += 1
            previous = code
            run_start = here
            run_length += 1
        else:
            if run_length == 1:
                hashes[n], firsts[n], lasts[n] = mix64((basis ^ previous) * prime), run_start, here
                n += 1
            run_length = 0
    return n


@kernel
def distinct_terms(data, offsets, classes, lower, max_chars):
    """The distinct term hashes of each row, sorted: (hashes, row offsets)."""
    rows = len(offsets) - 1
    size = 2 * max_chars + 2
    hashes, firsts, lasts = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64)
    out, used = np.empty(max(1024, rows * 64), np.uint64), 0
    ends = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        n = terms_of(data, offsets[row], offsets[row + 1], classes, lower, max_chars, hashes, firsts, lasts)
        found = np.sort(hashes[:n])
        if used + n > len(out):
            grown = np.empty(2 * (used + n), np.uint64)
            copied(grown, 0, out, 0, used)
            out = grown
        for j in range(n):
            if j == 0 or found[j] != found[j - 1]:
                out[used] = found[j]
                used += 1
        ends[row + 1] = used
    return out[:used], ends


@kernel
def hash_table(keys):
    """Open addressing over `keys` (distinct uint64): slot -> index into keys, or -1. At most a third is full."""
    size = 16
    while size < 3 * len(keys):
        size *= 2
    slots = np.full(size, -1, np.int32)
    mask = np.uint64(size - 1)
    for k in range(len(keys)):
        slot = keys[k] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = k
    return slots


@inlined
def find_term(keys, slots, h):
    mask = np.uint64(len(slots) - 1)
    slot = h & mask
    while slots[slot] >= 0:
        if keys[slots[slot]] == h:
            return slots[slot]
        slot = (slot + np.uint64(1)) & mask
    return -1


@kernel
def count_terms(data, offsets, classes, lower, max_chars, keys, slots, first_seen):
    """Counts of known terms per row, CSR: (row offsets, term ids in order of appearance, counts).

    `first_seen` (len(keys), 2) int64, -1 where unset: gets the byte range in which a term first appears.
    """
    rows = len(offsets) - 1
    size = 2 * max_chars + 2
    hashes, firsts, lasts = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64)
    seen = np.zeros(len(keys), np.int32)
    ids, counts, used = np.empty(max(1024, rows * 64), np.int32), np.empty(max(1024, rows * 64), np.int32), 0
    ends = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        n = terms_of(data, offsets[row], offsets[row + 1], classes, lower, max_chars, hashes, firsts, lasts)
        if used + n > len(ids):
            grown_ids, grown_counts = np.empty(2 * (used + n), np.int32), np.empty(2 * (used + n), np.int32)
            copied(grown_ids, 0, ids, 0, used)
            copied(grown_counts, 0, counts, 0, used)
            ids, counts = grown_ids, grown_counts
        begin = used
        for j in range(n):
            term = find_term(keys, slots, hashes[j])
            if term < 0:
                continue
            if first_seen[term, 0] < 0:
                first_seen[term, 0], first_seen[term, 1] = firsts[j], lasts[j]
            if seen[term] == 0:
                ids[used] = term
                used += 1
            seen[term] += 1
        for j in range(begin, used):
            counts[j] = seen[ids[j]]
            seen[ids[j]] = 0
        ends[row + 1] = used
    return ends, ids[:used], counts[:used]
