"""A fault at every write of a run, one after the other: the same command then gives the same bytes each time."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

import toy
from faults import Faults, Killed, stopped_by
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


def run(folder: Path, out: Path) -> None:
    made, store = toy.recipe(folder, gate={"min_words": 3}), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a run but its logs, by its name; receipts hold times, but what they prove is in seal.json."""
    return {
        p.relative_to(out).as_posix(): b"" if is_receipt(p) else p.read_bytes()
        for p in sorted(out.rglob("*"))
        if p.is_file() and "logs" not in p.parts
    }


def is_receipt(path: Path) -> bool:
    return path.name.endswith(".receipt.json") or path.parent.name == "receipts"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=2, lines=6)


@pytest.fixture(scope="module")
def undisturbed(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(lines, out)
    return contents(out)


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "after"),
    [pytest.param(Killed, False, marks=pytest.mark.slow), (Killed, True), (full, False)],
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
