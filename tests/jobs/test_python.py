"""Gristmill from Python: the notebook of the docs, cell by cell, and what a wrong call says."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import gristmill
from gristmill.pipeline.contract.errors import GristmillError
from places import ROOT

NOTEBOOK = ROOT / "docs" / "gristmill.ipynb"
PROSE = "The king was in the counting house and the queen was in the parlour, eating bread and honey with the others."


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """Names that the notebook's cells leave, and the folder in which they ran."""
    folder = tmp_path_factory.mktemp("notebook")
    names: dict = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), names)
    return names, folder


def test_the_notebook_runs_from_top_to_bottom(cells):
    names, folder = cells
    made = names["made"]
    assert (folder / "run" / "corpus" / "README.md").is_file()
    assert made.stopped == []
    assert made.ledger.height == made.books["docs_in"][0]
    assert made.corpus.select(pl.len()).collect().item() >= 10
    assert names["judged"]["gates_rule"].to_list()[1] == "too_few_words"


def test_a_run_loaded_again_is_the_same_and_runs_no_step_twice(cells, capsys):
    names, folder = cells
    again = gristmill.load(folder / "run")
    assert again.ledger.equals(names["made"].ledger)
    assert again.weights["weight"].sum() == pytest.approx(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lines = gristmill.plan(names["config"], "run", embed__dims=64)
    assert all(line.startswith("skip") for line in lines[1:])


def test_columns_and_folders_that_are_not_there_are_named(cells, tmp_path):
    made = cells[0]["made"]
    with pytest.raises(GristmillError, match="no stage of this run writes a column 'wordz_n'; there are"):
        made.documents("wordz_n")
    with pytest.raises(GristmillError, match="not a run folder"):
        gristmill.load(tmp_path)
    with pytest.raises(GristmillError, match=r"mixture\.budget"):
        gristmill.plan({"input": {"paths": ["x"]}, "mixture": {"budget": 3}}, tmp_path / "run")


def test_stages_on_polars_and_arrow_frames():
    frame = pl.DataFrame({"text": [PROSE, None], "html_lang": [None, None]}, schema_overrides={"html_lang": pl.String})
    ours = gristmill.annotate(frame, ["language", "signals", "gates"])
    assert ours["language"].to_list() == ["en", None]
    assert ours["gates_rule"].null_count() < 2
    table = gristmill.annotate(frame.to_arrow(), ["language", "signals", "gates"])
    assert table.equals(ours)
    assert isinstance(frame.to_arrow(), pa.Table)
    assert ours["doc_id"].to_list() == ["row-0", "row-1"]


def test_stage_that_is_off_by_default_is_on_when_it_is_named():
    frame = pl.DataFrame({"text": ["Write to ada.lovelace@example-mail.org today."], "language": ["en"], "url": [None]},
                         schema_overrides={"url": pl.String})  # fmt: skip
    assert gristmill.annotate(frame, ["pii"])["text"].to_list() != frame["text"].to_list()


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (["signal"], "no stage 'signal'; there are"),
        (["embed"], "embed needs embed.model of a finished run; say run=FOLDER"),
        (["gates"], "gates reads .*which the frame has not; it has text, doc_id"),
    ],
)
def test_annotate_names_what_is_wrong(stages, said):
    with pytest.raises(GristmillError, match=said):
        gristmill.annotate(pl.DataFrame({"text": [PROSE]}), stages)


def test_import_is_light():
    code = "import sys, gristmill; sys.exit(any(m in sys.modules for m in ('polars', 'numba', 'pyarrow', 'datatrove')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="it has Run, annotate, load, plan, run"):
        gristmill.anotate  # noqa: B018
