"""Files of texts that a person gives: marks, nulls, encodings, sidecars of a Mac; errors name key, file and line."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from gristmill.pipeline.contract.errors import GristmillError
from gristmill.pipeline.contract.texts import is_sidecar, records_of

LINES = b'{"text": "one \xc3\xa9"}\r\n\n{"text": null}\n{"text": "two", "language": "fr"}'
READ = [("one é", None), ("two", "fr")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES),
        ("a.jsonl", LINES.decode().encode("utf-16")),
        ("a.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + LINES)),
    ],
    ids=["plain", "mark", "utf-16", "gzip"],
)
def test_json_lines_are_read_as_the_inputs_reader_does(name: str, content: bytes, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    assert list(records_of(str(tmp_path / name), "text", "key")) == READ


def test_plain_text_and_parquet(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone")
    assert list(records_of(str(tmp_path / "a.txt"), "text", "key")) == [("one", None)]
    pl.DataFrame({"text": ["one", None]}).write_parquet(tmp_path / "[a].parquet")
    assert list(records_of(str(tmp_path / "[a].parquet"), "text", "key")) == [("one", None)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "a"}\n{"text": "caf\xe9"}\n', "line 2: byte 13 is no UTF-8"),
        (b'{"text": "a"}\n{"tekst": "a"}\n', "line 2: no field 'text'; it has tekst"),
        (b'{"text": "a"}\n[1]\n', "line 2: a JSON list, not a record"),
        (b'{"text": "a"}\n{"text": 3}\n', "line 2: 'text' and language must be strings"),
        (json.dumps({"text": "a"}).encode() + b"\n" + b"[" * 100_000, "line 2: no JSON (RecursionError"),
    ],
    ids=["latin-1", "other-field", "list", "number", "deep"],
)
def test_what_cannot_be_read_is_named_with_key_file_and_line(content: bytes, said: str, tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(GristmillError) as error:
        list(records_of(str(tmp_path / "a.jsonl"), "text", "some.key"))
    assert str(error.value).startswith(f"some.key: {tmp_path}/a.jsonl")
    assert said in str(error.value)


def test_a_macs_sidecar_is_known_by_its_name():
    assert is_sidecar("x/._a.jsonl")
    assert not is_sidecar("._x/a.jsonl")
