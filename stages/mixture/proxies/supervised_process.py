"""Runs a shell command that is terminated when its parent process exits for any reason (timeout, Ctrl-C, SIGKILL).

The asker holds a pipe to the attendant's standard input. When it closes (a time limit, Ctrl-C, SIGKILL), the line's
processes are asked to stop, so that a wrapper can cancel its job, and are killed when they do not.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

GRACE_S = 5.0  # between SIGTERM and SIGKILL
STEPS = 100


def start(line: str, output: int) -> subprocess.Popen[bytes]:
    """Runs the line in a session of its own, standard output and error to `output`. Closing the stdin ends it; its
    exit status, or signal, is the line's. The child runs this file alone: importing the package would cost each run a
    second of CPU."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, __file__, line], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
        env=environment, start_new_session=True,
    )  # fmt: skip


def serve() -> None:
    process = subprocess.Popen(sys.argv[1], shell=True, stdin=subprocess.DEVNULL, start_new_session=True)
    left = threading.Event()

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        left.set()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            for _ in range(STEPS):  # until none of its processes is left
                time.sleep(GRACE_S / STEPS)
                os.killpg(process.pid, 0)
            os.killpg(process.pid, signal.SIGKILL)
        os._exit(128 + signal.SIGTERM)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status = process.wait()
    if left.is_set():
        watcher.join()
    if status < 0:
        with suppress(OSError):  # SIGKILL needs no default
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    serve()
