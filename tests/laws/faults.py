"""Kills and errors at the n-th thing that the one writer of files does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


class Killed(BaseException):
    """What no code of ours may catch, as it could not catch a SIGKILL."""


class Faults:
    """Counts what the one writer does (a rename, an fsync) and strikes at the n-th of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.n, self.strike = 0, -1
        self.error: Callable[[], BaseException] = Killed
        self.after = False
        for owner, name in ((Path, "replace"), (Path, "rename"), (os, "fsync")):
            monkeypatch.setattr(owner, name, self.watched(getattr(owner, name), name))

    def watched(self, original: Callable, name: str) -> Callable:
        def call(*args: object) -> object:
            if self.error is not Killed and name != "fsync":
                return original(*args)
            self.n += 1
            due = self.n == self.strike if self.error is Killed else 0 <= self.strike <= self.n
            if due and not self.after:
                raise self.error()
            result = original(*args)
            if due:
                raise self.error()
            return result

        return call


def stopped_by(call: Callable[[], None]) -> type | None:
    """The class alone: a traceback that is kept would keep the worker's lock, for which the next run waits."""
    try:
        call()
    except (Killed, OSError) as error:
        return type(error)
    return None
