"""Splits runs of non-space characters into words and the marks that stand against them.

A whitespace run is split at its ends (quotes, brackets, stops, contractions) and inside (hyphens between letters, ...),
close to what spaCy's English tokenizer does, which is what datatrove's filters count. Scripts written without
spaces are cut inside the run. The plain-Python twin is in tests/stages/signals_twin.py.
"""

from functools import cache

import numpy as np

from gristmill.pipeline.kernels.compiled import inlined, kernel
from gristmill.pipeline.kernels.text.characters import (
    AFFIX,
    ALONE,
    ALPHA,
    BEGINS,
    BRAHMIC,
    DENSE,
    HAN,
    HIRAGANA,
    ICON,
    INSIDE,
    KATAKANA,
    LOWER,
    MARK,
    NUMERIC,
    SPACE,
    SYLLABIC,
    SYMBOL,
    TERMINAL,
    UPPER,
)
from gristmill.pipeline.kernels.text.code_points import hash_points, hash_text

DOT, COMMA, APOSTROPHE, QUOTE, HYPHEN, PLUS = 0x2E, 0x2C, 0x27, 0x2019, 0x2D, 0x2B
DASH_EN, DASH_EM, TILDE, PERCENT, DOLLAR, SECTION, EQUALS = 0x2013, 0x2014, 0x7E, 0x25, 0x24, 0xA7, 0x3D
COLON, SLASH, LESS, GREATER, STAR, CARET, AT, TSHEG = 0x3A, 0x2F, 0x3C, 0x3E, 0x2A, 0x5E, 0x40, 0xF0B
TSHEG_JOINED = 0xF0C  # the mark before which a line may not break
COENG, VIRAMA, ASAT = 0x17D2, 0x1039, 0x103A  # Khmer and Burmese: stack the next consonant; Burmese: close a syllable
ZERO_WIDTH_SPACE = 0x200B  # marks words in Khmer, Burmese and Thai
ENDINGS = (COMMA, 0x21, 0x3F, COLON)
CJK_MARKS = 0x3000  # ideographic punctuation and full-width forms split a run wherever they stand


@cache
def abbreviation_hashes(words: str) -> np.ndarray:
    """Words (separated by spaces) that keep the full stop behind them, as the kernels want them."""
    return np.array([hash_text(word) for word in words.split()], np.uint64)


@kernel
def is_lead_vowel(c):
    """Thai and Lao vowels written before the consonant that they follow in speech."""
    return 0xE40 <= c <= 0xE44 or 0xEC0 <= c <= 0xEC4


@kernel
def is_dense_cut(points, kinds, s, i, b):
    """Whether a word ends at `i` in a run [.., b) with scripts without spaces; the word began at `s`.

    Han and hiragana pair up from the start of their run, but for the function words of one character; katakana stays
    whole; Thai, Lao, Khmer and Burmese are cut into syllables, a consonant without a vowel closing the one before;
    Tibetan after each tsheg. Measured against ICU's dictionaries: docs/decisions/signals.md. Where a segmenter has
    found the words (BEGINS, INSIDE), they are its own.
    """
    left, right = kinds[i - 1], kinds[i]
    if left & SYLLABIC:
        return points[i - 1] == TSHEG or points[i - 1] == TSHEG_JOINED
    if not (left | right) & DENSE or right & MARK:
        return False
    if right & (BEGINS | INSIDE):
        return right & BEGINS != 0
    both = left & right
    if both & BRAHMIC:
        if is_lead_vowel(points[i - 1]) or points[i - 1] == COENG or points[i - 1] == VIRAMA:
            return False
        if is_lead_vowel(points[i]):
            return True
        return i + 1 < b and kinds[i + 1] & MARK != 0 and points[i + 1] != ASAT
    if both & (HAN | HIRAGANA):
        return i - s > 1 or (left | right) & ALONE != 0
    return both & KATAKANA == 0


@inlined
def push(starts, ends, n, a, b):
    starts[n] = a
    ends[n] = b
    return n + 1


