"""What the lines of a document look like: short, bulleted, unfinished, repeated, and what C4 would keep of them.

A line is what stands between newlines and is not blank; a paragraph what stands between runs of two or more newlines.
"""

import numpy as np
from numba import njit

from pipeline.kernels.characters import SPACE, TERMINAL
from pipeline.kernels.code_points import hash_points, hash_text

SHORT_LINE = 30  # characters; FineWeb (arXiv:2406.17557, sec. 3.6)
LONG_WORD = 1000  # characters; C4's code
MIN_LINE_WORDS = 3  # C4 (arXiv:1910.10683, sec. 2.2): lines of at least 3 words
NEWLINE, ELLIPSIS, DOT = 10, 0x2026, 0x2E

# Phrases, lower case. C4's code drops lines with one of the policy phrases.
PHRASES = (
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
LOREM, JAVASCRIPT, POLICY = 1, 2, 4
PHRASE_BITS = np.array([LOREM, JAVASCRIPT] + [POLICY] * 6, np.uint8)
PHRASE_TEXT = np.frombuffer("".join(PHRASES).encode(), np.uint8)
PHRASE_ENDS = np.cumsum([len(p) for p in PHRASES])
# RedPajama-V2's bullets, and the hyphen that datatrove's Gopher counts.
BULLETS = np.array([ord(c) for c in "-•‣▶◀◦■□▪▫–"], np.uint32)


@njit(cache=True, nogil=True)
def fold_ascii(c):
    """Lower case of a code point whose lower case is ASCII; others stay (U+212A is the Kelvin sign)."""
    if 0x41 <= c <= 0x5A:
        return c + np.uint32(32)
    return np.uint32(0x6B) if c == 0x212A else c


def _letter_bits(position: int) -> np.ndarray:
    """(128,) uint8: which pairs of first letters (lo ja te pr co us) have the character at `position`."""
    bits = np.zeros(128, np.uint8)
    for i, pair in enumerate(sorted({phrase[:2] for phrase in PHRASES})):
        for c in (pair[position], pair[position].upper()):
            bits[ord(c)] |= 1 << i
    return bits


FIRST_LETTER, SECOND_LETTER = _letter_bits(0), _letter_bits(1)


@njit(cache=True, nogil=True, inline="always")
def may_start(points, i):
    """Whether the two letters at `i` begin one of the phrases (the Kelvin sign cannot be among them)."""
    c, d = points[i], points[i + 1]
    return (c | d) < 128 and (FIRST_LETTER[c] & SECOND_LETTER[d]) != 0


@njit(cache=True, nogil=True)
def phrases_at(points, i, end):
    """Bits of the phrases that start at `i` and end by `end`, in any case."""
    found = 0
    start = 0
    for p in range(len(PHRASE_ENDS)):
        stop = PHRASE_ENDS[p]
        if i + stop - start <= end:
            same = True
            for k in range(stop - start):
                if fold_ascii(points[i + k]) != PHRASE_TEXT[start + k]:
                    same = False
                    break
            if same:
                found |= PHRASE_BITS[p]
        start = stop
    return found


@njit(cache=True, nogil=True)
def line_phrases(points, a, b):
    found = 0
    for i in range(a, b - 1):
        if may_start(points, i):
            found |= phrases_at(points, i, b)
        elif points[i] == 0x7B:
            found |= 8
    return found | 8 if points[b - 1] == 0x7B else found


@njit(cache=True, nogil=True)
def before_citation(points, a, b):
    """End of [a, b) without a citation mark at its end: [12], [], [edit], [citation needed]."""
    i = b - 2
    while i >= a and 0x30 <= points[i] <= 0x39:
        i -= 1
    if i >= a and points[i] == 0x5B:
        return i
    for length, h in ((6, EDIT), (17, CITATION_NEEDED)):
        if b - a >= length and hash_points(points, b - length, b) == h:
            return b - length
    return b


EDIT, CITATION_NEEDED = hash_text("[edit]"), hash_text("[citation needed]")


@njit(cache=True, nogil=True)
def count_c4(points, kinds, a, b, sentences, row):
    """Books the stripped line [a, b) under the first of C4's line rules that it breaks, or as kept."""
    words, length, longest = 0, 0, 0
    for i in range(a, b):
        if kinds[i] & SPACE:
            length = 0
        else:
            words += length == 0
            length += 1
            longest = max(longest, length)
    if longest > LONG_WORD:
        row[0] += 1
        return
    end = b
    while end > a and points[end - 1] == 0x5D:
        k = before_citation(points, a, end)
        if k == end:
            break
        end = k
    last = points[end - 1] if end > a else np.uint32(0)
    terminal = last == DOT or last == 0x3F or last == 0x21 or last == 0x22 or last == 0x27
    if not terminal or (end - a > 2 and last == DOT and points[end - 2] == DOT and points[end - 3] == DOT):
        row[1] += 1
        return
    if words < MIN_LINE_WORDS:
        row[2] += 1
        return
    found = line_phrases(points, a, end)
    if found & LOREM:
        row[3] += 1
    elif found & JAVASCRIPT:
        row[4] += 1
    elif found & 8:
        row[5] += 1
    elif found & POLICY:
        row[6] += 1
    else:
        row[7] += 1
        row[8] += end - a
        row[9] += sentences


@njit(cache=True, nogil=True)
def count_lines(points, kinds, n, sentence_starts, sentences, line_starts, line_ends, row, c4):
    """Counts lines in row[0:6], C4's line rules in `c4`; fills the spans of the lines and returns how many."""
    lines, s = 0, 0
    a = 0
    while a <= n:
        b = a
        while b < n and points[b] != NEWLINE:
            b += 1
        first, last = a, b
        while first < last and kinds[first] & SPACE:
            first += 1
        while last > first and kinds[last - 1] & SPACE:
            last -= 1
        if last > first:
            within = 1
            while s < sentences and sentence_starts[s] < last:
                within += 1
                s += 1
            line_starts[lines] = a
            line_ends[lines] = b
            lines += 1
            row[1] += b - a <= SHORT_LINE
            for i in range(len(BULLETS)):
                row[2] += points[first] == BULLETS[i]
            end = points[last - 1]
            if end == ELLIPSIS or (
                end == DOT and last - first > 2 and points[last - 2] == DOT and points[last - 3] == DOT
            ):
                row[3] += 1
            row[4] += (kinds[last - 1] & TERMINAL) != 0
            row[5] += within
            count_c4(points, kinds, first, last, within, c4)
        a = b + 1
    row[0] = lines
    return lines


@njit(cache=True, nogil=True)
def find_paragraphs(points, kinds, n, starts, ends):
    """Spans of the paragraphs of the stripped text; returns how many."""
    a, end = 0, n
    while a < end and kinds[a] & SPACE:
        a += 1
    while end > a and kinds[end - 1] & SPACE:
        end -= 1
    found = 0
    i = a
    while i < end:
        if points[i] == NEWLINE and points[i + 1] == NEWLINE:
            starts[found] = a
            ends[found] = i
            found += 1
            while points[i] == NEWLINE:
                i += 1
            a = i
        else:
            i += 1
    if end > a:
        starts[found] = a
        ends[found] = end
        found += 1
    return found
