"""Keys that do not fit into memory are streamed: exact copies, bands and components, as they would be in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frames import exchanged
from gristmill.pipeline.contract.shapes import Grouping
from gristmill.pipeline.kernels.numbers.minhash import LEADERS, to_binary
from gristmill.pipeline.run.exchange import slices
from gristmill.stages.dedup.components import Components
from gristmill.stages.dedup.exact import ExactDuplicates
from gristmill.stages.dedup.near import NearDuplicates, Verified
from gristmill.stages.dedup.survival import Preference

KEEP = (Preference("ingest.text_bytes", "large"),)
MUCH = 1 << 30


def documents(n: int, kinds: int) -> pl.DataFrame:
    """A giant component of texts of so many kinds (unlike each other, but for small edits), and some small ones."""
    rng = np.random.default_rng(n)
    kind = rng.integers(0, kinds, n)
    prints = rng.integers(0, 256, (kinds, 112), dtype=np.uint8)[kind]
    edits = rng.random((n, 112)) < 0.1
    prints[edits] = rng.integers(0, 256, int(edits.sum()), dtype=np.uint8)
    bands = rng.integers(0, 2**63, (n, 14), np.uint64)
    bands[:, 3] = 77  # a giant band key
    signatures = np.hstack([bands.astype("<u8").view(np.uint8), prints])
    giant = rng.random(n) < 0.9
    small = rng.integers(1, 2**63, n // 30, np.uint64)[rng.integers(0, n // 30, n)]
    component = np.where(giant, np.uint64(1 << 62), small)
    return pl.DataFrame(
        {
            "doc_id": [rng.bytes(16).hex() for _ in range(n)],
            "url": [f"https://h{i % 7}.org/{i}" for i in range(n)],
            "dump": [[None, "CC-1", "CC-2"][i % 3] for i in range(n)],
            "text": [
                f"kind {k} " + " ".join(f"w{k}x{j}" for j in range(40)) + f" e{i % 5}" for i, k in enumerate(kind)
            ],
            "text_hash": ["ab" * 16 if g else f"{int(s):032x}" for g, s in zip(giant, small, strict=True)],
            "text_bytes": rng.integers(1, 5, n),
            "minhash": to_binary(signatures, np.ones(n, bool)),
            "minhash_component": pl.Series(component, dtype=pl.UInt64),
            "is_held_out": rng.random(n) < 0.01,
            "exact_copies_n": rng.integers(1, 3, n),
            "exact_hosts": pl.Series([None] * n, dtype=pl.String),
            "exact_dumps": ["CC-1\nCC-9" if i % 11 == 0 else None for i in range(n)],
        }
    )


def both(
    stage: Grouping, batch: pl.DataFrame, folder: Path, monkeypatch, little: int
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """What a stage writes with little and with much memory, and how many frames were streamed with little."""
    monkeypatch.setattr(slices, "PIECE_BYTES", 1 << 12)
    streamed = 0
    original = type(stage).gather_long

    def counted(self, rows):
        nonlocal streamed
        for back in original(self, rows):
            streamed += 1
            yield back

    monkeypatch.setattr(type(stage), "gather_long", counted)
    batch = batch.select(list(dict.fromkeys(["doc_id", *(c for columns in stage.reads.values() for c in columns)])))
    thirds = [[batch[:500], batch[500:900]], [batch[900:]]]
    found = []
    for memory, partitions in ((little, 4), (MUCH, 1)):
        (folder / str(memory)).mkdir()
        frames, _ = exchanged(stage, thirds, folder / str(memory), partitions=partitions, memory=memory)
        found.append(pl.concat(frames))
        assert streamed > 3  # with little: none is with much
        monkeypatch.setattr(type(stage), "gather_long", Grouping.gather_long)
    return *found, streamed


@pytest.mark.parametrize(
    ("stage", "n", "kinds"),
    [
        (ExactDuplicates(keep=KEEP), 2000, 3),
        (NearDuplicates(keep=KEEP), 2000, 3),
        (NearDuplicates(keep=KEEP), 2600, LEADERS + 200),  # more leaders than a component may have
        (NearDuplicates(keep=KEEP, min_similarity=None), 2000, 3),
        (NearDuplicates(keep=KEEP, verified=Verified(verify=True)), 2000, 3),
    ],
)
def test_a_key_that_does_not_fit_gives_what_it_gives_in_memory(
    stage: Grouping, n: int, kinds: int, tmp_path: Path, monkeypatch
):
    batch = documents(n, kinds)
    little, much, streamed = both(stage, batch, tmp_path, monkeypatch, 1 << 18)
    assert streamed < n
    assert little.equals(much)
    name = "exact_duplicate_of" if isinstance(stage, ExactDuplicates) else "near_duplicate_of"
    assert 0 < little[name].null_count() < 0.95 * n
    assert little.drop_nulls(name).height


def test_a_band_key_that_does_not_fit_joins_its_documents(tmp_path: Path, monkeypatch):
    batch = documents(1500, 2)
    little, much, _ = both(Components(), batch, tmp_path, monkeypatch, 1 << 15)
    assert little.equals(much)
    assert little["minhash_component"].n_unique() == 1


def known_rows(stage: Components, n: int) -> list[pl.DataFrame]:
    """Rows of older runs: two components that have the giant band, and one that nobody meets."""
    rows = pl.DataFrame(
        {"key": [77, 77, 5], "component": [900, 800, 7]}, schema_overrides={"key": pl.UInt64, "component": pl.UInt64}
    )
    return [rows.with_columns(node=pl.lit(2**64 - 1, pl.UInt64), rank=pl.lit(0, pl.UInt64))]


@pytest.mark.parametrize("met", [True, False])
def test_streamed_rows_of_a_band_meet_the_components_of_older_runs(tmp_path: Path, monkeypatch, met: bool):
    stage = replace(Components(), older=("a",))
    batch = documents(40, 2)
    rows = stage.scatter(batch.with_columns(node=pl.int_range(40, dtype=pl.UInt64))).filter(pl.col("key") == 77)
    if met:
        rows = pl.concat([rows, known_rows(stage, 40)[0].filter(pl.col("key") == 77).select(rows.columns)])
    rows = rows.sort("key", *stage.order, "node")
    names = ["node", "to", "least", "rank", "component"]
    once = stage.gather(rows).select(names).sort(names)
    assert once.height == (40 + 1 if met else 40)
    for size in (1, 7, 100):
        frames = [rows[i : i + size] for i in range(0, rows.height, size)]
        long = pl.concat(stage.gather_long(lambda frames=frames: iter(frames))).select(names).sort(names)
        assert long.equals(once)
