"""One pass over a page's UTF-8 bytes: where words of interest stand, and how much work its tags could make a parser do.

A tag scanner, not a parser: it knows quotes, comments and raw text elements, nothing else. Words are sought in text,
comments, ld+json, the tags a, area, link, meta and script, and others with rel, property or itemprop. It overestimates
depth and formatting: its answers decide what is too risky to hand to a native parser.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

TAG, META, COMMENT, SCRIPT = 1, 2, 3, 4  # regions of a span; SCRIPT: ld+json only
# Words in text that are kept from either end of a page: a footer counts as much as a header. A power of two.
TEXT_HITS = 512
SPANS = 256  # of a page, as a rule; more take a second pass
_NO_KEY = 0x41414141  # AAAA: no bytes in lower case make it
_NAMES = 1024  # buckets that count open elements by name

LOWER = np.arange(256, dtype=np.uint8)
LOWER[65:91] += 32
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


def _perfect_factor(keys: list[int]) -> int:
    """An odd factor whose products with the keys differ in their top 12 of 32 bits; a hundred keys take a few tries."""
    for factor in range(2654435761, 1 << 32, 2):
        if len({(key * factor & 0xFFFFFFFF) >> 20 for key in keys}) == len(keys):
            return factor
    raise ValueError(f"no factor tells {len(keys)} keys apart")


_IS_VOID, _IS_FLAT, _IS_FORMATTING, _IS_RAW, _IS_SEARCHED, _IS_ROOT, _IS_META, _IS_SCRIPT = (1 << i for i in range(8))
_ELEMENTS = (
    (_IS_VOID, _VOID), (_IS_FLAT, _FLAT), (_IS_FORMATTING, _FORMATTING), (_IS_RAW, _RAW),
    (_IS_SEARCHED, b"a area link meta script".split()), (_IS_ROOT, [b"html", b"body"]), (_IS_META, [b"meta"]),
    (_IS_SCRIPT, [b"script"]),
)  # fmt: skip
_OPTION, _OPTGROUP = _name_key(b"option"), _name_key(b"optgroup")
_NAME_FACTOR = np.uint32(_perfect_factor(sorted({_name_key(name) for _, names in _ELEMENTS for name in names})))
_NAME_KEYS, _NAME_KINDS = np.zeros(4096, dtype=np.uint32), np.zeros(4096, dtype=np.uint8)
for _kind, _names in _ELEMENTS:
    for _key in map(_name_key, _names):
        _slot = (_key * int(_NAME_FACTOR) & 0xFFFFFFFF) >> 20
        _NAME_KEYS[_slot] = _key
        _NAME_KINDS[_slot] |= _kind


@dataclass(frozen=True)
class Scan:
    """`words`: (n, 2) int32: offset and index of the needles in text, at most TEXT_HITS from either end of the page.
    `spans`: (n, 4) int32: first byte, end, region and first needle of each tag, meta, comment and ld+json script that
    has one; a tag from its name on, a script without its tags.

    `depth`: most elements open at once; `attributes`: most in one tag, of html and body in all tags together;
    `formatting`: how many elements a parser could be made to reopen because formatting tags were left open;
    `options`: option and optgroup tags, each of which a parser may compare with all others of its select.
    """

    words: np.ndarray
    spans: np.ndarray
    depth: int
    attributes: int
    formatting: int
    options: int = 0


@dataclass(frozen=True)
class Needles:
    """`keys` (4096,) uint32: the words' first four bytes, big-endian, each at the top 12 bits of its product with
    `factor`, where no other is, or _NO_KEY. `first` (4096,) int16: the first word that has them; `words` (n, 32) uint8;
    `chain` (n, 2) int64: a word's length, and the next word with the same four bytes or -1."""

    keys: np.ndarray
    factor: np.uint32
    first: np.ndarray
    words: np.ndarray
    chain: np.ndarray

    @property
    def sign(self) -> int:
        """Index under which a copyright sign is reported: two bytes, found beside the words."""
        return len(self.words)


