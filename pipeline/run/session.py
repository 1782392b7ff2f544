"""Who holds a run folder: one command at a time on any host, and workers that end once theirs holds it no longer.

On one host a file lock decides, which the kernel frees when its process dies. Between hosts that share the folder a
lease does: a file with a random token and a number that its holder raises every BEAT_S. Whoever finds another host's
lease watches it for SILENCE_S on its own clock; clocks of two hosts are never compared. Of a run in an object store the
lease is an object, which is made by a PUT that fails where there is one.
"""

import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO

from gristmill.pipeline.contract.errors import GristmillError, InputError, PlanError
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.contract.state import temporary, unique
from gristmill.pipeline.plan.identity import digest
from gristmill.pipeline.run.objects.bucket import RETRY
from gristmill.pipeline.run.objects.found import called, mirror_of

LEASE = ".session"
JOBS = "jobs.json"  # what a queueing engine was given: the jobs, and the token of their session
BEAT_S = 2.0
SILENCE_S = 20.0  # of a holder on another host, after which it is taken for dead; of a holder, for its workers
WORKER_LOOK_S = 3.0  # between two looks of a worker at whether its command still holds the folder
QUICK = Retry(2, 0.2)  # of a sign of life in an object store: the next one comes soon
PATIENCE_S = 30.0  # for workers of this host that outlived their command
LOST = 75  # exit status of a process whose session another command has ended (sysexits.h: try again)


class NoSession(GristmillError):
    """A worker's command no longer holds the run folder."""


@dataclass(frozen=True)
class Lease:
    token: str
    host: str
    pid: int
    beat: int = 0


@cache
def this_host() -> str:
    """Name and boot of this machine; processes of one host see each other's file locks."""
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    return f"{socket.gethostname()} {boot}".strip()


def here(root: Path) -> str:
    """This host, as far as its processes share file locks on the run: of one in an object store, by way of a mirror."""
    return this_host() if mirror_of(root) is None else f"{this_host()} {digest(str(root))[:8]}"


def read_lease(root: Path, retry: Retry = QUICK) -> Lease | None:
    """Raises InputError where it lies in an object store that cannot be reached."""
    try:
        return Lease(**json.loads(_now(root, LEASE, retry)))
    except (OSError, ValueError, TypeError):
        return None


def _now(root: Path, name: str, retry: Retry) -> bytes:
    """What a file of the run holds, whichever node wrote it."""
    mirror = mirror_of(root)
    return (root / name).read_bytes() if mirror is None else mirror.bucket.read(name, retry) or b""


def _put(root: Path, lease: Lease) -> None:
    if mirror := mirror_of(root):
        mirror.bucket.write(LEASE, json.dumps(asdict(lease)).encode(), QUICK)
        return
    begun = temporary(root / LEASE)
    begun.write_text(json.dumps(asdict(lease)), encoding="utf-8")
    begun.replace(root / LEASE)


def _put_first(root: Path, lease: Lease) -> bool:
    """False where there is a lease: of two hosts that try at once, one makes the link, or the object."""
    if mirror := mirror_of(root):
        return mirror.bucket.first(LEASE, json.dumps(asdict(lease)).encode())
    begun = temporary(root / LEASE)
    begun.write_text(json.dumps(asdict(lease)), encoding="utf-8")
    try:
        os.link(begun, root / LEASE)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with (root / LEASE).open("x", encoding="utf-8") as file:
                file.write(begun.read_text(encoding="utf-8"))
        except FileExistsError:
            return False
    finally:
        begun.unlink()
    return True


def _give_up(root: Path) -> None:
    if mirror := mirror_of(root):
        mirror.bucket.remove([LEASE])
    else:
        (root / LEASE).unlink(missing_ok=True)


@contextmanager
def locked(root: Path, patience: float = 0.0, silence: float = SILENCE_S) -> Iterator[str]:
    """One command at a time per folder; yields the session's token. Waits for workers that outlived a killed command.

    `patience`: seconds to wait for another command; `silence`: how long a lease of another host is watched.
    Raises PlanError when another command holds the folder.
    """
    root.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    with (root / ".lock").open("a+") as command, (root / ".workers.lock").open("a+") as workers:
        while not (taken := _flock(command, fcntl.LOCK_EX)):
            if taken is None:
                break
            if time.monotonic() >= until:
                raise PlanError(
                    f"{called(root)} is in use by another run{by(root)}; wait for it or choose another --out"
                )
            time.sleep(0.2)
        with _leased(root, taken is None, until, silence) as token:
            _wait_for_workers(root, workers)
            yield token


