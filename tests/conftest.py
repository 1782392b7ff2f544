"""Where the shared data lies, and tests' own modules on the path of worker processes too."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
SHARED = Path(os.environ.get("GRISTMILL_SHARED", HERE.parents[1] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED / "data"
