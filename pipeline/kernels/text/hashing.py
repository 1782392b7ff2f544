"""Hashes the words of texts in one pass over UTF-8 bytes, without a Python string per word.

A word is a maximal run of letters, digits, "_" and marks, lowercased, without accents; a character of a script that is
written without spaces is a word of its own. `code_points()` says what each code point is; the kernels only look it up.
"""

import unicodedata
from functools import lru_cache

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.compiled import kernel

# Classes of code points, in the top byte of a table entry; the low 24 bits are the normalised code point.
SEPARATOR, SKIPPED, WORD, SPACELESS, SYMBOL, SIGN = 0, 1, 2, 3, 4, 5
CLASS_SHIFT = 24
TABLE_SIZE = 0x20000  # planes 0 and 1; `_entry` decides the rest, where only ideographs matter

# Written without spaces between words: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han (UAX #14, class SA, and CJK).
_SPACELESS_RANGES = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x1B000, 0x1B16F),
)
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF))  # between them stand the hexagrams, which are symbols
_HANGUL = (0xAC00, 0xD7A3)  # decomposes into letters, not into a letter and an accent


@lru_cache(maxsize=1)
def code_points() -> np.ndarray:
    """(TABLE_SIZE,) uint32: class << 24 | normalised code point. Follows this Python's Unicode database."""
    table = np.zeros(TABLE_SIZE, np.uint32)
    for code in range(TABLE_SIZE):
        if any(first <= code <= last for first, last in (_HANGUL, *_HAN)):
            continue  # set below, a slice at a time
        table[code] = _classify(chr(code))
    for first, last in _HAN:
        table[first : last + 1] = np.arange(first, last + 1, dtype=np.uint32) | np.uint32(SPACELESS << CLASS_SHIFT)
    table[_HANGUL[0] : _HANGUL[1] + 1] = np.arange(_HANGUL[0], _HANGUL[1] + 1, dtype=np.uint32) | np.uint32(
        WORD << CLASS_SHIFT
    )
    table.setflags(write=False)
    return table


def _classify(char: str) -> int:
    """Table entry of one code point."""
    category = unicodedata.category(char)
    if category[0] in "ZC":
        return SKIPPED << CLASS_SHIFT if category == "Cf" else SEPARATOR  # soft hyphens, joiners, bidi marks
    accent = unicodedata.combining(char)
    if accent >= 200 or 10 <= accent <= 35:  # Latin, Greek, Cyrillic accents; Hebrew and Arabic points
        return SKIPPED << CLASS_SHIFT
    if category[0] == "M":  # a vowel sign, virama or tone mark belongs to the letter before it
        return SIGN << CLASS_SHIFT | ord(char)
    if category[0] not in "LN" and char != "_":
        return SYMBOL << CLASS_SHIFT | ord(char)
    base = unicodedata.normalize("NFD", char.lower())[0]  # "İ".lower() and "é" are a letter and an accent
    spaceless = any(first <= ord(char) <= last for first, last in _SPACELESS_RANGES)
    return (SPACELESS if spaceless else WORD) << CLASS_SHIFT | ord(base)


