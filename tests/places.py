"""Where tests find the repository, its importable source, and the shared data that a clone may not have."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / ".src"  # what PYTHONPATH must hold for a process that imports `gristmill`
SHARED = Path(os.environ.get("GRISTMILL_SHARED", ROOT.parent / "shared")) / "data"


def receipts_below(folder: Path) -> list[str]:
    """Receipts of a run that is going on: folders that go meanwhile are no error."""
    return [name for _, _, names in os.walk(folder) for name in names if name.endswith(".receipt.json")]


# Leaves a test out where SHARED is not there; `pytest -m shared` runs these alone. The fixture `shared` marks likewise.
# Beside each stands a test of the same thing on input that it makes itself.
needs_shared = pytest.mark.shared