@kernel
def dots_before(points, a, b):
    """How many full stops end [a, b)."""
    k = b
    while k > a and points[k - 1] == DOT:
        k -= 1
    return b - k


@kernel
def is_abbreviation(points, a, b, abbreviations):
    """Whether the full stop after [a, b) belongs to the word: one letter, dotted letters (U.S), or a known one."""
    if b - a == 1 or (b - a >= 3 and points[b - 2] == DOT):
        return True
    if b - a > 6:
        return False
    h = hash_points(points, a, b)
    known = False
    for i in range(len(abbreviations)):
        known |= abbreviations[i] == h
    return known


@inlined
def suffix_start(points, kinds, a, b, abbreviations):
    """Where the last piece of [a, b) starts, b - a >= 2; `b` where nothing is split off."""
    c = points[b - 1]
    left = points[b - 2]
    left_kind = kinds[b - 2]
    if c == DOT:
        dots = dots_before(points, a, b)
        if dots > 1:
            return b - dots if b - dots > a else b
        if (left_kind & ALPHA) and is_abbreviation(points, a, b - 1, abbreviations):
            return b
        # an initial ("J.") keeps its stop; a capitalised ending ("NASA.") does not
        if (left_kind & UPPER) and (b - a < 3 or not kinds[b - 3] & UPPER):
            return b
        return b - 1
    if kinds[b - 1] & AFFIX:
        if c in (PLUS, PERCENT, DOLLAR):
            return b - 1 if left_kind & NUMERIC else b
        return b if c in (EQUALS, SECTION) else b - 1
    if b - a < 3:
        return b
    # contractions: 's 'm 'd 'll 're 've n't, in either case
    if left in (APOSTROPHE, QUOTE):
        low = c | np.uint32(32)
        if low == 0x73 or low == 0x6D or low == 0x64:
            return b - 2
        if low == 0x74 and b - a > 3 and (points[b - 3] | np.uint32(32)) == 0x6E:
            return b - 3
    third = points[b - 3]
    if b - a > 3 and third in (APOSTROPHE, QUOTE):
        first, second = left | np.uint32(32), c | np.uint32(32)
        if (first == 0x6C and second == 0x6C) or ((first == 0x72 or first == 0x76) and second == 0x65):
            return b - 3
    return b


@kernel
def infix_length(points, kinds, i, a, b):
    """Length of the mark at `i`, a < i < b - 1, if the word splits there; else 0."""
    c = points[i]
    left, right = kinds[i - 1], kinds[i + 1]
    if kinds[i] & ICON or (c >= CJK_MARKS and kinds[i] & SYMBOL) or (c > 0x7F and kinds[i] & TERMINAL):
        return 1
    if c == DOT:
        k = i
        while k < b and points[k] == DOT:
            k += 1
        if k - i > 1:
            return k - i
        return 1 if (left & (LOWER | AFFIX)) and (right & (UPPER | AFFIX)) else 0
    if c in (HYPHEN, DASH_EN, DASH_EM, TILDE):
        if right & ALPHA and left & (ALPHA | NUMERIC):
            return 1
        return 1 if c == HYPHEN and left & NUMERIC and right & NUMERIC else 0
    if c in (PLUS, STAR, CARET):
        return 1 if left & NUMERIC and right & NUMERIC else 0
    if c == COMMA:
        return 1 if left & ALPHA and right & ALPHA else 0
    if c in (COLON, SLASH, LESS, GREATER, EQUALS):
        return 1 if left & (ALPHA | NUMERIC) and right & ALPHA else 0
    return 0


@kernel
def is_address(points, a, b):
    """An URL or an e-mail address is one word."""
    for i in range(a, b - 1):
        if points[i] == AT or (points[i] == COLON and points[i + 1] == SLASH):
            return True
    return b - a > 4 and points[a] == 0x77 and points[a + 1] == 0x77 and points[a + 2] == 0x77 and points[a + 3] == DOT


