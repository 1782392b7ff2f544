"""A server that speaks S3, and an empty bucket in it."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty import Faulty, moto, proxied


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    with moto() as address:
        yield address


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Faulty]]:
    """An empty bucket of this name, reached as the environment says; this node's mirrors lie in tmp_path/node."""
    import boto3

    from gristmill.pipeline.run.objects.bucket import bucket_of

    connection = http.client.HTTPConnection(s3_server)
    connection.request("POST", "/moto-api/reset")
    assert connection.getresponse().status == 200
    connection.close()
    with proxied(s3_server) as (handler, environment):
        for name, value in {**environment, "XDG_CACHE_HOME": str(tmp_path / "node")}.items():
            monkeypatch.setenv(name, value)
        bucket_of.cache_clear()
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield handler
        bucket_of.cache_clear()
