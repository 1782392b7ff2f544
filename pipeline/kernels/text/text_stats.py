"""Counts over the texts of a batch that Gopher, C4, FineWeb and RedPajama-V2 filter by, in one pass per document.

Rows are independent: a row's counts depend on its text, its language and the stop words only.
"""

import numpy as np
from numba import njit

from gristmill.pipeline.kernels.text.c4_lines import DOT, LOREM, phrases_at
from gristmill.pipeline.kernels.text.characters import (
    ALPHA,
    BEGINS,
    BREAK,
    DENSE,
    INSIDE,
    LOWER,
    NUMERIC,
    SPACE,
    SYMBOL,
    TERMINAL,
    UPPER,
    class_table,
    fold_table,
)
from gristmill.pipeline.kernels.text.code_points import MULTIPLIER, decode, mix
from gristmill.pipeline.kernels.text.line_stats import ELLIPSIS, NEWLINE, count_lines, find_paragraphs, note_sentences
from gristmill.pipeline.kernels.text.repetition import (
    count_hashes,
    entropy_sum,
    gram_repetition,
    repeated_spans,
    table_size,
)
from gristmill.pipeline.kernels.text.words import cut_dense, is_plain_ending, push, run_end, split_run

# Columns of the result of `measure`.
NAMES = (
    "chars", "newlines", "alpha_chars", "upper_chars", "numeric_chars", "hashes", "ellipses", "curly_braces",
    "lorem_ipsums", "all_lines",
    "segments", "words", "word_chars", "alpha_segments", "caps_segments", "unique_words", "entropy_sum", "stop_words",
    "stop_kinds",
    "lines", "short_lines", "bullet_point_lines", "terminal_lines", "sentences", "bullet_lines", "ellipsis_lines",
    "parted_lines", "dup_lines", "dup_line_chars", "dup_body_chars",
    "paragraphs", "dup_paragraphs", "dup_paragraph_chars",
    "top2", "top3", "top4", "dup5", "dup6", "dup7", "dup8", "dup9", "dup10",
    "c4_long_word", "c4_no_terminal", "c4_few_words", "c4_lorem", "c4_javascript", "c4_curly", "c4_policy", "c4_kept",
    "c4_kept_chars",
    "c4_sentences",
    "run_segments", "run_words", "run_word_chars", "run_alpha_segments",
)  # fmt: skip
RETURN = 13
COLUMN = {name: i for i, name in enumerate(NAMES)}
WIDTH = len(NAMES)
WORDS_FROM, LINES_FROM = COLUMN["segments"], COLUMN["lines"]
ALL_LINES, NEWLINES = COLUMN["all_lines"], COLUMN["newlines"]
DUPLICATES_FROM = COLUMN["dup_lines"]
RUNS_FROM = COLUMN["run_segments"]
PARAGRAPHS_FROM, GRAMS_FROM, C4_FROM = COLUMN["paragraphs"], COLUMN["top2"], COLUMN["c4_long_word"]


@njit(cache=True, nogil=True)
def count_chars(points, kinds, n, row):
    alpha, upper, numeric = np.uint32(0), np.uint32(0), np.uint32(0)
    for i in range(n):  # without branches: the compiler counts several at a time
        kind = kinds[i]
        alpha += (kind & np.uint32(ALPHA)) >> np.uint32(1)
        upper += (kind & np.uint32(UPPER)) >> np.uint32(2)
        numeric += (kind & np.uint32(NUMERIC)) >> np.uint32(4)
    newlines, hashes, ellipses, curly, lorem, dots, breaks = 0, 0, 0, 0, 0, 0, 0
    for i in range(n):
        c = points[i]
        if not kinds[i] & (SYMBOL | SPACE):
            dots = 0
            if (c | np.uint32(32)) == 0x6C and i + 1 < n and (points[i + 1] | np.uint32(32)) == 0x6F:
                lorem += phrases_at(points, i, n) & LOREM
            continue
        if c == DOT:
            dots += 1
            if dots == 3:
                ellipses += 1
                dots = 0
            continue
        dots = 0
        if kinds[i] & BREAK:
            breaks += 1
            if c == NEWLINE:
                newlines += 1
                if i > 0 and points[i - 1] == RETURN:  # the two together end one line
                    breaks -= 1
        elif c == 0x23:
            hashes += 1
        elif c == ELLIPSIS:
            ellipses += 1
        elif c == 0x7B:
            curly += 1
    row[0] = n
    row[1] = newlines
    row[2] = alpha
    row[3] = upper
    row[4] = numeric
    row[5] = hashes
    row[6] = ellipses
    row[7] = curly
    row[8] = lorem
    row[9] = breaks + (n > 0 and not kinds[n - 1] & BREAK)


