"""Different words of one document, stop words among them, and its repeated word n-grams, lines and paragraphs.

Equal items get equal numbers (`number_keys`). An n-gram is the pair of the (n-1)-grams that begin with its first and
with its second word, and can repeat only where both do (Karp, Miller and Rosenberg 1972): so each order looks only at
the survivors of the last one, and in ordinary prose the long orders cost almost nothing.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.characters import SPACE, SYMBOL, class_table, fold_table
from gristmill.pipeline.kernels.text.code_points import MULTIPLIER, bare_key, decode, hash_span, hash_word, mix

ENDS = 3  # characters at either end of a span that are compared before the whole


@kernel
def table_size(items):
    """Power of two that keeps the table at most half full."""
    size = 4
    while size < 2 * items:
        size *= 2
    return size


@kernel
def number_keys(given, n, keys, table, numbers, counts):
    """Numbers the keys given[:n] in the order in which they come first; returns how many are distinct.

    numbers[j] is the number of the j-th, counts[number] how many keys have it. keys, table: slots, for `table_size(n)`.
    """
    size = table_size(n)
    table[:size] = -1
    counts[:n] = 0
    distinct = 0
    for j in range(n):  # without a branch on whether the key is new, which no processor can foresee
        key = given[j]
        slot = np.int64(mix(key) & np.uint64(size - 1))
        while (table[slot] >= 0) & (keys[slot] != key):
            slot = (slot + 1) & (size - 1)
        known = table[slot]
        number = distinct if known < 0 else known
        distinct += known < 0
        keys[slot] = key
        table[slot] = number
        counts[number] += 1
        numbers[j] = number
    return distinct


@kernel
def first_places(numbers, n, places):
    """places[number]: where in numbers[:n] it stands first."""
    following = 0
    for j in range(n):
        if numbers[j] == following:
            places[following] = j
            following += 1


@kernel
def repeated_spans(points, kinds, starts, ends, n, hashes, keys, table, numbers, counts, items):
    """(spans seen before, their characters, those in blank spans): every occurrence but the first counts."""
    for j in range(n):
        a, b = starts[j], ends[j]
        key = np.uint64(b - a)
        for i in range(a, min(a + ENDS, b)):
            key = (key ^ np.uint64(points[i])) * MULTIPLIER
        for i in range(max(a, b - ENDS), b):
            key = (key ^ np.uint64(points[i])) * MULTIPLIER
        hashes[j] = key
    if number_keys(hashes, n, keys, table, numbers, counts) == n:
        return 0, 0, 0
    m = 0
    for j in range(n):  # of one length and with the same ends: only these are read whole
        if counts[numbers[j]] > 1:
            items[m] = j
            hashes[m] = hash_span(points, starts[j], ends[j])
            m += 1
    number_keys(hashes, m, keys, table, numbers, counts)
    repeats, characters, blank, following = 0, 0, 0, 0
    for k in range(m):
        if numbers[k] == following:  # its first occurrence
            following += 1
            continue
        j = items[k]
        repeats += 1
        characters += ends[j] - starts[j]
        i = starts[j]
        while i < ends[j] and kinds[i] & SPACE:
            i += 1
        if i == ends[j]:
            blank += ends[j] - starts[j]
    return repeats, characters, blank


@kernel
def entropy_sum(n, counts):
    """Sum of count * ln(count) over n distinct items."""
    total = 0.0
    for j in range(n):
        c = counts[j]
        if c > 1:
            total += c * np.log(np.float64(c))
    return total


@kernel
def stop_bit(stop_keys, stop_bits, key):
    """Bit number of a stop word, -1 for other words."""
    mask = len(stop_keys) - 1
    slot = np.int64(key >> np.uint64(20)) & mask
    while stop_keys[slot] != 0:
        if stop_keys[slot] == key:
            return stop_bits[slot]
        slot = (slot + 1) & mask
    return -1


@kernel
def is_plain(points, kinds, folds, a, b):
    """Whether the word [a, b) is written in lower case and without symbols."""
    for i in range(a, b):
        c = points[i]
        if kinds[i] & SYMBOL or (c < len(folds) and folds[c] != c):
            return False
    return True


@kernel
def count_bits(bits):
    n = 0
    while bits:
        bits &= bits - np.uint64(1)
        n += 1
    return n


def stop_word_keys(words: list[tuple[int, int, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Table of stop words for `measure` from (number of the language, bit below 64, word)."""
    size = 4
    while size < 4 * len(words):
        size *= 2
    keys, bits = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    classes, folds = class_table(), fold_table()
    for language, bit, word in words:
        data = np.frombuffer(word.encode(), np.uint8)
        points, kinds = np.empty(len(data), np.uint32), np.empty(len(data), np.uint32)
        n = decode(data, 0, len(data), classes, points, kinds)
        key = bare_key(np.uint64(hash_word(points, kinds, folds, 0, n)[1])) ^ language_salt(language)
        slot = (int(key) >> 20) & (size - 1)
        while keys[slot] and keys[slot] != key:
            slot = (slot + 1) & (size - 1)
        keys[slot], bits[slot] = key, bit
    return keys, bits


