"""Reads a tag's attributes and finds where raw text ends (WHATWG HTML, 13.2.5), with what main content is judged by."""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_part
from gristmill.pipeline.kernels.html.class_names import (
    ARTICLE,
    CLASSES,
    COMMENTS,
    DEEP,
    FURNITURE,
    HIDDEN,
    LOGO,
    MAIN,
    MAIN_SHIFT,
    OF_ANY_CASE,
    OF_BOTH,
    OF_CLASS,
    OF_ID,
    OF_STYLE,
    SKIP_LINK,
    SPINNER,
    STATES,
)  # fmt: skip
from gristmill.pipeline.kernels.html.references import resolve
from gristmill.pipeline.kernels.signs import next_byte

# Flags of a node: of an element what its attributes say, of a text how it begins and ends.
(DROPPED, NAMED, IS_SKIP_LINK, IS_DEEP, IS_BEFORE, IS_ARTICLE, IS_FURNITURE, HAS_CHILD, LEADS, TRAILS, SIGN) = (
    1 << i for i in range(11)
)  # fmt: skip
MAINS = 12  # the shift of the number of main selectors that an element fits
# What a read tag leaves beside its flags
(AFTER, FLAGS, CLOSED_ITSELF, UNSURE, LANG, LANG_END, IS_HIDDEN_INPUT, NAME, NAME_END, VALUE, VALUE_END) = range(11)
FOUND = 16
# Bytes at which a name ends (13.2.5.33)
SPACE, SLASH, END, EQUALS = 1, 2, 4, 8
BYTES = np.zeros(256, dtype=np.uint8)
BYTES[[9, 10, 12, 13, 32, 47, 62, 61]] = *[SPACE] * 5, SLASH, END, EQUALS


def _pad(*values: bytes) -> np.ndarray:
    """(n, 24) uint8: values of up to 23 bytes, and in the last column how many each has."""
    out = np.zeros((len(values), 24), dtype=np.uint8)
    for i, value in enumerate(values):
        out[i, : len(value)] = np.frombuffer(value, dtype=np.uint8)
        out[i, 23] = len(value)
    return out


(_CLASS, _ID, _ROLE, _REL, _ITEMPROP, _HIDDEN, _ARIA_HIDDEN, _ARIA_EXPANDED, _STYLE, _AD, _ADVERTISEMENT, _TEXT_AD,
 _LANG, _XML_LANG, _TYPE) = range(15)  # fmt: skip
_NAMES = _pad(b"class", b"id", b"role", b"rel", b"itemprop", b"hidden", b"aria-hidden", b"aria-expanded", b"style",
                   b"data-ad", b"data-advertisement", b"data-text-ad", b"lang", b"xml:lang", b"type")  # fmt: skip
ATTRIBUTES = len(_NAMES)
_BY_LENGTH = np.full((20, 3), -1, dtype=np.int8)
for _i in range(len(_NAMES)):
    _row = _BY_LENGTH[_NAMES[_i, 23]]
    _row[np.argmax(_row < 0)] = _i
assert (_BY_LENGTH >= 0).sum() == len(_NAMES)
_RELS = _pad(b"author", b"icon", b"search", b"prev", b"next", b"tag")
_ITEMPROPS = _pad(b"datePublished", b"author", b"url")
_ROLES = _pad(
    b"alert", b"banner", b"checkbox", b"comment", b"complementary", b"contentinfo", b"dialog", b"img", b"menu",
    b"menubar", b"menuitem", b"navigation", b"presentation", b"radio", b"search", b"searchbox", b"separator", b"tab",
    b"toolbar", b"tooltip",
)  # fmt: skip
_SCRIPT, _CLOSE_SCRIPT = np.frombuffer(b"script", np.uint8), np.frombuffer(b"/script", np.uint8)
_MAIN, _TRUE, _FALSE = _pad(b"main"), _pad(b"true"), _pad(b"false")


@bare_part
def is_one_of(page, start, stop, values):
    """Whether page[start:stop] is one of the rows of `values` (_pad)."""
    for i in range(values.shape[0]):
        if values[i, 23] == stop - start:
            k = 0
            while k < stop - start and page[start + k] == values[i, k]:
                k += 1
            if k == stop - start:
                return True
    return False


@bare_part
def _attribute(page, lower, start, stop):
    """The number of an attribute that matters, or -1."""
    if stop - start >= 20:
        return np.int64(-1)
    for j in range(3):
        i = _BY_LENGTH[stop - start, j]
        if i < 0:
            break
        k = 0
        while k < stop - start and lower[page[start + k]] == _NAMES[i, k]:
            k += 1
        if k == stop - start:
            return np.int64(i)
    return np.int64(-1)


@bare_part
def _run(page, start, stop, tables, which, state):
    """The automaton's state behind page[start:stop], and the bits of what stands there."""
    mask = 0
    for i in range(start, stop):
        state = np.int64(tables[which, state, tables[which, STATES, CLASSES + page[i]]])
        mask |= tables[which, state, CLASSES - 2]
    return state, mask


