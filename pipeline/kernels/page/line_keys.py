"""64-bit keys of the lines of texts, and texts without the lines of some keys. A line is what stands between newlines,
without spaces, tabs and carriage returns at its ends; a line of nothing else has no key and stays.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.hashing import mix64

NEWLINE = 10


@kernel
def _blank(byte):
    return byte == 32 or byte == 9 or byte == 13


@kernel
def _key(data, begin, end, seed):
    """0 for a blank line."""
    while begin < end and _blank(data[begin]):
        begin += 1
    while end > begin and _blank(data[end - 1]):
        end -= 1
    if begin == end:
        return np.uint64(0)
    h = seed ^ np.uint64(0xCBF29CE484222325)
    for i in range(begin, end):
        h = (h ^ np.uint64(data[i])) * np.uint64(0x100000001B3)  # FNV-1a
    return max(mix64(h), np.uint64(1))


@kernel
def _end(data, begin, stop):
    while begin < stop and data[begin] != NEWLINE:
        begin += 1
    return begin


@kernel
def line_keys(data, offsets, seeds):
    """(m,) uint64 keys of all lines that are not blank, and (m,) int64 the text that each stands in.

    data, offsets: UTF-8 of n texts; seeds (n,) uint64: lines of texts with another seed have other keys.
    """
    n = offsets.size - 1
    lines = n
    for i in range(offsets[0], offsets[n]):
        lines += data[i] == NEWLINE
    keys, of, found = np.empty(lines, np.uint64), np.empty(lines, np.int64), 0
    for d in range(n):
        begin = offsets[d]
        while begin <= offsets[d + 1]:
            end = _end(data, begin, offsets[d + 1])
            key = _key(data, begin, end, seeds[d])
            if key != 0:
                keys[found], of[found] = key, d
                found += 1
            begin = end + 1
    return keys[:found], of[:found]


@kernel
def without_lines(data, offsets, seeds, cut, bounds):
    """UTF-8 of the texts without some lines, (n + 1,) offsets, and (n, 2) int64 lines and bytes cut.

    cut: keys, sorted for each text; text i's are cut[bounds[i]:bounds[i + 1]]. A line goes with one newline.
    """
    n = offsets.size - 1
    out = np.empty(offsets[n] - offsets[0] + 1, np.uint8)
    ends, counts = np.zeros(n + 1, np.int64), np.zeros((n, 2), np.int64)
    o = 0
    for d in range(n):
        mine = cut[bounds[d] : bounds[d + 1]]
        begin, first = offsets[d], o
        while begin <= offsets[d + 1]:
            end = _end(data, begin, offsets[d + 1])
            key = _key(data, begin, end, seeds[d]) if mine.size else np.uint64(0)
            place = np.searchsorted(mine, key) if key != 0 else mine.size
            if place < mine.size and mine[place] == key:
                counts[d, 0] += 1
            else:
                if begin > offsets[d] and (o > first or counts[d, 0] == 0):
                    out[o] = NEWLINE
                    o += 1
                for i in range(begin, end):
                    out[o] = data[i]
                    o += 1
            begin = end + 1
        ends[d + 1] = o
        counts[d, 1] = offsets[d + 1] - offsets[d] - (o - first)
    return out[:o], ends, counts
