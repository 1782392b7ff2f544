"""The receipts of a run's parts, in append-only logs: a folder per dataset, a log per range of parts and writer.

A log is appended to by one process alone, so no file system has to order writes. A line holds a digest of itself and
how many lines were written of its part before: the last one counts, whatever log it is in, and a line that is cut
short or changed counts as not written. When a run begins and after each phase, what the writers left is merged into one
log per range of parts, sorted.
"""

import errno
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from gristmill.pipeline.contract.state import replaced
from gristmill.pipeline.run.receipts.receipt import Receipt, receipt_of

T = TypeVar("T")
LOGS = "receipts"  # the folder of a dataset's logs
PARTS = 128  # of a log: what a worker reads of a dataset to know one part, about 50 kB
MOST_LOGS = 512  # of a dataset; as many as an engine has ranks
TAKEN_AWAY = b"-"  # in the place of a receipt
DIGEST_BYTES = 8
BESIDE = ("seconds", "modified", "check")  # what differs between runs of equal results stands outside the JSON
# Fields that are left out of a line where they hold this
_DEFAULTS = {f.name: {} if f.default is MISSING else f.default for f in fields(Receipt) if f.name != "code"}
TRIES = 5  # to read logs that the run merges meanwhile
_NAME = re.compile(r"(\d{3})-of-(\d{3})(\.[0-9a-f]{16})?\.log")


@dataclass(slots=True)
class Line:
    """What a log says of a part: how many lines came before, and seconds, time of the file and receipt (None: taken
    away), which are parsed when they are asked for."""

    number: int
    said: bytes | Receipt | None

    def receipt(self) -> Receipt | None:
        if isinstance(self.said, bytes):
            seconds, modified, text = self.said.split(b" ", 2)
            try:
                self.said = receipt_of({**json.loads(text), "seconds": float(seconds), "modified": int(modified)})
            except (ValueError, TypeError):  # of another version
                self.said = None
        return self.said

    def text(self, key: str) -> bytes:
        """The line as it stands in a log, with its digest."""
        said = self.said
        if isinstance(said, Receipt):
            receipt = {k: v for k, v in vars(said).items() if k not in BESIDE and v != _DEFAULTS.get(k)}
            written = json.dumps(receipt, sort_keys=True, separators=(",", ":"))
            said = f"{round(said.seconds, 6)} {said.modified} {written}".encode()
        line = b"%d %s %s" % (self.number, key.encode(), said or TAKEN_AWAY)
        return b"%s %s\n" % (_digest(line), line)

    def after(self, other: "Line | None") -> bool:
        """Of two lines with one number, which a process that lives on unseen may write, the one that takes away."""
        return other is None or (self.number, self.said is None) > (other.number, other.said is None)


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=DIGEST_BYTES).hexdigest().encode()


def lines_of(data: bytes) -> Iterator[tuple[str, Line] | None]:
    """The lines of a log with their parts; None for one that is cut short or changed."""
    *whole, torn = data.split(b"\n")
    for text in whole:
        digest, _, line = text.partition(b" ")
        words = line.split(b" ", 2)
        if digest != _digest(line) or len(words) < 3:
            yield None
        else:
            yield words[1].decode(), Line(int(words[0]), None if words[2] == TAKEN_AWAY else words[2])
    if torn:
        yield None


def join(found: dict[str, Line], lines: Iterable[tuple[str, Line] | None]) -> dict[str, Line]:
    """`found`, with the lines that were written later."""
    for line in lines:
        if line is not None and line[1].after(found.get(line[0])):
            found[line[0]] = line[1]
    return found


def results_of(data: bytes) -> list[bytes] | None:
    """What a log proves, in order: parts and receipts without what differs between runs of equal results. None where a
    line is cut short or changed."""
    lines = list(lines_of(data))
    if None in lines:
        return None
    found = join({}, lines)
    return [
        b"%s %s" % (key.encode(), line.said.split(b" ", 2)[2])
        for key, line in sorted(found.items())
        if isinstance(line.said, bytes)
    ]


def logs_for(parts: int) -> int:
    """How many ranges of parts a dataset's receipts lie in: a power of two, as the number of parts asks for."""
    n = 1
    while n < MOST_LOGS and n * PARTS < parts:
        n *= 2
    return n


def range_of(key: str, n: int) -> int:
    """The number of a part's range among `n` equal ones of the hashes of part keys."""
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big") * n >> 32


def logs_in(dataset: Path) -> Iterator[tuple[Path, int, int]]:
    """The logs of a dataset's folder, each with the number of its range and of all ranges."""
    try:
        names = sorted(os.listdir(dataset / LOGS))
    except FileNotFoundError:
        return
    for name in names:
        if found := _NAME.fullmatch(name):
            yield dataset / LOGS / name, int(found[1]), int(found[2])


