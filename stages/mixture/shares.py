"""Shares that the user gives instead of a search, as an array, and budgets that a bucket's tokens can hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract.corpus.shares import Shares, read_shares
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


Given = Shares | None  # shares by bucket, or a file of them


def check_given(weights: Given, present: Given, beside: Mapping[str, bool], compared: bool) -> None:
    """Raises ConfigError for given shares that are none, or that other settings contradict.

    beside: setting -> whether it is given; compared: whether a confirmation compares the searched mixture with others.
    """
    if weights is not None:
        read_shares(weights, "mixture.weights")
        useless = [key for key, given in beside.items() if given]
        if useless:
            raise ConfigError(f"mixture.weights gives every share: leave out mixture.{useless[0]}")
    if present is not None:
        read_shares(present, "mixture.present")
        if not compared:
            raise ConfigError(
                "mixture.present is compared by the confirmation of a search; with mixture.method: natural or "
                "mixture.confirm: null there is none: leave it out"
            )


def given_present(present: Given, buckets: Sequence[str]) -> np.ndarray | None:
    """(k,) the mixture that the user has now."""
    return None if present is None else in_order(read_shares(present, "mixture.present"), buckets, "mixture.present")


def given_weights(
    given: Given, buckets: Sequence[str], sizes: np.ndarray, budget: int, epochs: float
) -> tuple[np.ndarray, str]:
    """(k,) the user's weights, and what is said of them. Raises InfeasibleError where a bucket has too few tokens."""
    assert given is not None
    weights = in_order(read_shares(given, "mixture.weights"), buckets, "mixture.weights")
    check_budget(weights, sizes, buckets, budget, epochs)
    left = [b for b, w in zip(buckets, weights.tolist(), strict=True) if w == 0]
    nothing = f"; nothing is taken of {', '.join(left[:5])}{', ...' if len(left) > 5 else ''}" if left else ""
    return weights, f"the shares are those of mixture.weights{nothing}"


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
    most = most_of(asked, available, epochs)
    if asked == most:
        return asked
    write_notes(
        out,
        f"{asked:,} tokens cannot be had: {available:,} are available, and at mixture.max_epochs and sample.max_copies "
        f"of {epochs:g} that is {most:,}. The corpus has so many, every document as often as it may be. More input, "
        "wider limits (gristmill inspect RUN gates) or more epochs give more",
    )
    return most


def most_of(asked: int, available: int, epochs: float) -> int:
    """What the epochs allow of a budget."""
    return min(asked, max(1, int(epochs * available)))


def budget_of(share: float, epochs: float, available: int) -> int:
    """Tokens of a share of what is available; rounding must not ask for a token more than the epochs allow."""
    budget = max(1, round(share * available))
    return most_of(budget, available, epochs) if share <= epochs else budget
