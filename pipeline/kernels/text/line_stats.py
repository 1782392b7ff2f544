"""Counts the lines of a document that are short, bulleted, unfinished or repeated, and those that C4 would keep.

Each source has lines of its own. FineWeb: what stands between newlines and is not blank. Gopher's repetition: the same,
and lines of spaces alone, and an empty one where the text begins or ends with a newline. Gopher's bullets and ellipses:
`str.splitlines`, blank ones too. C4: the same without the blank ones. (All as datatrove reads the papers.)
A paragraph is what stands between runs of two or more newlines.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.c4_lines import C4_SETTINGS, DOT, KEPT, fate_of
from gristmill.pipeline.kernels.text.characters import BREAK, SPACE, SYMBOL, TERMINAL

SHORT_LINE = 30  # characters; FineWeb (arXiv:2406.17557, sec. 3.6)
NEWLINE, ELLIPSIS, BULLET, HYPHEN = 10, 0x2026, 0x2022, 0x2D
BULLET_POINTS = np.array([ord(c) for c in "•‣▶◀◦■□▪▫–"], np.uint32)  # RedPajama-V2's

# Columns that `count_lines` fills.
LINES, SHORT, BULLET_POINT, TERMINAL_LINE, SENTENCES, BULLETED, ELLIPTIC, SPANS = range(8)


@kernel
def stripped(kinds, a, b):
    """[a, b) without spaces at its ends; (b, b) if it is blank."""
    while a < b and kinds[a] & SPACE:
        a += 1
    while b > a and kinds[b - 1] & SPACE:
        b -= 1
    return a, b


@kernel
def count_part(
    points, kinds, first, last, words, longest, cited, phrases, sentence_starts, s, sentences, scratch, row, c4
):
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
    fate, length = fate_of(points, kinds, first, last, words, longest, cited, phrases, C4_SETTINGS, scratch)
    c4[fate] += 1
    if fate == KEPT:
        c4[KEPT + 1] += last - first if length < 0 else length
        c4[KEPT + 2] += within
    return s


@kernel
def holds_break(kinds, a, b):
    found = np.uint32(0)
    for i in range(a, b):
        found |= kinds[i] & BREAK
    return found != 0


@kernel
def count_lines(
    points, kinds, n, newlines, newlines_n, run_starts, run_ends, runs, other_breaks, cited, phrases,
    sentence_starts, sentences, line_starts, line_ends, scratch, row, c4,
):  # fmt: skip
    """Counts lines in `row`, the fates that C4 has for them in `c4`, then its kept characters and sentences.

    newlines: where they stand; run_starts, run_ends: the runs of non-space; other_breaks: whether anything but newlines
    ends lines in this text; cited, phrases: whether it may hold a citation mark, and a phrase of C4's or a brace.

    Fills the spans of the lines that repetition looks at and returns how many.
    """
    spans, s, q = 0, 0, 0
    a = 0
    for k in range(newlines_n + 1):
        b = newlines[k] if k < newlines_n else n
        if b > a:
            line_starts[spans] = a
            line_ends[spans] = b
            spans += 1
        if q < runs and run_starts[q] < b:
            c = points[run_starts[q]]
            row[LINES] += 1
            row[SHORT] += b - a <= SHORT_LINE
            row[TERMINAL_LINE] += (kinds[b - 1] & TERMINAL) != 0
            if c > 127:
                for i in range(len(BULLET_POINTS)):
                    row[BULLET_POINT] += c == BULLET_POINTS[i]
        first, longest = q, 0
        while q < runs and run_starts[q] < b:
            longest = max(longest, run_ends[q] - run_starts[q])
            q += 1
            if q == runs or run_starts[q] >= b or (other_breaks and holds_break(kinds, run_ends[q - 1], run_starts[q])):
                s = count_part(
                    points, kinds, run_starts[first], run_ends[q - 1], q - first, longest, cited, phrases,
                    sentence_starts, s, sentences, scratch, row, c4,
                )  # fmt: skip
                first, longest = q, 0
        a = b + 1
    row[SPANS] = spans
    if n > 0:  # empty lines before the first newline and behind the last
        row[SPANS] += (points[0] == NEWLINE) + (points[n - 1] == NEWLINE)
    return spans


@kernel
def find_paragraphs(kinds, n, newlines, newlines_n, starts, ends):
    """Spans of the paragraphs of the stripped text; returns how many. newlines[newlines_n] is -1."""
    a, end = stripped(kinds, 0, n)
    found = 0
    for k in range(newlines_n):
        i = newlines[k]
        if i < a or i >= end:
            continue
        if i == a:  # a further newline of the run that ended the last paragraph
            a = i + 1
        elif newlines[k + 1] == i + 1:
            starts[found] = a
            ends[found] = i
            found += 1
            a = i + 1
    if end > a:
        starts[found] = a
        ends[found] = end
        found += 1
    return found


@kernel
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
