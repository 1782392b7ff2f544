"""Shares of buckets that a config gives: inline or from a file.

A file holds {bucket: share} as JSON or YAML, or is the weights.json of a run or of `gristmill search`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from gristmill.pipeline.contract.errors import ConfigError
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
