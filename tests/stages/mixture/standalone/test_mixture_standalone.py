"""`gristmill search` on tables: files written, the same bytes twice, and errors that name what is wrong."""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from gristmill.pipeline.contract.errors import ConfigError, DataError, InfeasibleError, InputError
from gristmill.stages.mixture.runs.import_tables import TableProxy, read_tables
from gristmill.stages.mixture.runs.runs import read_runs, runs_of, write_jsonl, write_runs
from gristmill.stages.mixture.standalone.command import add_arguments, pieces, search_command


def tables(folder: Path, n: int = 60, extra: dict[str, list] | None = None) -> None:
    """olmix's shape: run, name, index, then domains; and run, name, index, then metrics."""
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.full(4, 0.7), n)
    y = np.stack([3 - np.log(w[:, 0] + 0.05), 2 - np.log(w[:, 1] + 0.05)], axis=1) + rng.normal(0, 0.02, (n, 2))
    own = {"run": [f"id{i}" for i in range(n)], "name": [f"n{i}" for i in range(n)], "index": list(range(n))}
    ratios = {**own, **dict(zip(("web", "code", "wiki:en", "books"), w.T.tolist(), strict=True)), **(extra or {})}
    pl.DataFrame(ratios).write_csv(folder / "ratios.csv")
    # In another order: rows are joined, not zipped.
    metrics = pl.DataFrame({**own, "eval/a": y[:, 0], "eval/b": y[:, 1]})
    metrics.reverse().write_csv(folder / "metrics.csv")


def run(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return search_command(parser.parse_args(["--runs", str(folder), "--out", str(out), "--predictor", "gp", *more]))


def test_search_command_writes_weights_report_runs_and_plots(tmp_path, capsys):
    tables(tmp_path)
    (tmp_path / "tokens.json").write_text('{"web": 700, "code": 100, "wiki:en": 100, "books": 100}')
    assert run(tmp_path, tmp_path / "out", "--tokens", str(tmp_path / "tokens.json"), "--budget", "1000") == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    pictures = {"weights.svg", "predictor.svg", "runs.svg"}
    assert names == {"weights.json", "predictor.json", "report.md", "runs.parquet"} | pictures
    content = json.loads((tmp_path / "out" / "weights.json").read_text())
    weights = content["weights"]
    assert round(sum(weights.values()), 9) == 1.0
    assert content["found"] is True
    assert weights["code"] <= 0.4 + 1e-6  # 100 tokens x 4 epochs / 1000
    assert weights["web"] + weights["code"] > 0.85
    assert content["natural"]["web"] == 0.7
    for name in pictures:
        ElementTree.parse(tmp_path / "out" / name)
    assert "wiki:en" in (tmp_path / "out" / "report.md").read_text()
    said = capsys.readouterr()
    assert "predicted better than natural; the predictor orders runs that it has not seen" in said.out
    assert "Predicted, not trained. Train this mixture and the natural one once" in said.out
    assert re.search(r"\.\.\. \d\.\d s: predictor gp: fitting 60 runs, 2 targets\n", said.err)
    assert re.findall(r"cross-validation, fold (\d) of 5\n", said.err) == ["1", "2", "3", "4", "5"]
    assert content["confirm"] is None
    assert content["confirm_note"].startswith("Predicted, not trained")


def test_search_command_twice_gives_the_same_bytes(tmp_path):
    tables(tmp_path)
    for out in ("1", "2"):
        run(tmp_path, tmp_path / out, "--seed", "3")
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name


def test_caps_floors_and_fixed_shares_are_held(tmp_path):
    tables(tmp_path)
    run(tmp_path, tmp_path / "o", "--cap", "web=0.2", "--floor", "books=0.1", "--fix", "wiki:en=0.3")
    weights = json.loads((tmp_path / "o" / "weights.json").read_text())["weights"]
    assert weights["web"] <= 0.2 + 1e-6
    assert weights["books"] >= 0.1 - 1e-6
    assert weights["wiki:en"] == pytest.approx(0.3, abs=1e-6)


def test_objective_weighs_targets(tmp_path):
    tables(tmp_path)
    run(tmp_path, tmp_path / "o", "--objective", "eval/b=1")
    weights = json.loads((tmp_path / "o" / "weights.json").read_text())["weights"]
    assert max(weights, key=weights.get) == "code"


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        (["--objective", "nope=1"], ConfigError, "no run measures nope"),
        (["--objective", "eval/a=x"], ConfigError, "expected NAME=NUMBER"),
        (["--cap", "nope=0.1"], ConfigError, "no bucket nope; there are"),
        (["--cap", "web=0.1", "--cap", "web=0.2"], ConfigError, "given twice"),
        (["--budget", "100"], ConfigError, "--budget needs --tokens"),
        (["--floor", "web=0.9", "--floor", "code=0.9"], InfeasibleError, "minimum weights sum to 1.8"),
        (["--tokens", "nowhere.json"], InputError, "no such file"),
        (["--ratios", "a.csv"], ConfigError, "either as --runs"),
        (["--cap", "web=nan"], ConfigError, "--cap 'web=nan': nan is no share"),
        (
            ["--max-epochs", "nan", "--budget", "100", "--tokens", "TOKENS"],
            ConfigError,
            "--max-epochs must be a number",
        ),
        (["--guard", "eval/c"], ConfigError, "eval/c must be targets"),
    ],
)
def test_arguments_that_cannot_be_meant_are_named(tmp_path, more, error, says):
    tables(tmp_path)
    (tmp_path / "t.json").write_text('{"web": 1, "code": 1, "wiki:en": 1, "books": 1}')
    with pytest.raises(error, match=says):
        run(tmp_path, tmp_path / "o", *(str(tmp_path / "t.json") if m == "TOKENS" else m for m in more))


