"""One pass over a page's UTF-8 bytes: where words of interest stand, and how much work its tags could make a parser do.

A tag scanner, not a parser: it knows quotes, comments and raw text elements, nothing else. Words are sought in text,
comments, ld+json and the tags a, area, link, meta and script. It overestimates depth and formatting: its answers
decide what is too risky to hand to a native parser.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

TEXT, TAG, META, COMMENT, SCRIPT = 0, 1, 2, 3, 4  # regions of a hit; SCRIPT: ld+json only
MAX_HITS = 512
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


_VOID_KEYS = np.array([_name_key(n) for n in _VOID], dtype=np.int64)
_FLAT_KEYS = np.array([_name_key(n) for n in _FLAT], dtype=np.int64)
_FORMATTING_KEYS = np.array([_name_key(n) for n in _FORMATTING], dtype=np.int64)
_RAW_KEYS = np.array([_name_key(n) for n in _RAW], dtype=np.int64)
_SEARCHED_KEYS = np.array([_name_key(n) for n in (b"a", b"area", b"link", b"meta", b"script")], dtype=np.int64)
_META_KEY, _SCRIPT_KEY = _name_key(b"meta"), _name_key(b"script")
_ROOT_KEYS = np.array([_name_key(b"html"), _name_key(b"body")], dtype=np.int64)


@dataclass(frozen=True)
class Scan:
    """`hits`: (n, 3) int32: offset of the needle, its index, its region.

    `depth`: most elements open at once; `attributes`: most in one tag, of html and body in all tags together;
    `formatting`: how many elements a parser could be made to reopen because formatting tags were left open.
    """

    hits: np.ndarray
    depth: int
    attributes: int
    formatting: int


@dataclass(frozen=True)
class Needles:
    """`table` (1024, 2) int64: first four bytes as big-endian int -> first word that has them (open addressing);
    `words` (n, 32) uint8; `chain` (n, 2) int64: a word's length, and the next word with the same four bytes or -1."""

    table: np.ndarray
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
    table = np.full((1024, 2), -1, dtype=np.int64)
    held, chain = np.zeros((len(words), 32), dtype=np.uint8), np.full((len(words), 2), -1, dtype=np.int64)
    for i, word in reversed(list(enumerate(words))):
        if not 4 <= len(word) <= 32 or word != word.lower():
            raise ValueError(f"needle {word!r}: 4 to 32 bytes, ASCII letters in lower case")
        held[i, : len(word)] = np.frombuffer(word, dtype=np.uint8)
        key = int.from_bytes(word[:4], "big")
        slot = ((key * 2654435761) & 0xFFFFFFFF) >> 22
        while table[slot, 0] >= 0 and table[slot, 0] != key:
            slot = (slot + 1) & 1023
        chain[i] = len(word), table[slot, 1]
        table[slot] = key, i
    return Needles(table, held, chain)


def scan_markup(page: bytes, needles: Needles) -> Scan:
    """`page`: UTF-8, though any bytes do."""
    hits = np.empty((MAX_HITS, 3), dtype=np.int32)
    n, depth, attributes, formatting = _scan(
        np.frombuffer(page, dtype=np.uint8), LOWER, needles.table, needles.words, needles.chain, hits
    )
    return Scan(hits[:n], depth, attributes, formatting)


@njit(cache=True, nogil=True)
def _among(keys: np.ndarray, key: int) -> bool:
    for k in keys:  # noqa: SIM110 (compiled)
        if k == key:
            return True
    return False


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
def _find(page, lower, table, words, chain, start, stop, region, hits, n):
    """Adds the words that stand in [start, stop); returns the number of hits."""
    key = np.uint64(0)
    for i in range(start, stop):
        key = ((key << np.uint64(8)) | np.uint64(lower[page[i]])) & np.uint64(0xFFFFFFFF)
        slot = ((key * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)) >> np.uint64(22)
        word = np.int64(-1)
        begin = i - 3
        while table[slot, 0] >= 0:
            if table[slot, 0] == np.int64(key):
                if begin >= start:
                    word = _word_at(page, lower, words, chain, table[slot, 1], begin, stop)
                break
            slot = (slot + np.uint64(1)) & np.uint64(1023)
        if (key & np.uint64(0xFFFF)) == np.uint64(0xC2A9):
            word, begin = np.int64(words.shape[0]), i - 1
        if word >= 0 and n < hits.shape[0]:
            hits[n, 0], hits[n, 1], hits[n, 2] = begin, word, region
            n += 1
    return n


@njit(cache=True, nogil=True)
def _scan(page, lower, table, words, chain, hits):
    size = page.size
    opened = np.zeros(_NAMES, dtype=np.int32)
    n = depth = deepest = attributes = root_attributes = formatting = open_formatting = 0
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
        n = _find(page, lower, table, words, chain, text, i, TEXT, hits, n)
        if c == 33 or c == 63 or (c == 47 and (i + 2 >= size or not 97 <= lower[page[i + 2]] <= 122)):
            start = i
            if i + 3 < size and c == 33 and page[i + 2] == 45 and page[i + 3] == 45:
                i += 2
                while i < size and not (page[i] == 62 and page[i - 1] == 45 and page[i - 2] == 45 and i >= start + 4):
                    i += 1
                n = _find(page, lower, table, words, chain, start, i, COMMENT, hits, n)
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
                between, after_equals = False, False
            i += 1
        stop = min(i, size)
        i += 1
        text = i
        bucket = (key * 2654435761 & 0xFFFFFFFF) >> 22
        attributes = max(attributes, count)  # an end tag's are parsed as well
        if closing:
            if opened[bucket] > 0:
                opened[bucket] -= 1
                if _among(_FORMATTING_KEYS, key):
                    open_formatting -= 1
                    formatting += open_formatting
                depth -= 1
            continue
        region = META if key == _META_KEY else TAG
        before = n
        if _among(_SEARCHED_KEYS, key):
            n = _find(page, lower, table, words, chain, start, stop, region, hits, n)
        formatting += open_formatting
        if _among(_RAW_KEYS, key):
            # to the matching end tag; the content of ld+json is searched, any other is not
            body = i
            j = i
            found = False
            length = 0
            while start + length < size and 97 <= lower[page[start + length]] <= 122:
                length += 1
            while j + 2 + length <= size:
                if page[j] == 60 and page[j + 1] == 47:
                    same = True
                    for k in range(length):
                        if lower[page[j + 2 + k]] != lower[page[start + k]]:
                            same = False
                            break
                    if same:
                        found = True
                        break
                j += 1
            if not found:
                j = size
            if key == _SCRIPT_KEY:
                json = False
                for h in range(before, n):
                    json = json or hits[h, 1] == 0
                if json:
                    n = _find(page, lower, table, words, chain, body, j, SCRIPT, hits, n)
            while j < size and page[j] != 62:
                j += 1
            i = j + 1
            text = i
        elif _among(_FLAT_KEYS, key):
            if _among(_ROOT_KEYS, key):
                root_attributes += count  # a parser adds those of every further tag to the first
        elif not _among(_VOID_KEYS, key):
            opened[bucket] += 1
            depth += 1
            deepest = max(deepest, depth)
            if _among(_FORMATTING_KEYS, key):
                open_formatting += 1
    if text < size:
        n = _find(page, lower, table, words, chain, text, size, TEXT, hits, n)
    return n, deepest, max(attributes, root_attributes), formatting
