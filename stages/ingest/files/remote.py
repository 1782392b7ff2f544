"""Files behind fsspec URLs, read by ranges with retries; a server that sends no ranges is read once, onto the disk."""

import ipaddress
import os
import socket
import tempfile
from functools import cache
from typing import IO, TYPE_CHECKING, Protocol, cast
from urllib.parse import urljoin, urlsplit

import fsspec

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.remote.retry import Retry, patiently
from gristmill.pipeline.contract.secrets import public

if TYPE_CHECKING:
    from aiohttp import TraceConfig, TraceRequestRedirectParams

AHEAD_BYTES = 8 << 20  # one request of a file that is read through; S3 and HTTP have ~50 ms latency
LEAST_BYTES = 1 << 16
WHOLE_BYTES = 8 << 30  # of a file whose size and stretches its server does not tell; a WARC of Common Crawl has 1 GB
SILENCE_S = 60.0  # a server that says nothing for so long has failed


class FileSystem(Protocol):
    """What is used of fsspec's."""

    def info(self, path: str) -> dict[str, object]: ...
    def exists(self, path: str) -> bool: ...
    def glob(self, path: str) -> list[str]: ...
    def open(self, path: str, *, size: int, block_size: int, cache_type: str) -> IO[bytes]: ...
    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes: ...
    def get_file(self, rpath: str, lpath: IO[bytes]) -> None: ...
    def unstrip_protocol(self, name: str) -> str: ...


def is_url(path: str) -> bool:
    return "://" in path


def filesystem_of(url: str) -> tuple[FileSystem, str]:
    """Raises InputError for a scheme that is unknown or whose package is missing."""
    try:
        return fsspec.core.url_to_fs(url, **_options(url))  # type: ignore[return-value]
    except (ImportError, ValueError) as error:
        raise InputError(f"input {url}: {error}; extras [s3] and [http] bring those packages") from error


def _options(url: str) -> dict[str, object]:
    """fsspec's HTTP waits 300 s for a whole answer: too short for a slow one, too long for none. s3fs waits 15 s."""
    if not url.startswith(("http://", "https://")):
        return {}
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
    client = {"timeout": timeout, "trace_configs": [_redirects()]}
    return {"client_kwargs": client, "headers": {"Accept-Encoding": "identity"}}


@cache
def _redirects() -> "TraceConfig":
    """Refuses a redirect into a network that is not public, where the server's own address does not lie."""
    from aiohttp import TraceConfig

    async def check(session: object, context: object, params: "TraceRequestRedirectParams") -> None:
        target = urlsplit(urljoin(str(params.url), params.response.headers.get("Location", "")))
        if target.netloc.rpartition("@")[2] != params.url.authority and not is_public_host(target.hostname or ""):
            raise InputError(
                f"input {public(str(params.url))} redirects to {target.hostname}, which is no public address; "
                "name the file there in input.paths itself"
            )

    config = TraceConfig()
    config.on_request_redirect.append(check)  # pyright: ignore[reportArgumentType]
    return config


def is_public_host(host: str) -> bool:
    """Whether every address of a host is a public one; a host without an address is none."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
        return bool(found) and all(ipaddress.ip_address(str(address).partition("%")[0]).is_global for address in found)
    except (OSError, ValueError):
        return False


_HOSTS: dict[str, bool] = {}  # asked once per process


def sends_ranges(url: str, size: int, retry: Retry) -> bool:
    """Whether the server sends a stretch of a file when asked for one. An HTTP server may ignore the question."""
    if not url.startswith(("http://", "https://")) or size < 3:
        return True
    host = urlsplit(url).netloc
    if host not in _HOSTS:
        fs, path = filesystem_of(url)

        def asked() -> bool:
            with fs.open(path, size=size, block_size=1, cache_type="none") as file:
                file.seek(1)
                try:
                    return len(file.read(1)) == 1
                except ValueError:  # the whole file comes: fsspec hangs up
                    return False

        _HOSTS[host] = patiently(asked, f"input {url}", retry)
    return _HOSTS[host]


class _Spool:
    """A temporary file that takes at most `most` bytes, for what a server sends without end. Raises InputError."""

    def __init__(self, file: IO[bytes], most: int, url: str) -> None:
        self._file, self._left, self._url = file, most, url

    def write(self, data: bytes) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"input {public(self._url)}: the server sends more than it said, or than {WHOLE_BYTES:,} bytes"
            )
        return self._file.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class RemoteFile:
    """Fetches what is asked for, and far ahead where the reading goes on; keeps the last two stretches."""

    def __init__(self, url: str, retry: Retry) -> None:
        self._url, self._retry = url, retry
        self._fs, self._path = filesystem_of(url)
        size = patiently(lambda: self._fs.info(self._path), f"input {url}", retry).get("size")
        self._spool: IO[bytes] | None = None
        self._held: list[tuple[int, bytes]] = []  # (offset, bytes)
        self.size = int(str(size)) if size is not None else -1
        if self.size < 0 or not sends_ranges(url, self.size, retry):
            self.size = self._fetch_whole()

    def _fetch_whole(self) -> int:
        """The whole file into a temporary one; its size."""

        def fetched() -> int:
            self.close()
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the file)
            most = self.size if self.size >= 0 else WHOLE_BYTES
            self._fs.get_file(self._path, cast(IO[bytes], _Spool(self._spool, most, self._url)))
            self._spool.flush()
            got = os.fstat(self._spool.fileno()).st_size
            if 0 <= self.size != got:
                raise OSError(f"{got} bytes instead of {self.size}")
            return got

        return patiently(fetched, f"input {self._url}", self._retry)

    def read_at(self, offset: int, length: int) -> bytes:
        stop = min(offset + length, self.size)
        parts = []
        while offset < stop:
            if self._spool is not None:
                part = os.pread(self._spool.fileno(), stop - offset, offset)
            else:
                begin, data = self._stretch(offset, stop)
                part = data[offset - begin : stop - begin]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _stretch(self, offset: int, stop: int) -> tuple[int, bytes]:
        for held in self._held:
            if held[0] <= offset < held[0] + len(held[1]):
                return held
        goes_on = any(begin + len(data) == offset for begin, data in self._held)
        want = AHEAD_BYTES if goes_on else max(stop - offset, LEAST_BYTES)
        end = min(offset + min(want, AHEAD_BYTES), self.size)
        held = offset, patiently(lambda: self._ranged(offset, end), f"input {self._url}", self._retry)
        self._held = [*self._held[-1:], held]
        return held

    def _ranged(self, begin: int, end: int) -> bytes:
        data = self._fs.cat_file(self._path, start=begin, end=end)
        if len(data) == self.size > end - begin:  # everything came, though the host sends ranges of other files
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115
            self._spool.write(data)
            self._spool.flush()
            data = data[begin:end]
        if len(data) != end - begin:
            raise OSError(f"{len(data)} bytes instead of {end - begin}")
        return data

    def close(self) -> None:
        self._held.clear()
        if self._spool is not None:
            self._spool.close()
            self._spool = None
