"""Several fidelities: told apart and ordered, fitted on top of each other, searched from finished runs."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.objective import Objective, fit_table
from gristmill.stages.mixture.predictors.cross_validation import evaluate_split
from gristmill.stages.mixture.predictors.fidelities import Rungs, by_fidelity, label
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import fit_runs
from gristmill.stages.mixture.runs.import_tables import read_tables, table_runs
from gristmill.stages.mixture.runs.runs import Fidelity, Runs, join, read_runs, write_jsonl, write_runs
from gristmill.stages.mixture.search.trials import keys
from gristmill.stages.mixture.standalone.command import add_arguments, search_command
from places import SHARED, needs_shared

REGMIX = SHARED / "runs" / "regmix"
SMALL, LARGE = Fidelity("table", 1e6, 1e9), Fidelity("table", 1e9, 25e9)


def true(w: np.ndarray) -> np.ndarray:
    return np.stack([3 - np.log(w[:, 0] + 0.05), 2 - np.log(w[:, 1] + w[:, 2] + 0.05)], axis=1)


def made(n: int, fidelity: Fidelity, seed: int = 0, scale: float = 1.0, noise: float = 0.02) -> Runs:
    """Losses 4 + scale * true + noise on mixtures of their own."""
    rng = np.random.default_rng((seed, int(fidelity.size)))
    w = rng.dirichlet(np.full(5, 0.7), n)
    y = 4 + scale * true(w) + rng.normal(0, noise, (n, 2))
    ids = tuple(f"{fidelity.size:g}-{i}" for i in range(n))
    return table_runs(w, y, tuple("abcde"), ("x", "y"), ids, fidelity)


def run(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return search_command(parser.parse_args(["--runs", str(folder), "--out", str(out), "--predictor", "gp", *more]))


def test_fidelities_stand_from_cheap_to_dear():
    ngram, short, long = Fidelity("ngram", 0, 1e12), Fidelity("gpt", 1e6, 1e8), Fidelity("gpt", 1e6, 1e9)
    large = Fidelity("command", 7e6, 2e8)
    runs = join(*(made(3, f, i) for i, f in enumerate((long, ngram, large, short))))
    assert [r.fidelity[0] for r in by_fidelity(runs)] == [ngram, short, long, large]


def test_fidelities_without_tokens_stand_by_size():
    small, large = Fidelity("gpt", 1e6, 1e12), Fidelity("gpt", 1e9)
    assert [r.fidelity[0] for r in by_fidelity(join(made(3, large), made(3, small)))] == [small, large]


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (Fidelity(), LARGE, "nothing tells how dear one of table is"),
        (Fidelity("ngram", 0, 1e6), Fidelity("command", 0, 1e6), "nothing tells how dear one of command, 1M tokens is"),
        (Fidelity("gpt", 1e6, 1e9), Fidelity("table", 1e6, 1e9), "as dear as each other"),
    ],
)
def test_fidelities_that_nothing_tells_apart_are_named(one, other, says):
    with pytest.raises(DataError, match=says):
        by_fidelity(join(made(3, one), made(3, other, 1)))


def test_a_rung_of_too_few_mixtures_is_named():
    one, two = made(1, SMALL), made(2, LARGE)
    again = join(one, replace(one, run_id=("again",)))
    for few, other, says in (
        (again, made(5, LARGE), r"\(table, 1M parameters, 1B tokens\) has 2 runs of 1 different"),
        (two, made(5, SMALL), r"\(table, 1B parameters, 25B tokens\) has 2 runs of 2 different"),
    ):
        with pytest.raises(DataError, match=says):
            by_fidelity(join(few, other))
    assert len(by_fidelity(join(made(2, SMALL), made(3, LARGE)))) == 2


def test_label_says_kind_size_and_tokens():
    assert label(Fidelity("gpt", 231_744, 2e5)) == "gpt, 232K parameters, 200K tokens"
    assert label(Fidelity("table", 999_999)) == "table, 1M parameters"
    assert label(Fidelity()) == "table"


def test_runs_of_two_fidelities_choose_by_the_dearest(tmp_path, capsys):
    """The dear runs alone are too few to rank anything; the cheap ones have another level and spread."""
    folder = tmp_path / "runs"
    folder.mkdir()
    write_runs(made(60, SMALL, scale=0.5), folder / "small.parquet")
    write_jsonl(made(8, LARGE), folder / "large.jsonl")
    for out in ("1", "2"):
        assert run(folder, tmp_path / out) == 0
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name
    out = tmp_path / "1"
    content = json.loads((out / "weights.json").read_text())
    assert content["found"] is True
    assert content["weights"]["a"] > 0.3
    assert content["predictor"] == "gp on 2 rungs"
    assert [(r["size"], r["runs"]) for r in content["rungs"]] == [(1e6, 60), (1e9, 8)]
    best = true(np.array([[0.55, 0.45, 0, 0, 0]])).mean() + 4
    assert abs(content["predicted_objective"] - best) < 0.15
    report = json.loads((out / "predictor.json").read_text())
    assert report["objective"]["n"] == 8
    assert report["fidelities"][0]["predicted"] > 0.8
    assert len(read_runs(out / "runs.parquet")) == 68
    for name in ("report.md", "predictor.svg", "runs.svg"):
        assert "table, 1B parameters, 25B tokens" in (out / name).read_text()
    assert (
        "8 runs (table, 1B parameters, 25B tokens) with 60 (table, 1M parameters, 1B tokens) below them"
        in capsys.readouterr().out
    )


def test_files_of_other_buckets_or_targets_are_named(tmp_path):
    small, large = made(6, SMALL), made(6, LARGE)
    write_runs(small, tmp_path / "a.parquet")
    write_runs(replace(large, targets=("x", "z")), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet.*other targets: only .*b\.parquet has z; only .*a\.parquet has y"):
        run(tmp_path, tmp_path / "o")
    write_runs(replace(large, buckets=("a", "b", "c", "d", "E")), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"other buckets: only .*b\.parquet has E; only .*a\.parquet has e"):
        run(tmp_path, tmp_path / "o")
    write_runs(replace(large, buckets_digest="new"), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="other buckets \\(new\\)"):
        run(tmp_path, tmp_path / "o")


def test_made_rungs_rank_unseen_dear_runs_where_8_alone_cannot():
    goal = Objective((("x", 1.0), ("y", 1.0)), "losses")
    cheap, dear = made(64, SMALL, scale=0.8), made(64, LARGE)
    top, rest = dear.take(range(8)), dear.take(range(8, 64))
    below = ((cheap, fit_table(goal, cheap.losses, cheap.targets)[0]),)
    alone, rungs = (
        evaluate_split(p, top, rest, goal, 0) for p in (GaussianProcess(), Rungs(GaussianProcess(), below, top))
    )
    assert rungs.objective.spearman > max(0.9, alone.objective.spearman)
    assert rungs.objective.rmse < 0.6 * alone.objective.rmse


@needs_shared
def test_regmix_rungs_rank_unseen_1b_runs_where_8_alone_cannot(tmp_path):
    rows = []
    for split, name, size, tokens in (("train", "1m", 1e6, 1e9), ("test", "60m", 6e7, 1e9), ("test", "1B", 1e9, 25e9)):
        paths = (REGMIX / f"{split}_mixture_{name}.csv", REGMIX / f"{split}_pile_loss_{name}.csv")
        rows.append(read_tables(*paths, Fidelity("table", size, tokens)))
    small, middle, large = rows[0].take(range(64)), rows[1].take(range(64)), rows[2]
    goal = Objective(tuple((f"the_pile_{t}_val_loss", 1.0) for t in ("pile_cc", "github", "arxiv")), "losses")
    top, rest = large.take(range(8)), large.take(range(8, 64))
    below = tuple((r, fit_table(goal, r.losses, r.targets)[0]) for r in (small, middle))
    alone, rungs = (
        evaluate_split(p, top, rest, goal, 0) for p in (GaussianProcess(), Rungs(GaussianProcess(), below, top))
    )
    assert alone.objective.spearman < 0.85 < 0.9 < rungs.objective.spearman
    assert rungs.objective.rmse < 0.6 * alone.objective.rmse
    for i, part in enumerate((top, small, middle)):
        write_runs(part, tmp_path / f"{i}.parquet")
    asked = ",".join(name for name, _ in goal.weights)
    assert run(tmp_path, tmp_path / "o", "--objective", asked) == 0
    content = json.loads((tmp_path / "o" / "weights.json").read_text())
    assert [r["size"] for r in content["rungs"]] == [1e6, 6e7, 1e9]
    report = json.loads((tmp_path / "o" / "predictor.json").read_text())
    assert [(f["cheap"]["size"], f["shared"]) for f in report["fidelities"]] == [(1e6, 0), (6e7, 0)]


def test_a_left_out_mixture_is_left_out_on_every_rung(monkeypatch):
    """Cheap and dear runs of the same mixtures: what predicts a dear run must not have seen its mixture at all."""
    cheap = made(20, SMALL)
    dear = replace(made(20, LARGE), weights=cheap.weights, realised=cheap.realised)
    seen: list[set[bytes]] = []
    plain = GaussianProcess.fit

    def watched(self, weights, losses, groups, seed):
        seen.append(set(keys(weights)))
        return plain(self, weights, losses, groups, seed)

    monkeypatch.setattr(GaussianProcess, "fit", watched)
    rungs = Rungs(GaussianProcess(), ((cheap, cheap.losses),), dear)
    part = dear.take(range(15))
    fit_runs(rungs, part, part.losses, 0)
    left = set(keys(dear.weights[15:]))
    assert seen
    assert all(not left & mixtures for mixtures in seen)
    seen.clear()
    fit_runs(rungs, dear, dear.losses, 0)
    assert any(left <= mixtures for mixtures in seen)