def needles_of(words: list[bytes]) -> Needles:
    """4 to 32 bytes each, ASCII letters in lower case; of words with one beginning the first that fits is the hit.

    The first word marks a script whose content is to be searched (`ld+json`).
    """
    held, chain = np.zeros((len(words), 32), dtype=np.uint8), np.full((len(words), 2), -1, dtype=np.int64)
    begins: dict[int, int] = {}
    for i, word in reversed(list(enumerate(words))):
        if not 4 <= len(word) <= 32 or word != word.lower() or word[0] <= 32:
            raise ValueError(f"needle {word!r}: 4 to 32 bytes, ASCII letters in lower case, no space before them")
        held[i, : len(word)] = np.frombuffer(word, dtype=np.uint8)
        key = int.from_bytes(word[:4], "big")
        chain[i] = len(word), begins.get(key, -1)
        begins[key] = i
    factor = _perfect_factor(list(begins))
    keys, first = np.full(4096, _NO_KEY, dtype=np.uint32), np.zeros(4096, dtype=np.int16)
    for key, i in begins.items():
        slot = (key * factor & 0xFFFFFFFF) >> 20
        keys[slot], first[slot] = key, i
    return Needles(keys, np.uint32(factor), first, held, chain)


def scan_markup(page: bytes, needles: Needles) -> Scan:
    """`page`: UTF-8, though any bytes do."""
    words = np.empty((2 * TEXT_HITS, 2), dtype=np.int32)
    tables = (needles.keys, needles.factor, needles.first, needles.words, needles.chain)
    room = SPANS
    while True:  # an array that the kernel makes larger itself costs it four times its time
        spans = np.empty((room, 4), dtype=np.int32)
        n, spans_n, depth, attributes, formatting, options = _scan(
            np.frombuffer(page, dtype=np.uint8), LOWER, *tables, words, spans
        )
        if spans_n <= room:
            break
        room = spans_n
    if n > 2 * TEXT_HITS:  # the second half was written around
        words[TEXT_HITS:] = np.roll(words[TEXT_HITS:], -(n % TEXT_HITS), axis=0)
    return Scan(words[:n], spans[:spans_n].copy(), depth, attributes, formatting, options)


def has_word(page: bytes, needles: Needles) -> bool:
    """Whether one of the words stands anywhere in the page, in any case."""
    tables = (needles.keys, needles.factor, needles.first, needles.words, needles.chain)
    return bool(_first_word(np.frombuffer(page, np.uint8), LOWER, *tables, 0, len(page)) >= 0)


@njit(cache=True, nogil=True)
def _next(page, i, byte):
    """Where `byte` stands next, from i on; the page's size if nowhere. 64 bytes a step, without a branch in it, so that
    it compiles to vector instructions."""
    size = np.uint64(page.size)
    at = np.uint64(i)
    while at + np.uint64(64) <= size:
        here = np.uint8(0)
        for k in range(np.uint64(64)):
            here |= np.uint8(page[at + np.uint64(k)] == byte)
        if here:
            break
        at += np.uint64(64)
    while at < size and page[at] != byte:
        at += np.uint64(1)
    return np.int64(at)


@njit(cache=True, nogil=True)
def _word_at(page, lower, words, chain, word, begin, stop):
    """The first word of a chain that stands at `begin` and ends by `stop`; -1 if none."""
    while word >= 0:
        length = chain[word, 0]
        same = begin + length <= stop
        k = 4
        while same and k < length:
            same = lower[page[begin + k]] == words[word, k]
            k += 1
        if same:
            return word
        word = chain[word, 1]
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _find(page, lower, keys, factor, first, words, chain, start, stop, hits, n):
    """Adds the words and copyright signs that stand in [start, stop); returns the number of hits. Beyond the first
    half of `hits` the last ones are kept."""
    while start < stop and page[start] <= 32:  # between tags there is mostly white space, and no word begins with it
        start += 1
    half = hits.shape[0] // 2
    key = np.uint32(0)
    for i in range(start, stop):
        key = np.uint32(key << np.uint32(8)) | np.uint32(lower[page[i]])
        word, begin = np.int64(-1), i - 3
        slot = np.uint32(key * factor) >> np.uint32(20)
        if keys[slot] == key and begin >= start:
            word = _word_at(page, lower, words, chain, first[slot], begin, stop)
        elif (key & np.uint32(0xFFFF)) == np.uint32(0xC2A9):
            word, begin = np.int64(words.shape[0]), i - 1
        if word >= 0:
            # no division: it would be checked for zero, at twice the time
            at = n if n < half else half + ((n - half) & (half - 1))
            hits[at, 0], hits[at, 1] = begin, word
            n += 1
    return n


