"""A fault at every write of a run, one after the other: the same command then gives the same bytes each time."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import toy
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


class Killed(BaseException):
    """What no code of ours may catch, as it could not catch a SIGKILL."""


def run(folder: Path, out: Path) -> None:
    made, store = toy.recipe(folder, gate={"min_words": 3}), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a run but logs and receipts (which hold times), by its name."""
    return {
        p.relative_to(out).as_posix(): p.read_bytes()
        for p in sorted(out.rglob("*"))
        if p.is_file() and "logs" not in p.parts and not p.name.endswith(".receipt.json")
    }


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


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=2, lines=6)


@pytest.fixture(scope="module")
def undisturbed(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(lines, out)
    return contents(out)


def stopped_by(call: Callable[[], None]) -> type | None:
    """The class alone: a traceback that is kept would keep the worker's lock, for which the next run waits."""
    try:
        call()
    except (Killed, OSError) as error:
        return type(error)
    return None


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "after"),
    [(Killed, False), (Killed, True), (full, False)],
    ids=["killed-before", "killed-after", "disk-full"],
)
def test_a_fault_at_any_write_resumes_to_the_same_bytes(
    error: Callable[[], BaseException],
    after: bool,
    lines: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch,
):
    faults = Faults(monkeypatch)
    faults.error, faults.after = error, after
    run(lines, tmp_path / "count")
    total = faults.n
    assert total > 20
    for n in range(1, total + 1):
        out = tmp_path / str(n)
        faults.n, faults.strike = 0, n
        assert stopped_by(lambda out=out: run(lines, out)) is type(error())
        faults.strike = -1
        run(lines, out)
        assert contents(out) == undisturbed, f"write {n} of {total}"
