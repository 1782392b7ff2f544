"""Counts over the texts of a batch that Gopher, C4, FineWeb and RedPajama-V2 filter by, in one pass per document.

Rows are independent: a row's counts depend on its text, its language and the stop words only.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.c4_lines import BRACKET, CURLY_BRACE, DOT, LOREM, phrases_at
from gristmill.pipeline.kernels.text.characters import (
    ALPHA,
    BEGINS,
    BREAK,
    DENSE,
    INSIDE,
    LOWER,
    SPACE,
    SYMBOL,
    TERMINAL,
    UPPER,
)
from gristmill.pipeline.kernels.text.code_points import MULTIPLIER, SEED, decode, hash_word
from gristmill.pipeline.kernels.text.line_stats import ELLIPSIS, NEWLINE, count_lines, find_paragraphs, note_sentences
from gristmill.pipeline.kernels.text.repetition import (
    count_distinct,
    first_places,
    gram_repetition,
    number_keys,
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
RETURN, HASH = 13, 0x23
COLUMN = {name: i for i, name in enumerate(NAMES)}
WIDTH = len(NAMES)
WORDS_FROM, LINES_FROM = COLUMN["segments"], COLUMN["lines"]
ALL_LINES, NEWLINES, CURLY = COLUMN["all_lines"], COLUMN["newlines"], COLUMN["curly_braces"]
DUPLICATES_FROM = COLUMN["dup_lines"]
RUNS_FROM = COLUMN["run_segments"]
PARAGRAPHS_FROM, GRAMS_FROM, C4_FROM = COLUMN["paragraphs"], COLUMN["top2"], COLUMN["c4_long_word"]


@kernel
def count_chars(points, kinds, n, phrases, row):
    """Books the characters of a text; returns whether it may hold citation marks. points[n:n + 2] are no full stops.

    phrases: whether the text may hold one of C4's phrases.
    """
    alpha, upper, numeric, breaks = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
    newlines, returns, hashes, ellipses = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
    curly, brackets, dots = np.uint32(0), np.uint32(0), np.uint32(0)
    for i in range(n):  # without branches: the compiler counts several at a time
        kind, c = kinds[i], points[i]
        alpha = np.uint32(alpha + ((kind >> np.uint32(1)) & np.uint32(1)))  # ALPHA
        upper = np.uint32(upper + ((kind >> np.uint32(2)) & np.uint32(1)))  # UPPER
        numeric = np.uint32(numeric + ((kind >> np.uint32(4)) & np.uint32(1)))  # NUMERIC
        breaks = np.uint32(breaks + ((kind >> np.uint32(17)) & np.uint32(1)))  # BREAK
        newlines = np.uint32(newlines + np.uint32(c == NEWLINE))
        returns = np.uint32(returns + np.uint32(c == RETURN))
        hashes = np.uint32(hashes + np.uint32(c == HASH))
        ellipses = np.uint32(ellipses + np.uint32(c == ELLIPSIS))
        curly = np.uint32(curly + np.uint32(c == CURLY_BRACE))
        brackets = np.uint32(brackets + np.uint32(c == BRACKET))
        dots = np.uint32(dots + np.uint32((c == DOT) & (points[i + 1] == DOT) & (points[i + 2] == DOT)))
    lorem, pairs, run = 0, 0, 0
    if returns > 0:
        for i in range(1, n):  # the two together end one line
            pairs += points[i] == NEWLINE and points[i - 1] == RETURN
    if dots > 0:
        for i in range(n):
            run = run + 1 if points[i] == DOT else 0
            if run == 3:
                ellipses += 1
                run = 0
    if phrases:
        for i in range(n - 1):
            if (points[i] | np.uint32(32)) == 0x6C and (points[i + 1] | np.uint32(32)) == 0x6F:
                lorem += phrases_at(points, i, n) & LOREM
    row[0] = n
    row[1] = newlines
    row[2] = alpha
    row[3] = upper
    row[4] = numeric
    row[5] = hashes
    row[6] = ellipses
    row[7] = curly
    row[8] = lorem
    row[9] = breaks - pairs + (n > 0 and not kinds[n - 1] & BREAK)
    return brackets > 0


@kernel
def cut_text(
    points, kinds, n, folds, abbreviations, split, starts, ends, exact_of, bare_of, sentence_starts, newlines,
    run_starts, run_ends, piece_starts, piece_ends, booked,
):  # fmt: skip
    """Cuts a text into words, runs of non-space and sentences; returns how many, and how many newlines.

    Books words in booked[0:5]. exact_of, bare_of: the hashes of each word, as of `hash_word`. kinds[n] is a space.
    """
    found, sentences, runs, lines = 0, 0, 0, 0
    words, word_chars, alpha, caps = 0, 0, 0, 0
    seen = False
    i = 0
    while i < n:
        kind = kinds[i]
        if kind & SPACE:
            if kind & BREAK:
                seen = False
                newlines[lines] = i
                lines += points[i] == NEWLINE
            i += 1
            continue
        a = i
        union, symbols, exact, bare = np.uint32(0), 0, SEED, np.uint64(0)
        union_before, exact_before, bare_before = union, exact, bare
        while not kind & SPACE:  # as `run_end` and `hash_word` in one
            union_before, exact_before, bare_before = union, exact, bare
            c = points[i]
            union |= kind
            symbols += (kind & SYMBOL) != 0
            exact = (exact ^ np.uint64(c)) * MULTIPLIER
            bare = (bare ^ np.uint64(folds[c] if c < len(folds) else c)) * MULTIPLIER
            i += 1
            kind = kinds[i]
        run_starts[runs] = a
        run_ends[runs] = i
        runs += 1
        before = found
        if not union & (SYMBOL | DENSE):
            exact_of[found] = exact
            bare_of[found] = bare + np.uint64(i - a)
            found = push(starts, ends, found, a, i)
            words += 1
            word_chars += i - a
            alpha += (union & ALPHA) != 0
            caps += (union & (UPPER | LOWER)) == UPPER
            if seen:
                sentence_starts[sentences] = a
                sentences += 1
                seen = False
            continue
        if split and symbols == 1 and is_plain_ending(points, kinds, a, i, union):
            exact_of[found] = exact_before
            bare_of[found] = bare_before + np.uint64(i - 1 - a)
            found = push(starts, ends, found, a, i - 1)
            exact_of[found] = (SEED ^ np.uint64(points[i - 1])) * MULTIPLIER
            bare_of[found] = 0
            found = push(starts, ends, found, i - 1, i)
            words += 1
            word_chars += i - 1 - a
            alpha += (union_before & ALPHA) != 0
            caps += (union_before & (UPPER | LOWER)) == UPPER
            if seen:
                sentence_starts[sentences] = a
                sentences += 1
            seen = (kinds[i - 1] & TERMINAL) != 0
            continue
        if split:
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
            exact_of[j], bare_of[j], classes = hash_word(points, kinds, folds, starts[j], ends[j])
            words += bare_of[j] != 0
            word_chars += (ends[j] - starts[j]) * (bare_of[j] != 0)
            alpha += (classes & ALPHA) != 0
            caps += (classes & (UPPER | LOWER)) == UPPER
    newlines[lines] = -1
    booked[0] = found
    booked[1] = words
    booked[2] = word_chars
    booked[3] = alpha
    booked[4] = caps
    return found, sentences, runs, lines


@kernel
def count_runs(points, kinds, run_starts, run_ends, runs, piece_starts, piece_ends, booked):
    """Books the runs of non-space in booked[0:4], as `cut_text` books words; scripts without spaces are cut."""
    segments, words, chars, alpha = 0, 0, 0, 0
    for k in range(runs):
        a, b = run_starts[k], run_ends[k]
        _, union, symbols = run_end(kinds, a, b)
        if union & DENSE:
            pieces = cut_dense(points, kinds, a, b, piece_starts, piece_ends, 0)
            for j in range(pieces):
                length = piece_ends[j] - piece_starts[j]
                _, union, symbols = run_end(kinds, piece_starts[j], piece_ends[j])
                segments += 1
                words += symbols < length
                chars += length * (symbols < length)
                alpha += (union & ALPHA) != 0
        else:
            segments += 1
            words += symbols < b - a
            chars += (b - a) * (symbols < b - a)
            alpha += (union & ALPHA) != 0
    booked[0] = segments
    booked[1] = words
    booked[2] = chars
    booked[3] = alpha


@kernel
def measure(
    data, offsets, languages, classes, folds, abbreviations, stop_keys, stop_bits, split, runs, phrases, places, bounds
):
    """Counts of each text data[offsets[r]:offsets[r + 1]] (UTF-8): (rows, WIDTH) float64, all whole numbers
    but `entropy_sum`. `stop_kinds` is -1 where the language has no number.

    languages (rows,) number of the language whose stop words count, -1 for none; split: whether words are the
    pieces of whitespace runs, else the runs themselves (scripts without spaces are cut in either case);
    runs (rows,) bool: the texts whose runs are counted besides; phrases (rows,) bool: those that may hold one of C4's.
    places[bounds[r]:bounds[r + 1]]: where a segmenter says that words begin; none: scripts are cut by our rules.
    """
    rows = len(offsets) - 1
    result = np.zeros((rows, WIDTH))
    longest = 0
    for r in range(rows):
        longest = max(longest, offsets[r + 1] - offsets[r])
    # memory is touched only as far as the document at hand needs it
    room, size = longest + 2, table_size(longest + 1)
    points = np.empty(room, np.uint32)
    kinds = np.empty(room, np.uint32)
    scratch = np.empty(room, np.uint32)
    starts = np.empty(room, np.int32)
    ends = np.empty(room, np.int32)
    run_starts = np.empty(room, np.int32)
    run_ends = np.empty(room, np.int32)
    piece_starts = np.empty(room, np.int32)
    piece_ends = np.empty(room, np.int32)
    sentence_starts = np.empty(room, np.int32)
    newlines = np.empty(room, np.int32)
    exact_of = np.empty(room, np.uint64)
    bare_of = np.empty(room, np.uint64)
    hashes = np.empty(room, np.uint64)
    items = np.empty(room, np.int32)
    numbers = np.empty(room, np.int32)
    grams = np.empty(room, np.int32)
    counts = np.empty(room, np.int32)
    weights = np.empty(room, np.int32)
    totals = np.empty(room, np.int32)
    keys = np.empty(size, np.uint64)
    table = np.empty(size, np.int32)
    for r in range(rows):
        row = result[r]
        n = decode(data, offsets[r], offsets[r + 1], classes, points, kinds)
        if bounds[r + 1] > bounds[r]:
            for i in range(n):
                kinds[i] |= np.uint32(INSIDE)
            for j in range(bounds[r], bounds[r + 1]):
                kinds[places[j]] |= np.uint32(BEGINS)
        points[n : n + 2] = 0
        kinds[n] = SPACE
        cited = count_chars(points, kinds, n, phrases[r], row)
        found, sentences, runs_n, newlines_n = cut_text(
            points, kinds, n, folds, abbreviations, split, starts, ends, exact_of, bare_of, sentence_starts, newlines,
            run_starts, run_ends, piece_starts, piece_ends, row[WORDS_FROM:],
        )  # fmt: skip
        if runs[r]:
            count_runs(points, kinds, run_starts, run_ends, runs_n, piece_starts, piece_ends, row[RUNS_FROM:])
        different = number_keys(exact_of, found, keys, table, numbers, counts)
        for j in range(found):
            grams[j] = numbers[j] if counts[numbers[j]] > 1 else -1
        grams[found] = -1
        first_places(numbers, found, items)
        count_distinct(
            points, kinds, folds, starts, ends, items, different, counts, bare_of, languages[r], stop_keys, stop_bits,
            hashes, keys, table, numbers, weights, totals, row[WORDS_FROM:],
        )  # fmt: skip
        gram_repetition(
            starts, ends, found, grams, hashes, items, keys, table, numbers, counts, totals,
            row[GRAMS_FROM:][:3], row[GRAMS_FROM + 3 :][:6],
        )  # fmt: skip

        # lines by str.splitlines are as many as newlines, and one more where the text does not end with one
        other_breaks = row[ALL_LINES] != row[NEWLINES] + (n > 0 and points[n - 1] != NEWLINE)
        lines = count_lines(
            points, kinds, n, newlines, newlines_n, run_starts, run_ends, runs_n, other_breaks, cited,
            phrases[r] or row[CURLY] > 0, sentence_starts, sentences, starts, ends, scratch,
            row[LINES_FROM:], row[C4_FROM:],
        )  # fmt: skip
        repeats, characters, blank = repeated_spans(
            points, kinds, starts, ends, lines, hashes, keys, table, numbers, counts, items
        )
        # the empty lines at both ends are one and the same
        row[DUPLICATES_FROM] = repeats + (n > 0 and points[0] == NEWLINE and points[n - 1] == NEWLINE)
        row[DUPLICATES_FROM + 1] = characters
        row[DUPLICATES_FROM + 2] = characters - blank
        paragraphs = find_paragraphs(kinds, n, newlines, newlines_n, starts, ends)
        repeats, characters, _ = repeated_spans(
            points, kinds, starts, ends, paragraphs, hashes, keys, table, numbers, counts, items
        )
        row[PARAGRAPHS_FROM] = paragraphs
        row[PARAGRAPHS_FROM + 1] = repeats
        row[PARAGRAPHS_FROM + 2] = characters
    return result
