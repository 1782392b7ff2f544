"""Shares that the user gives instead of a search, as an array, and budgets that a bucket's tokens can hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError
from gristmill.pipeline.contract.notes import write_notes


def in_order(shares: Mapping[str, float], buckets: Sequence[str], where: str) -> np.ndarray:
    """(k,) in the order of `buckets`; 0 for those that are not named. ConfigError for a share of no bucket."""
    unknown = sorted(b for b in set(shares) - set(buckets) if shares[b] > 0)
    if unknown:
        raise ConfigError(
            f"{where}: no document is in bucket {', '.join(unknown[:5])}; there are {', '.join(buckets[:20])}"
            + (f" and {len(buckets) - 20} more" if len(buckets) > 20 else "")
            + " (domain.bucket.by says what buckets are)"
        )
    return np.array([shares.get(b, 0.0) for b in buckets])


def check_budget(weights: np.ndarray, sizes: np.ndarray, buckets: Sequence[str], budget: int, epochs: float) -> None:
    """Raises InfeasibleError where a bucket has too few tokens for its share, with the greatest budget that works."""
    most = np.divide(sizes * epochs, weights, out=np.full(len(weights), np.inf), where=weights > 0)
    i = int(np.argmin(most))
    if most[i] < budget * (1 - 1e-9):
        raise InfeasibleError(
            f"mixture.weights gives {buckets[i]} {weights[i]:.4g} of {budget:,} tokens, it has {int(sizes[i]):,} and "
            f"may be repeated {epochs:g} times; set mixture.budget_tokens to {int(most[i]):,} at most, or raise "
            "mixture.max_epochs and sample.max_copies"
        )


def reachable(asked: int, available: int, epochs: float, out: Path) -> int:
    """The budget; less where the epochs do not allow as much, and then a note in `out` says so."""
    most = max(1, int(epochs * available))
    if asked <= most:
        return asked
    write_notes(
        out,
        f"{asked:,} tokens cannot be had: {available:,} are available, and at mixture.max_epochs and sample.max_copies "
        f"of {epochs:g} that is {most:,}. The corpus has so many, every document as often as it may be. More input, "
        "wider limits (gristmill inspect RUN gates) or more epochs give more",
    )
    return most


def budget_of(share: float, epochs: float, available: int) -> int:
    """Tokens of a share of what is available; rounding must not ask for a token more than the epochs allow."""
    budget = max(1, round(share * available))
    return min(budget, max(1, int(epochs * available))) if share <= epochs else budget