@njit(cache=True, nogil=True)
def count_word(points, kinds, folds, a, b, row):
    """Books the word [a, b) in row[0:5]; returns its hash, and that without case and symbols (0 if nothing is left)."""
    exact, bare = np.uint64(b - a), np.uint64(0)
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
    row[0] += 1
    row[3] += (union & ALPHA) != 0
    row[4] += (union & (UPPER | LOWER)) == UPPER
    if symbols == b - a:
        return exact, np.uint64(0)
    row[1] += 1
    row[2] += b - a
    return exact, mix(bare + np.uint64(b - a - symbols)) | np.uint64(1)


@njit(cache=True, nogil=True)
def count_run(a, b, union, symbols, row):
    """Books the whitespace run [a, b) in row[0:4], as `count_word` books a word."""
    row[0] += 1
    row[3] += (union & ALPHA) != 0
    if symbols < b - a:
        row[1] += 1
        row[2] += b - a


@njit(cache=True, nogil=True)
def stop_bit(stop_keys, stop_bits, key):
    """Bit number of a stop word, -1 for other words."""
    mask = len(stop_keys) - 1
    slot = np.int64(key >> np.uint64(20)) & mask
    while stop_keys[slot] != 0:
        if stop_keys[slot] == key:
            return stop_bits[slot]
        slot = (slot + 1) & mask
    return -1


@njit(cache=True, nogil=True)
def is_plain(points, kinds, folds, a, b):
    """Whether the word [a, b) is written in lower case and without symbols."""
    for i in range(a, b):
        c = points[i]
        if kinds[i] & SYMBOL or (c < len(folds) and folds[c] != c):
            return False
    return True


@njit(cache=True, nogil=True)
def count_bits(bits):
    n = 0
    while bits:
        bits &= bits - np.uint64(1)
        n += 1
    return n


