"""Opens a fastText model in a child process before anything reads it: the library trusts every size that a file states.

A damaged file can crash the library, exhaust the memory or never return. Here it does so in a process with limits of
memory and time, and the error names the file. A model that passes is not thereby harmless (docs/SECURITY.md).
"""

import os
import resource
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from gristmill.pipeline.contract.errors import InputError

MEMORY_BYTES = 2 << 30  # the interpreter, its libraries and the table of 30 million words that fastText always makes
MEMORY_PER_BYTE = 4  # of the file: each matrix is held once and copied once
SECONDS = 60  # of CPU, for a machine that is busy ...
BYTES_PER_SECOND = 10 << 20  # ... and for the file; the library reads some 500 MB/s

# Predictions read every part of a model: words, subwords and hashed pairs, matrices, tree or softmax.
_OPEN = """
import sys
import fasttext
try:
    model = fasttext.load_model(sys.argv[1])
    words = model.get_words(on_unicode_error="replace")[:500]
    for line in ("", "a line", "\u6f22\u5b57 \u0442\u0435\u043a", " ".join(words), " ".join(words[::-1])):
        found = model.predict(line, k=-1)[1]
        if not all(0 <= p < 1.01 for p in found):
            raise ValueError("its probabilities are no numbers between 0 and 1")
    print(len(model.labels))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def check_model(path: str, key: str) -> None:
    """Raises InputError, naming the setting and the file, for one that fastText cannot open and ask."""
    stat = Path(path).stat()
    if problem := _problem(path, stat.st_size, stat.st_mtime_ns):
        raise InputError(f"{key}: {path} is damaged, or no fastText classifier: {problem}; fetch it again")


@lru_cache(maxsize=64)
def _problem(path: str, size: int, changed: int) -> str:
    """What is wrong with the file, or "". `changed`: a file that was written again is opened again."""
    most = MEMORY_BYTES + MEMORY_PER_BYTE * size
    seconds = SECONDS + size // BYTES_PER_SECOND

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _OPEN, path], capture_output=True, text=True, errors="replace", env=environment,
            preexec_fn=limited, timeout=10 * seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"the library was not done with it after {10 * seconds} s"
    if done.returncode == -signal.SIGXCPU:
        return f"the library was not done with it after {seconds} s of CPU"
    if done.returncode < 0:
        return f"the library ended by signal {-done.returncode} ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return "" if done.stdout.strip() != "0" else "it has no labels"
