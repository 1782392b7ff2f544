"""The objects below one prefix of an S3 bucket: listed, read, written whole, made if absent, removed.

Every call is tried again where its failure may pass (500, 503 SlowDown, a cut connection). Credentials and endpoint
come from the environment, as AWS's own tools take them, and are written nowhere.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from gristmill.pipeline.contract.remote.retry import Retry, patiently, status_of
from gristmill.pipeline.run.objects.address import SCHEME, Address

A = TypeVar("A")
T = TypeVar("T")
RETRY = Retry(8, 0.5)  # about a minute; s3fs tries five times within each, two seconds
FIRST = Retry(3, 0.5)  # before anything has begun: an address is more often wrong than a store away
PUT_BYTES = 64 << 20  # of an object that goes in one request; a larger one goes in parts, and is there when all are
REMOVED = 1000  # names in one request (S3's limit)
AT_ONCE = 16  # requests of one process


@dataclass(frozen=True)
class Listed:
    size: int
    etag: str
    modified: int  # nanoseconds since 1970


@cache
def bucket_of(address: Address) -> "Bucket":
    """One per process: it holds the connections."""
    return Bucket(address)


class Bucket:
    """Raises InputError, one line, for what does not pass: no such bucket, no rights."""

    def __init__(self, address: Address):
        import fsspec
        from fsspec.config import conf

        self.address = address
        # Listings are never remembered: other nodes write. What is tried again is tried again here and by s3fs.
        given = conf.get(SCHEME, {}).get("config_kwargs", {})
        client = {"retries": {"total_max_attempts": 1}, **given}
        self.fs: Any = fsspec.filesystem(
            SCHEME, use_listings_cache=False, skip_instance_cache=True, config_kwargs=client
        )
        self.pool = ThreadPoolExecutor(AT_ONCE)

    def _try(self, call: Callable[[], T], retry: Retry = RETRY) -> T:
        return patiently(call, f"run folder {self.address}", retry)

    def _call(self, method: str, **given: object) -> dict[str, Any]:
        return self.fs.call_s3(method, Bucket=self.address.bucket, **given)

    def each(self, do: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
        """Some requests at once; results in order."""
        return self.pool.map(do, items)

    def list(self, retry: Retry = RETRY) -> dict[str, Listed]:
        """Name -> size and ETag of all objects, a request per 1000."""
        found: dict[str, Listed] = {}
        begin = self.address.of("")
        more: dict[str, object] = {}
        while True:
            page = self._try(lambda more=more: self._call("list_objects_v2", Prefix=begin, **more), retry)
            for item in page.get("Contents", ()):
                when = int(item["LastModified"].timestamp() * 1e9)
                found[item["Key"].removeprefix(begin)] = Listed(int(item["Size"]), str(item["ETag"]), when)
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, name: str, retry: Retry = RETRY) -> bytes | None:
        """None where there is none."""
        path = f"{self.address.bucket}/{self.address.of(name)}"

        def read() -> bytes | None:
            try:
                return self.fs.cat_file(path, max_concurrency=1)
            except FileNotFoundError:
                return None

        return self._try(read, retry)

    def fetch(self, name: str, path: Path, size: int) -> bool:
        """An object into a file; False where there is none any more. `size`: its bytes when it was listed; somebody may
        have put another one since."""
        key = self.address.of(name)

        def get() -> bool:
            try:
                self.fs.get_file(f"{self.address.bucket}/{key}", str(path))
                got = path.stat().st_size
                if got != size and got != int(self._call("head_object", Key=key)["ContentLength"]):
                    raise OSError(f"{got} bytes of {name} instead of {size}")
            except FileNotFoundError:
                return False
            return True

        return self._try(get)

    def send(self, name: str, path: Path) -> str:
        """A file as an object; its ETag."""
        if path.stat().st_size <= PUT_BYTES:
            return self.write(name, path.read_bytes())
        key = self.address.of(name)
        self._try(lambda: self.fs.put_file(str(path), f"{self.address.bucket}/{key}"))
        return str(self._try(lambda: self._call("head_object", Key=key))["ETag"])

    def write(self, name: str, data: bytes, retry: Retry = RETRY) -> str:
        """Puts an object, whole or not at all; its ETag."""
        return str(self._try(lambda: self._call("put_object", Key=self.address.of(name), Body=data), retry)["ETag"])

    def first(self, name: str, data: bytes) -> bool:
        """Makes an object where there is none (a PUT with If-None-Match); False where there is one."""

        def put() -> bool:
            try:
                self._call("put_object", Key=self.address.of(name), Body=data, IfNoneMatch="*")
            except Exception as error:
                if status_of(error) == 412 or isinstance(error, FileExistsError):
                    return False
                if status_of(error) == 409:  # another one writes it: S3 asks to try again
                    raise OSError(str(error)) from None
                raise
            return True

        # An answer that was lost on the way is asked for again, and then the object is there: it is ours.
        return self._try(put) or self.read(name) == data

    def remove(self, names: Sequence[str]) -> None:
        for i in range(0, len(names), REMOVED):
            keys = [{"Key": self.address.of(name)} for name in names[i : i + REMOVED]]
            self._try(lambda keys=keys: self._remove(keys))

    def _remove(self, keys: Sequence[dict[str, str]]) -> None:
        answer = self._call("delete_objects", Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            raise OSError(f"{errors[0].get('Key')}: {errors[0].get('Code')}")
