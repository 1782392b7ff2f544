"""Finds, in one pass over UTF-8 bytes, the places that may hold personal data; what they are is checked elsewhere.

Needles: "@" between name characters; a run of digit groups joined by single separators; colons between hexadecimal
digits; and words of capitals and digits. No place is longer than LONGEST bytes, so that checks cost what they find.
"""

from functools import cache

import numpy as np

from gristmill.pipeline.kernels.compiled import inlined, kernel

MAIL, NUMBER, COLONS, CODE = 0, 1, 2, 3
LONGEST = 320  # bytes; RFC 3696 erratum 1690: an address has at most 254
MIN_DIGITS = 6  # of a number worth a look: 1.1.1.1 has fewer, but a dotted quad is always looked at

DIGIT, UPPER, LOWER, NAME, HEX, JOIN, OTHER, NEEDLE = 1, 2, 4, 8, 16, 32, 64, 128
# The first letters of all words for telephones of classifiers/pii/phones.py that are ASCII. The first two may stand
# inside of a word (Funktelefon, Faxrufnummer), a space stands for any sign.
_INSIDE = 2
_SAID = np.array(
    [
        [ord(c) if c != " " else 0 for c in word]
        for word in (
            "tel", "ruf", "ph ", "fon", "fax", "fak", "mob", "cel", "han", "tlf", "hot", "wha", "sms", "gsm", "cal",
            "con", "kon", "dia", "rin", "tex", "at ", "num", "rea", "app", "lla",
        )
    ],
    dtype=np.uint8,
)  # fmt: skip


@cache
def byte_classes() -> np.ndarray:
    """(256,) uint8 bit sets: digits, letters, characters of mail names, hexadecimal digits, separators of numbers,
    and where a place may begin."""
    table = np.zeros(256, np.uint8)
    for code in range(256):
        char = chr(code)
        if code >= 0x80:
            table[code] = OTHER
            continue
        table[code] |= DIGIT * char.isdigit() | UPPER * char.isupper() | LOWER * char.islower()
        table[code] |= NAME * (char.isalnum() or char in ".!#$%&'*+/=?^_`{|}~-")  # RFC 5322, atext and dot
        table[code] |= NEEDLE * (char.isdigit() or char.isupper() or char in "@:")
        table[code] |= HEX * (char in "0123456789abcdefABCDEF") | JOIN * (char in " -./()+")
    table.setflags(write=False)
    return table


@kernel
def _larger(found):
    bigger = np.empty((2 * found.shape[0], 4), np.int64)
    bigger[: found.shape[0]] = found
    return bigger


@kernel
def _mail(data, at, start, end, classes):
    """Bounds of what may be an address around the "@" at `at`; equal ones where it cannot be."""
    a = at
    while a > start and at - a < 64 and classes[data[a - 1]] & (8 | 64):
        a -= 1
    b = at + 1
    dots = 0
    while b < end and b - at < 255 and (classes[data[b]] & (1 | 2 | 4 | 64) or data[b] == 45 or data[b] == 46):
        dots += data[b] == 46
        b += 1
    if a == at or dots == 0:
        return at, at
    return a, b


@kernel
def _number(data, i, start, end, classes):
    """End of the chain of digit groups from i, its digits, and whether four groups are joined by dots alone."""
    digits, dots, others, b = 0, 0, 0, i
    while b < end:
        k = classes[data[b]]
        if k & 1:
            digits += 1
            b += 1
            continue
        # Up to two separators in a row, as in ") " or " (", and then a digit again.
        n = 0
        while b + n < end and n < 3 and classes[data[b + n]] & 32:
            n += 1
        if n == 0 or n == 3 or b + n >= end or not classes[data[b + n]] & 1 or digits > 40:
            break
        dots += n == 1 and data[b] == 46
        others += n > 1 or data[b] != 46
        b += n
    return b, digits, dots == 3 and others == 0