@bare_part
def _found_in(page, spans, i, tables, which):
    """What stands in the value of an attribute."""
    state, mask = _run(page, spans[i, 0], spans[i, 1], tables, which, 0)
    return mask | tables[which, state, CLASSES - 1]


@bare_part
def _is(page, spans, i, values):
    return spans[i, 0] >= 0 and is_one_of(page, spans[i, 0], spans[i, 1], values)


@bare_part
def _ones(bits):
    n = np.int64(0)
    while bits:
        n += 1
        bits &= bits - 1
    return n


@bare_part
def _flags_of(page, spans, found, tables, quirks):
    """What class, id and the other attributes that were found say."""
    flags = 0
    if (
        spans[_HIDDEN, 0] >= 0 or _is(page, spans, _REL, _RELS) or _is(page, spans, _ITEMPROP, _ITEMPROPS)
        or _is(page, spans, _ARIA_HIDDEN, _TRUE) or _is(page, spans, _ARIA_EXPANDED, _FALSE)
    ):  # fmt: skip
        flags |= DROPPED
    if spans[_STYLE, 1] > spans[_STYLE, 0] and _found_in(page, spans, _STYLE, tables, OF_STYLE) & HIDDEN:
        flags |= DROPPED
    mains = np.int64(_is(page, spans, _ROLE, _MAIN))
    has_class, has_id = spans[_CLASS, 1] > spans[_CLASS, 0], spans[_ID, 1] > spans[_ID, 0]
    if has_class or has_id:
        flags |= NAMED
        if spans[_AD, 0] >= 0 or spans[_ADVERTISEMENT, 0] >= 0 or spans[_TEXT_AD, 0] >= 0:
            flags |= DROPPED
        if _is(page, spans, _ROLE, _ROLES):
            flags |= IS_BEFORE
        state, mask = np.int64(0), 0
        if has_class:
            said = _found_in(page, spans, _CLASS, tables, OF_CLASS)
            flags |= DROPPED if said & (HIDDEN | SPINNER) else 0
            flags |= IS_DEEP if said & DEEP else 0
            exact = _ones(said >> MAIN_SHIFT)
            if said & MAIN and quirks != 0:
                any_case = _ones(_found_in(page, spans, _CLASS, tables, OF_ANY_CASE) >> MAIN_SHIFT)
                found[UNSURE] |= quirks < 0 and any_case != exact
                exact = any_case
            mains += exact
            state, mask = _run(page, spans[_CLASS, 0], spans[_CLASS, 1], tables, OF_BOTH, 0)
        # class and id have a space between them, where one is missing, too
        state = np.int64(tables[OF_BOTH, state, tables[OF_BOTH, STATES, CLASSES + 32]])
        mask |= tables[OF_BOTH, state, CLASSES - 2]
        if has_id:
            state, behind = _run(page, spans[_ID, 0], spans[_ID, 1], tables, OF_BOTH, state)
            mask |= behind
            flags |= IS_FURNITURE if _found_in(page, spans, _ID, tables, OF_ID) & FURNITURE else 0
        mask |= tables[OF_BOTH, state, CLASSES - 1]
        flags |= DROPPED if mask & LOGO else 0
        flags |= IS_SKIP_LINK if mask & SKIP_LINK else 0
        flags |= IS_BEFORE if mask & COMMENTS else 0
        flags |= IS_ARTICLE if mask & ARTICLE else 0
        flags |= IS_FURNITURE if mask & FURNITURE else 0
    return flags | min(mains, 2) << MAINS


@bare_part
def _is_unsure(data, start, stop):
    """Whether a class or id has a letter or space beyond ASCII that resiliparse may take for one in ASCII."""
    for i in range(start, stop - 1):
        c, d = data[i], data[i + 1]
        # U+0085, U+00A0, long s, U+1680, U+3000
        if (
            (c == 0xC2 and (d == 0x85 or d == 0xA0))
            or (c == 0xC5 and d == 0xBF)
            or (c == 0xE1 and d == 0x9A)
            or (c == 0xE3 and d == 0x80)
        ):
            return True
        if c == 0xE2 and i + 2 < stop:  # U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, Kelvin
            e = data[i + 2]
            if (
                (d == 0x80 and (e <= 0x8A or e == 0xA8 or e == 0xA9 or e == 0xAF))
                or (d == 0x81 and e == 0x9F)
                or (d == 0x84 and e == 0xAA)
            ):
                return True
    return False


@bare_part
def _judged(data, spans, found, tables, quirks, used, slots, entries):
    """Sets what the attributes that were found say, their references resolved from data[used] on."""
    for i in range(_AD):
        refers = False
        for k in range(spans[i, 0], spans[i, 1]):
            refers |= data[k] == 38
        if refers:
            after = resolve(data, spans[i, 0], spans[i, 1], data, used, slots, entries, True)
            spans[i, 0], spans[i, 1] = used, after
            used = after
    found[UNSURE] = _is_unsure(data, spans[_CLASS, 0], spans[_CLASS, 1]) or _is_unsure(
        data, spans[_ID, 0], spans[_ID, 1]
    )
    found[FLAGS] = _flags_of(data, spans, found, tables, quirks)


