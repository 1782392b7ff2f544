"""Cuts lines that are page furniture out of texts, in one pass: whole lines, lines by what stands before a colon, lines
of share words alone, notices on cookies, credits of pictures, separators, and lines that repeat the one before. Lines
are compared by 64-bit hashes of their letters and digits. Rows of tables and fenced code stay.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.copies import copied
from gristmill.pipeline.kernels.text.hashing import entry_at, mix64

# Kinds of keys; a key's kind and rule stand beside its hash.
WHOLE, COLON, NETWORK, SHARE, COOKIE, CONSENT, AGENCY, IMAGES = 1, 2, 4, 8, 16, 32, 64, 128
KEY_CHARS = 130  # longer lines are no phrase of a list
TEASER_CHARS = 160
NOTICE_CHARS = 300
CREDIT_CHARS, CREDIT_WORDS = 80, 10
SEPARATOR_CHARS = 5  # of one mark; shorter ones are signs of a text
START = np.uint64(0x9E3779B97F4A7C15)
PRIME = np.uint64(0x100000001B3)


@kernel
def _slot(keys, h):
    """Where `h` stands in the open-addressed table, or -1; 0 marks a free place."""
    mask = np.uint64(keys.size - 1)
    i = h & mask
    while keys[i] != 0:
        if keys[i] == h:
            return np.int64(i)
        i = (i + np.uint64(1)) & mask
    return np.int64(-1)


@kernel
def letters_hash(data, start, end, table):
    """Hash of the letters and digits alone of data[start:end]; 0 where there are none."""
    h = START
    n = 0
    i = start
    while i < end:
        entry, size = entry_at(data, i, table)
        i += size
        kind, code = entry >> np.uint32(24), entry & np.uint32(0xFFFFFF)
        if (kind == 2 or kind == 3 or kind == 5) and code != 95:
            h = (h ^ np.uint64(code)) * PRIME
            n += 1
    return mix64(h) if n > 0 else np.uint64(0)


@kernel
def _rule_of(data, a, b, table, keys, kinds, whole_rules, colon_rules, credit, found):
    """Number of the rule that data[a:b] breaks, -1 for none. found[0]: hash of its letters and digits, 0 without
    any; found[1]: whether it ends like a sentence, or like code."""
    h, word = START, START
    before_colon = np.uint64(0)
    letters = chars = words = networks = consents = cookies = 0
    only_share, in_word = True, False
    agency = before_agency = images = slash = False
    seen_consent = np.uint64(0)
    last = np.uint32(0)
    i = a
    while i <= b:
        if i < b:
            entry, size = entry_at(data, i, table)
            i += size
        else:
            entry, size = np.uint32(0), 1
            i += 1
        kind, code = entry >> np.uint32(24), entry & np.uint32(0xFFFFFF)
        if kind == 1:
            continue
        chars += 1
        if chars > NOTICE_CHARS and not only_share:  # no rule but that of a repeated line is left
            if (kind == 2 or kind == 3 or kind == 5) and code != 95:
                h = (h ^ np.uint64(code)) * PRIME
                letters += 1
                last = code
            elif i <= b and kind == 4:
                last = code
            continue
        if (kind == 2 or kind == 3 or kind == 5) and code != 95:
            h = (h ^ np.uint64(code)) * PRIME
            letters += 1
            word = (word ^ np.uint64(code)) * PRIME
            in_word = True
            last = code
            continue
        if in_word:
            at = _slot(keys, mix64(word))
            sort = kinds[at] if at >= 0 else 0
            words += 1
            before_agency = agency
            agency, images = (sort & AGENCY) > 0, (sort & IMAGES) > 0
            networks += (sort & NETWORK) > 0
            only_share = only_share and (sort & (NETWORK | SHARE)) > 0
            cookies += (sort & COOKIE) > 0
            if sort & CONSENT:
                bit = np.uint64(1) << (np.uint64(at) & np.uint64(63))
                consents += (seen_consent & bit) == 0
                seen_consent |= bit
            word = START
            in_word = False
        if i <= b and kind == 4:
            last = code
            slash |= code == 47
            if (code == 58 or code == 0xFF1A) and before_colon == 0 and letters > 0:
                before_colon = mix64(h)
    ended = last == 46 or last == 33 or last == 63 or last == 58 or last == 59 or last == 44 or last == 41 or last == 34
    found[0] = mix64(h) if letters > 0 else np.uint64(0)
    found[1] = np.uint64(ended or last == 123 or last == 125 or last == 62 or last == 61 or last == 0x201D)
    if letters == 0:
        return np.int64(-1)
    if chars <= KEY_CHARS:
        at = _slot(keys, mix64(h))
        if at >= 0 and kinds[at] & WHOLE and not (ended and words == 1):  # the end of a sentence, or of a wrapped line
            return np.int64(whole_rules[at])
    if before_colon != 0 and chars <= TEASER_CHARS:
        at = _slot(keys, before_colon)
        if at >= 0 and kinds[at] & COLON and (colon_rules[at] != credit or chars <= CREDIT_CHARS):
            return np.int64(colon_rules[at])
    if slash and (agency or (images and before_agency)) and chars <= CREDIT_CHARS and words <= CREDIT_WORDS:
        return np.int64(credit)
    if only_share and networks > 0 and words > 1:
        return np.int64(-2)
    if cookies > 0 and consents > 2 and chars <= NOTICE_CHARS:
        return np.int64(-3)
    return np.int64(-1)


@kernel
def _is_separator(data, a, b):
    """Whether a line is one mark of = - _ ~ # . over and over."""
    while b > a and data[b - 1] <= 32:
        b -= 1
    mark = data[a]
    if b - a < SEPARATOR_CHARS or not (
        mark == 61 or mark == 45 or mark == 95 or mark == 126 or mark == 35 or mark == 46
    ):
        return False
    same = True
    for i in range(a + 1, b):
        same = same and data[i] == mark
    return same