@kernel
def cut_dense(points, kinds, a, b, starts, ends, n):
    """Pieces of [a, b), cut where a script without spaces lets a word begin, and at zero-width spaces."""
    s = a
    for i in range(a, b):
        if points[i] == ZERO_WIDTH_SPACE:
            if i > s:
                n = push(starts, ends, n, s, i)
            s = i + 1
        elif i > s and is_dense_cut(points, kinds, s, i, b):
            n = push(starts, ends, n, s, i)
            s = i
    return push(starts, ends, n, s, b) if b > s else n


@inlined
def is_plain_ending(points, kinds, a, b, union):
    """Whether the run [a, b), whose only symbol is one, is a word and a mark behind it: what `split_run` would find,
    without the price of passing it the arrays.
    """
    last = points[b - 1]
    if union & DENSE or b - a < 2:
        return False
    # a full stop behind a longer word is no abbreviation's; behind a capital it may belong to an initial
    long_word = last == DOT and b - a > 7 and (kinds[b - 2] & (ALPHA | UPPER)) == ALPHA
    return long_word or last in ENDINGS


@inlined
def run_end(kinds, i, n):
    """End of the run of non-space from `i`, all its classes, and how many symbols it holds."""
    union, symbols = np.uint32(0), 0
    while i < n and not kinds[i] & SPACE:
        union |= kinds[i]
        symbols += (kinds[i] & SYMBOL) != 0
        i += 1
    return i, union, symbols


@kernel
def split_run(points, kinds, a, b, union, symbols, abbreviations, starts, ends, n):
    """Appends the pieces of the whitespace run [a, b), in order; returns the new count.

    union: the class bits of its characters together; symbols: how many of them are symbols.
    """
    if b - a == 1:
        return push(starts, ends, n, a, b)
    dense = union & DENSE
    last = points[b - 1]
    if symbols == 1 and (last in ENDINGS) and b - a > 1:
        # a word and a mark behind it: the commonest case, and the general one below would say the same
        n = cut_dense(points, kinds, a, b - 1, starts, ends, n) if dense else push(starts, ends, n, a, b - 1)
        return push(starts, ends, n, b - 1, b)
    if symbols == 1 and last == DOT and not dense:  # the same for a full stop that may be the word's
        left = kinds[b - 2]
        if (left & ALPHA and is_abbreviation(points, a, b - 1, abbreviations)) or (
            left & UPPER and (b - a < 3 or not kinds[b - 3] & UPPER)
        ):
            return push(starts, ends, n, a, b)
        return push(starts, ends, push(starts, ends, n, a, b - 1), b - 1, b)
    # prefixes
    while a < b:
        if points[a] == DOT and a + 1 < b and points[a + 1] == DOT:
            k = a
            while k < b and points[k] == DOT:
                k += 1
            n = push(starts, ends, n, a, k)
            a = k
        elif kinds[a] & AFFIX and points[a] != DOT:
            if points[a] == PLUS and a + 1 < b and kinds[a + 1] & NUMERIC:
                break
            n = push(starts, ends, n, a, a + 1)
            a += 1
        else:
            break
    # suffixes: found from the end, so kept at the end of the room that the run can fill, until the core is pushed
    core_end, suffixes, room = b, 0, n + b - a
    while core_end - a > 1:
        k = suffix_start(points, kinds, a, core_end, abbreviations)
        if k == core_end:
            break
        suffixes += 1
        starts[room - suffixes] = k
        ends[room - suffixes] = core_end
        core_end = k
    if core_end > a:
        s = a
        if not is_address(points, a, core_end):
            i = a + 1
            while i < core_end - 1:
                k = infix_length(points, kinds, i, a, core_end) if kinds[i] & SYMBOL else 0
                if k:
                    if i > s and dense:
                        n = cut_dense(points, kinds, s, i, starts, ends, n)
                    elif i > s:
                        n = push(starts, ends, n, s, i)
                    n = push(starts, ends, n, i, i + k)
                    i += k
                    s = i
                else:
                    i += 1
        if s < core_end and dense:
            n = cut_dense(points, kinds, s, core_end, starts, ends, n)
        elif s < core_end:
            n = push(starts, ends, n, s, core_end)
    for j in range(room - suffixes, room):
        n = push(starts, ends, n, starts[j], ends[j])
    return n
