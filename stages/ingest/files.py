"""Bytes of an input anywhere: a local file, an fsspec URL with retries, or a file stored inside a WACZ."""

import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from io import RawIOBase
from typing import Protocol, TypeVar

import fsspec

from pipeline.errors import InputError

HEAD_BYTES = 1 << 16
REMOTE_BYTES = 8 << 20  # one request; S3 and HTTP have ~50 ms latency
INSIDE = "!/"  # separates an archive from the file inside it
T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """`attempts` tries, waiting `seconds`, then twice as long each time."""

    attempts: int
    seconds: float


class FileSystem(Protocol):
    """What is used of fsspec's."""

    def size(self, path: str) -> int | None: ...
    def info(self, path: str) -> dict[str, object]: ...
    def glob(self, path: str) -> list[str]: ...
    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes: ...
    def unstrip_protocol(self, name: str) -> str: ...


def is_url(path: str) -> bool:
    return "://" in path


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


class RemoteFile:
    """Reads whole blocks and keeps the last two; a server that ignores ranges is read once, whole."""

    def __init__(self, url: str, retry: Retry) -> None:
        self._url, self._retry = url, retry
        self._fs, self._path = filesystem_of(url)
        self.size = int(patiently(lambda: self._fs.size(self._path), url, retry) or -1)
        self._whole: bytes | None = None
        if self.size < 0:  # no Content-Length: nothing to aim at
            whole: bytes = patiently(lambda: self._fs.cat_file(self._path), url, retry)
            self._whole, self.size = whole, len(whole)
        self._blocks: dict[int, bytes] = {}

    def read_at(self, offset: int, length: int) -> bytes:
        stop = min(offset + length, self.size)
        parts = []
        while offset < stop:
            block = self._block(offset // REMOTE_BYTES)
            begin = offset % REMOTE_BYTES
            part = block[begin : begin + stop - offset]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            begin, end = number * REMOTE_BYTES, min((number + 1) * REMOTE_BYTES, self.size)
            if self._whole is None:
                data = patiently(lambda: self._ranged(begin, end), self._url, self._retry)
            else:
                data = self._whole[begin:end]
            while len(self._blocks) > 1:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[number] = data
        return self._blocks[number]

    def _ranged(self, begin: int, end: int) -> bytes:
        data = self._fs.cat_file(self._path, start=begin, end=end)
        if len(data) == self.size > end - begin:  # the server sent everything
            self._whole = data
            data = data[begin:end]
        if len(data) != end - begin:
            raise OSError(f"{len(data)} bytes instead of {end - begin}")
        return data

    def close(self) -> None:
        self._blocks.clear()


class HeldFile:
    """Bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        pass


class Section:
    """A stretch of another file."""

    def __init__(self, file: "File", start: int, size: int) -> None:
        self._file, self._start, self.size = file, start, size

    def read_at(self, offset: int, length: int) -> bytes:
        return self._file.read_at(self._start + offset, max(min(length, self.size - offset), 0))

    def close(self) -> None:
        self._file.close()


File = LocalFile | RemoteFile | HeldFile | Section


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


def open_file(path: str, retry: Retry) -> File:
    """Raises InputError where it cannot be read; `archive.wacz!/inner` opens a file inside an archive."""
    path, inside, inner = path.partition(INSIDE)
    file: File = RemoteFile(path, retry) if is_url(path) else LocalFile(path)
    return _section(file, path, inner) if inside else file


def _section(file: File, path: str, inner: str) -> File:
    try:
        with zipfile.ZipFile(Stream(file)) as archive:  # type: ignore[arg-type]
            info = archive.getinfo(inner)
            if info.compress_type != zipfile.ZIP_STORED:
                return HeldFile(archive.read(info))
            local = file.read_at(info.header_offset, 30)
            names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
            return Section(file, info.header_offset + 30 + names, info.file_size)
    except (zipfile.BadZipFile, KeyError, RuntimeError, OSError) as error:
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
        info = patiently(lambda: fs.info(inner), path, retry)
        size = int(str(info.get("size") or 0))
        etag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("sha256")
        changed = info.get("LastModified") or info.get("mtime") or info.get("last_modified") or ""
        file = None if etag else open_file(path, retry)
        try:
            ends = f"etag-{str(etag).strip(chr(34))}" if file is None else f"{changed}-{_ends(file)}"
            return size or (file.size if file else 0), f"{size}-{ends}"
        finally:
            if file is not None:
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


def filesystem_of(url: str) -> tuple[FileSystem, str]:
    """Raises InputError for a scheme that is unknown or whose package is missing."""
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[return-value]
    except (ImportError, ValueError) as error:
        raise InputError(f"input {url}: {error}; extras [s3] and [http] bring those packages") from error


def patiently(call: Callable[[], T], what: str, retry: Retry) -> T:
    """Repeats a remote call that failed for a reason that may pass; raises InputError when it does not."""
    for attempt in range(1, retry.attempts + 1):
        try:
            return call()
        except (ImportError, TypeError, ValueError, InputError):
            raise
        except Exception as error:  # each filesystem has errors of its own (aiohttp, botocore, requests)
            if _is_final(error):
                raise InputError(f"input {what}: {type(error).__name__}; check the address and the rights") from error
            if attempt == retry.attempts:
                text = f"input {what}: {type(error).__name__}: {error} after {attempt} attempts; try again later"
                raise InputError(text) from error
            time.sleep(retry.seconds * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _is_final(error: Exception) -> bool:
    """No second attempt helps. fsspec's HTTP says "not found" to any failure, whose status is then in the cause."""
    if not isinstance(error, FileNotFoundError | PermissionError):
        return False
    return error.__cause__ is None or getattr(error.__cause__, "status", None) in (401, 403, 404, 410)


def read_whole(path: str, retry: Retry) -> bytes:
    file = open_file(path, retry)
    try:
        return file.read_at(0, file.size)
    finally:
        file.close()