def test_tables_that_do_not_fit_are_named(tmp_path):
    tables(tmp_path)
    metrics = pl.read_csv(tmp_path / "metrics.csv")
    metrics.head(50).write_csv(tmp_path / "fewer.csv")
    with pytest.raises(DataError, match="no row for 10 runs"):
        read_tables(tmp_path / "ratios.csv", tmp_path / "fewer.csv")
    pl.concat([metrics, metrics.head(1)]).write_csv(tmp_path / "twice.csv")
    with pytest.raises(DataError, match="more than once"):
        read_tables(tmp_path / "ratios.csv", tmp_path / "twice.csv")
    with pytest.raises(InputError, match="no such file"):
        read_tables(tmp_path / "ratios.csv", tmp_path / "missing.csv")
    metrics.drop("run", "name", "index").write_csv(tmp_path / "bare.csv")
    with pytest.raises(InputError, match="share none of the run columns"):
        read_tables(tmp_path / "ratios.csv", tmp_path / "bare.csv")


def test_tables_are_joined_by_run_not_by_row(tmp_path):
    tables(tmp_path)
    runs = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert runs.buckets == ("web", "code", "wiki:en", "books")
    assert runs.targets == ("eval/a", "eval/b")
    assert np.corrcoef(np.log(runs.weights[:, 0] + 0.05), runs.losses[:, 0])[0, 1] < -0.99


