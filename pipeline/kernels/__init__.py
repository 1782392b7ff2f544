"""Compiled kernels. Numba's cache for them lies in a folder named by a digest of all their sources.

Numba checks a cached kernel against its own file alone, so after an edit to a kernel that it inlines from another file
it would go on running the old code: the same sources would give other results than a fresh checkout.
"""

import tempfile
from hashlib import blake2b
from pathlib import Path

from numba import config


def sources_digest(folder: Path) -> str:
    """blake2b-64 (hex) of the names and contents of the modules in `folder` and below."""
    h = blake2b(digest_size=8)
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        h.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return h.hexdigest()


def cache_folder(folder: Path, given: str) -> str:
    """Where the kernels in `folder` are cached: below `given` (NUMBA_CACHE_DIR) if it is set, else in __pycache__.

    `given` itself where nothing can be written there; "" leaves the place to numba.
    """
    base = Path(given) if given else folder / "__pycache__"
    name = f"gristmill-{sources_digest(folder)}"
    if base.name == name:
        return given
    try:
        (base / name).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=base / name).close()
    except OSError:
        return given
    return str(base / name)


# Dispatchers ask for the folder when they are made, so it is set before any module of this package is imported.
config.CACHE_DIR = cache_folder(Path(__file__).parent, config.CACHE_DIR)  # pyright: ignore[reportAttributeAccessIssue]
