"""Normalises quality criteria and merges them by weights (QuaDMix, arXiv:2504.16511, eq. 1). Larger is better here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.ranges import Amount
from gristmill.pipeline.kernels.numbers.sampling_curve import DEFAULT_SHAPE, Shape, rank_table

Normalise = Literal["rank", "zscore", "minmax"]


@dataclass(frozen=True)
class Criterion:
    """A column of the quality stage, larger is better, and its share in the merged quality."""

    column: str  # q_reference, q_importance, q_<name of a model>
    weight: Amount = 1.0  # beside the other criteria's, in any scale


@dataclass(frozen=True)
class BucketParameters:
    """What one bucket does differently: weights in the order of the criteria (empty: theirs), and its shape."""

    bucket: str  # by its name
    shape: Shape = DEFAULT_SHAPE
    weights: tuple[Amount, ...] = ()  # of the criteria, in their order; empty: those of `criteria`


@dataclass(frozen=True)
class Scale:
    """Aligns one criterion with the others: its share of tokens at or below (rank), or (x - centre) / width.

    values ascending and below (both (n,), empty unless rank): share of the corpus's tokens at most that value.
    """

    values: np.ndarray
    below: np.ndarray
    centre: float
    width: float

    def apply(self, scores: np.ndarray) -> np.ndarray:
        if not len(self.values):
            return (scores - self.centre) / self.width
        position = np.searchsorted(self.values, scores, side="right")
        return np.where(np.isnan(scores), np.nan, np.concatenate([[0.0], self.below])[position])

    def facts(self) -> dict:
        return {"centre": self.centre, "width": self.width, "entries": len(self.values)}


def fit_scale(scores: pl.Series, tokens: np.ndarray, normalise: Normalise) -> Scale:
    """tokens (n,): what each document stands for. Raises DataError where every score is null."""
    values = scores.cast(pl.Float64).to_numpy()
    known = np.isfinite(values)
    if not known.any():
        raise DataError(f"quadmix: {scores.name} is null in every document; take it out of quadmix.criteria")
    values, tokens = values[known], np.maximum(tokens[known], 0)
    if normalise == "rank":
        table, at_least = rank_table(-values, tokens)
        return Scale(-table[::-1], at_least[::-1], 0.0, 1.0)
    if normalise == "zscore":
        weights = tokens if tokens.sum() > 0 else np.ones(len(tokens))
        mean = float(np.average(values, weights=weights))
        spread = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
        return Scale(np.empty(0), np.empty(0), round(mean, 9), round(spread, 9) or 1.0)
    low, high = float(values.min()), float(values.max())
    return Scale(np.empty(0), np.empty(0), low, (high - low) or 1.0)


def scaled(scores: Sequence[pl.Series], scales: Sequence[Scale]) -> np.ndarray:
    """(n, criteria) float64; NaN where a document has no score."""
    columns = []
    for column, scale in zip(scores, scales, strict=True):
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        columns.append(scale.apply(np.where(np.isfinite(values), values, np.nan)))
    return np.stack(columns, axis=1)


def merged_quality(scaled: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """(n,) float32 weighted mean of the scaled criteria that a document has (eq. 1); NaN where it has none."""
    total, mass = np.zeros(len(scaled)), np.zeros(len(scaled))
    for j, weight in enumerate(weights):
        known = ~np.isnan(scaled[:, j])
        total += np.where(known, weight * scaled[:, j], 0.0)
        mass += np.where(known, weight, 0.0)
    return np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), np.nan).astype(np.float32)
