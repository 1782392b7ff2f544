"""The cache of compiled kernels: an edited kernel is seen by every kernel that calls it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.pipeline import kernels
from gristmill.pipeline.kernels import cache_folder, sources_digest

INNER = """
from numba import njit

@njit(cache=True)
def inner(x):
    return x + {added}
"""
OUTER = """
from numba import njit
from pack.inner import inner

@njit(cache=True)
def outer(x):
    return 10 * inner(x)
"""
CALL = """
from pack.outer import outer
print(outer(1), sum(outer.stats.cache_hits.values()))
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A package with the kernels' own __init__, and two kernels of which one calls the other."""
    folder = tmp_path / "pack"
    folder.mkdir()
    shutil.copyfile(kernels.__file__, folder / "__init__.py")
    (folder / "inner.py").write_text(INNER.format(added=1))
    (folder / "outer.py").write_text(OUTER)
    return folder


def call(pack: Path, **environment: str) -> tuple[int, int]:
    """(result of outer(1) in a new process, how often it came from the cache)."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    plain |= {"PYTHONPATH": str(pack.parent), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", CALL], env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result, hits = done.stdout.split()
    return int(result), int(hits)


def test_edited_inner_kernel_is_seen_by_the_outer_one(pack: Path):
    assert call(pack) == (20, 0)
    assert call(pack) == (20, 1)
    (pack / "inner.py").write_text(INNER.format(added=2))
    assert call(pack) == (30, 0)
    (pack / "inner.py").write_text(INNER.format(added=1))
    assert call(pack) == (20, 1)


def test_without_the_digest_numba_runs_the_old_inner_kernel(pack: Path):
    """Why the folder is needed; if this fails, numba has learnt to look and the folder can go."""
    (pack / "__init__.py").write_text("")
    assert call(pack) == (20, 0)
    (pack / "inner.py").write_text(INNER.format(added=2))
    assert call(pack) == (20, 1)


def test_users_cache_folder_is_kept_to(pack: Path, tmp_path: Path):
    given = tmp_path / "mine"
    assert call(pack, NUMBA_CACHE_DIR=str(given)) == (20, 0)
    (pack / "inner.py").write_text(INNER.format(added=2))
    assert call(pack, NUMBA_CACHE_DIR=str(given)) == (30, 0)
    assert {path.parent.name[:10] for path in given.glob("*/*")} == {"gristmill-"}
    assert list(given.rglob("*.nbc"))
    assert not (pack / "__pycache__").exists()


def test_folder_that_cannot_be_written_leaves_the_place_to_numba(pack: Path, tmp_path: Path):
    (pack / "__pycache__").write_text("a file where the folder would be")
    assert cache_folder(pack, "") == ""
    assert cache_folder(pack, str(pack / "__pycache__")) == str(pack / "__pycache__")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    assert call(pack, **home) == (20, 0)
    assert call(pack, **home) == (20, 1)


def test_digest_depends_on_names_and_contents_of_every_module(pack: Path):
    seen = {sources_digest(pack)}
    (pack / "inner.py").rename(pack / "renamed.py")
    seen.add(sources_digest(pack))
    (pack / "renamed.py").write_text("")
    seen.add(sources_digest(pack))
    (pack / "outer.py").unlink()
    seen.add(sources_digest(pack))
    assert len(seen) == 4
    (pack / "notes.txt").write_text("no module")
    assert sources_digest(pack) in seen


def test_kernels_of_this_package_are_cached_below_the_digest():
    from numba import config

    from gristmill.pipeline.kernels.numbers.embedding import nearest

    folder = Path(kernels.__file__).parent
    assert Path(config.CACHE_DIR).name == f"gristmill-{sources_digest(folder)}"
    assert nearest.stats.cache_path.startswith(config.CACHE_DIR)


def test_asking_again_gives_the_same_folder(pack: Path):
    once = cache_folder(pack, "")
    assert Path(once).parent == pack / "__pycache__"
    assert cache_folder(pack, once) == once
