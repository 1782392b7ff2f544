"""Where tests find the repository, its importable source, and the shared data that a clone may not have."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / ".src"  # what PYTHONPATH must hold for a process that imports `gristmill`
SHARED = Path(os.environ.get("GRISTMILL_SHARED", ROOT.parent / "shared")) / "data"

# Leaves a test out where SHARED is not there; `pytest -m shared` runs these alone. The fixture `shared` marks likewise.
# Beside each stands a test of the same thing on input that it makes itself.
needs_shared = pytest.mark.shared
