"""`gristmill diff A B`: what changed from one run to another, and by which rule each document left or came."""

import json
from pathlib import Path

import pytest

import toy
from gristmill.pipeline.cli import main
from gristmill.pipeline.compare.differences import remade
from gristmill.pipeline.compare.sides import Side
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Receipt, Store
from lawrun import InProcess, Silent, execute


def run(lines: Path, out: Path, until: str | None = None, **options: dict) -> Path:
    made, store = toy.recipe(lines, **options), Store(out)
    launch(made, survey(made, store, until), store, InProcess(), until, Silent(), lambda store, plan: None)
    return out


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=2, lines=6)


@pytest.fixture(scope="module")
def loose(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(lines, tmp_path_factory.mktemp("loose") / "run")


def test_one_limit_that_differs_names_the_key_the_rule_and_the_documents(lines, loose, tmp_path, capsys):
    strict = run(lines, tmp_path / "run", gate={"min_words": 4})
    assert main(["diff", str(loose), str(strict), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"] == [{"key": "gate.min_words", "a": None, "b": 4}]
    (fate,) = found["left"]
    assert (fate["stage"], fate["rule"], fate["documents"]) == ("words", "too_few_words", 6)
    assert found["came"] == []
    assert found["documents"] == {"a": 12, "b": 6, "both": 6, "changed": 0}
    rules = {(row["stage"], row["rule"]): (row["a"], row["b"]) for row in found["funnel"] if row["rule"]}
    assert rules["words", "too_few_words"] == (0, 6)
    assert main(["diff", str(loose), str(strict)]) == 0
    said = capsys.readouterr().out
    assert "gate.min_words: absent -> 4" in said
    assert "6  words too_few_words" in said


def test_the_other_way_round_the_documents_came(lines, loose, tmp_path, capsys):
    strict = run(lines, tmp_path / "run", gate={"min_words": 4})
    assert main(["diff", str(strict), str(loose), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(f["stage"], f["rule"], f["documents"]) for f in found["came"]] == [("words", "too_few_words", 6)]
    assert found["left"] == []


def test_a_run_and_itself_do_not_differ(loose, capsys):
    assert main(["diff", str(loose), str(loose)]) == 0
    said = capsys.readouterr().out
    assert "no difference" in said
    assert "config" not in said


def test_a_stopped_run_is_compared_as_far_as_it_came(lines, loose, tmp_path, capsys):
    with pytest.raises(Exception, match="left no document"):
        run(lines, tmp_path / "run", gate={"min_words": 100})
    assert main(["diff", str(loose), str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "stopped at ingest: words left no document" in said
    assert "12  words too_few_words" in said


def test_only_what_both_runs_have_is_made_anew(tmp_path):
    def side(name: str, content: str | None) -> Side:
        store = Store(tmp_path / name)
        store.root.mkdir()
        if content is not None:
            with store.making("cluster", Receipt("identity", "", "", 1, 1)) as out:
                (out / "centroids").write_text(content)
        return Side(store, Plan("toy", "", (), ()))

    two, other, none = side("two", "2"), side("other", "3"), side("none", None)
    assert remade(two, other) == ["cluster"]
    assert remade(two, two) == remade(two, none) == remade(none, two) == []


def test_documents_that_one_run_never_read_are_said_to_be_so(lines, loose, tmp_path, capsys):
    more = toy.write_lines(tmp_path / "more", shards=3, lines=6)
    assert main(["diff", str(loose), str(run(more, tmp_path / "run"))]) == 0
    said = capsys.readouterr().out
    assert "shard2.txt" in said
    assert "6  not among the other run's documents" in said


def test_no_run_folder_is_an_error(loose, tmp_path, capsys):
    assert main(["diff", str(loose), str(tmp_path / "none")]) == 2
    assert "no run folder" in capsys.readouterr().err


WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
CONFIG = """
name: two
sources:
  - {{name: short, paths: {short}, share: {share}, trusted: true, dedup: off, language: en}}
  - {{name: long, paths: {long}, share: {rest}, trusted: true, dedup: off, language: en}}
quality: {{enabled: false}}
embed: {{enabled: false}}
cluster: {{enabled: false}}
domain: {{enabled: false}}
tokenizer: {{vocab_size: 280}}
mixture: {{budget_tokens: 3000}}
"""


def test_shares_by_bucket_and_source_stand_beside_each_other(tmp_path, capsys):
    paths = {}
    for name, n in (("short", 10), ("long", 30)):
        rows = [{"text": " ".join(WORDS[(i + j * j) % 8] for j in range(n)), "id": f"{name}{i}"} for i in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths[name] = str(tmp_path / f"{name}.jsonl")
    for share in (0.5, 0.2):
        tree = parse_yaml(CONFIG.format(**paths, share=share, rest=1 - share))
        execute(make_recipe(tree, "two"), tmp_path / f"run{share}")
    assert main(["diff", str(tmp_path / "run0.5"), str(tmp_path / "run0.2"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for by in ("source", "bucket"):
        shares = {row["name"]: (row["share_a"], row["share_b"]) for row in found["shares"][by]}
        assert shares["short"] == (pytest.approx(0.5, abs=0.01), pytest.approx(0.2, abs=0.01))
    assert found["config"] == [
        {"key": "mixture.weights.long", "a": 0.5, "b": 0.8}, {"key": "mixture.weights.short", "a": 0.5, "b": 0.2},
    ]  # fmt: skip
    assert {(f["stage"], f["rule"]) for f in found["left"]} == {("sample", "not_sampled")}
