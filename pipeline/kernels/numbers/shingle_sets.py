"""Exact Jaccard similarity of documents by their sets of shingle hashes, and an election by it.

Sets lie one after another in `hashes` (uint64), each sorted and without repeats; set i begins at offsets[i].
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.numbers.minhash import LEADERS


@kernel
def _jaccard(hashes, offsets, i, j):
    a, b = offsets[i], offsets[j]
    common = 0
    while a < offsets[i + 1] and b < offsets[j + 1]:
        if hashes[a] == hashes[b]:
            common += 1
            a += 1
            b += 1
        elif hashes[a] < hashes[b]:
            a += 1
        else:
            b += 1
    both = offsets[i + 1] - offsets[i] + offsets[j + 1] - offsets[j] - common
    return common / both if both > 0 else 0.0


@kernel
def elect_exact(parent, hashes, offsets, least, stay):
    """(n,) int64 the document that stands for each: the first of its set that stays and has a similarity of `least`.

    parent (n,) is a flat forest whose sets lie together, in the order in which their documents are asked; a document
    that is like no document that stays stays itself, and so do those of `stay` (n,).
    """
    standing = np.arange(parent.size)
    leaders = np.empty(LEADERS, np.int64)
    found = 0
    for i in range(parent.size):
        if i == 0 or parent[i] != parent[i - 1]:
            found = 0
        for j in range(0 if stay[i] else found):
            if _jaccard(hashes, offsets, i, leaders[j]) >= least:
                standing[i] = leaders[j]
                break
        if standing[i] == i and found < LEADERS:
            leaders[found] = i
            found += 1
    return standing


@kernel
def jaccards(hashes, offsets, of):
    """(n,) similarity of set i and set of[i]."""
    out = np.empty(of.size)
    for i in range(of.size):
        out[i] = _jaccard(hashes, offsets, i, of[i])
    return out
