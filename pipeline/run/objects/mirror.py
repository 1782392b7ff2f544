"""A run folder in an object store, worked on through a folder of this node: the mirror, whose files are fetched late.

The bucket is what is true; a node's mirror is a cache of it. Every object has a file here, but a large one is at
first a *stub*: a sparse file with the object's size and date and no permission bits, so that receipts prove it as they
prove a file. It is fetched when a path is handed out for reading (`whole`). What a node has written goes up by `send`:
what is to be overwritten loses its receipt first, then come data, then receipts, so that a receipt in the bucket is
true whenever the node is killed. Nothing is renamed or appended to: a PUT is whole or not at all.
"""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b, md5
from pathlib import Path

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.contract.state import temporary
from gristmill.pipeline.run.objects.address import TABLE, Address, address_of
from gristmill.pipeline.run.objects.bucket import PUT_BYTES, RETRY, Bucket, Listed, bucket_of
from gristmill.pipeline.run.objects.table import UNDERWAY, Row, Table
from gristmill.pipeline.run.receipts.logs import LOGS, Receipts, lines_of

LONG_AGO = 10**9  # nanoseconds: before any receipt
FAR_AHEAD = 2**32 * 10**9  # of receipts that were fetched: they stand in the bucket since after what they prove
NOW = "logs/progress.json"
SEAL = "seal.json"
_PROOFS = (".receipt.json", ".returned.json")
_LATE = (".parquet", ".slices")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

Files = dict[str, os.stat_result]


def stays_here(name: str) -> bool:
    """Locks, markers and temporary files; logs; what a killed step would go on from."""
    top = name.partition("/")[0]
    return name != NOW and (top in ("logs", "scratch") or any(word.startswith(".") for word in name.split("/")))


def comes_late(name: str) -> bool:
    """Whether a file is fetched only when it is read."""
    words = name.split("/")
    if name.endswith(_PROOFS):
        return False
    inside = len(words) > 2 and words[0] in ("artifacts", "corpus") and not name.endswith("/index.json")
    return inside or name.endswith(_LATE)


def is_proof(name: str) -> bool:
    return name.endswith(_PROOFS) or name == SEAL


def is_log(name: str) -> bool:
    return f"/{LOGS}/" in name


def is_stub(file: os.stat_result) -> bool:
    return stat.S_ISREG(file.st_mode) and not stat.S_IMODE(file.st_mode)


