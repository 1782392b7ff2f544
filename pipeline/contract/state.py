"""Reads the JSON files that a run keeps about itself; one that is damaged is an error that names it and the way out."""

import json
from pathlib import Path

from gristmill.pipeline.contract.errors import PlanError


class DamagedFile(PlanError):
    """A file of the run folder does not hold what Gristmill writes into it."""


WAY_OUT = "the same gristmill run command makes it again"


def read_state(path: Path, *holds: str) -> dict:
    """The object in a file. Raises DamagedFile where it is missing, cut short, no JSON object or without a key."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedFile(f"{path} is missing; {WAY_OUT}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is damaged ({error}); {WAY_OUT}") from None
    if not isinstance(value, dict):
        raise DamagedFile(f"{path} is damaged (no JSON object); {WAY_OUT}")
    if lacking := [key for key in holds if key not in value]:
        raise DamagedFile(f"{path} is damaged (it has no {lacking[0]}); {WAY_OUT}")
    return value
