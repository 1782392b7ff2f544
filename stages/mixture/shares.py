"""Shares that the user gives instead of a search, or as the present mixture to compare with: inline or from a file.

A file holds {bucket: share} as JSON or YAML, or is the weights.json of a run or of `gristmill search`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError
from gristmill.pipeline.contract.state import parse_json
from gristmill.pipeline.contract.yaml12 import parse_yaml

Shares = dict[str, float] | str
SHARES_TOLERANCE = 0.001  # rounded shares miss 1 by less; what misses it by more lacks a bucket


def read_shares(given: Shares, where: str) -> dict[str, float]:
    """Bucket -> share, sum 1. `where` is the key, for messages. Raises ConfigError for what cannot be shares."""
    found = from_file(Path(given), where) if isinstance(given, str) else given
    if not found:
        raise ConfigError(f"{where}: no bucket is named; give {{bucket: share}}")
    shares = {str(bucket): number(value, f"{where}: the share of {bucket}") for bucket, value in found.items()}
    total = math.fsum(shares.values())
    if abs(total - 1) > SHARES_TOLERANCE:
        meant = "; write 60% as 0.6" if abs(total / 100 - 1) <= SHARES_TOLERANCE else ""
        raise ConfigError(
            f"{where}: the shares sum to {total:.6g}, and must sum to 1 within {SHARES_TOLERANCE:.1%}{meant}"
        )
    return {bucket: share / total for bucket, share in shares.items()}


def from_file(path: Path, where: str) -> Mapping[str, object]:
    """What stands in the file, whichever of the known shapes it has."""
    if not path.is_file():
        raise ConfigError(f"{where}: no file {path}; give {{bucket: share}}, or a file that holds it")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = parse_json(text) if text.lstrip().startswith("{") else parse_yaml(text)  # keys are text in both
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {path} is neither JSON nor YAML ({error})") from None
    if isinstance(content, Mapping) and isinstance(content.get("weights"), Mapping):
        return content["weights"]  # of `gristmill search`
    if isinstance(content, Mapping) and isinstance(content.get("buckets"), list):
        try:
            return {row["bucket"]: row["weight"] for row in content["buckets"]}  # of a run
        except (TypeError, KeyError):
            raise ConfigError(f"{where}: {path} lists buckets without bucket and weight") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: {path} holds no {{bucket: share}}")
    return content


def number(value: object, what: str) -> float:
    try:
        share = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        share = math.nan
    if not (math.isfinite(share) and share >= 0):
        raise ConfigError(f"{what} is {value!r}, a number of at least 0 is needed")
    return share


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


def budget_of(share: float, epochs: float, available: int) -> int:
    """Tokens of a share of what is available; rounding must not ask for a token more than the epochs allow."""
    budget = max(1, round(share * available))
    return min(budget, max(1, int(epochs * available))) if share <= epochs else budget
