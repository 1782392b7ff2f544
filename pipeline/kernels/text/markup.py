"""One pass over a page's UTF-8 bytes: where words of interest stand, and how much work its tags could make a parser do.

A tag scanner, not a parser: it knows quotes, comments and raw text elements, nothing else. Words are sought in text,
comments, ld+json, the tags a, area, link, meta and script, and others with rel, property or itemprop. It overestimates
depth and formatting: its answers decide what is too risky to hand to a native parser.
"""

from dataclasses import dataclass

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.page.needles import LOWER, Needles, find_words, first_word, perfect_factor
from gristmill.pipeline.kernels.signs import next_byte

TAG, META, COMMENT, SCRIPT = 1, 2, 3, 4  # regions of a span; SCRIPT: ld+json only
# Words in text that are kept from either end of a page: a footer counts as much as a header. A power of two.
TEXT_HITS = 512
SPANS = 256  # of a page, as a rule; more take a second pass
_NAMES = 1024  # buckets that count open elements by name

_VOID = b"area base br col embed hr img input link meta param source track wbr keygen frame basefont bgsound".split()
# never nest by themselves: a second one closes the first
_FLAT = b"html head body p li dt dd tr td th thead tbody tfoot colgroup caption option optgroup rp rt rb rtc".split()
_FORMATTING = b"a b big code em font i nobr s small strike strong tt u".split()
_RAW = b"script style textarea title xmp iframe noembed noframes".split()


def _name_key(name: bytes) -> int:
    key = 0
    for byte in name:
        key = (key * 31 + byte) & 0xFFFFFFFF
    return key


_IS_VOID, _IS_FLAT, _IS_FORMATTING, _IS_RAW, _IS_SEARCHED, _IS_ROOT, _IS_META, _IS_SCRIPT = (1 << i for i in range(8))
_IS_TABLE, _IS_ROW, _IS_CELL, _IS_HEADING, _IS_CONTROL, _IS_COMPOSED = (1 << i for i in range(8, 14))
_ELEMENTS = (
    (_IS_VOID, _VOID), (_IS_FLAT, _FLAT), (_IS_FORMATTING, _FORMATTING), (_IS_RAW, _RAW),
    (_IS_SEARCHED, b"a area link meta script".split()), (_IS_ROOT, [b"html", b"body"]), (_IS_META, [b"meta"]),
    (_IS_SCRIPT, [b"script"]), (_IS_TABLE, [b"table"]), (_IS_ROW, [b"tr"]), (_IS_CELL, [b"td", b"th"]),
    (_IS_HEADING, [b"th", b"caption"]), (_IS_CONTROL, b"form textarea select iframe object embed h1 h2 pre".split()),
    (_IS_COMPOSED, b"br p div li dd h3 h4 img svg i input script style noscript button".split()),
)  # fmt: skip
_OPTION, _OPTGROUP = _name_key(b"option"), _name_key(b"optgroup")
_PRE = _name_key(b"pre")
_FIGURE = (_name_key(b"figure") * 2654435761 & 0xFFFFFFFF) >> 22  # its bucket of open elements
# Cells of the smallest table of data with headings, and of one without: three rows of two
CELLS, BARE_CELLS = 4, 6
_NAME_FACTOR = np.uint32(perfect_factor(sorted({_name_key(name) for _, names in _ELEMENTS for name in names})))
_NAME_KEYS, _NAME_KINDS = np.zeros(4096, dtype=np.uint32), np.zeros(4096, dtype=np.uint16)
for _kind, _names in _ELEMENTS:
    for _key in map(_name_key, _names):
        _slot = (_key * int(_NAME_FACTOR) & 0xFFFFFFFF) >> 20
        _NAME_KEYS[_slot] = _key
        _NAME_KINDS[_slot] |= _kind


@dataclass(frozen=True)
class Scan:
    """`words`: (n, 2) int32: offset and index of the needles in text, at most TEXT_HITS from either end of the page.
    `spans`: (n, 4) int32: first byte, end, region and first needle of each tag, meta, comment and ld+json script that
    has one, or of a meta with a character reference the number of needles; a tag from its name on, a script without its
    tags.

    `depth`: most elements open at once; `attributes`: most in one tag, of html and body in all tags together;
    `formatting`: how many elements a parser could be made to reopen because formatting tags were left open;
    `options`: option and optgroup tags, each of which a parser may compare with all others of its select.

    `tables`: tables without a table in them that may hold data: enough cells, no form, no main heading; `composed`:
    those of them with more than text in a cell; `pres`: pre tags; `figured`: table and pre tags in a figure.
    """

    words: np.ndarray
    spans: np.ndarray
    depth: int
    attributes: int
    formatting: int
    options: int = 0
    tables: int = 0
    composed: int = 0
    pres: int = 0
    figured: int = 0


