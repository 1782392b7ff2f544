"""Who may work on a run folder: one command on any host; what a killed one, here or elsewhere, leaves behind."""

import json
import multiprocessing
import os
import signal
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.state import temporary
from gristmill.pipeline.run.session import (
    JOBS,
    LEASE,
    LOST,
    Lease,
    NoSession,
    in_use,
    locked,
    read_lease,
    this_host,
    working,
)

THERE = Lease("token", "node7 ab12", 4711, 3)


def write(root: Path, lease: Lease) -> None:
    whole = temporary(root / LEASE)
    whole.write_text(json.dumps(asdict(lease)))
    whole.replace(root / LEASE)


def test_a_command_holds_the_folder_and_leaves_no_lease(tmp_path: Path):
    with locked(tmp_path) as token:
        assert read_lease(tmp_path) == Lease(token, this_host(), os.getpid())
        assert in_use(tmp_path)
        with pytest.raises(PlanError, match=rf"in use by another run \(process {os.getpid()} on "), locked(tmp_path):
            pass
    assert not (tmp_path / LEASE).exists()
    assert not in_use(tmp_path)


def test_a_command_killed_on_this_host_is_followed_at_once(tmp_path: Path):
    write(tmp_path, replace(THERE, host=this_host()))
    with locked(tmp_path, silence=3600) as token:
        assert read_lease(tmp_path) == Lease(token, this_host(), os.getpid())


def test_a_silent_lease_of_another_host_is_taken_over_and_one_that_beats_is_not(tmp_path: Path):
    write(tmp_path, THERE)
    with locked(tmp_path, silence=0.1):
        assert read_lease(tmp_path) != THERE
    ended = threading.Event()

    def beat() -> None:
        n = 0
        while not ended.wait(0.01):
            write(tmp_path, replace(THERE, beat=(n := n + 1)))

    write(tmp_path, THERE)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(PlanError, match=r"in use by another run \(process 4711 on node7\)"), locked(tmp_path):
            pass
    finally:
        ended.set()
        thread.join()


def _worker(root: Path, ready: object) -> None:
    from gristmill.pipeline.run import session

    session.WORKER_LOOK_S = 0.01
    with working(root, "old"):
        ready.set()  # pyright: ignore
        signal.pause()


def test_a_worker_ends_when_another_command_holds_the_folder(tmp_path: Path):
    (tmp_path / JOBS).write_text('{"session": "old", "jobs": []}')
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=_worker, args=(tmp_path, ready))
    worker.start()
    ready.wait()
    (tmp_path / JOBS).unlink()
    with locked(tmp_path):  # waits for the worker, whose session is over
        worker.join()
    assert worker.exitcode == LOST
    with pytest.raises(NoSession), working(tmp_path, "old"):
        pass