@kernel
def _may_be_said(data, start, i, classes):
    """Whether a word for telephones may stand in the line before i, or end the line above.

    True where the first letters of one do, or a character outside of ASCII: a necessary condition of the words in
    classifiers/pii/phones.py, whose expressions decide.
    """
    low = max(start, i - 60)
    if i > low and data[i - 1] == 10:
        i -= 1
    a = i
    while a > low and data[a - 1] != 10:
        a -= 1
    for j in range(a, i):
        if classes[data[j]] & 64:
            return True
        if j + 1 >= i or not classes[data[j]] & 6:
            continue
        x, y = data[j] | 32, data[j + 1] | 32
        z = data[j + 2] | 32 if j + 2 < i else 32
        word = j == low or not classes[data[j - 1]] & 7
        for w in range(len(_SAID)):
            same = x == _SAID[w][0] and y == _SAID[w][1] and (z == _SAID[w][2] or _SAID[w][2] == 0)
            if same and (word or w < _INSIDE):
                return True
    return False


@kernel
def _worth_a_look(data, start, end, a, i, b, figures, classes):
    """Whether the chain of `figures` digits from i to b ("(" and "+" from a) has a form that a check could accept.

    Shorter ones than nine digits are telephone numbers only behind a word or "+", ids only with a letter or sign.
    """
    if figures >= 9 or (figures > 6 and a < i and (data[a] == 43 or data[i - 1] == 43)):
        return True
    following = data[b] if b < end else 32
    if figures <= 6:
        return figures == 6 and following == 65  # 131052A308T
    if following == 45 and b + 1 < end:
        following = data[b + 1]
    if classes[following] & 6 or (figures == 8 and data[b - 2] == 45):  # 12345678-Z, 1.234.567-8
        return True
    return _may_be_said(data, start, a, classes)


@kernel
def find_places(data, offsets, classes):
    """(places, 4) int64: text, first byte, byte after the last (both in `data`), kind; in text order, may overlap."""
    found = np.empty((4096, 4), np.int64)
    n = 0
    for d in range(offsets.size - 1):
        filled = _places_of(data, offsets, d, classes, found, n)
        while filled < 0:
            found = _larger(found)
            filled = _places_of(data, offsets, d, classes, found, n)
        n = filled
    return found[:n].copy()


@kernel
def _places_of(data, offsets, d, classes, found, n):
    """Writes the places of one text behind the first n; how many there are then, -1 where they need more room.

    An array that may be replaced inside of the loop over bytes makes the loop twenty times slower.
    """
    start, end = offsets[d], offsets[d + 1]
    i = start
    colons = start  # end of the last place with colons
    while i < end:
        c = data[i]
        k = classes[c]
        if not k & 128:
            i += 1
            continue
        if n + 2 > found.shape[0]:
            return -1
        if c == 64:
            a, b = _mail(data, i, start, end, classes)
            if b > a:
                found[n, 0], found[n, 1], found[n, 2], found[n, 3] = d, a, b, 0
                n += 1
            i += 1
            continue
        if c == 58:
            if i >= colons and i > start and i + 1 < end:
                near = classes[data[i - 1]] & 16 or data[i - 1] == 58
                if near and (classes[data[i + 1]] & 16 or data[i + 1] == 58):
                    a = i
                    while a > start and i - a < 6 and (classes[data[a - 1]] & 16 or data[a - 1] == 58):
                        a -= 1
                    b, pairs = i, 0
                    while b < end and b - i < 46 and (classes[data[b]] & 16 or data[b] == 58 or data[b] == 46):
                        pairs += data[b] == 58
                        b += 1
                    colons = b
                    if pairs >= 2:
                        found[n, 0], found[n, 1], found[n, 2], found[n, 3] = d, a, b, 2
                        n += 1
            i += 1
            continue
        if i > start and classes[data[i - 1]] & (1 | 2 | 4 | 64):
            i += 1
            continue
        # A word of capitals and digits with both in it: as an IBAN begins, or as long as an id.
        b, capitals, figures = i, 0, 0
        while b < end and classes[data[b]] & (1 | 2):
            capitals += classes[data[b]] >> 1 & 1
            figures += classes[data[b]] & 1
            b += 1
        if capitals and figures >= 2 and b - i >= 4 and (b == end or not classes[data[b]] & (4 | 64)):
            iban = k & classes[data[i + 1]] & 2 and classes[data[i + 2]] & classes[data[i + 3]] & 1
            if iban or b - i == 9 or b - i == 11 or b - i == 16 or b - i == 18:
                found[n, 0], found[n, 1], found[n, 2], found[n, 3] = d, i, b, 3
                n += 1
        if k & 1:
            b, figures, quad = _number(data, i, start, end, classes)
            a = i
            while a > start and i - a < 2 and (data[a - 1] == 40 or data[a - 1] == 43):  # "(" and "+"
                a -= 1
            if figures <= 40 and (quad or _worth_a_look(data, start, end, a, i, b, figures, classes)):
                found[n, 0], found[n, 1], found[n, 2], found[n, 3] = d, a, b, 1
                n += 1
        i = max(b, i + 1)
    return n