def _flock(file: IO[str], how: int) -> bool | None:
    """Whether the lock was had; None where the file system has no locks."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def by(root: Path) -> str:
    lease = read_lease(root)
    return f" (process {lease.pid} on {lease.host.split()[0]})" if lease else ""


@contextmanager
def _leased(root: Path, no_locks: bool, until: float, silence: float) -> Iterator[str]:
    lease = Lease(unique(), here(root), os.getpid())
    while not _put_first(root, lease):
        before = read_lease(root)
        if before and (no_locks or before.host != here(root)):
            _watch(root, before, until, silence)
        _put(root, lease)  # its holder is dead
        if before and before.host != here(root):
            time.sleep(min(BEAT_S, silence))  # another host may have seen the same
        if (now := read_lease(root)) and now.token == lease.token:
            break
    ended = threading.Event()
    beats = threading.Thread(target=_beat, args=(root, lease, ended), daemon=True)
    beats.start()
    try:
        yield lease.token
    finally:
        ended.set()
        beats.join()
        with suppress(InputError):  # a bucket that is gone: what matters is why the run ends
            if (now := read_lease(root)) and now.token == lease.token:
                _give_up(root)


def _watch(root: Path, before: Lease, until: float, silence: float) -> None:
    """Returns when a lease has not changed for so long, or is gone. Raises PlanError where it is alive."""
    there = before.host.split()[0]
    say([f"gristmill: watching for {silence:g} s whether {there} still works on {called(root)}"], sys.stderr)
    began = time.monotonic()
    while time.monotonic() - began < silence:
        time.sleep(min(0.5, silence / 10))
        now = read_lease(root)
        if now is None:
            return
        if now != before:
            if time.monotonic() >= until:
                raise PlanError(
                    f"{called(root)} is in use by another run{by(root)}; wait for it or choose another --out"
                )
            before, began = now, time.monotonic()


def _beat(root: Path, lease: Lease, ended: threading.Event) -> None:
    beat = 0
    while not ended.wait(BEAT_S):
        with suppress(OSError, InputError):  # a full disk, a bucket that does not answer: the run will say so itself
            now = read_lease(root)
            if now is not None and now.token != lease.token:
                say([f"gristmill: {called(root)} was taken over by another run{by(root)}; this one ends"], sys.stderr)
                os._exit(LOST)
            beat += 1
            _put(root, Lease(lease.token, lease.host, lease.pid, beat))


def _wait_for_workers(root: Path, workers: IO[str]) -> None:
    began, said = time.monotonic(), False
    while _flock(workers, fcntl.LOCK_EX) is False:
        waited = time.monotonic() - began
        if waited > 3 and not said:
            said = True
            say([f"gristmill: waiting for workers of an earlier run of {root} to end"], sys.stderr)
        if waited > PATIENCE_S:
            raise PlanError(f"workers of an earlier run of {root} do not end; end them (fuser {root}/.workers.lock)")
        time.sleep(0.05)
    with suppress(OSError):
        fcntl.flock(workers, fcntl.LOCK_UN)


def at_work(root: Path) -> tuple[bool, bool]:
    """Whether a command, and whether a worker, of this host holds the folder."""
    held = []
    for name in (".lock", ".workers.lock"):
        try:
            with (root / name).open("r") as lock:
                held.append(_flock(lock, fcntl.LOCK_SH if name == ".lock" else fcntl.LOCK_EX) is False)
        except OSError:  # no run has begun here
            held.append(False)
    return held[0], held[1]


def in_use(root: Path) -> bool:
    """Whether a process works on the folder: its lock on this host, or a lease of another one that changes."""
    if at_work(root)[0]:
        return True
    if not (root / ".lock").exists() and mirror_of(root) is None:  # no run has begun here
        return False
    lease = read_lease(root)
    if lease is None or lease.host == here(root):
        return False
    time.sleep(1.5 * BEAT_S)
    return read_lease(root) not in (None, lease)


def may_work(root: Path, session: str) -> bool:
    """Whether a session is that of the command which holds the folder, or of the jobs that were queued last. Raises
    InputError where that lies in an object store that cannot be reached."""
    return _is_of(root, session, read_lease(root, RETRY), RETRY)


def _is_of(root: Path, session: str, lease: Lease | None, retry: Retry) -> bool:
    if lease is not None and lease.token == session:
        return True
    try:
        return json.loads(_now(root, JOBS, retry))["session"] == session
    except (OSError, ValueError, TypeError, KeyError):
        return False


@contextmanager
def working(root: Path, session: str) -> Iterator[None]:
    """In a worker, for a rank: holds the workers' lock, so that a new command waits for it.

    `session`: the token of its command; the process ends soon after another has taken its place, or after SILENCE_S
    without a sign of life from it. "": the worker ends with its parent. Raises NoSession where it is over already.
    """
    if session and not may_work(root, session):
        raise NoSession(f"{called(root)}: the command that this worker belongs to no longer holds the run")
    ended = threading.Event()
    with (root / ".workers.lock").open("a+") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        if session:
            threading.Thread(target=_follow, args=(root, session, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()


def _follow(root: Path, session: str, ended: threading.Event) -> None:
    last, heard = None, time.monotonic()
    while not ended.wait(WORKER_LOOK_S):
        with suppress(InputError):  # a bucket that does not answer is silence, too
            lease = read_lease(root)
            if not _is_of(root, session, lease, QUICK):
                os._exit(LOST)
            if lease is None or lease.token != session or lease != last:
                last, heard = lease, time.monotonic()
        if time.monotonic() - heard > SILENCE_S:
            os._exit(LOST)