def scan_markup(page: bytes, needles: Needles) -> Scan:
    """`page`: UTF-8, though any bytes do."""
    words = np.empty((2 * TEXT_HITS, 2), dtype=np.int32)
    tables = (needles.keys, needles.factor, needles.first, needles.words, needles.chain)
    room = SPANS
    while True:  # an array that the kernel makes larger itself costs it four times its time
        spans = np.empty((room, 4), dtype=np.int32)
        n, spans_n, *counts = _scan(np.frombuffer(page, dtype=np.uint8), LOWER, *tables, words, spans)
        if spans_n <= room:
            break
        room = spans_n
    if n > 2 * TEXT_HITS:  # the second half was written around
        words[TEXT_HITS:] = np.roll(words[TEXT_HITS:], -(n % TEXT_HITS), axis=0)
    return Scan(words[:n], spans[:spans_n].copy(), *counts)


@kernel
def _has_marker(page, lower, words, chain, start, stop):
    """Whether the first of all words stands in [start, stop)."""
    length = chain[0, 0]
    for i in range(start, stop - length + 1):
        k = 0
        while k < length and lower[page[i + k]] == words[0, k]:
            k += 1
        if k == length:
            return True
    return False


@kernel
def _add_span(spans, n, start, stop, region, word):
    """One more row, where there is room; how many there would be."""
    if n < spans.shape[0]:
        spans[n, 0], spans[n, 1], spans[n, 2], spans[n, 3] = start, stop, region, word
    return n + 1


@kernel
def _names_property(page, lower, at):
    """Whether an attribute begins as rel, property and itemprop do."""
    key = 0
    for i in range(at, min(at + 3, page.size)):
        key = key << 8 | lower[page[i]]
    return key == 0x72656C or key == 0x70726F or key == 0x697465


@kernel
def _is_mark(page, start, stop):
    """Whether a text begins with a mark of U+25C0 to U+277F (ticks, crosses, circles, stars), also as a reference."""
    while start < stop and page[start] <= 32:
        start += 1
    if start + 2 >= stop:
        return False
    if page[start] == 0xE2:
        return 0x97 <= page[start + 1] <= 0x9D
    if page[start] != 38:  # &check; &cross; &#10003; &#x2713;
        return False
    second, third = page[start + 1], page[start + 2]
    return (second == 99 and (third == 104 or third == 114)) or (
        second == 35 and (third == 49 or third == 120 or third == 88) and start + 7 < stop and page[start + 7] == 59
    )


@kernel
def _has_reference(page, start, stop):
    """Whether a letter may be written as a character reference: &# in [start, stop)."""
    found = False
    for i in range(start, stop - 1):
        found |= page[i] == 38 and page[i + 1] == 35
    return found


