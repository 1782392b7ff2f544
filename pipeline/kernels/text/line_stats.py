"""Counts the lines of a document that are short, bulleted, unfinished or repeated, and those that C4 would keep.

Each source has lines of its own. FineWeb: what stands between newlines and is not blank. Gopher's repetition: the same,
and lines of spaces alone, and an empty one where the text begins or ends with a newline. Gopher's bullets and ellipses:
`str.splitlines`, blank ones too. C4: the same without the blank ones. (All as datatrove reads the papers.)
A paragraph is what stands between runs of two or more newlines.
"""

import numpy as np
from numba import njit

from gristmill.pipeline.kernels.text.c4_lines import C4_SETTINGS, DOT, KEPT, judge
from gristmill.pipeline.kernels.text.characters import BREAK, SPACE, SYMBOL, TERMINAL

SHORT_LINE = 30  # characters; FineWeb (arXiv:2406.17557, sec. 3.6)
NEWLINE, ELLIPSIS, BULLET, HYPHEN = 10, 0x2026, 0x2022, 0x2D
BULLET_POINTS = np.array([ord(c) for c in "•‣▶◀◦■□▪▫–"], np.uint32)  # RedPajama-V2's

# Columns that `count_lines` fills.
LINES, SHORT, BULLET_POINT, TERMINAL_LINE, SENTENCES, BULLETED, ELLIPTIC, SPANS = range(8)


@njit(cache=True, nogil=True)
def stripped(kinds, a, b):
    """[a, b) without spaces at its ends; (b, b) if it is blank."""
    while a < b and kinds[a] & SPACE:
        a += 1
    while b > a and kinds[b - 1] & SPACE:
        b -= 1
    return a, b


@njit(cache=True, nogil=True)
def count_part(points, kinds, first, last, sentence_starts, s, sentences, scratch, row, c4):
    """Books the stripped line [first, last) of `str.splitlines`; returns the next sentence behind it."""
    within = 1
    while s < sentences and sentence_starts[s] < last:
        within += 1
        s += 1
    row[SENTENCES] += within
    row[BULLETED] += points[first] == BULLET or points[first] == HYPHEN
    end = points[last - 1]
    if end == ELLIPSIS or (end == DOT and last - first > 2 and points[last - 2] == DOT and points[last - 3] == DOT):
        row[ELLIPTIC] += 1
    fate, length = judge(points, kinds, first, last, C4_SETTINGS, scratch)
    c4[fate] += 1
    if fate == KEPT:
        c4[KEPT + 1] += last - first if length < 0 else length
        c4[KEPT + 2] += within
    return s


@njit(cache=True, nogil=True)
def count_lines(points, kinds, n, other_breaks, sentence_starts, sentences, line_starts, line_ends, scratch, row, c4):
    """Counts lines in `row`, the fates that C4 has for them in `c4`, then its kept characters and sentences.

    other_breaks: whether anything but newlines ends lines in this text.

    Fills the spans of the lines that repetition looks at and returns how many.
    """
    spans, s = 0, 0
    a = 0
    while a <= n:
        b = a
        while b < n and points[b] != NEWLINE:
            b += 1
        if b > a:
            line_starts[spans] = a
            line_ends[spans] = b
            spans += 1
        first, last = stripped(kinds, a, b)
        if last > first:
            row[LINES] += 1
            row[SHORT] += b - a <= SHORT_LINE
            row[TERMINAL_LINE] += (kinds[b - 1] & TERMINAL) != 0
            for i in range(len(BULLET_POINTS)):
                row[BULLET_POINT] += points[first] == BULLET_POINTS[i]
            if other_breaks:
                i = first
                while i < last:
                    k = i
                    while k < last and not kinds[k] & BREAK:
                        k += 1
                    x, y = stripped(kinds, i, k)
                    if y > x:
                        s = count_part(points, kinds, x, y, sentence_starts, s, sentences, scratch, row, c4)
                    i = k + 1
            else:
                s = count_part(points, kinds, first, last, sentence_starts, s, sentences, scratch, row, c4)
        a = b + 1
    row[SPANS] = spans
    if n > 0:  # empty lines before the first newline and behind the last
        row[SPANS] += (points[0] == NEWLINE) + (points[n - 1] == NEWLINE)
    return spans


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


@njit(cache=True, nogil=True)
def note_sentences(points, kinds, starts, ends, first, last, seen, sentence_starts, sentences):
    """Notes the pieces that begin a sentence: the first with a letter or number after a lone full stop or the like."""
    for j in range(first, last):
        a = starts[j]
        if ends[j] - a == 1 and kinds[a] & TERMINAL:
            seen = True
        elif seen and not kinds[a] & SYMBOL:
            sentence_starts[sentences] = a
            sentences += 1
            seen = False
    return seen, sentences
