"""The folder that a benchmark reads: `--data FOLDER` on its command line, else ../shared/data beside the repository.

Our figures were measured on the latter, which is not part of the repository; each benchmark says which files it reads.
"""

import os
import sys
from pathlib import Path

OPTION = "--data"


def data_folder() -> Path:
    """Takes the option out of sys.argv, so that a benchmark's own parser does not meet it."""
    if OPTION in sys.argv[:-1]:
        at = sys.argv.index(OPTION)
        folder = Path(sys.argv[at + 1])
        del sys.argv[at : at + 2]
    else:
        folder = Path(os.environ.get("GRISTMILL_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    if not folder.is_dir():
        sys.exit(f"no folder {folder}; say {OPTION} FOLDER (the benchmark's first lines name its files)")
    return folder
