"""A real Slurm; the tests on one are left out of the collection where Slurm is not installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import installed, slurm

import toy
from places import SOURCE

collect_ignore = [] if installed() else ["test_slurm.py", "objects/test_queued_objects.py"]


@pytest.fixture(scope="module")
def slurm_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two nodes; arrays of two tasks at most."""
    with slurm(tmp_path_factory.mktemp("slurm"), max_array=3) as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        patch.setenv("PYTHONPATH", f"{Path(toy.__file__).parent}:{SOURCE}")
        yield
