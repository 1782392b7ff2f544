"""Quotas, copies and shuffling: what the corpus holds, and how often."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sample_twin import meet

from frames import FakeCorpus, doc_id
from gristmill.pipeline.contract.corpus.splits import numbered
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import InfeasibleError
from gristmill.pipeline.contract.notes import read_notes
from gristmill.stages.export import CorpusShards
from gristmill.stages.sample import Sample, SampleGate, SamplePlan, solving, turns
from gristmill.stages.sample.plan import HeldBack
from gristmill.stages.sample.solving import closest_subset, copies_for, solve


def test_copies_mean_equals_the_sampling_value():
    """QuaDMix 2.7: mean copies equal S within 3 standard errors; max copies 0/1/1/1/2/3."""
    n = 200_000
    u = uniform([str(i) for i in range(n)], "sample")
    for s, most in ((1e-9, 0), (0.0005, 1), (0.3, 1), (1.0, 1), (1.37, 2), (2.0005, 3)):
        copies = copies_for(np.full(n, 1.0), np.full(n, s), u, 10)
        frac = s - np.floor(s)
        assert abs(copies.mean() - s) <= 3 * np.sqrt(frac * (1 - frac) / n) + 1e-9
        assert copies.max() == most


@pytest.mark.parametrize("quota", [500, 20_000, 150_000, 390_000])
def test_solve_meets_the_quota_within_a_promille(quota: int):
    rng = np.random.default_rng(0)
    tokens, rate, u = rng.integers(5, 400, 1000), rng.uniform(0.001, 2, 1000), rng.random(1000)
    copies = solve(tokens, rate, u, quota, 4).copies
    assert abs(copies @ tokens - quota) <= max(0.001 * quota, 5)
    assert copies.max() <= 4


def test_solve_with_one_huge_document_passes_it_over():
    tokens = np.array([100_000, *[10] * 1000])
    copies = solve(tokens, np.ones(1001), np.linspace(0, 0.999, 1001), 5_000, 4).copies
    assert copies[0] == 0
    assert copies @ tokens == 5_000


def test_solve_at_the_cap_takes_the_last_copy_although_it_overshoots_by_a_rounding():
    """A weight at its cap is stored with 6 decimals: the quota may fall a fraction of a token short of all copies."""
    tokens = np.array([2136, 1000, 900, 723])
    copies = solve(tokens, np.ones(4), np.array([0.9, 0.1, 0.2, 0.3]), 4 * tokens.sum() - 0.3, 4).copies
    assert copies.tolist() == [4, 4, 4, 4]


def test_solve_with_few_large_documents_finds_the_copies_that_fit_together():
    tokens = np.array([215, 527, 8765, 271, 300, 180, 311, 154, 2087, 180])
    copies = solve(tokens, np.ones(10), np.linspace(0.05, 0.95, 10), 19_037, 4).copies
    assert abs(copies @ tokens - 19_037) <= 19
    assert copies.max() <= 4


def test_closest_subset_prefers_the_earliest_and_the_lower_sum_on_a_tie():
    assert closest_subset(np.array([5, 3, 3, 2, 5]), 5).tolist() == [0]
    assert closest_subset(np.array([4, 6]), 5).tolist() == [0]
    assert closest_subset(np.array([4, 6]), 5.2).tolist() == [1]
    assert closest_subset(np.array([9]), 2).tolist() == []
    assert closest_subset(np.array([9]), 7).tolist() == [0]


def test_what_a_bucket_cannot_hold_is_shared_by_the_others():
    """One bucket has a single huge document: its quota cannot be met, the budget still is."""
    coarse = pl.DataFrame({"token_count": [50_000], "sampling_value": [1.0], "u": [0.5]})
    fine = pl.DataFrame(
        {"token_count": [10] * 20_000, "sampling_value": [1.0] * 20_000, "u": uniform(map(str, range(20_000)), "x")}
    )
    solved, limited = meet({"coarse": coarse, "fine": fine}, {"coarse": 20_000.0, "fine": 80_000.0}, 100_000, 4)
    assert limited == {"coarse"}
    assert solved["coarse"].copies.tolist() == [0]
    assert solved["fine"].copies @ fine["token_count"].to_numpy() == 100_000


def test_solve_prefers_higher_rates():
    tokens, rate = np.full(2000, 10), np.repeat([1.0, 0.1], 1000)
    copies = solve(tokens, rate, uniform([str(i) for i in range(2000)], "x"), 5_500, 4).copies
    assert copies[:1000].sum() / copies[1000:].sum() == pytest.approx(10, rel=0.3)


class Batches:
    def __init__(self, frames: list[pl.DataFrame], artifacts: dict[str, Path]):
        self.frames, self.artifacts = frames, artifacts

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        yield from self.frames


def documents(n: int = 600) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "doc_id": [f"{i:032x}" for i in range(n)],
            "text_bytes": rng.integers(50, 3000, n),
            "token_count": rng.integers(10, 900, n),
            "bucket": [("c00", "c01", "c02")[i % 3] for i in range(n)],
            "sampling_value": rng.uniform(0.001, 2, n),
            "source": pl.Series([None] * n, dtype=pl.String),
        }
    )


def mixture(folder: Path, frame: pl.DataFrame, weights: dict[str, float], budget: int) -> dict[str, Path]:
    folder.mkdir()
    rows = [{"bucket": b, "weight": w, "capped": False} for b, w in weights.items()]
    (folder / "weights.json").write_text(json.dumps({"budget_tokens": budget, "buckets": rows}))
    return {"mixture": folder}


def test_sample_meets_weights_in_any_batch_order_and_the_annotator_agrees(tmp_path: Path):
    frame, weights, budget = documents(), {"c00": 0.6, "c01": 0.3, "c02": 0.1}, 150_000
    artifacts = mixture(tmp_path / "mixture", frame, weights, budget)
    outs = []
    for i, batches in enumerate(([frame], [frame[300:], frame[:300]])):
        out = tmp_path / str(i)
        out.mkdir()
        SamplePlan().run(Batches(batches, artifacts), out)
        outs.append([p.read_bytes() for p in sorted(out.iterdir())])
    assert outs[0] == outs[1]
    annotate = Sample().open({"sample": tmp_path / "0"})
    copies = annotate(frame)
    assert annotate(frame[:7]).equals(copies[:7])
    written = frame.hstack([copies["copies_n"]]).select("bucket", t=pl.col("copies_n") * pl.col("token_count"))
    total = written["t"].sum()
    assert abs(total - budget) <= 0.005 * budget
    for bucket, tokens in written.group_by("bucket").agg(pl.col("t").sum()).iter_rows():
        assert abs(tokens / total - weights[bucket]) <= 0.005
    assert SampleGate().decide(copies).is_null().to_list() == (copies["copies_n"] > 0).to_list()


def test_sample_of_a_quota_beyond_its_copies_is_infeasible(tmp_path: Path):
    frame = documents()
    artifacts = mixture(tmp_path / "mixture", frame, {"c00": 1.0}, 10_000_000)
    (tmp_path / "out").mkdir()
    with pytest.raises(InfeasibleError, match="of 10,000,000 tokens with at most 4 copies"):
        SamplePlan().run(Batches([frame], artifacts), tmp_path / "out")


def test_quotas_below_the_shortest_document_make_the_corpus_smaller_with_a_note(tmp_path: Path):
    frame = documents().filter(pl.col("bucket") == "c00").with_columns(token_count=pl.lit(100, pl.Int64))
    artifacts = mixture(tmp_path / "mixture", frame, {"c00": 1.0}, 150)
    (tmp_path / "out").mkdir()
    SamplePlan().run(Batches([frame], artifacts), tmp_path / "out")
    (note,) = read_notes(tmp_path / "out")
    assert note.startswith("sample: the corpus holds 100 of 150 tokens; 0 of 1 buckets")


def test_a_budget_met_by_repetition_says_how_often(tmp_path: Path):
    frame = documents().head(40).with_columns(bucket=pl.lit("c00"), token_count=pl.lit(100, pl.Int64))
    artifacts = mixture(tmp_path / "mixture", frame, {"c00": 1.0}, 12_000)
    (tmp_path / "out").mkdir()
    SamplePlan().run(Batches([frame], artifacts), tmp_path / "out")
    (note,) = read_notes(tmp_path / "out")
    assert "39 documents of 3,900 tokens are written 3.1 times each" in note


def test_corpus_copies_land_apart_and_every_row_once():
    sink = CorpusShards()
    batch = documents(400).with_columns(copies_n=pl.Series([i % 4 for i in range(400)], dtype=pl.Int64))
    rows = pl.concat([sink.scatter(batch[:100], numbered(8)), sink.scatter(batch[100:], numbered(8))])
    assert rows.height == batch["copies_n"].sum()
    assert sink.scatter(batch, numbered(8)).sort("_key").equals(rows.sort("_key"))
    assert rows["shard"].is_between(0, 7).all()
    # The shards cut one permutation: all keys of a shard lie below those of the next.
    bounds = rows.group_by("shard").agg(low=pl.col("_key").min(), high=pl.col("_key").max()).sort("shard")
    assert (bounds["high"].to_list()[:-1] < np.array(bounds["low"].to_list()[1:])).all()
    assert (
        rows.group_by("doc_id")
        .len()
        .join(batch, on="doc_id")
        .select(pl.col("len") == pl.col("copies_n"))
        .to_series()
        .all()
    )


def many(n: int, seed: int, buckets: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "doc_id": [doc_id(f"{seed}/{i}") for i in range(n)],
            "bucket": [f"b{i}" for i in rng.integers(buckets, size=n)],
            "source": "",
            "token_count": pl.Series(np.round(rng.lognormal(5, 1.5, n)).astype(int) + 1, dtype=pl.Int64),
            "text_bytes": pl.Series(rng.integers(1, 9000, n), dtype=pl.Int64),
            "sampling_value": rng.gamma(2.0, 0.5, n) + 1e-3,
        }
    )


@pytest.mark.parametrize(("share", "validation"), [(0.05, None), (0.6, 0.01), (1.7, 0.2), (3.9, None)])
def test_large_buckets_that_are_solved_near_the_cut_are_as_if_they_were_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, validation: float | None
):
    docs = many(1500, 1)
    held_back = HeldBack(validation)
    free = docs["token_count"].sum() * (1 - (validation or 0))
    weights = [{"bucket": b, "weight": w} for b, w in (("b0", 0.25), ("b1", 0.35), ("b2", 0.3), ("none", 0.1))]
    (tmp_path / "mixture").mkdir()
    asked = {"buckets": weights, "budget_tokens": int(share * 0.9 * free)}
    (tmp_path / "mixture" / "weights.json").write_text(json.dumps(asked))
    written = {}
    for way, held, bits, at_once in [("held", 10**9, 22, 1500), ("fine", 0, 22, 100), ("coarse", 0, 13, 700)]:
        monkeypatch.setattr(turns, "HELD_DOCS", held)
        monkeypatch.setattr(turns, "SUBSET_SUM_BITS", 0)
        monkeypatch.setattr(solving, "SUBSET_SUM_BITS", 0)
        monkeypatch.setattr(turns, "PASSED", 400)
        monkeypatch.setattr(solving, "PASSED", 400)
        monkeypatch.setattr(turns, "BIN_BITS", bits)
        frames = [docs[i : i + at_once] for i in range(0, docs.height, at_once)]
        (tmp_path / way).mkdir()
        SamplePlan(held_back=held_back).run(FakeCorpus(frames, {"mixture": tmp_path / "mixture"}), tmp_path / way)
        written[way] = {p.name: p.read_bytes() for p in (tmp_path / way).iterdir()}
    assert written["fine"] == written["held"]
    assert written["coarse"] == written["held"]
    assert json.loads(written["held"]["quotas.json"])["splits"]["train"]["rows"] > 50
