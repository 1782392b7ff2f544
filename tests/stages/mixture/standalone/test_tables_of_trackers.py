"""`gristmill search` on tables as trackers export them: run columns, their own columns, copies, rounding, shares."""

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError, DataError, InputError
from gristmill.stages.mixture.constraints import constraints_from, only_mixture
from gristmill.stages.mixture.runs.import_tables import read_tables
from gristmill.stages.mixture.standalone.command import add_arguments, counted_once, runs_given, search_command

BUCKETS = ("web", "code", "wiki")


def write(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def made(n: int = 12) -> tuple[list[list[object]], list[list[object]]]:
    """Rows of ratios (web, code, wiki) and of metrics (qa, prose)."""
    w = np.random.default_rng(0).dirichlet(np.ones(3), n)
    return w.tolist(), np.stack([3 - w[:, 0], 2 + w[:, 1] ** 2], axis=1).tolist()


def with_names(rows: list[list[object]], *columns: list[object]) -> list[list[object]]:
    return [[*(c[i] for c in columns), *row] for i, row in enumerate(rows)]


def searched(folder: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = ["--ratios", str(folder / "ratios.csv"), "--metrics", str(folder / "metrics.csv"), "--predictor", "gp"]
    return search_command(parser.parse_args([*given, "--out", str(folder / "out"), *more]))


@pytest.mark.parametrize("number", ["index", "run"])
def test_two_run_columns_that_disagree_are_refused(tmp_path, number):
    w, y = made()
    names = [f"n{i}" for i in range(12)]
    write(tmp_path / "ratios.csv", [number, "config_name", *BUCKETS], with_names(w, list(range(12)), names))
    back = with_names(y[::-1], list(range(12)), names[::-1])
    write(tmp_path / "metrics.csv", [number, "config_name", "qa", "prose"], back)
    with pytest.raises(InputError, match=rf"name runs twice, and differently: .*{number}.*config_name"):
        read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")


def test_row_numbers_of_pandas_give_way_to_names(tmp_path):
    w, y = made()
    names = [f"n{i}" for i in range(12)]
    write(tmp_path / "ratios.csv", ["", "model", *BUCKETS], with_names(w, list(range(12)), names))
    write(tmp_path / "metrics.csv", ["", "model", "qa", "prose"], with_names(y[::-1], list(range(12)), names[::-1]))
    runs = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert np.allclose(runs.losses[:, 0], 3 - runs.weights[:, 0])


def test_a_word_that_runs_share_names_none(tmp_path):
    w, y = made()
    runs, size = [f"r{i}" for i in range(12)], ["a", "b"] * 6
    write(tmp_path / "ratios.csv", ["run", "note", *BUCKETS], with_names(w, runs, size))
    write(tmp_path / "metrics.csv", ["run", "note", "qa", "prose"], with_names(y, runs, size[::-1]))
    assert len(read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")) == 12


def test_columns_of_trackers_are_no_targets(tmp_path):
    w, y = made()
    own = ["_step", "_runtime", "_timestamp", "lr", "Runtime", "epoch", "train/global_step", "eval_runtime", "finished"]
    more = [[1000, 3600 + 7 * i, 1.7e9 + i, 4e-4, 60 + i, i, 10 * i, i, 1.7e12 + i] for i in range(12)]
    rows = [[f"r{i}", *y[i], *more[i]] for i in range(12)]
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, [f"r{i}" for i in range(12)]))
    write(tmp_path / "metrics.csv", ["run", "qa", "prose", *own], rows)
    assert read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv").targets == ("qa", "prose")


def test_a_target_that_never_varies_is_left_out(tmp_path):
    w, y = made()
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, list(range(12))))
    write(tmp_path / "metrics.csv", ["run", "qa", "prose", "warmup"], [[i, *y[i], 0.1] for i in range(12)])
    runs = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert runs.targets == ("qa", "prose")
    assert any("warmup" in n for n in runs.notes)


def test_losses_called_train_are_targets_and_shares_called_train_are_weights(tmp_path):
    w, y = made()
    names = list(range(12))
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, names))
    write(tmp_path / "metrics.csv", ["run", "train_loss_qa", "train_loss_prose"], with_names(y, names))
    two = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert two.targets == ("train_loss_qa", "train_loss_prose")
    header = ["run", "train_loss_qa", "train_loss_prose", *(f"train_{b}" for b in BUCKETS)]
    one = write(tmp_path / "one.csv", header, [[i, *y[i], *w[i]] for i in range(12)])
    both = read_tables(one, one)
    assert both.buckets == BUCKETS
    assert both.targets == ("train_loss_qa", "train_loss_prose")


