"""datatrove's documents and filters in a recipe."""

import json
import re
import sys
from importlib.util import find_spec

import polars as pl
import pytest

from gristmill.pipeline.api.python import load
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.plan.identity import freeze, thaw
from gristmill.pipeline.run.datatrove_filter import DatatroveFilter, documents_of
from places import ROOT

LAMBDA = "datatrove.pipeline.filters:LambdaFilter"
BATCH = pl.DataFrame(
    {
        "doc_id": ["a", "b", "c"],
        "text": ["keep me", "call 555-0100", ""],
        "language": ["en", None, "de"],
        "words_n": [2, 2, 0],
    }
)


def test_a_row_is_a_document_with_its_columns_as_metadata():
    documents = list(documents_of(BATCH))
    assert [d.id for d in documents] == ["a", "b", "c"]
    assert documents[0].metadata == {"language": "en", "words_n": 2}


def test_a_datatrove_filter_decides_as_a_gate():
    gate = DatatroveFilter("datatrove.pipeline.filters:RegexFilter", '{"regex_exp": "[0-9]{3}-[0-9]{4}"}')
    assert gate.decide(BATCH.select("doc_id", "text", "language")).to_list() == [None, "filtered", None]
    assert thaw(freeze(gate)) == gate


def test_what_is_no_filter_is_named():
    with pytest.raises(ConfigError, match="no datatrove filter"):
        DatatroveFilter("datatrove.pipeline.readers:JsonlReader", '{"data_folder": "x"}').decide(BATCH)
    with pytest.raises(ConfigError, match="cannot load"):
        DatatroveFilter("datatrove.pipeline.filters:NoSuchFilter").decide(BATCH)


def test_a_functions_of_the_users_own_is_an_argument(tmp_path, monkeypatch):
    (tmp_path / "own_rules.py").write_text("def is_good(document):\n    return document.metadata['stars'] > 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    gate = DatatroveFilter(LAMBDA, '{"filter_function": "own_rules:is_good"}')
    gate.check_code()
    carried = BATCH.with_columns(pl.Series("carried", ['{"stars": 5}', '{"stars": 1}', '{"stars": 4}']))
    assert gate.decide(carried).to_list() == [None, "filtered", None]


def test_arguments_and_packages_are_looked_at_before_the_run():
    with pytest.raises(ConfigError, match="has no argument 'regexp'; it has regex_exp"):
        DatatroveFilter("datatrove.pipeline.filters:RegexFilter", '{"regexp": "x"}').preflight()
    with pytest.raises(ConfigError, match="cannot load 'nowhere:f'"):
        DatatroveFilter(LAMBDA, '{"filter_function": "nowhere:f"}').check_code()
    if find_spec("ahocorasick") is None:
        with pytest.raises(ConfigError, match="pyahocorasick"):
            DatatroveFilter("datatrove.pipeline.filters:URLFilter").preflight()


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    extra = next(block for block in shown if "DatatroveFilter" in block)
    (tmp_path / "rules.py").write_text("def is_long(document):\n    return len(document.text) > 40\n")
    rows = [{"text": "A short text."}, {"text": "A text of more than forty characters, which therefore stays."}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = "input: {paths: in.jsonl}\nlicense: {enabled: false}\ngates: {presets: [], min_languages: null}\n" + extra
    (tmp_path / "job.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    assert main(["run", "job.yaml", "--out", "run", "--until", "mine"]) == 0
    dropped = load("run").ledger.filter(pl.col("stage") == "mine")
    assert dropped["rule"].to_list() == ["filtered"]