@kernel
def _scan(page, lower, keys, factor, first, words, chain, hits, spans):
    size = page.size
    spans_n = 0
    opened = np.zeros(_NAMES, dtype=np.int32)
    n = depth = deepest = attributes = root_attributes = formatting = open_formatting = options = 0
    tables = composed = pres = figured = cells = rows = parts = 0
    in_table = headed = ruled_out = False
    i = text = 0
    while i < size:
        if page[i] != 60:  # <
            i += 1
            continue
        if i + 1 >= size:
            break
        c = lower[page[i + 1]]
        if not (97 <= c <= 122 or c == 47 or c == 33 or c == 63):  # letter / ! ?
            i += 1
            continue
        if in_table and text < i and _is_mark(page, text, i):
            parts += 1
        n = find_words(page, lower, keys, factor, first, words, chain, text, i, hits, n)
        if c == 33 or c == 63 or (c == 47 and (i + 2 >= size or not 97 <= lower[page[i + 2]] <= 122)):
            start = i
            if i + 3 < size and c == 33 and page[i + 2] == 45 and page[i + 3] == 45:
                i = next_byte(page, i + 2, 62)
                while i < size and not (
                    (page[i - 1] == 45 and page[i - 2] == 45 and i >= start + 4)
                    # --!> (WHATWG HTML, 13.2.5.52)
                    or (page[i - 1] == 33 and page[i - 2] == 45 and page[i - 3] == 45 and i >= start + 7)
                ):
                    i = next_byte(page, i + 1, 62)
                word = first_word(page, lower, keys, factor, first, words, chain, start, i)
                if word >= 0:
                    spans_n = _add_span(spans, spans_n, start, i, COMMENT, word)
            else:
                while i < size and page[i] != 62:
                    i += 1
            i += 1
            text = i
            continue
        closing = c == 47
        i += 2 if closing else 1
        start = i
        key = 0
        while i < size:
            c = lower[page[i]]
            if c == 32 or c == 62 or c == 47 or (9 <= c <= 13):
                break
            key = (key * 31 + c) & 0xFFFFFFFF
            i += 1
        # attributes up to the closing >
        count = 0
        names_property = False
        between, after_equals = True, False
        while i < size:
            c = page[i]
            if c == 62:
                break
            if c == 32 or c == 47 or (9 <= c <= 13):
                between = True
            elif c == 61 and not between:
                after_equals = True
            elif after_equals and (c == 34 or c == 39):
                i += 1
                while i < size and page[i] != c:
                    i += 1
                between, after_equals = True, False
            else:
                if between and not after_equals:
                    count += 1
                    names_property |= _names_property(page, lower, i)
                between, after_equals = False, False
            i += 1
        stop = min(i, size)
        i += 1
        text = i
        bucket = (key * 2654435761 & 0xFFFFFFFF) >> 22
        slot = np.uint32(np.uint32(key) * _NAME_FACTOR) >> np.uint32(20)
        kind = _NAME_KINDS[slot] if _NAME_KEYS[slot] == key else 0
        attributes = max(attributes, count)  # an end tag's are parsed as well
        if closing:
            if in_table and kind & _IS_TABLE:
                in_table = False
                if not ruled_out and cells >= (CELLS if headed else BARE_CELLS) and (headed or cells >= 2 * rows):
                    tables += 1
                    composed += parts > 0
            if opened[bucket] > 0:
                opened[bucket] -= 1
                if kind & _IS_FORMATTING:
                    open_formatting -= 1
                    formatting += open_formatting
                depth -= 1
            continue
        if kind & _IS_TABLE:
            in_table, headed, ruled_out = True, False, False
            cells = rows = parts = 0
        elif in_table:
            cells += (kind & _IS_CELL) > 0
            rows += (kind & _IS_ROW) > 0
            headed |= (kind & _IS_HEADING) > 0
            ruled_out |= (kind & _IS_CONTROL) > 0
            # an element without content is an icon
            parts += (kind & _IS_COMPOSED) > 0 or (
                not kind & _IS_FLAT and i + 1 < size and page[i] == 60 and page[i + 1] == 47
            )
        region = META if kind & _IS_META else TAG
        if kind & _IS_SEARCHED or names_property:
            word = first_word(page, lower, keys, factor, first, words, chain, start, stop)
            if word < 0 and region == META and _has_reference(page, start, stop):
                word = np.int64(words.shape[0])
            if word >= 0:
                spans_n = _add_span(spans, spans_n, start, stop, region, word)
        formatting += open_formatting
        if kind & _IS_RAW:
            # to the matching end tag; the content of ld+json is searched, any other is not
            body = j = i
            found, length = False, 0
            while start + length < size and 97 <= lower[page[start + length]] <= 122:
                length += 1
            j = next_byte(page, j, 60)  # <
            while not found and j + 2 + length <= size:
                if page[j + 1] == 47:
                    k = 0
                    while k < length and lower[page[j + 2 + k]] == lower[page[start + k]]:
                        k += 1
                    found = k == length
                j = j + 1 if found else next_byte(page, j + 1, 60)
            j = j - 1 if found else size
            if kind & _IS_SCRIPT and _has_marker(page, lower, words, chain, start, stop):
                word = first_word(page, lower, keys, factor, first, words, chain, body, j)
                if word >= 0:
                    spans_n = _add_span(spans, spans_n, body, j, SCRIPT, word)
            while j < size and page[j] != 62:
                j += 1
            i = j + 1
            text = i
        elif kind & _IS_FLAT:
            if key == _OPTION or key == _OPTGROUP:  # noqa: SIM109 (what numba compiles)
                options += 1
            if kind & _IS_ROOT:
                root_attributes += count  # a parser adds those of every further tag to the first
        elif not kind & _IS_VOID:
            opened[bucket] += 1
            depth += 1
            deepest = max(deepest, depth)
            pres += key == _PRE
            if opened[_FIGURE] > 0 and (key == _PRE or kind & _IS_TABLE):
                figured += 1
            if kind & _IS_FORMATTING:
                open_formatting += 1
    if text < size:
        n = find_words(page, lower, keys, factor, first, words, chain, text, size, hits, n)
    return n, spans_n, deepest, max(attributes, root_attributes), formatting, options, tables, composed, pres, figured