@kernel
def unsafe_or_line_ends(data, offsets):
    """(texts,) bool: whether a text may hold a control character, a bidi control or another line end than a line feed.

    A necessary condition by first bytes; the expressions in stages/pii.py decide.
    """
    out = np.zeros(offsets.size - 1, np.bool_)
    for d in range(offsets.size - 1):
        text = data[offsets[d] : offsets[d + 1]]
        n = text.size
        found = np.uint8(0)
        for i in range(n - 2):  # without branches: the compiler looks at many bytes at a time
            found |= np.uint8(_may_be_unsafe(text[i], text[i + 1], text[i + 2]))
        for i in range(max(0, n - 2), n):
            found |= np.uint8(_may_be_unsafe(text[i], text[i + 1] if i + 1 < n else np.uint8(32), np.uint8(32)))
        out[d] = found
    return out


@inlined
def _may_be_unsafe(c, after, last):
    return (
        ((c < 32) & (c != 9) & (c != 10))
        | (c == 127)
        | ((c == 0xC2) & (after < 0xA0))  # U+0080 to U+009F
        | ((c == 0xE2) & (after == 0x80) & (last >= 0xAA) & (last <= 0xAE))  # U+202A to U+202E
        | ((c == 0xE2) & (after == 0x81) & (last >= 0xA6) & (last <= 0xA9))  # U+2066 to U+2069
        | ((c == 0xEF) & ((after == 0xB7) | (after == 0xBF)) & (last >= 0x90))  # U+FDD0, U+FFF9 on
        | ((c == 0xF3) & (after == 0xA0))  # tags
    )


@kernel
def put_together(data, offsets, spans, marks, mark_offsets):
    """UTF-8 bytes and (texts + 1,) offsets of the texts with each span replaced by its mark.

    spans (n, 4) int64: text, first byte, byte after the last (in `data`), number of the mark; in order, apart.
    """
    texts = offsets.size - 1
    size = offsets[texts] - offsets[0]
    for s in range(spans.shape[0]):
        m = spans[s, 3]
        size += mark_offsets[m + 1] - mark_offsets[m] - (spans[s, 2] - spans[s, 1])
    out = np.empty(size, np.uint8)
    bounds = np.zeros(texts + 1, np.int64)
    o, s = 0, 0
    for d in range(texts):
        i = offsets[d]
        while s < spans.shape[0] and spans[s, 0] == d:
            a, b, m = spans[s, 1], spans[s, 2], spans[s, 3]
            out[o : o + a - i] = data[i:a]
            o += a - i
            length = mark_offsets[m + 1] - mark_offsets[m]
            out[o : o + length] = marks[mark_offsets[m] : mark_offsets[m + 1]]
            o += length
            i = b
            s += 1
        out[o : o + offsets[d + 1] - i] = data[i : offsets[d + 1]]
        o += offsets[d + 1] - i
        bounds[d + 1] = o
    return out, bounds
