"""What `plan` finds out before the first record is read: names that cannot be, keys that stand twice, strict files."""

import json
import os
import sys
from pathlib import Path

import pytest

import gristmill
from gristmill.pipeline.cli import main
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.plan.identity import fingerprint, freeze, thaw
from gristmill.pipeline.recipe import make_recipe


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text('{"text": "words"}\n')
    path = tmp_path / "c.yaml"
    path.write_text(f"input: {{paths: {tmp_path}/a.jsonl}}\nclean: {{enabled: true}}\n")
    return path


def refused(config: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    assert main(["plan", str(config), "--out", str(config.parent / "out"), *overrides]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("language.keep=[english]", "language.keep: 'english' is no language code"),
        ("clean.languages=[en, deu]", "clean.languages: 'deu' is written 'de' here"),
        ("dedup.references.languages=[xx]", "dedup.references.languages: 'xx' is no language code"),
        ("gates.languages=[{language: german}]", "gates.languages.0.language: 'german' is no language code"),
        ("gates.languages=[{language: de}, {language: de}]", "gates.languages.1.language: 'de' stands twice"),
    ],
)
def test_every_setting_that_takes_languages_knows_its_codes(override: str, said: str, config: Path, capsys):
    assert said in refused(config, capsys, override)


@pytest.mark.parametrize(
    ("by", "override", "said"),
    [
        ("cluster", "mixture.bounds=[{bucket: c40, maximum: 0.1}]", "mixture.bounds.0.bucket: no bucket can be 'c40'"),
        ("cluster", "mixture.groups=[{buckets: [c01, C2]}]", "mixture.groups.0.buckets: no bucket can be 'C2'"),
        ("cluster", "quadmix.buckets=[{bucket: c21}]", "quadmix.buckets.0.bucket: no bucket can be 'c21'"),
        ("domain", "mixture.weights={Sience: 1.0}", "no bucket can be 'Sience'; did you mean 'Science'?"),
        ("domain", "mixture.present={Sience: 1.0}", "mixture.present: no bucket can be 'Sience'"),
        ("language", "mixture.bounds=[{bucket: fr, fixed: 0.1}]", "no bucket can be 'fr'; there are de, en, unknown"),
    ],
)
def test_a_bucket_that_cannot_be_is_refused(by: str, override: str, said: str, config: Path, capsys):
    # Clusters inside languages are named when the languages are known: after the run's first steps.
    keep = {"language": ["language.keep=[de, en]"], "cluster": ["cluster.language_docs=null"]}.get(by, [])
    assert said in refused(config, capsys, f"domain.bucket.by={by}", override, *keep)


@pytest.mark.parametrize("key", ["paths", "train"])
def test_a_benchmark_file_that_is_not_there_is_named_with_its_key(key: str, config: Path, capsys):
    (config.parent / "q.jsonl").write_text('{"question": "what is it"}\n')
    given = {"name": "second", "paths": [f"{config.parent}/q.jsonl"], key: [f"{config.parent}/nothing*.jsonl"]}
    first = {"name": "first", "paths": [f"{config.parent}/q.jsonl"]}
    said = refused(config, capsys, f"contamination.benchmarks={json.dumps([first, given])}")
    assert f"contamination.benchmarks.1.{key}: no benchmark file " in said


def test_a_bucket_that_is_no_source_is_refused_and_those_that_are_go_through(config: Path, tmp_path: Path, capsys):
    sources = ", ".join(f"{{name: {n}, paths: {tmp_path}/{n}.jsonl}}" for n in "ab")
    config.write_text(f"sources: [{sources}]\ndomain: {{bucket: {{by: source}}}}\n")
    assert "no bucket can be 'c'; there are a, b" in refused(config, capsys, "mixture.weights={a: 0.5, c: 0.5}")
    assert main(["plan", str(config), "--out", str(tmp_path / "out"), "mixture.weights={a: 0.5, b: 0.5, c: 0}"]) == 0


def test_a_bucket_whose_name_cannot_be_known_goes_through(config: Path):
    bound = "mixture.bounds=[{bucket: example.org, maximum: 0.1}]"
    assert main(["plan", str(config), "--out", str(config.parent / "out"), "domain.bucket.by=source", bound]) == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("w.json", '{"a": 0.5, "b": 0.5, "a": 0.5}', "the key 'a' stands twice"),
        ("w.yaml", "a: 0.5\nb: 0.5\na: 0.5\n", "line 3: 'a' stands a second time, first in line 1"),
        ("w.json", '{"a": ', "is neither JSON nor YAML"),
    ],
)
def test_shares_that_name_a_bucket_twice_are_refused(name: str, text: str, said: str, config: Path, capsys):
    (config.parent / name).write_text(text)
    assert said in refused(config, capsys, f"mixture.weights={config.parent}/{name}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("languages:\n- {language: no, stop_words: [no, on]}\n- {language: german}\n", "'german' is no language code"),
        ("languages:\n- {language: de, language: fr}\n", "line 2: 'language' stands a second time"),
        ("languages:\n- {language: de}\n- {language: de}\n", "de stands twice"),
        ("languages:\n- {language: de, min_mean_word_len: 1:30}\n", "min_mean_word_len is no number"),
    ],
)
def test_a_file_of_thresholds_is_read_as_strictly_as_the_config(text: str, said: str, config: Path, capsys):
    (config.parent / "l.yaml").write_text(text)
    assert said in refused(config, capsys, f"gates.languages_file={config.parent}/l.yaml")