class Mirror:
    def __init__(self, place: Path):
        """`place`: an existing mirror's (`at`): its table, its lock, and the folder."""
        self.place, self.table = place, Table(place / TABLE)
        self.address: Address = address_of(self.table.said("address"))
        self.root = place / self.address.prefix.rpartition("/")[2]

    @classmethod
    def at(cls, address: Address, under: Path | None = None) -> "Mirror":
        """This node's mirror of an address; made where there is none yet. `under`: the folder of all mirrors."""
        endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
        key = blake2b(f"{endpoint} {address}".encode(), digest_size=10).hexdigest()
        place = (under or mirrors()) / key
        place.mkdir(parents=True, exist_ok=True)
        Table(place / TABLE).say("address", str(address))
        return cls(place)

    @property
    def bucket(self) -> Bucket:
        return bucket_of(self.address)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process of this node at a time."""
        with (self.place / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def name_of(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def files(self, below: Path) -> Iterator[tuple[str, os.stat_result]]:
        """What may be sent of a folder, or the file itself."""
        try:
            with os.scandir(below) as entries:
                found = list(entries)
        except NotADirectoryError:
            with suppress(FileNotFoundError):
                yield self.name_of(below), below.lstat()
            return
        except FileNotFoundError:
            return
        for entry in found:
            path = Path(entry.path)
            name = self.name_of(path)
            if entry.is_dir(follow_symlinks=False):
                if not stays_here(name):
                    yield from self.files(path)
                elif name == "logs":
                    yield from self.files(self.root / NOW)
            elif not stays_here(name):
                with suppress(FileNotFoundError):  # gone meanwhile
                    yield name, entry.stat(follow_symlinks=False)

    # From the bucket

    def look(self, alone: bool, retry: Retry = RETRY) -> None:
        """Makes the folder what the bucket is. `alone`: no process works on it, so that what was not sent is left over
        from a killed one, and goes."""
        listed = {name: item for name, item in self.bucket.list(retry).items() if not stays_here(name)}
        rows = self.table.rows()
        here: Files = dict(self.files(self.root))
        same = {n for n, file in here.items() if n in rows and rows[n].is_of(file, not comes_late(n))}
        left = [
            n for n in here
            if (n not in listed and n in same) or (n not in same and (alone or rows.get(n) == UNDERWAY))
        ]  # fmt: skip
        for name in left:
            (self.root / name).unlink(missing_ok=True)
            del here[name]
        self.table.forget({*left, *rows} - {*listed})
        # A file that is not the one that was sent is being written, by a process that will send it.
        fresh = [n for n, item in listed.items() if n not in here or (n in same and rows[n].etag != item.etag)]
        self._take(fresh, listed)

    def look_once(self, moment: str) -> None:
        """As `look`, while others work; once per moment, whichever process of the node comes first."""
        with self.locked():
            if self.table.said("looked") != moment:
                self.look(alone=False)
                self.table.say("looked", moment)

    def _take(self, names: Sequence[str], listed: dict[str, Listed]) -> None:
        for folder in {(self.root / name).parent for name in names}:
            folder.mkdir(parents=True, exist_ok=True)
        self.table.keep((name, UNDERWAY) for name in names)
        late = [n for n in names if comes_late(n) and listed[n].size]
        made: dict[str, Row | None] = {n: self._stub(n, listed[n]) for n in late}
        soon = [n for n in names if n not in made]
        made |= zip(soon, self.bucket.each(lambda n: self._fetch(n, listed[n]), soon), strict=True)
        for name in soon:
            if name.startswith("artifacts/") and is_proof(name):  # an artifact may have no file
                (self.root / name.removesuffix(_PROOFS[0])).mkdir(exist_ok=True)
        self._date({n.partition("/")[0] for n in names if is_log(n) or n.endswith(".parquet")})
        self.table.forget(n for n, row in made.items() if row is None)
        self.table.keep((n, row) for n, row in made.items() if row is not None)

    def _stub(self, name: str, item: Listed) -> Row:
        path = self.root / name
        begun = temporary(path)
        with begun.open("xb") as file:
            os.truncate(file.fileno(), item.size)
            os.utime(file.fileno(), ns=(LONG_AGO, LONG_AGO))
            os.fchmod(file.fileno(), 0)
        return self._put_in_place(begun, path, item.etag)

    def _fetch(self, name: str, item: Listed) -> Row | None:
        """None where it is gone meanwhile."""
        path = self.root / name
        begun = temporary(path)
        try:
            if not self.bucket.fetch(name, begun, item.size):
                return None
            when = FAR_AHEAD if is_proof(name) else item.modified
            os.utime(begun, ns=(when, when))
            return self._put_in_place(begun, path, item.etag)
        finally:
            begun.unlink(missing_ok=True)

    def _put_in_place(self, begun: Path, path: Path, etag: str) -> Row:
        file = begun.lstat()
        begun.replace(path)
        return Row(etag, file.st_size, file.st_ino, file.st_mtime_ns)

    def _date(self, datasets: Iterable[str]) -> None:
        """Gives parts' files the times that their receipts name, by which receipts prove them."""
        receipts = Receipts(self.root)
        for dataset in datasets:
            for key, receipt in receipts.all(dataset).items():
                path = self.root / dataset / f"{key}.parquet"
                try:
                    file = path.lstat()
                except FileNotFoundError:
                    continue
                if file.st_size == receipt.file_bytes and file.st_mtime_ns != receipt.modified:
                    os.utime(path, ns=(receipt.modified, receipt.modified))

    def whole(self, path: Path) -> bool:
        """Fetches what is here as a stub only: a file, or a folder's files. Whether anything was fetched."""
        stubs = {n: file for n, file in self.files(path) if is_stub(file)}
        if not stubs:
            return False
        rows = self.table.rows() if len(stubs) > 1 else self.table.below(next(iter(stubs)))

        def fetch(name: str) -> tuple[str, Row]:
            file = stubs[name]
            row = self._fetch(name, Listed(file.st_size, rows[name].etag, file.st_mtime_ns))
            if row is None:
                raise InputError(f"{self.address}/{name} is gone; run again")
            return name, row

        self.table.keep(list(self.bucket.each(fetch, stubs)))
        return True

    # To the bucket

    def send(self, paths: Sequence[Path] | None = None) -> None:
        """Puts what was changed below these paths (None: everywhere), and removes what is gone. With a log of receipts
        go the files that its new lines prove."""
        here, rows = self._scope(paths)
        changed = [
            n for n, file in here.items()
            if not is_stub(file) and not (n in rows and rows[n].is_of(file, not comes_late(n)))
        ]  # fmt: skip
        gone = [n for n, row in rows.items() if n not in here and row != UNDERWAY]
        self._remove([n for n in (*changed, *gone) if is_proof(n) and n in rows], rows)
        self._put([n for n in changed if not is_proof(n) and not is_log(n)], rows)
        self._remove([n for n in gone if n in rows and not is_log(n)], rows)
        self._put([n for n in changed if is_log(n) or n.endswith(_PROOFS)], rows)
        self._remove([n for n in gone if n in rows], rows)
        self._put([n for n in changed if n == SEAL], rows)

    def _scope(self, paths: Sequence[Path] | None) -> tuple[Files, dict[str, Row]]:
        if paths is None:
            return dict(self.files(self.root)), self.table.rows()
        here: Files = {}
        rows: dict[str, Row] = {}
        for path in paths:
            rows |= self.table.below(self.name_of(path))
            here |= self.files(path)
        for name in [n for n in here if is_log(n)]:
            for path in self._proved(name, rows.get(name)):
                rows |= self.table.below(self.name_of(path))
                here |= self.files(path)
        return here, rows

    def _proved(self, name: str, row: Row | None) -> Iterator[Path]:
        """Files of the receipts that were appended to a log since it was sent."""
        data, dataset = (self.root / name).read_bytes(), name.partition("/")[0]
        for line in lines_of(data[row.size :] if row else data):
            receipt = line and line[1].receipt()
            if line and receipt:
                yield self.root / dataset / f"{line[0]}.parquet"
                if receipt.rejected:  # a source's second file
                    yield self.root / f"{dataset}.rejected" / f"{line[0]}.parquet"

    def _put(self, names: Sequence[str], rows: dict[str, Row]) -> None:
        def put(name: str) -> tuple[str, Row]:
            path, row = self.root / name, rows.get(name)
            file = path.stat()
            known = row is not None and row.size == file.st_size <= PUT_BYTES and _md5(path) == row.etag.strip('"')
            etag = row.etag if row is not None and known else self.bucket.send(name, path)
            return name, Row(etag, file.st_size, file.st_ino, file.st_mtime_ns)

        if names:
            self.table.keep(list(self.bucket.each(put, names)))

    def _remove(self, names: Sequence[str], rows: dict[str, Row]) -> None:
        if names:
            self.bucket.remove(names)
            self.table.forget(names)
            for name in names:
                del rows[name]


def _md5(path: Path) -> str:
    """The ETag of an object that went in one request, unless the store encrypts it."""
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def mirrors() -> Path:
    """Where mirrors lie on this node: a local disk, by XDG_CACHE_HOME or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gristmill" / "mirrors"
