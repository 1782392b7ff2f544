"""Reads the JSON files that a run keeps about itself; one that is damaged is an error that names it and the way out."""

import json
from collections.abc import Mapping
from pathlib import Path

from gristmill.pipeline.contract.errors import PlanError


class DamagedFile(PlanError):
    """A file of the run folder does not hold what Gristmill writes into it."""


def read_state(path: Path, way_out: str = "the same gristmill run command makes it again") -> Mapping[str, object]:
    """The object in a file. Raises DamagedFile for a file that is missing, cut short or no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedFile(f"{path} is missing; {way_out}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is damaged ({error}); {way_out}") from None
    if not isinstance(value, dict):
        raise DamagedFile(f"{path} is damaged (no JSON object); {way_out}")
    return value