@njit(cache=True, nogil=True)
def _first_word(page, lower, keys, factor, first, words, chain, start, stop):
    """The first word that stands in [start, stop); -1 if none."""
    key = np.uint32(0)
    for i in range(start, stop):
        key = np.uint32(key << np.uint32(8)) | np.uint32(lower[page[i]])
        slot = np.uint32(key * factor) >> np.uint32(20)
        if keys[slot] == key and i - 3 >= start:
            word = _word_at(page, lower, words, chain, first[slot], i - 3, stop)
            if word >= 0:
                return word
    return np.int64(-1)


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _add_span(spans, n, start, stop, region, word):
    """One more row, where there is room; how many there would be."""
    if n < spans.shape[0]:
        spans[n, 0], spans[n, 1], spans[n, 2], spans[n, 3] = start, stop, region, word
    return n + 1


@njit(cache=True, nogil=True)
def _names_property(page, lower, at):
    """Whether an attribute begins as rel, property and itemprop do."""
    key = 0
    for i in range(at, min(at + 3, page.size)):
        key = key << 8 | lower[page[i]]
    return key == 0x72656C or key == 0x70726F or key == 0x697465


@njit(cache=True, nogil=True)
def _scan(page, lower, keys, factor, first, words, chain, hits, spans):
    size = page.size
    spans_n = 0
    opened = np.zeros(_NAMES, dtype=np.int32)
    n = depth = deepest = attributes = root_attributes = formatting = open_formatting = options = 0
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
        n = _find(page, lower, keys, factor, first, words, chain, text, i, hits, n)
        if c == 33 or c == 63 or (c == 47 and (i + 2 >= size or not 97 <= lower[page[i + 2]] <= 122)):
            start = i
            if i + 3 < size and c == 33 and page[i + 2] == 45 and page[i + 3] == 45:
                i = _next(page, i + 2, 62)
                while i < size and not (
                    (page[i - 1] == 45 and page[i - 2] == 45 and i >= start + 4)
                    # --!> (WHATWG HTML, 13.2.5.52)
                    or (page[i - 1] == 33 and page[i - 2] == 45 and page[i - 3] == 45 and i >= start + 7)
                ):
                    i = _next(page, i + 1, 62)
                word = _first_word(page, lower, keys, factor, first, words, chain, start, i)
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
            if opened[bucket] > 0:
                opened[bucket] -= 1
                if kind & _IS_FORMATTING:
                    open_formatting -= 1
                    formatting += open_formatting
                depth -= 1
            continue
        region = META if kind & _IS_META else TAG
        if kind & _IS_SEARCHED or names_property:
            word = _first_word(page, lower, keys, factor, first, words, chain, start, stop)
            if word >= 0:
                spans_n = _add_span(spans, spans_n, start, stop, region, word)
        formatting += open_formatting
        if kind & _IS_RAW:
            # to the matching end tag; the content of ld+json is searched, any other is not
            body = j = i
            found, length = False, 0
            while start + length < size and 97 <= lower[page[start + length]] <= 122:
                length += 1
            j = _next(page, j, 60)  # <
            while not found and j + 2 + length <= size:
                if page[j + 1] == 47:
                    k = 0
                    while k < length and lower[page[j + 2 + k]] == lower[page[start + k]]:
                        k += 1
                    found = k == length
                j = j + 1 if found else _next(page, j + 1, 60)
            j = j - 1 if found else size
            if kind & _IS_SCRIPT and _has_marker(page, lower, words, chain, start, stop):
                word = _first_word(page, lower, keys, factor, first, words, chain, body, j)
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
            if kind & _IS_FORMATTING:
                open_formatting += 1
    if text < size:
        n = _find(page, lower, keys, factor, first, words, chain, text, size, hits, n)
    return n, spans_n, deepest, max(attributes, root_attributes), formatting, options
