"""quadmix: equations 1 to 3 and Algorithm 1 of arXiv:2504.16511, the tables, and their laws."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frames import FakeCorpus
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import ConfigError, DataError, PlanError
from gristmill.pipeline.kernels.numbers.sampling_curve import Shape, kept_ratio, sampling_value, token_ranks
from gristmill.stages.quadmix import BucketParameters, Criterion, Quadmix, QuadmixTables

PAPER = Shape(slope=31.6, cut=0.05, gain=0.5, floor=0.0005)  # the middle of Algorithm 1's ranges


def docs(n: int = 300, seed: int = 0, **columns) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    own = {
        "doc_id": [f"d{i:04d}" for i in range(n)],
        "q_reference": rng.normal(size=n).round(1),
        "q_importance": rng.exponential(size=n),
        "token_count": rng.integers(1, 1000, n),
        "bucket": rng.choice(["c00", "c01", "c02"], n, p=[0.6, 0.3, 0.1]),
    } | columns
    types = {"q_reference": pl.Float32, "q_importance": pl.Float32, "token_count": pl.Int64}
    return pl.DataFrame(own).cast(types)


def fit(out: Path, rows: pl.DataFrame, batch: int = 64, mixture: Path | None = None, **fields) -> Path:
    out.mkdir()
    artifacts = {"mixture": mixture or out}
    QuadmixTables(**fields).run(FakeCorpus([rows[i : i + batch] for i in range(0, rows.height, batch)], artifacts), out)
    return out


def annotate(folder: Path, rows: pl.DataFrame, **fields) -> pl.DataFrame:
    return Quadmix(**fields).open({"quadmix": folder})(rows)


def test_token_ranks_golden_ties_share_the_upper_value():
    # The paper's scores are better when smaller; ours are their negatives.
    found = token_ranks(-np.array([0.1, 0.4, 0.4, 0.9]), np.array([10, 20, 30, 40]))
    assert found.tolist() == [0.1, 0.6, 0.6, 1.0]


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 9)), min_size=1, max_size=30))
def test_token_ranks_equal_their_definition(rows):
    quality, tokens = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    mass = tokens if tokens.sum() else np.ones(len(tokens))
    # Without any tokens every distinct value weighs the same.
    if tokens.sum():
        expected = [mass[quality >= q].sum() / mass.sum() for q in quality]
        assert token_ranks(quality, tokens) == pytest.approx(expected)
    assert token_ranks(quality, tokens).max() == 1.0


@pytest.mark.parametrize("shape", [Shape(), PAPER, Shape(1000, 0.1, 1.0, 0.001)])
def test_sampling_value_jumps_at_the_cut(shape: Shape):
    beyond = np.nextafter(shape.cut, 1)
    assert sampling_value(np.array([shape.cut, beyond]), shape) == pytest.approx([1 + shape.floor, shape.floor])


def test_sampling_value_stays_below_three_copies_and_has_the_closed_form_as_mean():
    rank = (np.arange(2_000_000) + 0.5) / 2_000_000
    assert (sampling_value(rank, Shape(1000.0, 0.1, 1.0, 0.001)) <= 2.001).all()
    for slope, cut, floor in ((30.0, 0.08, 0.0005), (300.0, 0.05, 0.0)):
        closed = 2 / slope * (np.log1p(np.exp(slope * cut)) - np.log(2)) + floor
        assert sampling_value(rank, Shape(slope, cut, 1.0, floor)).mean() == pytest.approx(closed, abs=1e-5)


@pytest.mark.parametrize("shape", [Shape(), PAPER, Shape(0.0, 0.5, 1, 0.1), Shape(1000, 0.1, 1.0, 0.001)])
@pytest.mark.parametrize("mode", ["power", "factor"])
def test_sampling_value_never_rises_and_stays_above_the_floor(shape: Shape, mode):
    values = sampling_value(np.linspace(0, 1, 1001), shape, mode)
    assert (np.diff(values) <= 0).all()
    assert values.min() == shape.floor
    top = 2**shape.gain if mode == "power" else 2 * shape.gain
    assert values.max() <= top + shape.floor


@pytest.mark.parametrize("slope", [0.0, 1.0, 31.6, 1000.0])
@pytest.mark.parametrize("cut", [0.0, 0.05, 0.5, 1.0, 1.5])
@pytest.mark.parametrize(
    ("gain", "mode"), [(1.0, "power"), (0.5, "power"), (0.0, "power"), (3.0, "power"), (0.7, "factor")]
)
def test_kept_ratio_equals_the_integral(slope, cut, gain, mode):
    shape = Shape(slope, cut, gain, 0.001)
    middles = (np.arange(1_000_000) + 0.5) / 1_000_000
    assert kept_ratio(shape, mode) == pytest.approx(sampling_value(middles, shape, mode).mean(), rel=1e-5)


def test_kept_ratio_equals_the_papers_closed_form():
    for slope, cut, floor in ((31.6, 0.05, 0.0005), (300.0, 0.1, 0.001), (2.0, 0.02, 0.0)):
        closed = 2 / slope * (np.log1p(np.exp(slope * cut)) - np.log(2)) + floor
        assert kept_ratio(Shape(slope, cut, 1.0, floor)) == pytest.approx(closed)


def test_degenerate_flat_shape_takes_every_document_once():
    assert sampling_value(np.linspace(0.001, 1, 50), Shape(10, 1.0, 0.0, 0.01)) == pytest.approx(np.full(50, 1.01))


def test_degenerate_cut_at_zero_takes_nothing():
    assert sampling_value(np.linspace(0.001, 1, 50), Shape(10, 0.0, 1.0, 0.0)).tolist() == [0] * 50


def test_copies_by_draw_have_the_sampling_value_as_mean():
    draws = uniform((str(i) for i in range(20_000)), "copies")
    for value, most in ((0, 0), (0.0005, 1), (0.3, 1), (1, 1), (1.37, 2), (2.0005, 3)):
        copies = np.floor(value) + (draws < value % 1)
        error = np.sqrt((value % 1) * (1 - value % 1) / len(draws))
        assert abs(copies.mean() - value) <= 3 * error + 1e-12
        assert copies.max() <= most


def test_quadmix_one_criterion_ranks_equal_the_definition(tmp_path):
    rows = docs()
    one = (Criterion("q_reference"),)
    for how in ("rank", "zscore", "minmax"):
        found = annotate(fit(tmp_path / how, rows, criteria=one, normalise=how), rows, criteria=one)
        for (bucket,), group in rows.with_columns(found["quality_rank"]).group_by("bucket"):
            expected = token_ranks(group["q_reference"].to_numpy(), group["token_count"].to_numpy())
            assert group["quality_rank"].to_numpy() == pytest.approx(expected), bucket


def test_quadmix_rank_scale_is_the_token_weighted_share_below(tmp_path):
    rows = docs(4, q_reference=[0.1, 0.4, 0.4, 0.9], token_count=[10, 20, 30, 40], bucket=["a", "a", "b", "b"])
    one = (Criterion("q_reference"),)
    found = annotate(fit(tmp_path / "a", rows, criteria=one), rows, criteria=one)
    assert found["quality"].to_list() == pytest.approx([0.1, 0.6, 0.6, 1.0])
    assert found["quality_rank"].to_list() == pytest.approx([1.0, 2 / 3, 1.0, 4 / 7])


def test_quadmix_weights_merge_criteria_and_a_bucket_may_have_its_own(tmp_path):
    rows = docs()
    criteria = (Criterion("q_reference", 3.0), Criterion("q_importance", 1.0))
    own = (BucketParameters("c01", PAPER, (0.0, 1.0)),)
    found = annotate(fit(tmp_path / "a", rows, criteria=criteria, buckets=own), rows, criteria=criteria)
    tokens = rows["token_count"].to_numpy()
    below = [
        np.array([tokens[column <= q].sum() / tokens.sum() for q in column])
        for column in (rows["q_reference"].to_numpy(), rows["q_importance"].to_numpy())
    ]
    mine = rows["bucket"].to_numpy() == "c01"
    expected = np.where(mine, below[1], (3 * below[0] + below[1]) / 4)
    assert found["quality"].to_numpy() == pytest.approx(expected, abs=1e-6)
    shaped = np.where(
        mine, sampling_value(found["quality_rank"], PAPER), sampling_value(found["quality_rank"], Shape())
    )
    assert found["sampling_value"].to_numpy() == pytest.approx(shaped)


def test_quadmix_better_documents_are_never_taken_less_often(tmp_path):
    rows = docs()
    found = rows.with_columns(annotate(fit(tmp_path / "a", rows), rows).drop("doc_id"))
    for _, group in found.group_by("bucket"):
        ordered = group.sort("quality", descending=True)
        assert (ordered["quality_rank"].diff().drop_nulls() >= 0).all()
        assert (ordered["sampling_value"].diff().drop_nulls() <= 0).all()
    assert found["sampling_value"].min() > 0
    assert found["quality_rank"].is_between(0, 1, closed="right").all()


def test_quadmix_missing_scores_use_the_others_and_none_at_all_the_middle(tmp_path):
    rows = docs(6, bucket=["a"] * 6, q_reference=[1, 2, 3, None, 5, None], q_importance=[1, 2, 3, 4, None, None])
    found = annotate(fit(tmp_path / "a", rows), rows)
    assert found["quality"].null_count() == 1
    assert found.row(5)[1:3] == (None, None)
    assert found["sampling_value"][5] == sampling_value(np.array(0.5), Shape())
    assert found["quality"][4] == pytest.approx(1.0)


def test_quadmix_bucket_without_any_score_is_sampled_evenly(tmp_path):
    rows = docs(4, bucket=["a", "a", "b", "b"], q_reference=[1, 2, None, None], q_importance=[1, 2, None, None])
    found = annotate(fit(tmp_path / "a", rows), rows)
    assert found["quality_rank"].to_list()[2:] == [None, None]
    assert found["sampling_value"][2] == found["sampling_value"][3] > 0


def test_quadmix_tables_any_order_of_documents_gives_the_same_bytes(tmp_path):
    rows = docs(2000)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=4)
    for limit in (None, 100):
        a = fit(tmp_path / f"a{limit}", rows, sample_docs=limit)
        b = fit(tmp_path / f"b{limit}", shuffled, 33, sample_docs=limit)
        assert {p.name: p.read_bytes() for p in a.iterdir()} == {p.name: p.read_bytes() for p in b.iterdir()}


def test_quadmix_sampled_tables_come_close_to_exact_ones(tmp_path):
    rows = docs(20_000)
    exact = annotate(fit(tmp_path / "a", rows, 5000, sample_docs=None), rows)["quality_rank"]
    sampled = annotate(fit(tmp_path / "b", rows, 5000, sample_docs=1500), rows)["quality_rank"]
    # Kolmogorov's 99.9% bound for 1,500 draws is 0.05; token weights widen it a little.
    assert (exact - sampled).abs().max() < 0.06
    assert sampled.is_between(0, 1, closed="right").all()


def test_quadmix_any_split_of_a_batch_changes_nothing(tmp_path):
    rows = docs(q_importance=[None, *range(299)])
    folder = fit(tmp_path / "a", rows)
    whole = annotate(folder, rows)
    for size in (1, 13):
        assert pl.concat([annotate(folder, rows[i : i + size]) for i in range(0, rows.height, size)]).equals(whole)
    assert whole["doc_id"].to_list() == rows["doc_id"].to_list()
    types = {"doc_id": pl.String, "quality": pl.Float32, "quality_rank": pl.Float64, "sampling_value": pl.Float64}
    assert whole.schema == types
    assert annotate(folder, rows.clear()).schema == types


def test_quadmix_table_facts_count_the_bucket(tmp_path):
    rows = docs()
    facts = json.loads((fit(tmp_path / "a", rows) / "quadmix.json").read_text())["buckets"]
    for (name,), group in rows.group_by("bucket"):
        assert facts[name]["docs"] == group.height
        assert facts[name]["tokens"] == group["token_count"].sum()
        assert facts[name]["kept_ratio"] == pytest.approx(kept_ratio(Shape()), abs=1e-6)


def test_quadmix_wrong_settings_are_config_errors():
    for fields, named in (
        ({"criteria": ()}, "at least one"),
        ({"criteria": (Criterion("a"), Criterion("a"))}, "each once"),
        ({"criteria": (Criterion("a", 0.0),)}, "above 0"),
        ({"shape": Shape(floor=0.0)}, "floor > 0"),
        ({"buckets": (BucketParameters("x", Shape(), (1.0,)),)}, "one weight"),
    ):
        with pytest.raises(ConfigError, match=named):
            QuadmixTables(**fields)


def test_quadmix_without_the_runs_own_criteria_takes_every_document_as_often(tmp_path):
    nothing = pl.lit(None, pl.Float32)
    rows = docs().with_columns(q_reference=nothing, q_importance=nothing)
    made = annotate(fit(tmp_path / "a", rows), rows)
    assert made["quality"].null_count() == made["quality_rank"].null_count() == made.height
    assert made["sampling_value"].n_unique() == 1


def test_quadmix_names_unknown_buckets_columns_and_criteria(tmp_path):
    rows = docs()
    with pytest.raises(DataError, match="c99"):
        fit(tmp_path / "a", rows, buckets=(BucketParameters("c99"),))
    with pytest.raises(DataError, match="q_mine is null"):
        fit(tmp_path / "b", rows.with_columns(q_mine=pl.lit(None, pl.Float32)), criteria=(Criterion("q_mine"),))
    with pytest.raises(DataError, match="no document"):
        fit(tmp_path / "c", rows.clear())
    folder = fit(tmp_path / "d", rows)
    with pytest.raises(PlanError, match="q_other"):
        annotate(folder, rows, criteria=(Criterion("q_other"),))
    with pytest.raises(DataError, match="new"):
        annotate(folder, rows.with_columns(bucket=pl.lit("new")))