@kernel
def judge_lines(data, start, end, table, keys, kinds, whole_rules, colon_rules, numbers, rules, worded):
    """Fills rules (the rule that each line breaks, or -1) and worded (whether a line has a letter or digit); how many
    lines data[start:end] has. numbers: the rules of share, cookie, repeated, separator and credit; keys and what
    follows: `cut_lines`."""
    found = np.zeros(2, np.uint64)
    before = np.uint64(0)
    n = 0
    a = start
    fenced, blank = False, True  # blank: whether the line before is
    while a < end:
        b = a
        cells = words = False  # cells: a row of a table: a tab stands behind words, or pipes at both ends and between
        pipes = 0
        while b < end and data[b] != 10:
            cells |= words and data[b] == 9
            pipes += data[b] == 124
            words |= data[b] > 32
            b += 1
        cells |= pipes > 2 and data[a] == 124 and data[b - 1] == 124
        rule = _rule_of(data, a, b, table, keys, kinds, whole_rules, colon_rules, numbers[4], found)
        if b - a > 2 and data[a] == 96 and data[a + 1] == 96 and data[a + 2] == 96:
            fenced = not fenced
        if found[0] == 0 and blank and _is_separator(data, a, b):
            rule = numbers[3]
        blank = not words
        if cells or fenced:
            rule = np.int64(-1)
            found[1] = 1
        if rule == -2:
            rule = numbers[0]
        elif rule == -3:
            rule = numbers[1]
        elif rule == -1 and found[0] != 0 and found[0] == before and found[1] == 0 and data[a] > 32:
            rule = numbers[2]
        if found[0] != 0:
            before = found[0]
        rules[n] = rule
        worded[n] = found[0] != 0
        n += 1
        a = b + 1
    return n


@kernel
def cut_lines(data, offsets, chosen, table, keys, kinds, whole_rules, colon_rules, numbers, on):
    """UTF-8 bytes and (rows + 1,) offsets of the texts that are left, and (rows, rules) int64: lines cut by rule.

    A text with chosen[r] false, and one of which no line with a word would be left, comes back as it is. keys (uint64,
    a power of two, 0: free), kinds, whole_rules, colon_rules (uint8): the open-addressed table of the phrases; numbers
    (5,): the rules of share, cookie, repeated, separator and credit; on (rules,) bool: the rules in force.
    """
    rows = offsets.size - 1
    counts = np.zeros((rows, on.size), np.int64)
    out = np.empty(max(offsets[rows] - offsets[0], 1), np.uint8)
    bounds = np.zeros(rows + 1, np.int64)
    longest = 0
    for r in range(rows):
        longest = max(longest, offsets[r + 1] - offsets[r])
    rules = np.empty(longest + 1, np.int8)
    worded = np.empty(longest + 1, np.bool_)
    o = 0
    for r in range(rows):
        start, end = offsets[r], offsets[r + 1]
        cut = words_stay = False
        lines = 0
        if chosen[r]:
            lines = judge_lines(data, start, end, table, keys, kinds, whole_rules, colon_rules, numbers, rules, worded)
            for n in range(lines):
                if rules[n] >= 0 and on[rules[n]]:
                    cut = True
                elif worded[n]:
                    words_stay = True
        if not (cut and words_stay):
            o = copied(out, o, data, start, end)
            bounds[r + 1] = o
            continue
        first = o
        blank = True  # whether the last line that stayed is blank, or none has stayed
        after_cut = False  # whether the line before was cut: then a blank line is one too many
        a = start
        for n in range(lines):
            b = a
            empty = not worded[n]
            while b < end and data[b] != 10:
                empty = empty and data[b] <= 32
                b += 1
            stop = min(b + 1, end)
            if rules[n] >= 0 and on[rules[n]]:
                counts[r, rules[n]] += 1
                after_cut = True
            elif not (empty and blank and after_cut):
                o = copied(out, o, data, a, stop)
                blank, after_cut = empty, False
            a = b + 1
        while o > first and out[o - 1] <= 32:
            o -= 1
        bounds[r + 1] = o
    return out[:o], bounds, counts
