"""Runs: one table, whichever way it is stored, and never two clusterings in one."""

import json

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.stages.mixture.runs.import_tables import read_tables, table_runs
from gristmill.stages.mixture.runs.json_lines import read_jsonl
from gristmill.stages.mixture.runs.runs import (
    Fidelity,
    Run,
    join,
    read_runs,
    runs_of,
    write_jsonl,
    write_runs,
)


def run(run_id: str = "r0", a: float = 0.25, **kept: object) -> Run:
    return Run(**{"run_id": run_id, "weights": {"a": a, "b": 1 - a}, "losses": {"x": 3.0, "y": 2.0}, **kept})  # type: ignore[arg-type]


def same(left: object, right: object) -> bool:
    return list(left.rows()) == list(right.rows())  # type: ignore[attr-defined]


def test_runs_written_and_read_are_the_same_runs(tmp_path):
    runs = runs_of(
        [
            run("r0", 0.2, realised={"a": 0.21, "b": 0.79}, tokens=1000, seed=3, step=50, cost=0.5),
            run("r1", 0.7, fidelity=Fidelity("gpt", 1e6, 1e9), buckets_digest=""),
        ]
    )
    write_runs(runs, tmp_path / "runs.parquet")
    write_jsonl(runs, tmp_path / "runs.jsonl")
    assert same(read_runs(tmp_path / "runs.parquet"), runs)
    assert same(read_jsonl(tmp_path / "runs.jsonl"), runs)


def test_runs_written_twice_are_the_same_bytes(tmp_path):
    runs = runs_of([run("ü 日本", 0.5)])
    for write, end in ((write_runs, "parquet"), (write_jsonl, "jsonl")):
        write(runs, tmp_path / f"1.{end}")
        write(runs, tmp_path / f"2.{end}")
        assert (tmp_path / f"1.{end}").read_bytes() == (tmp_path / f"2.{end}").read_bytes()


def test_runs_on_other_buckets_are_refused():
    with pytest.raises(DataError, match="other buckets \\(new\\)"):
        join(runs_of([run("r0", buckets_digest="old")]), runs_of([run("r1", buckets_digest="new")]))
    with pytest.raises(DataError, match="other buckets or targets"):
        runs_of([run("r0"), Run("r1", {"a": 0.5, "c": 0.5}, {"x": 1.0, "y": 1.0})])


@pytest.mark.parametrize(
    ("weights", "losses", "says"),
    [
        ({"a": 0.5, "b": 0.4}, {"x": 1.0}, "sum to 0.9"),
        ({"a": 1.5, "b": -0.5}, {"x": 1.0}, "must be >= 0"),
        ({"a": 0.5, "b": 0.5}, {"x": float("nan")}, r"not a number \(x\)"),
        ({"a": float("nan"), "b": 0.5}, {"x": 1.0}, "sum to nan"),
    ],
)
def test_a_run_that_cannot_be_is_refused_by_name(weights, losses, says):
    with pytest.raises(DataError, match=says) as error:
        runs_of([Run("broken one", weights, losses)])
    assert "broken one" in str(error.value)


@pytest.mark.parametrize(("scale", "says"), [(100.0, "percentages"), (0.0, "sum to 0"), (0.7, "column missing")])
def test_rows_that_are_no_shares_are_refused_not_normalised(scale, says):
    w = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    w[2] *= scale
    with pytest.raises(DataError, match=says):
        table_runs(w, np.ones((4, 1)), tuple("abc"), ("x",), tuple("1234"), Fidelity())


def test_rows_that_sum_to_one_only_roughly_are_normalised():
    w = np.array([[0.5, 0.52], [0.996, 0.0]])
    runs = table_runs(w, np.ones((2, 1)), tuple("ab"), ("x",), tuple("12"), Fidelity())
    assert np.allclose(runs.weights.sum(axis=1), 1)


def test_one_table_of_marked_weights_and_metrics_is_read_as_both(tmp_path):
    path = tmp_path / "both.csv"
    path.write_text("config_name,acc,train_a,train_b\nx,50.5,0.25,0.75\ny,51,1,0\n", encoding="utf-8")
    runs = read_tables(path, path)
    assert (runs.buckets, runs.targets) == (("a", "b"), ("acc",))
    assert runs.losses[:, 0].tolist() == [50.5, 51.0]


