"""`gristmill verify` behind a run that `--until` stopped: right books verify, wrong ones do not."""

import json
from pathlib import Path

import toy
from gristmill.pipeline.cli import main
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


def run(lines: Path, out: Path, until: str | None) -> None:
    made, store = toy.recipe(lines), Store(out)
    launch(made, survey(made, store, until), store, InProcess(), until, Silent(), lambda store, plan: None)


def test_run_until_any_step_has_books_that_verify(tmp_path):
    lines, out = toy.write_lines(tmp_path / "lines", shards=2, lines=6), tmp_path / "run"
    made = toy.recipe(lines)
    steps = survey(made, Store(tmp_path / "none"), None).plan.steps
    before = [step for step in steps if step.kind != "sink"]  # the toy's corpus has no buckets to recount
    names = list(dict.fromkeys(name for step in before for name in (step.name, step.label)))
    for until in (*names, *reversed(names)):  # and back again, with the receipts of the later steps still there
        run(lines, out, until)
        assert main(["verify", str(out)]) == 0, until


def test_wrong_books_behind_until_are_told(tmp_path, capsys):
    lines, out = toy.write_lines(tmp_path / "lines", shards=2, lines=6), tmp_path / "run"
    run(lines, out, "words")
    entries = json.loads((out / "ledger.json").read_text())
    entries[0]["docs_out"] += 1
    (out / "ledger.json").write_text(json.dumps(entries))
    assert main(["verify", str(out)]) != 0
    assert "ledger.json was changed" in capsys.readouterr().err
