"""Limits per language: estimated from a run, written to a data file, read back by gates and signals."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipeline.books.document.what_if import what_if
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.shapes import Stage
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.identity import fingerprint
from gristmill.pipeline.plan.plan import Plan, load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.report.warnings import judged_languages
from gristmill.pipeline.run.store import Store
from gristmill.stages.gates import Gates
from gristmill.stages.language.estimate import LIMITS, estimate_limits, estimate_stop_words, limit_at, taken, to_yaml
from gristmill.stages.language.thresholds import LanguageThresholds, read_languages
from gristmill.stages.signals import Signals
from lawrun import InProcess, Silent

ENGLISH = "The mill stands by the river, and it has ground the wheat of the valley for {} years. "
GERMAN = "Die Mühle steht am Fluss, und sie mahlt den Weizen des Tales seit {} Jahren für die Bäcker der Stadt. "


def documents(**languages: list[float]) -> pl.DataFrame:
    """Every limited column holds the same numbers."""
    rows = [(code, value) for code, values in languages.items() for value in values]
    frame = pl.DataFrame(rows, schema={"language": pl.String, "value": pl.Float32}, orient="row")
    return frame.with_columns(pl.col("value").alias(column) for column in set(LIMITS.values())).drop("value")


def test_limits_take_the_share_that_english_limits_take():
    gates = Gates(min_mean_word_len=3, max_mean_word_len=8)
    english = [2, 2, *[5] * 6, 9, 9.0]  # 20% below 3, 20% above 8
    (limits,) = estimate_limits(documents(en=english, xx=[float(i) for i in range(10)]), gates, 10, None)
    assert limits.language == "xx"
    assert (limits.min_mean_word_len, limits.max_mean_word_len) == (2.0, 7.0)


def test_limits_by_a_given_share_need_no_english():
    found = estimate_limits(documents(xx=[float(i) for i in range(10)], yy=[1.0] * 9), Gates(), 10, 0.1)
    assert [entry.language for entry in found] == ["xx"]
    assert found[0].min_mean_word_len == 1.0
    assert found[0].max_newline_ratio == 8.0


def test_limits_that_take_nothing_in_english_are_off():
    (limits,) = estimate_limits(documents(en=[5.0] * 10, xx=[5.0] * 10), Gates(), 10, None)
    assert limits.min_mean_word_len is None
    assert limits.max_mean_word_len is None


def test_limits_without_enough_english_say_so():
    with pytest.raises(DataError, match=r"9 English documents are too few.*--tail"):
        estimate_limits(documents(en=[5.0] * 9, xx=[5.0] * 10), Gates(), 10, None)
    with pytest.raises(ConfigError, match="--tail"):
        estimate_limits(documents(xx=[5.0] * 10), Gates(), 10, 0.7)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 30, width=32), min_size=1, max_size=60), st.floats(0, 0.99), st.sampled_from(list(LIMITS)))
def test_limit_never_takes_more_than_its_share(values: list[float], share: float, name: str):
    series = pl.Series(values, dtype=pl.Float32)
    limit = limit_at(series, share, name)
    if limit is None:
        assert min(int(share * len(values)), len(values) - 1) == 0
    else:
        took = taken(series, limit, name)
        assert took is not None
        assert took <= share
    if share == 0:
        assert limit is None


def test_stop_words_are_the_common_words_of_languages_with_spaces():
    batch = pl.DataFrame({"language": ["xx"] * 3 + ["th"], "text": ["Foo bar foo.", "FOO baz", "q" * 9, "ภาษาไทย ไทย"]})
    assert estimate_stop_words([batch], ["xx", "th"]) == {"th": [], "xx": ["foo", "bar", "baz", "q" * 9]}
    rare = pl.DataFrame({"language": ["xx"], "text": ["a " * 1000 + "b"]})
    assert estimate_stop_words([rare], ["xx"]) == {"xx": ["a"]}


def test_file_is_read_back_as_written(tmp_path: Path):
    limits = [LanguageThresholds("no", 2.5, None, 0.7, 0.1, 0.3), LanguageThresholds("sw", max_mean_word_len=9.0)]
    path = tmp_path / "languages.yaml"
    path.write_text(to_yaml(limits, {"no": ["og", "i", "det"]}, {"no": 10, "sw": 9}, "two\nlines"), "utf-8")
    found = read_languages(str(path))
    assert [entry.limits for entry in found.values()] == limits
    assert found["no"].stop_words == ("og", "i", "det")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("languages: 3", "must hold languages"),
        ("- 3", "must hold languages"),
        ("languages: [{language: xx, min_words: 3}]", "xx has min_words"),
        ("languages: [{language: xx, max_mean_word_len: long}]", "max_mean_word_len is no number"),
        ("languages: [{language: 3}]", "language is no number"),
        ("languages: [{language: 'no', stop_words: [Og]}]", "lower-case"),
        ("languages: [{language: 'no', stop_words: [" + ", ".join(f"w{i}" for i in range(65)) + "]}]", "at most 64"),
        ("languages: [", "not valid YAML"),
    ],
)
def test_file_that_cannot_be_meant_names_the_fault(tmp_path: Path, text: str, said: str):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_languages(str(tmp_path / "x.yaml"))


def test_file_that_is_missing_says_how_to_make_one():
    with pytest.raises(ConfigError, match="gristmill thresholds"):
        Gates(languages_file="/nowhere.yaml").table()


def test_gates_and_signals_follow_the_file(tmp_path: Path):
    path = tmp_path / "languages.yaml"
    path.write_text("languages: [{language: tlh, max_newline_ratio: 0.2, stop_words: [qapla, jih]}]")
    gates, signals = Gates(languages_file=str(path)), Signals(languages_file=str(path))
    assert {"tlh", "en", "eng", "deu"} <= gates.judged_languages()
    texts = ["jih vighro\n\nqapla jih JIH"] * 2
    batch = pl.DataFrame({"doc_id": ["a", "b"], "text": texts, "language": ["tlh", "xx"]})
    measured = signals.open({})(batch)
    assert measured["stop_words_n"].to_list() == [2, None]
    one = measured.with_columns(batch["language"])
    decided = one.select(gates.table()["too_many_newlines"].fill_null(False)).to_series()
    assert decided.to_list() == [bool(np.float32(2 / 5) > 0.2), False]
    stages: list[Stage] = [gates, signals]  # pyright: ignore[reportAssignmentType]
    before = [fingerprint(stage) for stage in stages]
    path.write_text("languages: [{language: tlh, max_newline_ratio: 0.5, stop_words: [jih]}]")
    assert Gates(languages_file=str(path)).all_languages()["tlh"].max_newline_ratio == 0.5
    assert not set(map(fingerprint, stages)) & set(before)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Plan]:
    """A run of 24 English and 24 German texts, until the gates."""
    folder = tmp_path_factory.mktemp("thresholds")
    texts = ["".join(t.format(i + j) for j in range(3 + i % 7)) for t in (ENGLISH, GERMAN) for i in range(24)]
    (folder / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    store = Store(folder / "run")
    recipe = make_recipe({"input": {"paths": str(folder / "in.jsonl")}}, "measured")
    launch(recipe, survey(recipe, store, "gates"), store, InProcess(), "gates", Silent(), lambda store, plan: None)
    return store, load_plan(store.root / "plan.json").until("gates")


def test_thresholds_command_writes_a_file_that_a_run_takes(measured: tuple[Store, Plan], tmp_path: Path, capsys):
    out = tmp_path / "languages.yaml"
    assert main(["thresholds", str(measured[0].root), "--out", str(out), "--min-docs", "20", "--tail", "0.1"]) == 0
    assert "de: 24 documents" in capsys.readouterr().out
    (row,) = yaml.safe_load(out.read_text())["languages"]
    assert row["language"] == "de"
    assert 3 < row["min_mean_word_len"] < row["max_mean_word_len"] < 10
    assert {"die", "für", "mühle"} <= set(row["stop_words"])
    make_recipe({"input": {"paths": "x"}, "gates": {"languages_file": str(out)}}, "t")
    assert main(["thresholds", str(measured[0].root), "--out", str(out)]) == 1
    assert "too few to carry English's limits over" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", ["min_words=100", "too_few_words=100", "gates.min_words=100", "gates.too_few_words=100"]
)
def test_what_if_takes_a_limit_or_its_rule(measured: tuple[Store, Plan], change: str):
    lines = what_if(*measured, "gates", [change])
    before = measured[0].read("gates", measured[1].parts[0].key, ("rule",))["rule"].null_count()
    assert lines[0].startswith(f"gates: {before} of 48 documents kept, ")
    assert any(line.endswith("-> too_few_words") for line in lines[1:])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("min_wordz=1", "did you mean min_words"),
        ("too_few_wordz=1", "did you mean too_few_words"),
        ("min_words", "write limit=value"),
        ("min_words=few", r"gates\.min_words: .*integer.*'few'"),
        ("max_symbol_ratio=0.2", "add redpajama to gates.presets"),
    ],
)
def test_what_if_that_cannot_be_meant_names_the_way_out(measured: tuple[Store, Plan], change: str, said: str):
    with pytest.raises(ConfigError, match=said):
        what_if(*measured, "gates", [change])


def test_report_knows_the_judged_languages(measured: tuple[Store, Plan]):
    judged = judged_languages(measured[1])
    assert judged is not None
    assert {"en", "de", "deu"} <= judged
    assert "tlh" not in judged
