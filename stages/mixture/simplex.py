"""Shared by all proxies: validate mixture weights, and save each finished run so that a restart reuses it."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.state import write_text

SUM_TOLERANCE = 0.01  # rounded mixtures (RegMix's sampler) miss 1 by up to 0.0006, those of published tables by 0.004


def mixtures(weights: np.ndarray, buckets: int) -> np.ndarray:
    """(n, buckets) float64, contiguous. Raises DataError for another shape or a row off the simplex."""
    rows = np.ascontiguousarray(weights, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != buckets:
        raise DataError(f"weights have shape {rows.shape}, expected (n, {buckets})")
    if not np.isfinite(rows).all() or (rows < 0).any() or (np.abs(rows.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        raise DataError("weights must be >= 0 and each row must sum to 1")
    return rows


def keep(path: Path, content: Mapping[str, object]) -> None:
    """Writes JSON so that the file is there whole or not at all, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, sort_keys=True))
