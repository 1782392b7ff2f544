"""QuaDMix's formulas: ranks measured in tokens, the sampling value, what it keeps (arXiv:2504.16511, 3.1).

The paper's criteria are better when smaller; ours when larger. Ranks keep the paper's sense: small is good.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from gristmill.pipeline.contract.ranges import Amount, Share, SomeShare

EtaMode = Literal["power", "factor"]

SEARCHED = "parameters.json"  # the file beside weights.json with the parameters that a search found
UNKNOWN_RANK = 0.5  # of a document without any quality score: it is taken as often as the middle of its bucket


@dataclass(frozen=True)
class Shape:
    """How often a document is taken by its rank r in (0, 1] (eq. 3; the paper's lambda, omega, eta, epsilon).

    The paper's ranges keep about the best 5% (omega <= 0.1) because 500B tokens are repeated from 30B. Where a bucket
    has a quota, S is only relative: the default takes the better half first, its best up to twice as often as its
    last, and reaches into the other half at a thousandth of that rate, which grows as the better half meets its cap.
    """

    slope: Amount = 10.0  # lambda: 0 is flat, large is a step; paper 1 to 1000
    cut: Share = 0.5  # omega: ranks beyond it get `floor` only; paper up to 0.1
    gain: Amount = 1.0  # eta: exponent (or factor); paper 0 to 1
    floor: SomeShare = 0.001  # epsilon > 0, so that a quota can always be met; paper up to 0.001


DEFAULT_SHAPE = Shape()


def token_ranks(quality: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """(n,) float64 in (0, 1]: share of all tokens in documents at least as good (eq. 2, larger is better).

    Ties share the larger rank. quality (n,), tokens (n,) >= 0 with a positive sum.
    """
    values, at_least = rank_table(quality, tokens)
    return ranks_in(values, at_least, quality)


def rank_table(quality: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, ascending, and the share of tokens in documents with at least that value."""
    values, inverse = np.unique(quality, return_inverse=True)
    mass = np.zeros(len(values), np.float64)
    np.add.at(mass, inverse, tokens)  # integers up to 2^53: exact in any order
    if mass.sum() <= 0:
        mass[:] = 1.0
    return values, mass[::-1].cumsum()[::-1] / mass.sum()


def ranks_in(values: np.ndarray, at_least: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Ranks of `quality` in a table. A value between two entries gets that of the next better one; beyond the best,
    the best one's."""
    return at_least[np.minimum(np.searchsorted(values, quality, side="left"), len(values) - 1)]


def sampling_value(rank: np.ndarray, shape: Shape, eta_mode: EtaMode = "power") -> np.ndarray:
    """S(rank), expected copies (eq. 3). The paper's typesetting leaves open whether eta is an exponent or a factor."""
    rank = np.asarray(rank, np.float64)
    # Beyond the cut the exponent is not used; clipping keeps exp from overflowing there.
    sigmoid = 2.0 / (1.0 + np.exp(-shape.slope * np.maximum(shape.cut - rank, 0.0)))
    raised = sigmoid**shape.gain if eta_mode == "power" else sigmoid * shape.gain
    return np.where(rank <= shape.cut, raised, 0.0) + shape.floor


def kept_ratio(shape: Shape, eta_mode: EtaMode = "power") -> float:
    """Expected copies per token of a bucket: the integral of S over (0, 1], in closed form for eta = 1 or a factor."""
    cut = min(max(shape.cut, 0.0), 1.0)
    if eta_mode == "factor" or shape.gain == 1.0:
        factor = shape.gain if eta_mode == "factor" else 1.0
        if shape.cut <= 0.0:
            return shape.floor
        if shape.slope == 0.0:
            return factor * cut + shape.floor
        low, high = shape.slope * (shape.cut - cut), shape.slope * shape.cut
        return float(factor * 2.0 / shape.slope * (np.logaddexp(0, high) - np.logaddexp(0, low))) + shape.floor
    # Gauss-Legendre on panels that double in width away from the cut, where a steep sigmoid bends.
    edges = cut * (1.0 - np.concatenate([[0.0], 2.0 ** np.arange(-20, 1)]))[::-1]
    nodes, weights = np.polynomial.legendre.leggauss(20)
    total = 0.0
    for left, right in pairwise(edges):
        middle, half = (left + right) / 2, (right - left) / 2
        points = middle + half * nodes
        total += half * float(weights @ (sampling_value(points, shape, eta_mode) - shape.floor))
    return total + shape.floor