def test_swapped_ratios_and_metrics_are_refused(tmp_path):
    ratios, metrics = tmp_path / "ratios.csv", tmp_path / "metrics.csv"
    ratios.write_text("run,a,b\nx,0.25,0.75\ny,1,0\n", encoding="utf-8")
    metrics.write_text("run,loss/u,loss/v\nx,3.5,2.5\ny,3.6,2.4\n", encoding="utf-8")
    with pytest.raises(DataError, match="are ratios and metrics swapped"):
        read_tables(metrics, ratios)


def test_no_runs_is_an_error():
    with pytest.raises(DataError, match="no runs"):
        runs_of([])


def test_groups_hold_checkpoints_and_repeats_together():
    runs = runs_of(
        [run("r0", 0.1, step=1), run("r0", 0.1, step=2), run("r1", 0.4), run("other seed", 0.1), run("r2", 0.9)]
    )
    groups = runs.groups()
    assert groups[0] == groups[1] == groups[3]
    assert len({groups[0], groups[2], groups[4]}) == 3


def test_take_by_mask_and_by_position_agree():
    runs = runs_of([run(f"r{i}", i / 10) for i in range(5)])
    assert same(runs.take(np.array([True, False, True, False, False])), runs.take([0, 2]))


def test_jsonl_with_a_broken_line_names_the_line(tmp_path):
    path = tmp_path / "runs.jsonl"
    good = json.dumps({"run_id": "r", "weights": {"a": 1.0}, "losses": {"x": 1.0}})
    path.write_text(good + "\nnonsense\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_jsonl(path)
    path.write_text(good + "\n" + json.dumps({"run_id": "q", "weighs": {}}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2.*weighs"):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ({"run_id": "q", "weights": {"a": 40, "b": 60}, "losses": {"x": 1}}, DataError, "line 2: .*no percentages"),
        (
            {"run_id": "q", "weights": {"a": "much"}, "losses": {"x": 1}},
            InputError,
            r"line 2: not a run \(weights of a is",
        ),
    ],
)
def test_jsonl_names_the_line_of_a_run_that_cannot_be(tmp_path, line, error, says):
    good = {"run_id": "r", "weights": {"a": 1.0}, "losses": {"x": 1.0}}
    (tmp_path / "runs.jsonl").write_text(json.dumps(good) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(error, match=rf"runs\.jsonl, {says}"):
        read_jsonl(tmp_path / "runs.jsonl")


def test_jsonl_with_a_mark_is_read_and_other_bytes_are_named(tmp_path):
    path = tmp_path / "runs.jsonl"
    good = json.dumps({"run_id": "r", "weights": {"a": 1.0}, "losses": {"x": 1.0}}).encode()
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\r\n")
    assert len(read_jsonl(path)) == 1
    path.write_bytes(good + b"\xff")
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_jsonl(path)


def test_the_same_run_in_two_files_counts_once():
    """--out may be the folder of --runs: its runs.parquet holds them again."""
    runs = runs_of([run("r0", 0.2), run("r1", 0.7)])
    again = runs_of([Run("r1", {"b": 1 - 0.7, "a": 0.7}, {"y": 2.0, "x": 3.0}), run("r2", 0.9)])
    both = join(runs, again)
    assert both.run_id == ("r0", "r1", "r2")
    assert both.notes == ("1 runs stand in more than one file and count once",)
    assert join(runs, runs_of([run("r2", 0.9)])).notes == ()


def test_parquet_of_something_else_is_named(tmp_path):
    import polars as pl

    (tmp_path / "junk.parquet").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"junk\.parquet is no Parquet file"):
        read_runs(tmp_path / "junk.parquet")
    pl.DataFrame({"weight/a": [1.0], "loss/x": [1.0]}).write_parquet(tmp_path / "bare.parquet")
    with pytest.raises(InputError, match="no column asked_tokens, cost, kind, run_id"):
        read_runs(tmp_path / "bare.parquet")

    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="not a table of proxy runs"):
        read_runs(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no such runs file"):
        read_runs(tmp_path / "missing.parquet")