def test_a_share_that_rounding_left_below_zero_is_zero(tmp_path):
    w, y = made()
    w[3] = [0.5, 0.5, -1.1102230246251565e-16]
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, list(range(12))))
    write(tmp_path / "metrics.csv", ["run", "qa", "prose"], with_names(y, list(range(12))))
    assert read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv").weights[3].tolist() == [0.5, 0.5, 0.0]
    w[3] = [0.5, 0.51, -0.01]
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, list(range(12))))
    with pytest.raises(DataError, match=r"is -0\.01"):
        read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")


def noise(folder: Path, seed: int, times: int, spread: float) -> Path:
    rng = np.random.default_rng(seed)
    w, y = rng.dirichlet(np.ones(3), 7), rng.normal(2.5, 0.05, 7)
    rows = [(f"r{i}-{k}", w[i], y[i] + spread * rng.normal()) for i in range(7) for k in range(times)]
    write(folder / "ratios.csv", ["run", *BUCKETS], [[n, *m] for n, m, _ in rows])
    write(folder / "metrics.csv", ["run", "qa"], [[n, loss] for n, _, loss in rows])
    return folder


@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_copies_and_seeds_of_seven_mixtures_are_seven_pieces_of_evidence(tmp_path, capsys, spread):
    for seed in range(4):
        searched(noise(tmp_path / str(seed), seed, 10, spread))
        printed = capsys.readouterr().out
        assert "nothing found" in printed
        assert "7 mixtures)" in printed


def test_rows_that_repeat_another_to_the_last_digit_count_once(tmp_path):
    noise(tmp_path, 1, 3, 0.0)
    runs = counted_once(runs_given(None, tmp_path / "ratios.csv", tmp_path / "metrics.csv"))
    assert len(runs) == 7
    assert any(n.startswith("14 of 21 runs repeat") for n in runs.notes)


def test_accuracies_are_searched_upwards_and_the_direction_is_printed(tmp_path, capsys):
    w, _ = made(24)
    names = list(range(24))
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, names))
    scores = [[0.3 + 0.4 * m[0], 0.2 + 0.4 * m[0]] for m in w]
    write(tmp_path / "metrics.csv", ["run", "piqa_acc", "arc_acc_norm"], with_names(scores, names))
    searched(tmp_path)
    printed = capsys.readouterr().out
    assert "higher is better: the targets are accuracies (from their names)" in printed
    web = next(line for line in printed.splitlines() if line.startswith("  web"))
    assert float(web.split()[1]) > 0.7
    write(tmp_path / "metrics.csv", ["run", "piqa", "arc"], with_names(scores, names))
    with pytest.raises(ConfigError, match="say --direction losses"):
        searched(tmp_path)


def test_hidden_files_beside_the_runs_are_passed_over(tmp_path):
    (tmp_path / "runs.jsonl").write_text(
        "".join(
            f'{{"run_id": "{i}", "weights": {{"a": {a}, "b": {1 - a}}}, "losses": {{"x": {2 + a}}}}}\n'
            for i, a in enumerate((0.1, 0.5, 0.9))
        )
    )
    (tmp_path / "._runs.jsonl").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    assert len(runs_given(tmp_path, None, None)) == 3


@pytest.mark.parametrize("flag", ["--fix", "--cap", "--floor"])
def test_a_percentage_where_a_share_is_meant_is_a_message(tmp_path, flag):
    w, y = made()
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, list(range(12))))
    write(tmp_path / "metrics.csv", ["run", "qa", "prose"], with_names(y, list(range(12))))
    with pytest.raises(ConfigError, match=r"web is 30, and a share lies between 0 and 1; 30% is 0\.3"):
        searched(tmp_path, flag, "web=30")


def test_bounds_that_leave_one_mixture_are_the_answer(tmp_path, capsys):
    w, y = made()
    write(tmp_path / "ratios.csv", ["run", *BUCKETS], with_names(w, list(range(12))))
    write(tmp_path / "metrics.csv", ["run", "qa", "prose"], with_names(y, list(range(12))))
    searched(tmp_path, "--fix", "web=0.5", "--fix", "code=0.3")
    printed = capsys.readouterr().out
    assert "the bounds leave one mixture" in printed
    assert "better than natural" not in printed


def test_only_mixture_of_caps_groups_and_fixed_shares():
    caps = constraints_from(("a", "b"), tokens={"a": 30, "b": 70}, budget=100, max_epochs=1)
    assert only_mixture(caps) == pytest.approx([0.3, 0.7])
    pinned = constraints_from(("a", "b", "c"), fixed={"a": 0.2}, groups=[("a+b", ("a", "b"), 0.6, 0.6)])
    assert only_mixture(pinned) == pytest.approx([0.2, 0.4, 0.4])
    assert only_mixture(constraints_from(("a", "b", "c"), fixed={"a": 0.2})) is None
    loose = constraints_from(("a", "b", "c"), groups=[("a+b", ("a", "b"), 0.6, 0.6)])
    assert only_mixture(loose) is None
