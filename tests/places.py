"""Where tests find the repository, its importable source, and the shared data that a clone may not have."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / ".src"  # what PYTHONPATH must hold for a process that imports `gristmill`
SHARED = Path(os.environ.get("GRISTMILL_SHARED", ROOT.parent / "shared")) / "data"


def receipts_below(folder: Path) -> int:
    """How many receipts a run that is going on has written: folders and logs that go meanwhile are no error."""
    n = 0
    for place, _, names in os.walk(folder):
        n += sum(name.endswith(".receipt.json") for name in names)
        for name in names if Path(place).name == "receipts" else ():
            with suppress(FileNotFoundError):
                n += (Path(place) / name).read_bytes().count(b"\n")
    return n


# Leaves a test out where SHARED is not there; `pytest -m shared` runs these alone. The fixture `shared` marks likewise.
# Beside each stands a test of the same thing on input that it makes itself.
needs_shared = pytest.mark.shared