def stop_word_keys(words: list[tuple[int, int, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Table of stop words for `measure` from (number of the language, bit below 64, word)."""
    size = 4
    while size < 4 * len(words):
        size *= 2
    keys, bits = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    classes, folds = class_table(), fold_table()
    for language, bit, word in words:
        data = np.frombuffer(word.encode(), np.uint8)
        points, kinds = np.empty(len(data), np.uint32), np.empty(len(data), np.uint32)
        n = decode(data, 0, len(data), classes, points, kinds)
        key = count_word(points, kinds, folds, 0, n, np.zeros(5))[1] ^ language_salt(language)
        slot = (int(key) >> 20) & (size - 1)
        while keys[slot] and keys[slot] != key:
            slot = (slot + 1) & (size - 1)
        keys[slot], bits[slot] = key, bit
    return keys, bits


@njit(cache=True, nogil=True)
def language_salt(language):
    return mix(np.uint64(language + 1))


@njit(cache=True, nogil=True)
def measure(data, offsets, languages, classes, folds, abbreviations, stop_keys, stop_bits, split, runs, places, bounds):
    """Counts of each text data[offsets[r]:offsets[r + 1]] (UTF-8): (rows, WIDTH) float64, all whole numbers
    but `entropy_sum`. `stop_kinds` is -1 where the language has no number.

    languages (rows,) number of the language whose stop words count, -1 for none; split: whether words are the
    pieces of whitespace runs, else the runs themselves (scripts without spaces are cut in either case);
    runs (rows,) bool: the texts whose runs are counted besides.
    places[bounds[r]:bounds[r + 1]]: where a segmenter says that words begin; none: scripts are cut by our rules.
    """
    rows = len(offsets) - 1
    result = np.zeros((rows, WIDTH))
    longest = 0
    for r in range(rows):
        longest = max(longest, offsets[r + 1] - offsets[r])
    # memory is touched only as far as the document at hand needs it
    points = np.empty(longest + 2, np.uint32)
    kinds = np.empty(longest + 2, np.uint32)
    starts = np.empty(longest + 1, np.int32)
    ends = np.empty(longest + 1, np.int32)
    piece_starts = np.empty(longest + 1, np.int32)
    piece_ends = np.empty(longest + 1, np.int32)
    sentence_starts = np.empty(longest + 1, np.int32)
    scratch = np.empty(longest + 1, np.uint32)
    words = np.empty(longest + 1, np.uint64)
    keys_of = np.empty(longest + 1, np.uint64)
    grams = np.empty(longest + 1, np.uint64)
    items = np.empty(longest + 1, np.int32)
    slots = np.empty(longest + 1, np.int32)
    size = table_size(longest + 1)
    keys = np.empty(size, np.uint64)
    counts = np.empty(size, np.int32)
    for r in range(rows):
        row = result[r]
        n = decode(data, offsets[r], offsets[r + 1], classes, points, kinds)
        if bounds[r + 1] > bounds[r]:
            for i in range(n):
                kinds[i] |= np.uint32(INSIDE)
            for j in range(bounds[r], bounds[r + 1]):
                kinds[places[j]] |= np.uint32(BEGINS)
        count_chars(points, kinds, n, row)

        found, known, sentences, stops = 0, 0, 0, np.uint64(0)
        seen = False
        i = 0
        booked = row[WORDS_FROM:]
        while i < n:
            if kinds[i] & SPACE:
                if kinds[i] & BREAK:
                    seen = False
                i += 1
                continue
            a = i
            i, union, symbols = run_end(kinds, i, n)
            if runs[r]:
                if union & DENSE:
                    pieces = cut_dense(points, kinds, a, i, piece_starts, piece_ends, 0)
                    for j in range(pieces):
                        _, piece_union, piece_symbols = run_end(kinds, piece_starts[j], piece_ends[j])
                        count_run(piece_starts[j], piece_ends[j], piece_union, piece_symbols, row[RUNS_FROM:])
                else:
                    count_run(a, i, union, symbols, row[RUNS_FROM:])
            before = found
            if not union & (SYMBOL | DENSE):
                found = push(starts, ends, found, a, i)
                if seen:
                    sentence_starts[sentences] = a
                    sentences += 1
                    seen = False
            elif split and symbols == 1 and is_plain_ending(points, kinds, a, i, union):
                found = push(starts, ends, found, a, i - 1)
                found = push(starts, ends, found, i - 1, i)
                if seen:
                    sentence_starts[sentences] = a
                    sentences += 1
                seen = (kinds[i - 1] & TERMINAL) != 0
            elif split:
                found = split_run(points, kinds, a, i, union, symbols, abbreviations, starts, ends, found)
                seen, sentences = note_sentences(
                    points, kinds, starts, ends, before, found, seen, sentence_starts, sentences
                )
            else:
                pieces = split_run(points, kinds, a, i, union, symbols, abbreviations, piece_starts, piece_ends, 0)
                seen, sentences = note_sentences(
                    points, kinds, piece_starts, piece_ends, 0, pieces, seen, sentence_starts, sentences
                )
                if union & DENSE:
                    found = cut_dense(points, kinds, a, i, starts, ends, found)
                else:
                    found = push(starts, ends, found, a, i)
            for j in range(before, found):
                words[j], key = count_word(points, kinds, folds, starts[j], ends[j], booked)
                if key:
                    keys_of[known] = key
                    known += 1
                    if languages[r] >= 0:
                        bit = stop_bit(stop_keys, stop_bits, key ^ language_salt(languages[r]))
                        if bit >= 0:
                            booked[7] += 1
                            if is_plain(points, kinds, folds, starts[j], ends[j]):
                                stops |= np.uint64(1) << np.uint64(bit)
        booked[8] = count_bits(stops) if languages[r] >= 0 else -1
        for j in range(known):
            items[j] = j
        booked[5] = count_hashes(keys_of, items, known, keys, counts, slots)
        booked[6] = entropy_sum(known, counts, slots)
        gram_repetition(
            starts,
            ends,
            found,
            words,
            grams,
            items,
            keys,
            counts,
            slots,
            row[GRAMS_FROM:][:3],
            row[GRAMS_FROM + 3 :][:6],
        )

        # lines by str.splitlines are as many as newlines, and one more where the text does not end with one
        other_breaks = row[ALL_LINES] != row[NEWLINES] + (n > 0 and points[n - 1] != NEWLINE)
        lines = count_lines(
            points,
            kinds,
            n,
            other_breaks,
            sentence_starts,
            sentences,
            starts,
            ends,
            scratch,
            row[LINES_FROM:],
            row[C4_FROM:],
        )
        repeats, characters, blank = repeated_spans(
            points, kinds, starts, ends, lines, grams, items, keys, counts, slots
        )
        # the empty lines at both ends are one and the same
        row[DUPLICATES_FROM] = repeats + (n > 0 and points[0] == NEWLINE and points[n - 1] == NEWLINE)
        row[DUPLICATES_FROM + 1] = characters
        row[DUPLICATES_FROM + 2] = characters - blank
        paragraphs = find_paragraphs(points, kinds, n, starts, ends)
        repeats, characters, _ = repeated_spans(
            points, kinds, starts, ends, paragraphs, grams, items, keys, counts, slots
        )
        row[PARAGRAPHS_FROM] = paragraphs
        row[PARAGRAPHS_FROM + 1] = repeats
        row[PARAGRAPHS_FROM + 2] = characters
    return result
