"""Decides line by line what C4's code would drop (tensorflow_datasets, c4_utils.py; arXiv:1910.10683, sec. 2.2)."""

import numpy as np

from gristmill.pipeline.kernels.compiled import inlined, kernel
from gristmill.pipeline.kernels.text.characters import DECIMAL, SPACE, TERMINAL
from gristmill.pipeline.kernels.text.code_points import hash_points, hash_text

# Fates of a line, in the order in which the rules are asked. LOREM and CURLY cost C4 the whole page.
LONG_WORD, UNENDED, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT_LINE, CURLY, POLICY_LINE, KEPT = range(8)

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
# Found in every text that holds one of them; the Kelvin sign is a k.
MAY_HOLD_PHRASE = r"(?i-u:ipsum|javascript|of use|policy|cookies)|(?i-u:coo)\x{212A}ies"
LOREM, JAVASCRIPT, POLICY, BRACE = 1, 2, 4, 8
PHRASE_BITS = np.array([LOREM, JAVASCRIPT] + [POLICY] * 6, np.uint8)
PHRASE_TEXT = np.frombuffer("".join(PHRASES).encode(), np.uint8)
PHRASE_ENDS = np.cumsum([len(p) for p in PHRASES])
DOT, BRACKET, CLOSING, CURLY_BRACE = 0x2E, 0x5B, 0x5D, 0x7B
EDIT, CITATION_NEEDED = hash_text("[edit]"), hash_text("[citation needed]")

# Settings of `judge`: longest word, end marks (0 none, 1 C4's, 2 of any script), fewest words (-1: off, in either),
# whether lines on javascript and on policies fall, whether citation marks are taken off.
MAX_WORD, MARKS, MIN_WORDS, NO_JAVASCRIPT, NO_POLICY, NO_CITATIONS = range(6)
C4_SETTINGS = np.array([1000, 1, 3, 1, 1, 1], np.int64)


@kernel
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


@inlined
def may_start(points, i):
    """Whether the two letters at `i` begin one of the phrases (the Kelvin sign cannot be among them)."""
    c, d = points[i], points[i + 1]
    return (c | d) < 128 and (FIRST_LETTER[c] & SECOND_LETTER[d]) != 0


@kernel
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


@kernel
def line_phrases(points, a, b):
    """Bits of the phrases in [a, b), BRACE for an opening curly brace."""
    found = 0
    for i in range(a, b - 1):
        if may_start(points, i):
            found |= phrases_at(points, i, b)
        elif points[i] == CURLY_BRACE:
            found |= BRACE
    return found | BRACE if b > a and points[b - 1] == CURLY_BRACE else found


@kernel
def citation_end(points, kinds, i, b):
    """End of the citation mark at `i`: [12], [], [edit], [citation needed]; `i` where there is none."""
    k = i + 1
    while k < b and kinds[k] & DECIMAL:
        k += 1
    if k < b and points[k] == CLOSING:
        return k + 1
    for length, h in ((6, EDIT), (17, CITATION_NEEDED)):
        if i + length <= b and hash_points(points, i, i + length) == h:
            return i + length
    return i


@kernel
def without_citations(points, kinds, a, b, out):
    """Copies [a, b) without citation marks; returns the length and the place of the last character copied (or -1)."""
    n, last = 0, -1
    i = a
    while i < b:
        if points[i] == BRACKET:
            k = citation_end(points, kinds, i, b)
            if k > i:
                i = k
                continue
        out[n] = points[i]
        last = i
        n += 1
        i += 1
    return n, last


@kernel
def judge(points, kinds, a, b, settings, scratch):
    """Fate of the stripped line [a, b), and its length without citation marks where it has some: `scratch` then
    holds it; else -1.
    """
    words, longest, start = 0, 0, a
    for i in range(a, b):
        if kinds[i] & SPACE:
            words += i > start
            longest = max(longest, i - start)
            start = i + 1
    words += b > start
    longest = max(longest, b - start)
    return fate_of(points, kinds, a, b, words, longest, True, True, settings, scratch)


@kernel
def fate_of(points, kinds, a, b, words, longest, cited, phrases, settings, scratch):
    """As `judge`, of a line whose words are counted. longest: characters of the longest; cited, phrases: whether the
    line may hold a citation mark, and a phrase or brace."""
    if settings[MAX_WORD] >= 0 and longest > settings[MAX_WORD]:
        return LONG_WORD, -1
    text, start, end, last, left = points, a, b, b - 1, -1
    if cited and settings[NO_CITATIONS]:
        bracket = False
        for i in range(a, b):
            bracket |= points[i] == BRACKET
        if bracket:
            left, last = without_citations(points, kinds, a, b, scratch)
            if left == b - a:
                left = -1
            else:
                text, start, end = scratch, 0, left
    if settings[MARKS] > 0:
        if end == start:
            return UNENDED, left
        c = text[end - 1]
        ended = c == DOT or c == 0x3F or c == 0x21 or c == 0x22 or c == 0x27
        if settings[MARKS] == 2:
            ended |= (kinds[last] & TERMINAL) != 0
        if not ended or (end - start > 2 and c == DOT and text[end - 2] == DOT and text[end - 3] == DOT):
            return UNENDED, left
    if words < settings[MIN_WORDS]:
        return FEW_WORDS, left
    found = line_phrases(text, start, end) if phrases else 0
    if found & LOREM:
        return LOREM_IPSUM, left
    if found & JAVASCRIPT and settings[NO_JAVASCRIPT]:
        return JAVASCRIPT_LINE, left
    if found & BRACE:
        return CURLY, left
    if found & POLICY and settings[NO_POLICY]:
        return POLICY_LINE, left
    return KEPT, left
