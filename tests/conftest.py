"""The fixture `shared`, the marker `shared`, and the tests' own modules on the path of worker processes too."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "laws")]

from places import SHARED  # noqa: E402 - found on the path that was just set


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what takes the fixture `shared`, and skips what is marked where there is no shared data."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
        if not SHARED.is_dir() and item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"no shared data at {SHARED}"))