def test_two_tables_that_count_from_one_share_no_run_id(tmp_path):
    tables(tmp_path)
    (tmp_path / "ratios.csv").rename(tmp_path / "other.csv")
    other = read_tables(tmp_path / "other.csv", tmp_path / "metrics.csv")
    tables(tmp_path)
    assert not set(other.run_id) & set(read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv").run_id)


def test_folders_of_parquet_and_jsonl_are_joined(tmp_path):
    tables(tmp_path)
    runs = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    folder = tmp_path / "runs"
    folder.mkdir()
    write_runs(runs.take(range(30)), folder / "a.parquet")
    write_jsonl(runs.take(range(30, 60)), folder / "b.jsonl")
    assert run(folder, tmp_path / "o") == 0
    assert len(read_runs(tmp_path / "o" / "runs.parquet")) == 60


def test_empty_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no \*\.parquet"):
        run(tmp_path, tmp_path / "o")


def test_table_proxy_answers_for_its_mixtures_only(tmp_path):
    tables(tmp_path)
    proxy = TableProxy(read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv"))
    assert np.array_equal(proxy.losses(proxy.mixtures[[3, 1]]), proxy.runs.losses[[3, 1]])
    with pytest.raises(DataError, match="holds no mixture"):
        proxy.losses(np.full((1, 4), 0.25))


def test_what_was_left_out_is_printed(tmp_path, capsys):
    tables(tmp_path)
    text = (tmp_path / "metrics.csv").read_text().split("\n")
    run_id, name, index, _, b = text[7].split(",")
    text[7] = f"{run_id},{name},{index},inf,{b}"
    (tmp_path / "metrics.csv").write_text("\n".join(text))
    run(tmp_path, tmp_path / "o")
    printed = capsys.readouterr().out
    assert f"note: 1 of 60 runs have a loss that is not finite and are left out, first run '{run_id}'" in printed
    assert "59 runs, 4 buckets" in printed


def test_diverged_runs_and_checkpoints_of_other_files_are_left_out_too(tmp_path, capsys):
    tables(tmp_path)
    runs = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    losses = runs.losses.copy()
    losses[3] = 1e3
    rows = list(replace(runs, losses=losses, step=np.full(60, 200)).rows())
    rows += [replace(row, step=100, losses={t: v + 5 for t, v in row.losses.items()}) for row in rows]
    folder = tmp_path / "runs"
    folder.mkdir()
    write_jsonl(runs_of(rows), folder / "a.jsonl")
    run(folder, tmp_path / "o")
    printed = capsys.readouterr().out
    assert "of 120 checkpoints those of step 200 count" in printed
    assert "1 of 60 runs diverged and are left out, first 'ratios:id3'" in printed


def test_an_objective_that_is_one_target_alone_is_told(tmp_path, capsys):
    tables(tmp_path)
    pl.read_csv(tmp_path / "metrics.csv").with_columns(pl.col("eval/b") * 1000).write_csv(tmp_path / "metrics.csv")
    run(tmp_path, tmp_path / "o", "--direction", "losses")
    assert "note: the objective is nearly eval/b alone" in capsys.readouterr().out
    run(tmp_path, tmp_path / "o", "--direction", "losses", "--objective", "eval/a=1000,eval/b=1")
    assert "nearly" not in capsys.readouterr().out


def test_names_may_hold_the_marks_that_part_them():
    assert pieces("a,b=1,c", ",", ("a,b", "c")) == ["a,b=1", "c"]
    assert pieces("x+y+z", "+", ("x+y", "z")) == ["x+y", "z"]
    assert pieces("no,such", ",", ("a",)) == ["no", "such"]


def test_a_folder_that_cannot_be_written_is_named_before_the_search(tmp_path):
    tables(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*file cannot be written: File exists; name another folder"):
        run(tmp_path, tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        run(tmp_path, tmp_path / "file" / "below")


def test_out_may_be_the_folder_of_the_runs(tmp_path, capsys):
    tables(tmp_path)
    folder = tmp_path / "runs"
    folder.mkdir()
    write_jsonl(read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv"), folder / "a.jsonl")
    run(folder, folder)
    first = (folder / "weights.json").read_bytes()
    run(folder, folder)
    assert "60 runs stand in more than one file and count once" in capsys.readouterr().out
    assert (folder / "weights.json").read_bytes() == first


@pytest.mark.parametrize(
    "content",
    [
        '{"web": 0, "code": 0, "wiki:en": 0, "books": 0}',
        '{"web": -1, "code": 1, "wiki:en": 1, "books": 1}',
        '{"web": NaN, "code": 1, "wiki:en": 1, "books": 1}',
    ],
)
def test_sizes_that_are_none_are_refused(tmp_path, content):
    tables(tmp_path)
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match=r"t\.json: sizes must be numbers >= 0 and not all 0 \((all are 0|web: )"):
        run(tmp_path, tmp_path / "o", "--tokens", str(tmp_path / "t.json"))


def test_a_seed_below_zero_is_refused_by_the_parser(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / "o", "--seed", "-1")
    assert "'-1' is no whole number >= 0" in capsys.readouterr().err
