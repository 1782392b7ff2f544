"""Parses risky pages in a child process, so that a hang or crash of the parser costs only that page.

A parser in C holds the interpreter until it is done, so neither a signal nor a thread can stop it: only a kill does.
Ordinary pages (99.9% of web/) never come here. The child ends with its parent, because its standard input does.
"""

import os
import pickle
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, TypeAlias

from gristmill.pipeline.contract.loading import python_child

Job: TypeAlias = tuple[bytes, Mapping[str, str], str, str]  # page in UTF-8, HTTP headers, extractor, blocks


class TimedOut(Exception):
    """The page took longer than it may."""


class Crashed(Exception):
    """The page ended the process."""


class Guard:
    """One child, started when it is first needed and again after each page that cost it its life."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def read(self, job: Job, seconds: float) -> object:
        """What `gristmill.stages.ingest.page.parse.parsed` makes of the job. Raises TimedOut or Crashed."""
        try:
            process = self._started()
            _send(process.stdin, job)  # type: ignore[arg-type]
            return pickle.loads(_received(process.stdout, time.monotonic() + seconds))  # type: ignore[arg-type]
        except TimedOut:
            self.stop()
            raise
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self.stop()
            raise Crashed from error

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            command, environment = python_child(f"{__name__}:serve")
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
            _received(self.process.stdout, time.monotonic() + START_S)  # type: ignore[arg-type]
        return self.process

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            self.process = None


START_S = 120.0  # a cold start compiles the kernels
GUARD = Guard()


def _send(pipe: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, protocol=5)
    pipe.write(len(data).to_bytes(8, "little") + data)
    pipe.flush()


def _received(pipe: IO[bytes], deadline: float) -> bytes:
    """One message. Raises TimedOut at the deadline, EOFError where the other end is gone."""
    held = bytearray()
    while len(held) < 8 or len(held) < 8 + int.from_bytes(held[:8], "little"):
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise TimedOut
        data = os.read(pipe.fileno(), 1 << 20)
        if not data:
            raise EOFError
        held += data
    return bytes(held[8:])


def serve() -> None:
    """The child: answers jobs until its input ends. Nothing else may write to standard output."""
    from gristmill.stages.ingest.page.parse import parsed

    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _send(answers, "ready")
    while head := source.read(8):
        page, headers, extractor, blocks = pickle.loads(source.read(int.from_bytes(head, "little")))
        _send(answers, parsed(page.decode("utf-8", "replace"), page, headers, extractor, None, blocks))
