"""Tables as users have them: marks, gaps, percentages, checkpoints, diverged runs; read, or refused by file, line and
column."""

from pathlib import Path

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.stages.mixture.runs.csv_sheet import read_sheet
from gristmill.stages.mixture.runs.import_tables import read_tables
from gristmill.stages.mixture.runs.runs import Fidelity, Run, last_checkpoints, runs_of

RATIOS = "run,web,code\na,0.25,0.75\nb,1,0\nc,0.5,0.5\n"
METRICS = "run,x,y\na,3.5,2\nb,3,2.5\nc,3.25,2.25\n"


def read(folder: Path, ratios: str | bytes = RATIOS, metrics: str | bytes = METRICS, names=("r.csv", "m.csv")):
    for name, text in zip(names, (ratios, metrics), strict=True):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_tables(folder / names[0], folder / names[1])


def same_as_plain(runs) -> bool:
    plain = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]]), np.array([[3.5, 2], [3, 2.5], [3.25, 2.25]])
    named = (runs.buckets, runs.targets) == (("web", "code"), ("x", "y"))
    return named and np.allclose(runs.weights, plain[0]) and np.allclose(runs.losses, plain[1])


@pytest.mark.parametrize(
    ("ratios", "metrics"),
    [
        (RATIOS, METRICS),
        (RATIOS.replace(",", "\t"), METRICS),
        (RATIOS.replace(",", ";").replace(".", ","), METRICS.replace(",", ";").replace(".", ",")),
        (b"\xef\xbb\xbf" + RATIOS.encode(), b"\xef\xbb\xbf" + METRICS.encode()),
        (RATIOS.encode("utf-16"), METRICS),
        (RATIOS.replace("\n", "\r\n"), METRICS.replace("\n", "\r\n\r\n")),
        (RATIOS.replace("\n", "\r"), METRICS.rstrip("\n")),
        (RATIOS.replace("web", '"web"').replace("0.25", '" 0.25 "'), METRICS.replace(",", ", ")),
        ("run,web,code\na,25,75\nb,100,0\nc,50,50\n", METRICS),
        ("run,web,code\na,25%,75%\nb,100%,0%\nc,50.0 %,50%\n", METRICS),
        ("run,web,code\na,250000,750000\nb,1000000,0\nc,500001,500000\n", METRICS),
        ("run,web,code\na,0.25,0.75\nb,1,\nc,0.5,0.5\n", METRICS),
        (",run,web,code\n0,a,0.25,0.75\n1,b,1,0\n2,c,0.5,0.5\n", ",run,x,y\n5,c,3.25,2.25\n7,b,3,2.5\n9,a,3.5,2\n"),
        ("Unnamed: 0,web,code\n0,0.25,0.75\n1,1,0\n2,0.5,0.5\n", "Unnamed: 0,x,y\n0,3.5,2\n1,3,2.5\n2,3.25,2.25\n"),
        (RATIOS.replace("run", "experiment"), METRICS.replace("run", "experiment")),
        (RATIOS.replace("run", "Run_ID"), METRICS.replace("run", "run_id")),
        (
            "index,web,code\n1,0.25,0.75\n2,1,0\n3,0.5,0.5\n",
            "index,x,y\n1.0,3.5,2\n2.0,3,2.5\n3.0,3.25,2.25\n",
        ),
        (RATIOS, "run,seed,train_time,notes,x,y\na,1,9,,3.5,2\nb,1,9,ok,3,2.5\nc,1,9,slow,3.25,2.25\n"),
        (RATIOS, METRICS + "d,9,9\n"),
    ],
)  # fmt: skip
def test_the_same_runs_however_they_are_written(tmp_path, ratios, metrics):
    assert same_as_plain(read(tmp_path, ratios, metrics))


@pytest.mark.parametrize(
    ("ratios", "metrics", "says"),
    [
        ("run,web,code\na,25,75\nb,100,0\nc,50,50\n", METRICS, "weights are read as percentages: rows sum to 100"),
        ("run,web,code\na,250,750\nb,1000,0\nc,500,500\n", METRICS, "weights are read as numbers of tokens"),
        ("run,web,code\na,0.25,0.75\nb,1,\nc,0.5,0.5\n", METRICS, "1 empty weights are read as 0"),
        (RATIOS, METRICS + "d,9,9\n", "1 rows of .*m.csv have no weights and are left out, first run d"),
        ("run,web,code,math\na,0.25,0.75,0\nb,1,0,0\nc,0.5,0.5,0\n", METRICS, "no run has any of math"),
        (RATIOS, METRICS.replace("2.5", "7").replace("2.25", "7").replace(",2\n", ",7\n"), "target y is the same"),
    ],
)
def test_what_was_read_otherwise_than_it_stands_is_told(tmp_path, ratios, metrics, says):
    runs = read(tmp_path, ratios, metrics)
    assert len(runs) == 3
    assert len(runs.notes) == 1
    import re

    assert re.search(says, runs.notes[0])


