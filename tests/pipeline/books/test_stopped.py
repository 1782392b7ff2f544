"""After a run that failed, was stopped or was damaged: the commands say where and why, and the same command goes on."""

import json
import shutil
from pathlib import Path

import pytest

import toy
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.books.stopped import headline, settled
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.emptied import NothingLeft
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


def run(folder: Path, out: Path, until: str | None = None, **options: dict) -> Store:
    made, store = toy.recipe(folder, **options), Store(out)
    launch(made, survey(made, store, until), store, InProcess(), until, Silent(), lambda store, plan: None)
    return store


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=2, lines=6)


@pytest.fixture(scope="module")
def whole(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(lines, tmp_path_factory.mktemp("whole") / "run").root


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def test_a_gate_that_leaves_nothing_is_named_and_its_books_can_be_read(lines: Path, tmp_path: Path, capsys):
    with pytest.raises(NothingLeft, match=r"words left no document: 12 documents in, dropped by too_few_words 12"):
        run(lines, tmp_path / "run", gate={"min_words": 100})
    for command in ("ledger", "verify"):
        assert main([command, str(tmp_path / "run")]) == 0
        said = capsys.readouterr()
        assert "stopped at ingest: words left no document" in said.err
    assert main(["ledger", str(tmp_path / "run")]) == 0
    assert "too_few_words 12" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "run"), "words", "-n", "1"]) == 0
    assert main(["status", str(tmp_path / "run")]) == 1
    run(lines, tmp_path / "run")
    assert headline(Store(tmp_path / "run")) == []


def test_a_killed_run_is_counted_as_far_as_it_came(lines: Path, tmp_path: Path):
    made, store = toy.recipe(lines), Store(tmp_path / "run")
    situation = survey(made, store, None)
    run(lines, store.root, until="words")
    store.root.joinpath("plan.json").write_text(json.dumps(situation.plan.as_json()))
    store.root.joinpath("ledger.json").unlink()  # as a kill leaves it: no books, no reason
    plan = settled(store, situation.plan)
    assert [s.name for s in plan.steps][-1] == "words.gate"
    assert [e["stage"] for e in read_books(store)] == ["ingest", "words"]
    assert "interrupted or killed (2 of 2 parts counted)" in headline(store)[0]


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"steps": 3}', "\x00\x00", '{"steps": [], "parts": []}'])
def test_a_damaged_plan_is_named_and_made_again(damage: str, lines: Path, out: Path, whole: Path, capsys):
    (out / "plan.json").write_text(damage)
    for command in ("status", "ledger", "verify", "report"):
        assert main([command, str(out)]) == 2
        assert "plan.json is damaged" in capsys.readouterr().err
    before = (out / "words" / next((out / "words").glob("*.parquet")).name).stat().st_mtime_ns
    run(lines, out)
    assert (out / "words" / next((out / "words").glob("*.parquet")).name).stat().st_mtime_ns == before
    assert load_plan(out / "plan.json") == load_plan(whole / "plan.json")


@pytest.mark.parametrize("damage", ["", "[", "{}", '[{"stage": 1}]'])
def test_a_damaged_ledger_is_named_and_made_again(damage: str, lines: Path, out: Path, whole: Path, capsys):
    (out / "ledger.json").write_text(damage)
    assert main(["ledger", str(out)]) == 2
    assert "ledger.json is damaged" in capsys.readouterr().err
    run(lines, out)
    assert read_books(Store(out)) == read_books(Store(whole))


@pytest.mark.parametrize(
    "left", [("config.yaml",), (".config.yaml.tmp-12",), (".workers.lock", "config.yaml"), (".lock",)]
)
def test_what_a_full_disk_or_a_kill_leaves_at_the_first_second_is_gone_on_from(
    left, lines: Path, out: Path, tmp_path: Path
):
    folder = tmp_path / "left"
    folder.mkdir()
    for name in left:
        if (out / name).is_dir():
            (folder / name).mkdir()
        else:
            shutil.copy(out / name, folder / name) if (out / name).exists() else (folder / name).touch()
    run(lines, folder)
    assert read_books(Store(folder)) == read_books(Store(out))


def test_a_folder_of_something_else_is_refused(lines: Path, tmp_path: Path):
    (tmp_path / "config.yaml").write_text("a: b\n")
    with pytest.raises(PlanError, match="holds no Gristmill run"):
        run(lines, tmp_path)


def test_anything_else_is_one_line_and_a_file(out: Path, capsys, monkeypatch):
    monkeypatch.setitem(main.__globals__["COMMANDS"], "status", lambda a: [][1])
    assert main(["status", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "IndexError" in said
    assert "Traceback" in (out / "logs" / "fault.txt").read_text()