class Receipts:
    """The receipts of all parts of a run. What was read is kept until `look_again`."""

    def __init__(self, root: Path, parts: int = 1):
        """`parts`: about how many the run has; it decides only how many logs there are."""
        self.root, self.n = root, logs_for(parts)
        self._writer = secrets.token_hex(8)
        # Dataset -> number of ranges -> range -> its logs. Runs with fewer or more parts leave other numbers.
        self._there: dict[str, dict[int, dict[int, list[Path]]]] = {}
        self._lines: dict[Path, tuple[tuple[int, ...], dict[str, Line]]] = {}
        self._looked: set[Path] = set()  # logs that are taken to be as they were read
        self._mine: set[Path] = set()

    def read(self, dataset: str, key: str) -> Receipt | None:
        line = self._line(dataset, key)
        return None if line is None else line.receipt()

    def all(self, dataset: str) -> dict[str, Receipt]:
        """Part -> its receipt, in the order of the parts' keys."""
        found = self._found(lambda: self._joined(self._logs(dataset)))
        return {key: receipt for key, line in sorted(found.items()) if (receipt := line.receipt())}

    def record(self, dataset: str, key: str, receipt: Receipt) -> None:
        """After the part's file is written."""
        self._append(dataset, key, receipt)

    def take_away(self, dataset: str, key: str) -> Path | None:
        """Before the part's file changes. The log that says so; None where there was no receipt."""
        line = self._line(dataset, key)
        return self._append(dataset, key, None) if line is not None and line.said is not None else None

    def mine(self) -> list[Path]:
        """The logs that this process has appended to, as far as they are not merged yet."""
        return sorted(path for path in self._mine if path.exists())

    def look_again(self) -> None:
        """Other processes may have written since."""
        self._there.clear()
        self._looked.clear()

    def datasets(self) -> list[str]:
        """Those that have receipts."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{LOGS}"))

    def merge(self) -> None:
        """One sorted log per range, in the place of all that writers left. No other process may write meanwhile.

        A kill on the way leaves lines twice, and no part without the line that was written last.
        """
        self.look_again()
        for dataset in self.datasets():
            merged = {self._path(dataset, i) for i in range(self.n)}
            left = [path for path in self._logs(dataset) if path not in merged]
            ranges: dict[int, dict[str, Line]] = {}
            for key, line in self._joined(left).items():
                ranges.setdefault(range_of(key, self.n), {})[key] = line
            for i, lines in ranges.items():
                path = self._path(dataset, i)
                if path.exists():
                    join(lines, self._read(path).items())
                with replaced(path) as file:
                    file.writelines(line.text(key) for key, line in sorted(lines.items()))
            for path in left:
                path.unlink()
        self.look_again()

    def _path(self, dataset: str, i: int, writer: str = "") -> Path:
        return self.root / dataset / LOGS / f"{i:03d}-of-{self.n:03d}{writer and '.'}{writer}.log"

    def _found(self, look: Callable[[], T]) -> T:
        """What `look` returns; from anew where a log that was there is merged into another."""
        for _ in range(TRIES):
            try:
                return look()
            except FileNotFoundError:
                self.look_again()
        return look()

    def _line(self, dataset: str, key: str) -> Line | None:
        """What was written of a part last."""
        return self._found(lambda: self._last(dataset, key))

    def _last(self, dataset: str, key: str) -> Line | None:
        found = None
        for n, ranges in self._listed(dataset).items():
            for path in ranges.get(range_of(key, n), ()):
                line = self._read(path).get(key)
                if line is not None and line.after(found):
                    found = line
        return found

    def _joined(self, paths: Iterable[Path]) -> dict[str, Line]:
        found: dict[str, Line] = {}
        for path in paths:
            join(found, self._read(path).items())
        return found

    def _logs(self, dataset: str) -> list[Path]:
        return [path for ranges in self._listed(dataset).values() for paths in ranges.values() for path in paths]

    def _listed(self, dataset: str) -> dict[int, dict[int, list[Path]]]:
        if dataset not in self._there:
            self._there[dataset] = found = {}
            for path, i, n in logs_in(self.root / dataset):
                found.setdefault(n, {}).setdefault(i, []).append(path)
        return self._there[dataset]

    def _read(self, path: Path) -> dict[str, Line]:
        """A log's lines by part; read again where it is another file, or was appended to."""
        if path not in self._looked:
            mark = _mark(path.stat())
            if path not in self._lines or self._lines[path][0] != mark:
                self._lines[path] = mark, join({}, lines_of(path.read_bytes()))
            self._looked.add(path)
        return self._lines[path][1]

    def _append(self, dataset: str, key: str, receipt: Receipt | None) -> Path:
        before = self._line(dataset, key)
        line = Line(before.number + 1 if before else 0, receipt)
        i = range_of(key, self.n)
        path = self._path(dataset, i, self._writer)
        lines = self._read(path) if path.exists() else {}
        mark = _mark(append(path, line.text(key)))
        lines[key] = line
        self._lines[path] = mark, lines
        self._looked.add(path)
        logs = self._listed(dataset).setdefault(self.n, {}).setdefault(i, [])
        if path not in logs:
            logs.append(path)
        self._mine.add(path)
        return path


def _mark(file: os.stat_result) -> tuple[int, ...]:
    return file.st_ino, file.st_size, file.st_mtime_ns


def append(path: Path, line: bytes) -> os.stat_result:
    """Writes a line in one piece and waits until it is on the disk. What a full disk took of it is taken back."""
    new = not path.exists()
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise
        written = os.fstat(file.fileno())
    if new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the log's name, too
        finally:
            os.close(folder)
    return written


class Appended:
    """What is appended to the logs of a dataset from here on."""

    def __init__(self, dataset: Path):
        self.dataset = dataset
        self._read = {path: path.stat().st_size for path, *_ in logs_in(dataset)}

    def since(self) -> Iterator[tuple[str, Receipt]]:
        """Parts whose receipts were written since the last call, or since this was made."""
        for path, *_ in logs_in(self.dataset):
            at = self._read.get(path, 0)
            if path.stat().st_size == at:
                continue
            with path.open("rb") as file:
                file.seek(at)
                whole, end, _ = file.read().rpartition(b"\n")
            self._read[path] = at + len(whole + end)
            for line in lines_of(whole + end):
                if line is not None and (receipt := line[1].receipt()) is not None:
                    yield line[0], receipt
