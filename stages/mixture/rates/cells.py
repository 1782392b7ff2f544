"""Groups documents of one bucket that have similar quality scores, so that a proxy can weigh groups.

A proxy weighs buckets, QuaDMix's parameters weigh documents: between them stand cells, small buckets of near-equal
documents, so that every proxy gives the loss of every parameter vector. Within a cell documents are taken evenly.
"""

import numpy as np


def cells(coordinates: np.ndarray, tokens: np.ndarray, bucket: np.ndarray, most: int, fewest: int = 0) -> np.ndarray:
    """(n,) cells, numbered from 0 along the buckets: each bucket has at least one, and its share of `most` by tokens.

    coordinates (n, d) in comparable units, NaN (unknown) stands apart below all others; tokens (n,); bucket (n,) from
    0 without gaps. Cells are halved along their widest coordinate, at equal tokens (a k-d tree's leaves): none is tiny,
    and documents that do not differ stay together. Every cell has `fewest` documents with tokens, if its bucket has.
    """
    known = np.where(np.isnan(coordinates), np.inf, coordinates)
    below = np.minimum(known.min(axis=0, initial=0.0) - 1.0, -1.0)
    points = np.where(np.isnan(coordinates), below, coordinates)
    size = np.bincount(bucket, weights=tokens)
    leaves = np.maximum(1, np.floor(most * size / max(size.sum(), 1.0)).astype(np.int64))
    result = np.zeros(len(points), np.int64)
    number = 0
    order = np.argsort(bucket, kind="stable")
    todo = [(rows, int(leaves[b])) for b, rows in enumerate(np.split(order, np.cumsum(np.bincount(bucket))[:-1]))][::-1]
    while todo:
        rows, wanted = todo.pop()
        extent = np.ptp(points[rows], axis=0) if wanted > 1 else np.zeros(1)
        if extent.max() > 0:
            rows = rows[np.argsort(points[rows, int(extent.argmax())], kind="stable")]
            mass = np.cumsum(np.maximum(tokens[rows], 1e-9))
            cut = int(np.searchsorted(mass, mass[-1] * (wanted // 2) / wanted, side="right"))
            cut = min(max(cut, 1), len(rows) - 1)
            if fewest:
                cut = halfway(np.flatnonzero(tokens[rows]), cut, fewest)
            if cut:
                todo += [(rows[cut:], wanted - wanted // 2), (rows[:cut], wanted // 2)]
                continue
        result[rows] = number
        number += 1
    return result


def halfway(places: np.ndarray, cut: int, fewest: int) -> int:
    """A cut near `cut` with `fewest` places on either side, between two, or all would lie at one end of their cells; 0
    where there are too few. places (n,) ascending."""
    if len(places) < 2 * fewest:
        return 0
    left = min(max(int(np.searchsorted(places, cut)), fewest), len(places) - fewest)
    return (places[left - 1] + places[left] + 1) // 2


def names_of(cell: np.ndarray, bucket: np.ndarray, buckets: tuple[str, ...]) -> list[str]:
    """bucket/number of every cell, in the cells' order, which is that of the buckets."""
    owner = np.zeros(int(cell.max()) + 1, np.int64)
    owner[cell] = bucket
    first = np.searchsorted(owner, owner, side="left")
    return [f"{buckets[b]}/{i - f:04d}" for i, (b, f) in enumerate(zip(owner.tolist(), first.tolist(), strict=True))]


def shares(copies: np.ndarray, tokens: np.ndarray, cell: np.ndarray, cells_n: int = 0) -> np.ndarray:
    """(cells,) share of the sampled tokens, of at least `cells_n` cells. copies (n,) >= 0 per document."""
    mass = np.bincount(cell, weights=copies * tokens, minlength=cells_n)
    return mass / mass.sum()


def misplaced(copies: np.ndarray, tokens: np.ndarray, cell: np.ndarray) -> float:
    """How far even sampling within the cells is from `copies`: the share of the sampled tokens that it would take from
    other documents (total variation)."""
    mass = np.bincount(cell, weights=copies * tokens)
    even = mass / np.maximum(np.bincount(cell, weights=tokens), 1e-9)
    return float(0.5 * (np.abs(copies - even[cell]) * tokens).sum() / mass.sum())
