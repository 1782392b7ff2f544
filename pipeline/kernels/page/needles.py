"""Words of interest as tables by their first four bytes, each at a place of its own (a perfect hash)."""

from dataclasses import dataclass

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel

LOWER = np.arange(256, dtype=np.uint8)
LOWER[65:91] += 32
_NO_KEY = 0x41414141  # AAAA: no bytes in lower case make it


def perfect_factor(keys: list[int]) -> int:
    """An odd factor whose products with the keys differ in their top 12 of 32 bits; a hundred keys take a few tries."""
    for factor in range(2654435761, 1 << 32, 2):
        if len({(key * factor & 0xFFFFFFFF) >> 20 for key in keys}) == len(keys):
            return factor
    raise ValueError(f"no factor tells {len(keys)} keys apart")


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
    factor = perfect_factor(list(begins))
    keys, first = np.full(4096, _NO_KEY, dtype=np.uint32), np.zeros(4096, dtype=np.int16)
    for key, i in begins.items():
        slot = (key * factor & 0xFFFFFFFF) >> 20
        keys[slot], first[slot] = key, i
    return Needles(keys, np.uint32(factor), first, held, chain)


def has_word(page: bytes, needles: Needles) -> bool:
    """Whether one of the words stands anywhere in the page, in any case."""
    tables = (needles.keys, needles.factor, needles.first, needles.words, needles.chain)
    return bool(first_word(np.frombuffer(page, np.uint8), LOWER, *tables, 0, len(page)) >= 0)


@kernel
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


@kernel
def find_words(page, lower, keys, factor, first, words, chain, start, stop, hits, n):
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


@kernel
def first_word(page, lower, keys, factor, first, words, chain, start, stop):
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
