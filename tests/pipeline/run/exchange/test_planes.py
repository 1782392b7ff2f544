"""Byte planes: what goes in comes out, and the bytes that all rows share are not written."""

import io

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from gristmill.pipeline.run.exchange.planes import packed, unpacked

LAST = 2**64 - 1


def written(frame: pl.DataFrame) -> bytes:
    table, options = packed(frame)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema, options=options) as stream:
        stream.write_table(table)
    return out.getvalue()


def back(data: bytes) -> pl.DataFrame:
    return unpacked(pa.ipc.open_stream(data).read_all())


@pytest.mark.parametrize(
    "values",
    [
        [0],
        [LAST],
        [7, 7, 7],
        [0, LAST, 0, LAST],
        [LAST, 0],
        [0, 1, 255, 256, 1 << 32, LAST],
        [5 << 54, (5 << 54) + 3, (5 << 54) + 1],
        list(range(1000, 0, -1)),
    ],
)
def test_numbers_come_back_whatever_they_share(values: list[int]):
    unsigned = pl.Series("u", values, dtype=pl.UInt64)
    signed = pl.Series("i", unsigned.to_numpy().view(np.int64))
    frame = pl.DataFrame([unsigned, signed])
    assert back(written(frame)).equals(frame)
    assert back(written(frame)).schema == frame.schema


def test_random_numbers_come_back_in_any_order():
    rng = np.random.default_rng(0)
    for n in (1, 2, 63, 5000):
        keys = rng.integers(0, 2**64, n, np.uint64)
        frame = pl.DataFrame({"sorted": np.sort(keys), "keys": keys, "small": keys >> np.uint64(50)})
        assert back(written(frame)).equals(frame)


def test_other_columns_and_nulls_stand_as_they_are_and_in_their_order():
    frame = pl.DataFrame(
        {
            "text": ["é", None, ""],
            "n": pl.Series([1, None, 3], dtype=pl.Int64),
            "key": pl.Series([3, 3, 4], dtype=pl.UInt64),
            "flag": [True, False, None],
            "print": [b"\x00", b"", None],
            "nothing": pl.Series([None] * 3, dtype=pl.String),
            "share": [0.5, None, float("inf")],
        }
    )
    assert back(written(frame)).equals(frame)
    assert back(written(frame[:0])).schema == frame.schema
    assert back(written(frame.select("key")[:0])).schema == {"key": pl.UInt64}


def test_a_table_that_was_not_packed_is_read_as_it_is():
    frame = pl.DataFrame({"key": [1, 2], "text": ["a", "b"]})
    assert unpacked(frame.to_arrow()).equals(frame)


def test_sorted_keys_and_nodes_of_a_bundle_take_nine_bytes_a_row_and_ids_about_half():
    rng = np.random.default_rng(0)
    n = 10_000
    rows = pl.DataFrame(
        {
            "key": np.sort(rng.integers(0, 2**56, n, np.uint64)),  # a piece of 256: deltas have six bytes
            "node": (np.uint64(77) << np.uint64(54)) + rng.integers(0, 2**18, n).astype(np.uint64),
        }
    )
    assert len(written(rows)) < 9.3 * n
    ids = pl.DataFrame(
        {"doc_id": [rng.bytes(16).hex() for _ in range(n)], "host": pl.Series([None] * n, dtype=pl.String)}
    )
    assert len(written(ids)) < 20 * n
