"""Removes the lines (or sentences) that C4's line rules drop, and counts what was cut by rule, to the byte."""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.c4_lines import (
    FEW_WORDS,
    JAVASCRIPT_LINE,
    LONG_WORD,
    MARKS,
    MIN_WORDS,
    POLICY_LINE,
    UNENDED,
    judge,
)
from gristmill.pipeline.kernels.text.characters import BREAK, DENSE, SPACE, SYMBOL
from gristmill.pipeline.kernels.text.code_points import decode, put
from gristmill.pipeline.kernels.text.line_stats import note_sentences, stripped
from gristmill.pipeline.kernels.text.words import run_end, split_run

# Columns of the counts of `clean`: units looked at; units and bytes cut by rule; then bytes of spaces and line ends.
RULES = ("long_word", "unended", "short", "javascript", "policy", "citation")
WIDTH = 2 * len(RULES) + 2
SPACES = WIDTH - 1


@kernel
def rule_of(fate):
    """Number of the rule behind a fate, -1 where the line stays: lorem ipsum and braces are for the page's rules."""
    if fate == LONG_WORD:
        return 0
    if fate == UNENDED:
        return 1
    if fate == FEW_WORDS:
        return 2
    if fate == JAVASCRIPT_LINE:
        return 3
    if fate == POLICY_LINE:
        return 4
    return -1


@kernel
def byte_length(points, a, b):
    n = 0
    for i in range(a, b):
        c = points[i]
        n += 1 + (c >= 0x80) + (c >= 0x800) + (c >= 0x10000)
    return n


@kernel
def find_sentences(points, kinds, n, abbreviations, starts, ends, sentence_starts):
    """Places where a sentence begins inside a line; returns how many. `starts`, `ends` are scratch."""
    found, seen = 0, False
    i = 0
    while i < n:
        if kinds[i] & SPACE:
            seen = seen and not kinds[i] & BREAK
            i += 1
            continue
        a = i
        i, union, symbols = run_end(kinds, i, n)
        if union & (SYMBOL | DENSE):
            pieces = split_run(points, kinds, a, i, union, symbols, abbreviations, starts, ends, 0)
            seen, found = note_sentences(points, kinds, starts, ends, 0, pieces, seen, sentence_starts, found)
        elif seen:
            sentence_starts[found] = a
            found += 1
            seen = False
    return found


@kernel
def clean_one(points, kinds, n, settings, sentence_starts, sentences, scratch, kept, row):
    """Fills `kept` with what stays of points[:n]; returns its length. sentences: 0 where lines are judged whole."""
    size, s = 0, 0
    blank_stays = settings[MARKS] == 0 and settings[MIN_WORDS] <= 0
    first_line = True
    a = 0
    while a < n:
        b = a
        while b < n and not kinds[b] & BREAK:
            b += 1
        before = size
        first, last = stripped(kinds, a, b)
        stays = blank_stays and first == last
        x = a
        while x < b:
            while s < sentences and sentence_starts[s] <= x:
                s += 1
            y = sentence_starts[s] if s < sentences and sentence_starts[s] < b else b
            first, last = stripped(kinds, x, y)
            if last > first:
                row[0] += 1
                fate, length = judge(points, kinds, first, last, settings, scratch)
                rule = rule_of(fate)
                if rule >= 0:
                    row[1 + rule] += 1
                    row[1 + len(RULES) + rule] += byte_length(points, first, last)
                else:
                    if size == before and not first_line:
                        kept[size] = 10
                        size += 1
                    elif size > before and kinds[x - 1] & SPACE:
                        kept[size] = 32
                        size += 1
                    stays = True
                    if length < 0:
                        kept[size : size + last - first] = points[first:last]
                        size += last - first
                    else:
                        kept[size : size + length] = scratch[:length]
                        size += length
                        row[len(RULES)] += 1
                        row[2 * len(RULES)] += byte_length(points, first, last) - byte_length(scratch, 0, length)
            x = y
        if stays:
            if size == before and not first_line:
                kept[size] = 10
                size += 1
            first_line = False
        a = b + 1
        if b + 1 < n and points[b] == 13 and points[b + 1] == 10:
            a += 1
    return size


@kernel
def clean(data, offsets, chosen, classes, abbreviations, settings, by_sentence):
    """UTF-8 bytes and (rows + 1,) offsets of the texts after cleaning, and counts (rows, WIDTH) int64.

    data[offsets[r]:offsets[r + 1]] is valid UTF-8; a text with chosen[r] false comes back as it is, with counts of 0.
    settings: as in gristmill.pipeline.kernels.text.c4_lines. No text grows.
    """
    rows = len(offsets) - 1
    counts = np.zeros((rows, WIDTH), np.int64)
    out = np.empty(offsets[rows] - offsets[0], np.uint8)
    bounds = np.zeros(rows + 1, np.int64)
    longest = 0
    for r in range(rows):
        if chosen[r]:
            longest = max(longest, offsets[r + 1] - offsets[r])
    points = np.empty(longest + 2, np.uint32)
    kinds = np.empty(longest + 2, np.uint32)
    kept = np.empty(longest + 2, np.uint32)
    scratch = np.empty(longest + 2, np.uint32)
    starts = np.empty(longest + 1 if by_sentence else 1, np.int32)
    ends = np.empty(longest + 1 if by_sentence else 1, np.int32)
    sentence_starts = np.empty(longest + 1 if by_sentence else 1, np.int32)
    o = 0
    for r in range(rows):
        start, end = offsets[r], offsets[r + 1]
        if not chosen[r]:
            out[o : o + end - start] = data[start:end]
            o += end - start
            bounds[r + 1] = o
            continue
        n = decode(data, start, end, classes, points, kinds)
        sentences = 0
        if by_sentence:
            sentences = find_sentences(points, kinds, n, abbreviations, starts, ends, sentence_starts)
        size = clean_one(points, kinds, n, settings, sentence_starts, sentences, scratch, kept, counts[r])
        first = 0
        while first < size and kept[first] < len(classes) and classes[kept[first]] & SPACE:
            first += 1
        while size > first and kept[size - 1] < len(classes) and classes[kept[size - 1]] & SPACE:
            size -= 1
        for i in range(first, size):
            o = put(out, o, kept[i])
        bounds[r + 1] = o
        cut = 0
        for rule in range(len(RULES)):
            cut += counts[r, 1 + len(RULES) + rule]
        counts[r, SPACES] = (end - start) - (o - bounds[r]) - cut
    return out[:o], bounds, counts
