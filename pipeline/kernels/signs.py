"""Whether a page may hold a formula: one pass over its bytes for four short words; four searches take four times it."""

import numpy as np
from numba import njit


def has_formula_sign(page: bytes) -> bool:
    """Whether `math`, `atex`, `athJax` or `aTeX` stands in a page."""
    return _has_sign(np.frombuffer(page, np.uint8))


@njit(cache=True, nogil=True)
def _has_sign(page):
    for i in range(page.size - 3):
        if page[i] != 97:  # a: the one letter in all of them that is rare enough
            continue
        t, u = page[i + 1], page[i + 2]
        if t == 84:
            if u == 101 and page[i + 3] == 88:  # aTeX
                return True
        elif t == 116:
            if u == 104 and i > 0 and page[i - 1] == 109:  # math
                return True
            if u == 101 and page[i + 3] == 120:  # atex
                return True
            if u == 104 and i + 5 < page.size and page[i + 3] == 74 and page[i + 4] == 97 and page[i + 5] == 120:
                return True
    n = page.size  # math at the very end
    return n >= 4 and page[n - 4] == 109 and page[n - 3] == 97 and page[n - 2] == 116 and page[n - 1] == 104
