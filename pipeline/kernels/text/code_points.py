"""Decodes UTF-8 to code points with their classes, and hashes code points to 64 bits."""

import numpy as np

from gristmill.pipeline.kernels.compiled import inlined, kernel
from gristmill.pipeline.kernels.text.characters import ALPHA, HAN, HAN_END, SYMBOL, TABLE_SIZE

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd
SHIFT = np.uint64(29)
SEED = np.uint64(0xA0761D6478BD642F)  # any number but 0, which a NUL would leave as it is


@kernel
def decode(data, start, end, classes, points, kinds):
    """Code points and class bits of the UTF-8 bytes data[start:end]; returns how many. The bytes are valid UTF-8."""
    n = 0
    i = start
    while i < end:
        b = np.uint32(data[i])
        if b < 0x80:
            c = b
            i += 1
        elif b < 0xE0:
            c = ((b & np.uint32(0x1F)) << np.uint32(6)) | (np.uint32(data[i + 1]) & np.uint32(0x3F))
            i += 2
        elif b < 0xF0:
            c = (
                ((b & np.uint32(0x0F)) << np.uint32(12))
                | ((np.uint32(data[i + 1]) & np.uint32(0x3F)) << np.uint32(6))
                | (np.uint32(data[i + 2]) & np.uint32(0x3F))
            )
            i += 3
        else:
            c = (
                ((b & np.uint32(0x07)) << np.uint32(18))
                | ((np.uint32(data[i + 1]) & np.uint32(0x3F)) << np.uint32(12))
                | ((np.uint32(data[i + 2]) & np.uint32(0x3F)) << np.uint32(6))
                | (np.uint32(data[i + 3]) & np.uint32(0x3F))
            )
            i += 4
        points[n] = c
        if c < TABLE_SIZE:
            kinds[n] = classes[c]
        elif c < HAN_END:
            kinds[n] = ALPHA | HAN
        else:
            kinds[n] = SYMBOL
        n += 1
    return n


@kernel
def put(out, o, c):
    """Writes a code point as UTF-8 at `o`; returns the new end."""
    if c < 0x80:
        out[o] = c
        return o + 1
    if c < 0x800:
        out[o] = 0xC0 | (c >> np.uint32(6))
        out[o + 1] = 0x80 | (c & np.uint32(0x3F))
        return o + 2
    if c < 0x10000:
        out[o] = 0xE0 | (c >> np.uint32(12))
        out[o + 1] = 0x80 | ((c >> np.uint32(6)) & np.uint32(0x3F))
        out[o + 2] = 0x80 | (c & np.uint32(0x3F))
        return o + 3
    out[o] = 0xF0 | (c >> np.uint32(18))
    out[o + 1] = 0x80 | ((c >> np.uint32(12)) & np.uint32(0x3F))
    out[o + 2] = 0x80 | ((c >> np.uint32(6)) & np.uint32(0x3F))
    out[o + 3] = 0x80 | (c & np.uint32(0x3F))
    return o + 4


@kernel
def mix(h):
    """Finalizer of splitmix64: every input bit moves every output bit."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@kernel
def hash_points(points, a, b):
    """64-bit hash of code points [a, b); equal hashes are taken for equal strings (2**-64 per pair)."""
    h = np.uint64(b - a)
    for i in range(a, b):
        h = (h ^ np.uint64(points[i])) * MULTIPLIER
        h ^= h >> SHIFT
    return h


@kernel
def hash_span(points, a, b):
    """Another 64-bit hash of [a, b), for long spans: a step takes three code points (21 bits each)."""
    h = np.uint64(b - a)
    i = a
    while i + 3 <= b:
        three = np.uint64(points[i]) | np.uint64(points[i + 1]) << np.uint64(21)
        h = (h ^ (three | np.uint64(points[i + 2]) << np.uint64(42))) * MULTIPLIER
        h ^= h >> SHIFT
        i += 3
    while i < b:
        h = (h ^ np.uint64(points[i])) * MULTIPLIER
        h ^= h >> SHIFT
        i += 1
    return h


@kernel
def hash_word(points, kinds, folds, a, b):
    """(hash, hash without case and symbols, classes) of the word [a, b); the second is 0 if symbols are all it has."""
    exact, bare = SEED, np.uint64(0)
    symbols = 0
    union = np.uint32(0)
    for i in range(a, b):
        c = points[i]
        exact = (exact ^ np.uint64(c)) * MULTIPLIER
        kind = kinds[i]
        union |= kind  # symbols too: circled letters have case
        if kind & SYMBOL:
            symbols += 1
            continue
        bare = (bare ^ np.uint64(folds[c] if c < len(folds) else c)) * MULTIPLIER
    return exact, bare + np.uint64(b - a - symbols) if symbols < b - a else np.uint64(0), union


@inlined
def bare_key(bare):
    return mix(bare) | np.uint64(1)


def hash_text(text: str) -> np.uint64:
    """hash_points of a constant, in plain Python."""
    h = len(text)
    for c in text:
        h = ((h ^ ord(c)) * int(MULTIPLIER)) & 0xFFFFFFFFFFFFFFFF
        h ^= h >> int(SHIFT)
    return np.uint64(h)
