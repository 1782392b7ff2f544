"""Limits of CPU time for one record and one unit, kept by the kernel, and which of them a killed worker was at.

A native parser holds the interpreter until it is done, so neither a thread nor a Python signal handler can stop it. A
timer whose signal has no handler ends the process wherever it is; the worker's marker, a small file in shared memory,
tells the parent what it was at, and the next worker is told which records have killed one. A long unit notes there how
far it is, for whoever shows the run's progress.
"""

import json
import mmap
import signal
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

MARKER_BYTES = 1536
UNIT_S = 4 * 3600.0  # CPU seconds of one part in one phase; parts of 64 MB take minutes
_FOLDER = ".watch"

_watched = ""  # the name by which the parent knows this worker
_marker: mmap.mmap | None = None
_half = MARKER_BYTES // 3  # the unit, then the record, then the note
_listener: Callable[[str], None] | None = None
_deaths: dict[str, int] = {}  # of workers, by the record of this unit that they were at


def allow(worker: str) -> None:
    """In a worker whose parent watches it: what it begins from here on is marked and limited, and may end it."""
    global _watched
    _watched = worker


def _enable(root: Path) -> None:
    global _marker
    if _marker is not None or not _watched:
        return
    path = _marker_path(root, _watched)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(MARKER_BYTES))
    with path.open("r+b") as file:
        _marker = mmap.mmap(file.fileno(), MARKER_BYTES)


def begin_unit(root: Path, unit: str, seconds: float | None) -> None:
    """`seconds`: of CPU, over all threads, after which the process ends; None: no limit."""
    global _deaths
    _enable(root)
    if _marker is None:
        return
    _deaths = _read_deaths(root, unit)
    _put(0, unit)
    _put(_half, "")
    _put(2 * _half, "")
    signal.setitimer(signal.ITIMER_PROF, seconds or 0)


def end_unit() -> None:
    if _marker is None:
        return
    signal.setitimer(signal.ITIMER_PROF, 0)
    _put(0, "")


def begin_record(key: str, seconds: float) -> None:
    """`key` names the record within its unit; `seconds`: of CPU, after which the process ends."""
    if _marker is None:
        return
    _put(_half, key)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


def end_record() -> None:
    if _marker is None:
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    _marker[_half] = 0


def note(text: str) -> None:
    """How far the work is, in a few words for a person. A worker's parent shows it, and so does what listens here."""
    if _listener is not None:
        _listener(text)
    if _marker is not None:
        _put(2 * _half, text)


def listen(heard: Callable[[str], None] | None) -> None:
    """Calls `heard` with the notes of this process."""
    global _listener
    _listener = heard


def notes(root: Path) -> dict[str, str]:
    """Unit -> what its worker last noted, of the units that workers are at."""
    found: dict[str, str] = {}
    for path in sorted(folder(root).glob("*.at")):
        try:
            data = path.read_bytes()
        except OSError:  # its worker has ended
            continue
        unit, said = (data[a : a + _half].split(b"\0", 1)[0].decode("utf-8", "replace") for a in (0, 2 * _half))
        if unit and said:
            found[unit] = said
    return found


def deaths(key: str) -> int:
    """How many workers died at a record of the unit that is being done."""
    return _deaths.get(key, 0)


def last_words(root: Path, worker: str) -> tuple[str, str] | None:
    """(unit, record or "") at which a dead worker was; None where it had begun no unit. Removes its marker."""
    path = _marker_path(root, worker)
    try:
        data = path.read_bytes()
        path.unlink()
    except OSError:
        return None
    unit, record = (
        part.split(b"\0", 1)[0].decode("utf-8", "replace") for part in (data[:_half], data[_half : 2 * _half])
    )
    return (unit, record) if unit else None


def note_deaths(root: Path, unit: str, counts: dict[str, int]) -> None:
    """For the next worker that does the unit."""
    path = _deaths_path(root, unit)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(counts), encoding="utf-8")
    temporary.replace(path)


def folder(root: Path) -> Path:
    return root / _FOLDER


def _put(at: int, text: str) -> None:
    assert _marker is not None
    data = text.encode("utf-8", "replace")[: _half - 1] + b"\0"
    _marker[at : at + len(data)] = data


def _marker_path(root: Path, worker: str) -> Path:
    return folder(root) / f"{worker}.at"


def _deaths_path(root: Path, unit: str) -> Path:
    return folder(root) / f"{blake2b(unit.encode(), digest_size=8).hexdigest()}.json"


def _read_deaths(root: Path, unit: str) -> dict[str, int]:
    try:
        found = json.loads(_deaths_path(root, unit).read_text(encoding="utf-8"))
        return {str(key): int(n) for key, n in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}
