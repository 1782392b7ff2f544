"""Addresses of run folders in an object store."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from gristmill.pipeline.contract.errors import ConfigError

SCHEME = "s3"
TABLE = "mirror.sqlite"  # beside the folder; by it a mirror is known
_ADDRESS = re.compile(r"([a-z][a-z0-9+.\-]*):/+(.*)")  # also as Path shortens it: s3:/bucket/run


@dataclass(frozen=True)
class Address:
    """s3://bucket/prefix"""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{SCHEME}://{self.bucket}/{self.prefix}"

    def of(self, name: str) -> str:
        """The key of an object."""
        return f"{self.prefix}/{name}"


def is_address(text: object) -> bool:
    return _ADDRESS.fullmatch(str(text)) is not None


def address_of(text: object) -> Address:
    """Raises ConfigError for another store than S3, and for an address that is none."""
    found = _ADDRESS.fullmatch(str(text))
    assert found is not None
    scheme, _, rest = found[1], found[2], found[2].strip("/")
    shown = f"{scheme}://{rest.rpartition('@')[2]}"
    if scheme != SCHEME:
        raise ConfigError(
            f"{shown}: a run folder is a local one, one that all nodes share, or one in S3 (s3://bucket/folder; "
            "AWS_ENDPOINT_URL names another store that speaks S3). Inputs may be other URLs"
        )
    parts = urlsplit(f"{scheme}://{rest}")
    bucket, prefix = parts.netloc, "/".join(word for word in rest.split("/")[1:] if word)
    if "@" in bucket or "?" in rest:
        raise ConfigError(f"{shown}: credentials go into the environment (AWS_PROFILE), not into the address")
    if not bucket or not prefix or {".", ".."} & set(prefix.split("/")):
        raise ConfigError(f"{shown}: a run needs a folder of its own in the bucket: s3://bucket/folder")
    if find_spec("s3fs") is None:
        raise ConfigError(f"{shown} needs the extra: pip install 'gristmill[s3]'")
    return Address(bucket, prefix)
