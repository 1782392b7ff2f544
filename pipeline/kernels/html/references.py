"""Resolves character references of a page's text (WHATWG HTML, 13.2.5.72 to 13.2.5.80), into a buffer beside the page.

Names and what they stand for are those of Python's `html.entities.html5`, the standard's table.
"""

from html.entities import html5

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_part

_LONGEST = max(map(len, html5))
_LEGACY = max(len(name) for name in html5 if not name.endswith(";"))  # a name without a semicolon is at most so long
_SLOTS = 1 << 13
_PRIME = 0x01000193
# 0x80 to 0x9F as windows-1252 has them (13.2.5.80)
_CONTROLS = np.array(
    [ord(bytes([byte]).decode("windows-1252", "replace")) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else byte
     for byte in range(0x80, 0xA0)], dtype=np.int64,
)  # fmt: skip


def _hash(name: bytes) -> int:
    h = 0x811C9DC5
    for byte in name:
        h = ((h ^ byte) * _PRIME) & 0xFFFFFFFF
    return h


def _table() -> tuple[np.ndarray, np.ndarray]:
    """(_SLOTS,) int32: a name's number plus one by its hash, open-addressed; (names, 2 + longest + 8) uint8: a name's
    length and that of what it stands for, then both."""
    slots = np.zeros(_SLOTS, dtype=np.int32)
    entries = np.zeros((len(html5), 2 + _LONGEST + 8), dtype=np.uint8)
    for i, (name, text) in enumerate(html5.items()):
        key, value = name.encode(), text.encode()
        entries[i, :2] = len(key), len(value)
        entries[i, 2 : 2 + len(key)] = np.frombuffer(key, dtype=np.uint8)
        entries[i, 2 + _LONGEST : 2 + _LONGEST + len(value)] = np.frombuffer(value, dtype=np.uint8)
        slot = _hash(key) % _SLOTS
        while slots[slot]:
            slot = (slot + 1) % _SLOTS
        slots[slot] = i + 1
    return slots, entries


NAMED = _table()


@bare_part
def _find(page, start, stop, slots, entries):
    """The number of the name page[start:stop], or -1."""
    h = np.uint32(0x811C9DC5)
    for i in range(start, stop):
        h = np.uint32((h ^ np.uint32(page[i])) * np.uint32(_PRIME))
    slot = np.int64(h) % _SLOTS
    while slots[slot] > 0:
        n = slots[slot] - 1
        if entries[n, 0] == stop - start:
            k = 0
            while k < stop - start and entries[n, 2 + k] == page[start + k]:
                k += 1
            if k == stop - start:
                return np.int64(n)
        slot = (slot + 1) % _SLOTS
    return np.int64(-1)


@bare_part
def _put(out, n, code):
    """Writes a character in UTF-8; what stands behind it."""
    if code < 0x80:
        out[n] = code
        return n + 1
    if code < 0x800:
        out[n], out[n + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
        return n + 2
    if code < 0x10000:
        out[n], out[n + 1], out[n + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
        return n + 3
    out[n], out[n + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
    out[n + 2], out[n + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
    return n + 4


@bare_part
def _numeric(page, i, stop, out, n):
    """A reference &#...: what stands behind it in the page, and in `out`; at the same place where it is none."""
    k = i + 2
    base = 10
    if k < stop and page[k] | 32 == 120:
        base = 16
        k += 1
    begin, code = k, 0
    while k < stop:
        c = page[k] | 32 if page[k] >= 64 else page[k]
        if 48 <= c <= 57:
            digit = c - 48
        elif base == 16 and 97 <= c <= 102:
            digit = c - 87
        else:
            break
        code = min(code * base + digit, 0x110000)
        k += 1
    if k == begin:
        return i, n
    if k < stop and page[k] == 59:
        k += 1
    if 0x80 <= code < 0xA0:
        code = _CONTROLS[code - 0x80]
    elif code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        code = 0xFFFD
    return k, _put(out, n, code)


@bare_part
def _may_go_on(c):
    return c == 61 or 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122


@bare_part
def resolve(page, start, stop, out, n, slots, entries, in_attribute):
    """Writes page[start:stop] to `out` from n on with its references resolved; returns what stands behind it there.

    In an attribute a name without a semicolon before = or a letter or digit is none.

    No reference is shorter than what it stands for by more than a byte in ten: room for 2 * (stop - start) is enough.
    """
    i = start
    while i < stop:
        c = page[i]
        if c != 38 or i + 1 >= stop:
            out[n] = c
            n += 1
            i += 1
            continue
        if page[i + 1] == 35:
            after, n = _numeric(page, i, stop, out, n)
            if after > i:
                i = after
                continue
        else:
            k = i + 1
            while (
                k < stop and k - i <= _LONGEST and (48 <= page[k] <= 57 or 65 <= page[k] <= 90 or 97 <= page[k] <= 122)
            ):
                k += 1
            found = np.int64(-1)
            if k > i + 1:
                if k < stop and page[k] == 59:
                    found = _find(page, i + 1, k + 1, slots, entries)
                shorter = min(k, i + 1 + _LEGACY)
                while found < 0 and shorter > i + 2:
                    found = _find(page, i + 1, shorter, slots, entries)
                    shorter -= 1
            after = i + 1 + np.int64(entries[found, 0])
            if in_attribute and found >= 0 and page[after - 1] != 59 and after < stop and _may_go_on(page[after]):
                found = np.int64(-1)
            if found >= 0:
                for m in range(entries[found, 1]):
                    out[n] = entries[found, 2 + _LONGEST + m]
                    n += 1
                i = after
                continue
        out[n] = c
        n += 1
        i += 1
    return n