def utf8(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Bytes (uint8, at least one) of all texts and offsets (n + 1,) int64 into them; a null text is empty.

    Read-only, whatever polars gives: one type for the kernels.
    """
    array = texts.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())  # large_string, no copy
    _, offsets, data = array.buffers()
    rows = len(array)
    bounds = np.frombuffer(offsets, np.int64, rows + 1, array.offset * 8) if rows else np.zeros(1, np.int64)
    whole = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    whole.flags.writeable = bounds.flags.writeable = False
    return whole, bounds


@kernel
def mix64(h):
    """Murmur3's finaliser: every input bit reaches every output bit."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h


@kernel
def entry_at(data, i, table):
    """Table entry of the code point whose UTF-8 starts at data[i], and its bytes (1 to 4)."""
    b = np.uint32(data[i])
    if b < 0x80:
        return table[b], 1
    low = np.uint32(0x3F)
    if b < 0xE0:
        return table[(b & np.uint32(0x1F)) << np.uint32(6) | (np.uint32(data[i + 1]) & low)], 2
    second = (np.uint32(data[i + 1]) & low) << np.uint32(6) | (np.uint32(data[i + 2]) & low)
    if b < 0xF0:
        return table[(b & np.uint32(0x0F)) << np.uint32(12) | second], 3
    code = (b & np.uint32(0x07)) << np.uint32(18) | second << np.uint32(6) | (np.uint32(data[i + 3]) & low)
    if code < np.uint32(0x20000):
        return table[code], 4
    # Planes 2 and 3 hold ideographs only; beyond them there are no letters.
    return np.uint32(3 << 24) | code if code < np.uint32(0x40000) else np.uint32(0), 4


@kernel
def token_hashes(data, start, end, table, symbols, hashes, spaceless):
    """Hashes of the tokens of data[start:end] in text order; returns how many.

    `hashes` (uint64) and `spaceless` (bool) have room for (end - start) // 2 + 1 tokens, and for end - start where
    `symbols` is set: then each punctuation mark or symbol is a token too, else it only separates.
    """
    return _tokens(data, start, end, table, symbols, hashes, spaceless, np.empty(0, np.int64))


@kernel
def token_ends(data, start, end, table, hashes, ends):
    """Hashes of the words of data[start:end], as `token_hashes` gives them, and the byte after each; how many."""
    return _tokens(data, start, end, table, False, hashes, np.empty(ends.size, np.bool_), ends)


@kernel
def _tokens(data, start, end, table, symbols, hashes, spaceless, ends):
    """`ends` is written where it has room for anything."""
    n = 0
    h = np.uint64(0)
    inside = 0  # class of the open token, 0 where none is open
    i = start
    while i < end:
        entry, size = entry_at(data, i, table)
        i += size
        kind = entry >> np.uint32(24)
        if kind == 1:
            continue
        if inside != 0 and kind != 5 and not (kind == 2 and inside == 2):
            hashes[n] = mix64(h)
            spaceless[n] = inside == 3
            if ends.size:
                ends[n] = i - size
            n += 1
            inside = 0
        if kind > 1 and (kind != 4 or symbols):
            if inside == 0:
                h = np.uint64(0x9E3779B97F4A7C15)
                inside = 2 if kind == 5 else kind
            h = (h ^ np.uint64(entry & np.uint32(0xFFFFFF))) * np.uint64(0x100000001B3)  # FNV-1a over code points
    if inside != 0:
        hashes[n] = mix64(h)
        spaceless[n] = inside == 3
        if ends.size:
            ends[n] = end
        n += 1
    return n


@kernel
def ngram_counts(data, offsets, table, buckets):
    """(buckets,) int64: how often each hashed word, and pair of neighbouring words, occurs in all texts.

    Punctuation marks and symbols are words too.
    """
    counts = np.zeros(buckets, np.int64)
    hashes, spaceless = _room(offsets)
    for d in range(offsets.size - 1):
        tokens = token_hashes(data, offsets[d], offsets[d + 1], table, True, hashes, spaceless)
        for t in range(tokens):
            counts[hashes[t] % np.uint64(buckets)] += 1
            if t > 0:
                counts[_pair(hashes[t - 1], hashes[t]) % np.uint64(buckets)] += 1
    return counts


@kernel
def ngram_means(data, offsets, table, weights, choice):
    """(n,) float64: mean over a text's n-grams (see `ngram_counts`) of weights[choice[d]]; NaN without any.

    weights (m, buckets) float64, choice (n,) int64 row of weights for each text.
    """
    n = offsets.size - 1
    means = np.empty(n, np.float64)
    hashes, spaceless = _room(offsets)
    for d in range(n):
        weight = weights[choice[d]]
        buckets = np.uint64(weight.size)
        tokens = token_hashes(data, offsets[d], offsets[d + 1], table, True, hashes, spaceless)
        total = 0.0
        for t in range(tokens):
            total += weight[hashes[t] % buckets]
            if t > 0:
                total += weight[_pair(hashes[t - 1], hashes[t]) % buckets]
        means[d] = total / (2 * tokens - 1) if tokens > 0 else np.nan
    return means


@kernel
def _pair(first, second):
    return mix64(first * np.uint64(0x9E3779B97F4A7C15) + second)


@kernel
def _room(offsets):
    longest = 0
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    return np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.bool_)
