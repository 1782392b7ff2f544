"""Bytes of an input anywhere: a local file, one behind an fsspec URL, or one inside a WACZ; and its digest."""

import bz2
import lzma
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from io import RawIOBase

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.remote.retry import Retry, patiently
from gristmill.stages.ingest.files.remote import RemoteFile, filesystem_of, is_url, sends_ranges

HEAD_BYTES = 1 << 16
SPOOLED_BYTES = 4 << 30  # of a compressed member of a WACZ; its archives are stored or compressed by record
PIECE_BYTES = 1 << 20
WINDOW_BYTES = 1 << 28  # of a member's LZMA dictionary, which is memory; 7-Zip's largest preset asks for 64 MiB
INSIDE = "!/"  # separates an archive from the file inside it


class LocalFile:
    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while data and len(data) < length and offset + len(data) < self.size:
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        os.close(self._descriptor)


class SpooledFile:
    """Pieces of bytes, in a temporary file: at most SPOOLED_BYTES, behind which the file is cut short."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this)
        self.size = 0
        try:
            for piece in pieces:
                self.size += self._file.write(piece)
                if self.size >= SPOOLED_BYTES:
                    break
            self._file.flush()
        except BaseException:
            self._file.close()
            raise

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def close(self) -> None:
        self._file.close()


class Section:
    """A stretch of another file."""

    def __init__(self, file: "File", start: int, size: int) -> None:
        self._file, self._start, self.size = file, start, size

    def read_at(self, offset: int, length: int) -> bytes:
        return self._file.read_at(self._start + offset, max(min(length, self.size - offset), 0))

    def close(self) -> None:
        self._file.close()


File = LocalFile | RemoteFile | SpooledFile | Section


class Stream(RawIOBase):
    """A File as a seekable binary stream, for libraries that want one."""

    def __init__(self, file: File) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max((0, self._at, self._file.size)[whence] + offset, 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        length = self._file.size - self._at if size is None or size < 0 else size
        data = self._file.read_at(self._at, max(length, 0))
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        return self.read(-1)

    def readinto(self, buffer) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def outer_and_inner(path: str) -> tuple[str, str]:
    """`archive.wacz!/inner` as ("archive.wacz", "inner"), any other path as (path, "").

    A name may hold "!/" itself (a folder called `a!`): what stands before it must be a file, or, behind a URL, a WACZ.
    """
    at = path.find(INSIDE)
    while at >= 0:
        outer = path[:at]
        if outer.endswith(".wacz") if is_url(path) else os.path.isfile(outer):
            return outer, path[at + len(INSIDE) :]
        at = path.find(INSIDE, at + 1)
    return path, ""


def open_file(path: str, retry: Retry) -> File:
    """Raises InputError where it cannot be read; `archive.wacz!/inner` opens a file inside an archive."""
    path, inner = outer_and_inner(path)
    file: File = RemoteFile(path, retry) if is_url(path) else LocalFile(path)
    return _section(file, path, inner) if inner else file


def _inflated(packed: "Section", method: int) -> Iterator[bytes]:
    """Pieces of a member packed by bzip2 or LZMA, which zipfile inflates without a bound: 1 KB can be a gigabyte."""
    at = 0
    if method == zipfile.ZIP_BZIP2:
        inner = bz2.BZ2Decompressor()
    elif method == zipfile.ZIP_LZMA:
        head = packed.read_at(
            0, 9
        )  # APPNOTE.TXT, 5.8.8: version, size of the properties, which are LZMA's own five bytes
        code, at = head[4], 4 + int.from_bytes(head[2:4], "little")
        lzma1 = {
            "id": lzma.FILTER_LZMA1, "lc": code % 9, "lp": code // 9 % 5, "pb": code // 45,
            "dict_size": min(int.from_bytes(head[5:9], "little"), WINDOW_BYTES),
        }  # fmt: skip
        inner = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[lzma1])
    else:
        raise OSError(f"compression {method}; store it, or deflate it")
    while not inner.eof:
        data = packed.read_at(at, HEAD_BYTES) if inner.needs_input else b""
        if not data and inner.needs_input:
            return
        at += len(data)
        yield inner.decompress(data, PIECE_BYTES)


def _section(file: File, path: str, inner: str) -> File:
    try:
        with zipfile.ZipFile(Stream(file)) as archive:  # type: ignore[arg-type]
            info = archive.getinfo(inner)
            if info.compress_type == zipfile.ZIP_DEFLATED or info.flag_bits & 1:  # the latter, encrypted, raises
                with archive.open(info) as stream:
                    return SpooledFile(iter(partial(stream.read, PIECE_BYTES), b""))
            local = file.read_at(info.header_offset, 30)
            names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
            start = info.header_offset + 30 + names
            if info.compress_type == zipfile.ZIP_STORED:
                return Section(file, start, info.file_size)
            return SpooledFile(_inflated(Section(file, start, info.compress_size), info.compress_type))
    except (zipfile.BadZipFile, KeyError, RuntimeError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"cannot read {inner} inside {path}: {error}; check the archive") from error


def archives_inside(path: str, retry: Retry) -> list[str]:
    """Names of the WARC and ARC files in a WACZ; empty where it is no readable zip."""
    file = open_file(path, retry)
    try:
        with zipfile.ZipFile(Stream(file)) as archive:  # type: ignore[arg-type]
            return sorted(n for n in archive.namelist() if n.startswith("archive/") and not n.endswith("/"))
    except (zipfile.BadZipFile, RuntimeError, OSError):
        return []
    finally:
        file.close()


def digest_of(path: str, retry: Retry) -> tuple[int, str]:
    """(size, digest) of an input: size with the etag, or with the time of change, head and tail. Raises InputError."""
    if is_url(path):
        fs, inner = filesystem_of(path)
        info = patiently(lambda: fs.info(inner), f"input {path}", retry)
        if info.get("type") == "directory":
            raise InputError(f"input {path} is a folder; name its files, for example {path.rstrip('/')}/*.warc.gz")
        size = int(str(info["size"])) if info.get("size") is not None else None
        etag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("sha256")
        changed = info.get("LastModified") or info.get("Last-Modified") or info.get("mtime") or ""
        if etag and size is not None:
            return size, f"{size}-etag-{str(etag).strip(chr(34))}"
        if size and changed and not sends_ranges(path, size, retry):
            return size, f"{size}-{changed}"
        file = RemoteFile(path, retry)
        try:
            return file.size, f"{file.size}-{changed}-{_ends(file)}"
        finally:
            file.close()
    try:
        stat = os.stat(path)
    except OSError as error:
        raise InputError(f"input {path}: {error.strerror}; check the path") from error
    file = LocalFile(path)
    try:
        return stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}-{_ends(file)}"
    finally:
        file.close()


def _ends(file: File) -> str:
    head, tail = file.read_at(0, HEAD_BYTES), file.read_at(max(file.size - HEAD_BYTES, 0), HEAD_BYTES)
    return blake2b(head + tail, digest_size=16).hexdigest()


def read_whole(path: str, retry: Retry) -> bytes:
    file = open_file(path, retry)
    try:
        return file.read_at(0, file.size)
    finally:
        file.close()
