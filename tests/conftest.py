"""Fixtures `shared` and `demo_shard`, the marker `shared`, and the tests' own modules on the path of workers too."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIRST = ("laws/test_laws.py", "pipeline/run/test_machine.py", "stages/mixture/search", "jobs", "pipeline/run", "stages")
sys.path[:0] = [str(HERE), str(HERE / "laws")]

from places import SHARED  # noqa: E402 - found on the path that was just set


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture(scope="session")
def demo_shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WARC shard of some 200 pages made of the texts of this Python installation."""
    from gristmill.pipeline.demo.shards import write_sample_data

    return write_sample_data(tmp_path_factory.mktemp("demo"), shards=1, max_docs=200).shards[0]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what takes the fixture `shared`; without the shared data these tests are left out (deselected).

    Each of them has a sibling that makes its own input, so that every clone tests the same thing. Files that take
    minutes come first, so that two workers end together. The very first compiles the kernels, and what starts beside it
    needs none.
    """
    first = [HERE / name for name in FIRST]
    items.sort(
        key=lambda item: next((i for i, place in enumerate(first) if item.path.is_relative_to(place)), len(first))
    )
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
    if not SHARED.is_dir():
        marked = [item for item in items if item.get_closest_marker("shared")]
        items[:] = [item for item in items if not item.get_closest_marker("shared")]
        config.hook.pytest_deselected(items=marked)