@kernel
def language_salt(language):
    return mix(np.uint64(language + 1))


@kernel
def count_distinct(
    points, kinds, folds, starts, ends, places, numbers_n, counts, bare_of, language, stop_keys, stop_bits,
    bares, keys, table, numbers, weights, totals, booked,
):  # fmt: skip
    """Books the words that differ without case and symbols, their entropy and the stop words in booked[5:9].

    places, counts (numbers_n,): where each different word stands first, and how often it stands.
    """
    m = 0
    for k in range(numbers_n):
        j = places[k]
        bares[m] = bare_key(bare_of[j])
        weights[m] = counts[k]
        places[m] = j
        m += bare_of[j] != 0
    distinct = number_keys(bares, m, keys, table, numbers, totals)
    totals[:distinct] = 0
    for k in range(m):
        totals[numbers[k]] += weights[k]
    booked[5] = distinct
    booked[6] = entropy_sum(distinct, totals)
    if language < 0:
        booked[8] = -1
        return
    occurrences, kinds_of, salt = 0, np.uint64(0), language_salt(language)
    for k in range(m):
        bit = stop_bit(stop_keys, stop_bits, bares[k] ^ salt)
        if bit >= 0:
            occurrences += weights[k]
            if is_plain(points, kinds, folds, starts[places[k]], ends[places[k]]):
                kinds_of |= np.uint64(1) << np.uint64(bit)
    booked[7] = occurrences
    booked[8] = count_bits(kinds_of)


@kernel
def gram_chars(starts, ends, i, order):
    chars = 0
    for k in range(i, i + order):
        chars += ends[k] - starts[k]
    return chars


@kernel
def most_common(items, numbers, n, counts):
    """(count, place) of the most common of the numbered items, the earliest on a tie; (0, 0) for none."""
    best, place = 0, 0
    for j in range(n):
        c = counts[numbers[j]]
        if c > best:
            best = c
            place = items[j]
    return best, place


@kernel
def repeated_chars(starts, ends, order, items, numbers, n, seen):
    """Characters of n-grams seen before, left to right; after one, the search goes on behind it (no overlaps)."""
    seen[:n] = 0
    characters, free = 0, 0
    for j in range(n):
        i = items[j]
        if i >= free:
            if seen[numbers[j]]:
                characters += gram_chars(starts, ends, i, order)
                free = i + order
            seen[numbers[j]] = 1
    return characters


@kernel
def gram_repetition(starts, ends, n, grams, pairs, items, keys, table, numbers, counts, seen, top, duplicate):
    """Fills top[3] (characters of the most common 2-4-gram, all occurrences, joined by spaces) and duplicate[6]
    (characters of repeated 5-10-grams) for n words.

    grams (n + 1,): a word's number where the word repeats, else -1, and -1 at the end; overwritten.
    """
    top[:] = 0
    duplicate[:] = 0
    kept = 0
    for i in range(n):
        items[kept] = i
        kept += grams[i] >= 0
    for order in range(2, 11):
        if n < order:
            return
        m = 0
        for j in range(kept):
            i = items[j]
            if grams[i + 1] >= 0:
                pairs[m] = np.uint64(grams[i]) << np.uint64(32) | np.uint64(grams[i + 1])
                items[m] = i
                m += 1
            else:
                grams[i] = -1
        number_keys(pairs, m, keys, table, numbers, counts)
        if order <= 4:
            best, place = most_common(items, numbers, m, counts)
            if best <= 1:
                best, place = 1, 0  # nothing repeats: the first one
            top[order - 2] = best * (gram_chars(starts, ends, place, order) + order - 1)
        else:
            duplicate[order - 5] = repeated_chars(starts, ends, order, items, numbers, m, seen)
        kept = 0
        for j in range(m):
            i = items[j]
            repeats = counts[numbers[j]] > 1
            grams[i] = numbers[j] if repeats else -1
            items[kept] = i
            kept += repeats