@pytest.mark.parametrize(
    ("ratios", "metrics", "error", "says"),
    [
        (RATIOS.replace("0.75", "O.75"), METRICS, InputError, r"r\.csv, line 2, column 'code': 'O.75' is no number"),
        (RATIOS.replace("web,code", "web,web"), METRICS, InputError, r"names column 'web' more than once"),
        (RATIOS.replace("b,1,0", "b,1"), METRICS, InputError, r"r\.csv, line 3: 2 cells under a header of 3"),
        (RATIOS.replace("b,1,0", 'b,"1,0'), METRICS, InputError, r"r\.csv, line \d: no table"),
        ("run,web,code\n", METRICS, InputError, "holds no rows"),
        ("", METRICS, InputError, "holds no rows"),
        ("1,0.5,0.5\n2,1,0\n", METRICS, InputError, "first line holds numbers, no names"),
        (b"run,web\na,\xff\xfe\n", METRICS, InputError, "byte 10 is no utf-8"),
        (RATIOS.replace("b,1,0", "b,1,0.3"), METRICS, DataError, r"r\.csv, line 3, run 'b'.*sum to 1.3"),
        (RATIOS.replace("b,1,0", "b,1.2,-0.2"), METRICS, DataError, r"line 3, run 'b'.*'code' is -0.2"),
        (RATIOS.replace("a,0.25,0.75", "a,25,75"), METRICS, DataError, "some of these percentages"),
        (RATIOS + "d,0,1\n", METRICS, DataError, r"m\.csv has no row for 1 runs of .*first d .*line 5.*take them out"),
        (RATIOS + "a,0,1\n", METRICS, DataError, r"line 5: run a stands in column 'run' more than once \(line 2\)"),
        (RATIOS, METRICS + "a,0,1\n", DataError, r"m\.csv, line 5: run a stands .* a column step"),
        ("run,web\na,1\nb,1\nc,1\n", METRICS, DataError, "one column of weights, 'web': there is nothing to weigh"),
        ("run,name\na,b\n", METRICS, DataError, "r.csv has no column of numbers"),
        (RATIOS, "run,x\na,\nb,\nc,\n", DataError, "m.csv has no column of numbers"),
        (RATIOS, "run,x\na,inf\nb,inf\nc,inf\n", DataError, r"no run has a loss.*3 of 3 runs have a loss that is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named_by_file_line_and_column(tmp_path, ratios, metrics, error, says):
    with pytest.raises(error, match=says):
        read(tmp_path, ratios, metrics)


def lines(n: int, loss) -> tuple[str, str]:
    w = np.random.default_rng(0).dirichlet(np.ones(3), n)
    ratios = "run,a,b,c\n" + "".join(f"r{i},{p},{q},{1 - p - q}\n" for i, (p, q, _) in enumerate(w.tolist()))
    return ratios, "run,x,y\n" + "".join(f"r{i},{loss(i)},{2 + w[i, 1]}\n" for i in range(n))


@pytest.mark.parametrize("value", ["nan", "", "inf", "-inf", "1000", "1e30"])
def test_runs_that_diverged_are_left_out_and_counted(tmp_path, value):
    runs = read(tmp_path, *lines(40, lambda i: value if i in (7, 8) else 3 + i / 400))
    assert len(runs) == 38
    assert not {"r:r7", "r:r8"} & set(runs.run_id)
    assert len(runs.notes) == 1
    assert "2 of 40 runs" in runs.notes[0]
    assert "run 'r7'" in runs.notes[0]
    assert "m.csv, line 9" in runs.notes[0]
    assert ": x is " in runs.notes[0]


def test_a_target_that_many_runs_lack_goes_before_the_runs(tmp_path):
    runs = read(tmp_path, *lines(40, lambda i: "" if i % 3 else 3.0))
    assert (len(runs), runs.targets) == (40, ("y",))
    assert runs.notes == ("target x is left out: 26 of 40 runs lack it",)


@pytest.mark.parametrize(("stopped", "last", "n"), [(200, 200, 3), (50, 300, 2)])
def test_checkpoints_in_the_metrics_alone_count_at_the_last_step_of_most_runs(tmp_path, stopped, last, n):
    rows = [(r, s) for r in "ab" for s in (100, 200, 300)] + [("c", s) for s in (50, 100, 200) if s <= stopped]
    runs = read(tmp_path, RATIOS, "run,step,x,y\n" + "".join(f"{r},{s},{9 - s / 100},{s}\n" for r, s in rows))
    assert runs.losses[:, 0].tolist() == [9 - last / 100] * n
    assert runs.step.tolist() == [last] * n
    assert f"of {len(rows)} checkpoints those of step {last} count" in runs.notes[-1]
    assert ("1 runs without it are left out" in runs.notes[-1]) == (n == 2)


def test_seeds_are_repeats_of_one_run(tmp_path):
    both = "run,seed,web,code\n" + "".join(f"{r},{s},{w},{1 - w}\n" for r, w in (("a", 0.25), ("b", 1)) for s in (0, 1))
    runs = read(tmp_path, both, "seed,run,x\n1,b,4\n0,b,3\n1,a,2\n0,a,1\n")
    assert runs.losses[:, 0].tolist() == [1, 2, 3, 4]
    assert runs.seed.tolist() == [0, 1, 0, 1]
    assert len(set(runs.groups())) == 2


def test_last_checkpoints_leave_single_runs_and_other_fidelities_alone():
    def run(name: str, a: float, step: int, size: float = 0.0) -> Run:
        return Run(name, {"a": a, "b": 1 - a}, {"x": 1.0}, Fidelity("table", size), step=step)

    single = runs_of([run("p", 0.1, 5), run("q", 0.2, 9)])
    assert last_checkpoints(single) is single
    mixed = runs_of([run("p", 0.1, 5), run("q", 0.2, 9), run("p", 0.1, 1, 1e9), run("p", 0.1, 2, 1e9)])
    assert last_checkpoints(mixed).step.tolist() == [5, 9, 2]


def test_one_table_with_sizes_and_tokens_holds_rungs_and_checkpoints(tmp_path):
    """The shape of Data Mixing Laws' and of SlimPajama's tables: a row per mixture, size and checkpoint, no run id."""
    rows = [f"{w},{1 - w},{s},{t},{t / 1e9 + w}" for w in (0.2, 0.5) for s in ("70M", "1B") for t in (1e9, 2e9)]
    path = tmp_path / "both.csv"
    path.write_text("weight_a,weight_b,model_size,n_tokens,x_loss\n" + "\n".join(rows) + "\n")
    runs = read_tables(path, path)
    assert (runs.buckets, runs.targets) == (("a", "b"), ("x_loss",))
    assert sorted({f.size for f in runs.fidelity}) == [7e7, 1e9]
    assert sorted(runs.losses[:, 0]) == [2.2, 2.2, 2.5, 2.5]


def test_repeats_with_other_seeds_are_no_checkpoints_though_their_tokens_differ(tmp_path):
    path = tmp_path / "both.csv"
    path.write_text("weight_a,weight_b,seed,tokens,x\n0.5,0.5,0,1000,1\n0.5,0.5,1,1001,2\n1,0,0,999,3\n")
    assert read_tables(path, path).losses[:, 0].tolist() == [1, 2, 3]


def test_one_table_without_marks_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "both.csv"
    path.write_text("run,a,b,loss\nx,0.5,0.5,3\n")
    with pytest.raises(InputError, match="marks no weights; name their columns with one of train_"):
        read_tables(path, path)


def test_metrics_with_marks_leave_other_numbers_out(tmp_path):
    """ADMIRE's shape: ratio_* and metric_* beside a model's name and the hours that it took."""
    path = tmp_path / "runs.csv"
    path.write_text(
        "model,ratio_a,ratio_b,metric_gsm8k,metric_avg,train_time\nq,0.5,0.5,0.3,0.4,95\nq,1,0,0.2,0.3,96\n"
    )
    runs = read_tables(path, path)
    assert (runs.buckets, runs.targets) == (("a", "b"), ("gsm8k", "avg"))


@pytest.mark.parametrize(
    "name", ["samples_seen", "train/num_input_tokens_seen", "consumed-samples", "Tokens processed"]
)
def test_what_a_run_has_read_so_far_is_no_target(tmp_path, name: str):
    (tmp_path / "ratios.csv").write_text("run,a,b\n1,0.5,0.5\n2,1,0\n3,0,1\n")
    (tmp_path / "metrics.csv").write_text(f"run,loss_x,{name}\n1,3.5,100\n2,3,100\n3,3.25,100\n")
    assert read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv").targets == ("loss_x",)


def test_sheet_knows_its_lines_through_blank_ones_and_line_breaks_in_quotes(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text('run,a\n\n"two\nlines",1\n\nz,2\n')
    sheet = read_sheet(path)
    assert sheet.labels["run"] == ["two\nlines", "z"]
    assert sheet.place(1).endswith("line 6")