def test_norwegian_and_its_words_need_no_quotes(config: Path):
    (config.parent / "l.yaml").write_text("languages:\n- {language: no, stop_words: [no, on, er]}\n")
    given = f"signals.languages_file={config.parent}/l.yaml"
    assert main(["plan", str(config), "--out", str(config.parent / "out"), given]) == 0


@pytest.mark.parametrize("of", ["node", "character"])
def test_a_config_of_aliases_is_bounded(of: str, config: Path, capsys):
    levels = [f"b{i}: &b{i} [{', '.join(f'*b{i - 1}' for _ in range(9))}]" for i in range(1, 9)]
    long = [f"b0: &b0 {'x' * 100_000}", f"b1: [{', '.join(['*b0'] * 1000)}]"]
    config.write_text("\n".join(["b0: &b0 [x]", *levels] if of == "node" else long))
    assert f"more than 1{'00,000 values' if of == 'node' else '6,000,000 characters'}" in refused(config, capsys)


def test_an_embedding_model_that_is_a_folder_must_be_there(config: Path, capsys):
    said = refused(config, capsys, "embed.model=./models/stella")
    assert "embed.model: there is no folder ./models/stella" in said or "gristmill[transformers]" in said


def test_sizes_that_name_a_bucket_twice_are_refused(tmp_path: Path, capsys):
    rows = [f"r{i},{i / 10},{1 - i / 10},{i}" for i in range(8)]
    (tmp_path / "ratios.csv").write_text("run,a,b\n" + "\n".join(r.rpartition(",")[0] for r in rows))
    (tmp_path / "metrics.csv").write_text("run,loss\n" + "\n".join(f"r{i},{2 + i / 100}" for i in range(8)))
    (tmp_path / "tokens.json").write_text('{"a": 1, "b": 2, "a": 3}')
    tables = [f"--{name}={tmp_path}/{name}.csv" for name in ("ratios", "metrics")]
    tokens = [f"--tokens={tmp_path}/tokens.json", f"--out={tmp_path}/out"]
    assert main(["search", *tables, *tokens]) == 2
    assert "the key 'a' stands twice" in capsys.readouterr().err


def test_a_run_that_names_a_bucket_twice_is_refused_with_its_line(tmp_path: Path, capsys):
    line = '{"run_id": "r", "weights": {"a": 0.5, "a": 0.1, "b": 0.5}, "losses": {"x": 2}}'
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "runs.jsonl").write_text(
        f"{json.dumps({'run_id': 's', 'weights': {'a': 1.0, 'b': 0.0}, 'losses': {'x': 1}})}\n{line}\n"
    )
    assert main(["search", f"--runs={tmp_path}/r", f"--out={tmp_path}/out"]) == 2
    assert "line 2: not a run (the key 'a' stands twice)" in capsys.readouterr().err


FILTER = (
    "{stage: 'gristmill.pipeline.run.datatrove_filter:DatatroveFilter', after: language, with: {filter: 'evil_code:X'}}"
)
FUNCTION = (
    "{stage: 'gristmill.pipeline.run.datatrove_filter:DatatroveFilter', after: language, with: {filter: "
    "'datatrove.pipeline.filters:LambdaFilter', arguments: {filter_function: 'evil_code:X'}}}"
)
NAMING = [
    "mixture.proxy=evil_code:X",
    "mixture.method=evil_code:X",
    "mixture.predictor=evil_code:X",
    "mixture.confirm={proxy: 'evil_code:X'}",
    "corpus.format=[parquet, 'evil_code:X']",
    "extra=[{stage: 'evil_code:X', after: ingest}]",
    f"extra=[{FILTER}]",
    f"extra=[{FUNCTION}]",
]


@pytest.fixture
def evil(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once the module was imported."""
    ran = config.parent / "ran"
    (config.parent / "evil_code.py").write_text(f"open({str(ran)!r}, 'w').close()\nraise ImportError('it ran')\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    return ran


@pytest.mark.parametrize("naming", NAMING)
def test_only_a_run_imports_code_that_a_config_names(naming: str, config: Path, evil: Path, capsys):
    where = ["--out", str(config.parent / "out")]
    for command in (["plan"], ["run", "--dry-run"]):
        assert main([*command, str(config), *where, naming]) == 0
        assert "\ncode  evil_code:X: a run imports it" in capsys.readouterr().out
    assert any("code  evil_code:X: a run imports it" in line for line in gristmill.plan(*planned(config, naming)))
    assert not evil.exists()
    assert main(["run", str(config), *where, naming]) == 2
    assert evil.exists()


def planned(config: Path, naming: str) -> tuple[dict, Path]:
    return override(read_config(config), [naming]), config.parent / "out"


@pytest.mark.parametrize("naming", NAMING[:5])
def test_a_saved_plan_imports_no_code_that_its_settings_name(naming: str, config: Path, evil: Path):
    tree, _ = planned(config, naming)
    for stage in make_recipe(tree, "c", code=False).stages:
        assert fingerprint(thaw(freeze(stage))) == fingerprint(stage)
    assert not evil.exists()
