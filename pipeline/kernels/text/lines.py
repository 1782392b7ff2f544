"""Texts as single lines of space-separated tokens, the form that fastText reads.

Words as in `hashing`, lowercased and without accents; every symbol and every character of a spaceless
script stands alone. No token holds "_", so no text can contain fastText's `__label__`.
"""

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.text.code_points import put
from gristmill.pipeline.kernels.text.hashing import code_points, entry_at, utf8


def one_line(texts: pl.Series, max_chars: int) -> list[str]:
    """The first `max_chars` code points of each text as one line; an empty text is an empty line."""
    data, offsets = utf8(texts)
    out, bounds = _lines(data, offsets, code_points(), max_chars)
    buffer = out.tobytes()
    return [buffer[bounds[i] : bounds[i + 1]].decode() for i in range(len(texts))]


@kernel
def _lines(data, offsets, table, max_chars):
    """UTF-8 bytes of all lines and (n + 1,) offsets."""
    n = offsets.size - 1
    # A symbol of one byte becomes three with its spaces; no letter grows by more than half.
    room = 0
    for d in range(n):
        room += 3 * min(offsets[d + 1] - offsets[d], 4 * max_chars) + 4
    out = np.empty(room, np.uint8)
    bounds = np.zeros(n + 1, np.int64)
    o = 0
    for d in range(n):
        i, end = offsets[d], offsets[d + 1]
        first = o
        chars = 0
        pending = False  # a space is due before the next token
        while i < end and chars < max_chars:
            entry, size = entry_at(data, i, table)
            i += size
            chars += 1
            kind = entry >> np.uint32(24)
            code = entry & np.uint32(0xFFFFFF)
            if kind == 1:
                continue
            if kind == 0 or code == 95:  # "_"
                pending = True
                continue
            alone = kind == 3 or kind == 4
            if (pending or alone) and kind != 5 and o > first:
                out[o] = 32
                o += 1
            pending = alone
            o = put(out, o, code)
        bounds[d + 1] = o
    return out[:o], bounds