@bare_part
def _next_attribute(page, i, found):
    """Reads an attribute from i on: found[NAME] to found[VALUE_END] tell where its name and value stand. What stands
    behind it, or behind the tag's > with found[AFTER] set; the size where the page ends before."""
    size = page.size
    found[CLOSED_ITSELF] = 0
    while i < size and BYTES[page[i]] & (SPACE | SLASH):
        found[CLOSED_ITSELF] = page[i] == 47
        i += 1
    if i < size and page[i] == 62:
        found[AFTER] = i + 1
        return i + 1
    found[NAME] = i
    i += 1
    while i < size and not BYTES[page[i]]:
        i += 1
    found[NAME_END] = i
    while i < size and BYTES[page[i]] & SPACE:
        i += 1
    found[VALUE] = found[VALUE_END] = i
    if i < size and page[i] == 61:
        i += 1
        while i < size and BYTES[page[i]] & SPACE:
            i += 1
        found[VALUE] = i
        if i < size and (page[i] == 34 or page[i] == 39):
            found[VALUE] += 1
            i = next_byte(page, i + 1, page[i])
            found[VALUE_END] = i
            return min(i + 1, size)
        while i < size and not BYTES[page[i]] & (SPACE | END):
            i += 1
        found[VALUE_END] = i
    return min(i, size)


@bare_part
def skip_tag(page, i, found):
    """What stands behind a tag whose attributes begin at i; found[AFTER] is -1 where the page ends in it."""
    found[AFTER] = -1
    while found[AFTER] < 0 and i < page.size:
        i = _next_attribute(page, i, found)
    return i


@bare_part
def read_tag(page, data, lower, i, tables, quirks, spans, found, used, slots, entries):
    """As skip_tag; found[FLAGS]: what the attributes say; found[UNSURE]: that is left to a parser. spans (15, 2): room
    for where values stand; their references are resolved from data[used] on."""
    found[AFTER] = -1
    found[UNSURE] = found[FLAGS] = found[IS_HIDDEN_INPUT] = 0
    found[LANG] = -1
    any_found = False
    while i < page.size:
        i = _next_attribute(page, i, found)
        if found[AFTER] >= 0:
            break
        which = _attribute(page, lower, found[NAME], found[NAME_END])
        if which < 0:
            continue
        if not any_found:
            spans[:, :] = -1
            any_found = True
        if spans[which, 0] < 0:
            spans[which, 0], spans[which, 1] = found[VALUE], found[VALUE_END]
    if not any_found or found[AFTER] < 0:
        return i
    which = _LANG if spans[_LANG, 1] > spans[_LANG, 0] else _XML_LANG
    found[LANG], found[LANG_END] = spans[which, 0], spans[which, 1]
    at = spans[_TYPE, 0]
    if at >= 0 and spans[_TYPE, 1] - at == 6:
        found[IS_HIDDEN_INPUT] = lower[page[at]] == 104 and lower[page[at + 5]] == 110
    _judged(data, spans, found, tables, quirks, used, slots, entries)
    return i


@bare_part
def raw_end(page, lower, i, name, length):
    """Where the end tag of raw text begins, by the name that stands at page[name:name + length]; the size if none."""
    size = page.size
    i = next_byte(page, i, 60)
    while i + 2 + length < size:
        if page[i + 1] == 47:
            k = 0
            while k < length and lower[page[i + 2 + k]] == lower[page[name + k]]:
                k += 1
            if k == length and BYTES[page[i + 2 + length]] & (SPACE | SLASH | END):
                return i
        i = next_byte(page, i + 1, 60)
    return np.int64(size)


@bare_part
def _is_name(page, lower, i, name):
    """Whether a tag's name stands at i, with what may stand behind one."""
    if i + name.size >= page.size:
        return False
    for k in range(name.size):
        if lower[page[i + k]] != name[k]:
            return False
    return (BYTES[page[i + name.size]] & (SPACE | SLASH | END)) > 0


@bare_part
def script_end(page, lower, i):
    """Where the end tag of a script begins: not in a comment that holds <script (13.2.5.15 to 31); the size if none."""
    size = page.size
    state = 0  # 1: in a comment, 2: behind <script in it
    while i < size:
        if state == 0:
            i = next_byte(page, i, 60)
            if _is_name(page, lower, i + 1, _CLOSE_SCRIPT):
                return i
            if i + 3 < size and page[i + 1] == 33 and page[i + 2] == 45 and page[i + 3] == 45:
                state = 1
                i += 2
            else:
                i += 1
            continue
        if page[i] == 60:
            if _is_name(page, lower, i + 1, _CLOSE_SCRIPT):
                if state == 1:
                    return i
                state = 1
            elif state == 1 and _is_name(page, lower, i + 1, _SCRIPT):
                state = 2
        elif page[i] == 45 and i + 2 < size and page[i + 1] == 45 and page[i + 2] == 62:
            state = 0
        i += 1
    return np.int64(size)
