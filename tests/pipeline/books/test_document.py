"""What became of one document: which value broke which limit, the nearest URLs, drops drawn by rule."""

import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import toy
from gristmill.pipeline.books.document.explain import rows_of, way
from gristmill.pipeline.books.document.nearest import nearest, normal_form
from gristmill.pipeline.books.document.verdict import reasons
from gristmill.pipeline.books.ledger import read_books, read_fates
from gristmill.pipeline.books.summary import summary
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.shapes import Gate
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.store import Store
from gristmill.stages.contamination.objective import ObjectiveGate
from gristmill.stages.dedup.near import NearGate
from gristmill.stages.gates import Gates, SourceGates
from gristmill.stages.language import LanguageGate
from gristmill.stages.license import LicenseGate
from lawrun import InProcess, Silent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, out = tmp_path_factory.mktemp("lines"), tmp_path_factory.mktemp("run") / "run"
    (folder / "a.txt").write_text("one\n\none two\none two three\none two three four\n")
    made, store = toy.recipe(folder, gate={"min_words": 3}), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)
    return out


@pytest.mark.parametrize(
    ("gate", "rule", "row", "said"),
    [
        (
            Gates(),
            "too_many_dup_line_body",
            {"language": "en", "dup_line_body_frac": 0.012},
            "dup_line_body_frac = 0.012 > 0.01, the limit for language en",
        ),
        (Gates(), "too_many_hashes", {"hash_ratio": 0.25}, "hash_ratio = 0.25 > 0.1"),
        (Gates(), "too_many_hashes", {"hash_ratio": 0.100001}, "hash_ratio = 0.100001 > 0.1"),
        (Gates(), "no_language", {"language": None}, "language = null"),
        (LanguageGate(keep=("de",)), "language_not_kept", {"language": "nl"}, "language = nl"),
        (
            LanguageGate(min_score=0.65),
            "language_unsure",
            {"language": "nl", "language_score": 0.3},
            "language_score = 0.3 < 0.65",
        ),
        (LicenseGate(unknown="drop"), "license_unknown", {"license_tier": "unknown"}, "license_tier = unknown"),
        (NearGate(), "near_duplicate", {"near_duplicate_of": "abc"}, "near_duplicate_of = abc"),
        (
            ObjectiveGate(),
            "objective_text",
            {"objective_hits_n": 7, "objective_doc_frac": 0.02, "objective_item_frac": 0.5},
            "objective_hits_n = 7 > 2 and objective_doc_frac = 0.02 > 0",
        ),
    ],
)
def test_the_value_that_broke_the_rule_is_read_out_of_the_table(gate: Gate, rule: str, row: dict, said: str):
    assert " and ".join(reasons(gate.table()[rule], pl.DataFrame([row]))) == said


def test_a_source_with_limits_of_its_own_is_explained_by_them():
    gate = Gates(sources=(SourceGates("code", {"max_hash_ratio": 0.5}), SourceGates("raw", "off")))
    row = pl.DataFrame([{"hash_ratio": 0.75, "source": "code"}])
    assert reasons(gate.table_for({"source": "code"})["too_many_hashes"], row) == ["hash_ratio = 0.75 > 0.5"]
    assert gate.table_for({"source": "raw"}) == {}


@pytest.mark.parametrize(
    "other",
    [
        "http://en.wikipedia.org/wiki/Gabbro",
        "https://en.wikipedia.org/wiki/Gabbro/",
        "https://en.wikipedia.org/wiki/gabbro",
        "https://www.en.wikipedia.org/wiki/Gabbro",
        "https://EN.wikipedia.org/wiki/%47abbro",
        "https://en.wikipedia.org/wiki/Gabbro#Uses",
        "en.wikipedia.org/wiki/Gabbro",
        "//en.wikipedia.org/wiki//Gabbro",
    ],
)
def test_urls_of_the_same_page_are_offered(other: str):
    url = "https://en.wikipedia.org/wiki/Gabbro"
    assert nearest(other, ["https://en.wikipedia.org/wiki/Gabbros", url, "https://de.wikipedia.org/wiki/Gabbro"]) == [
        url
    ]


def test_alike_urls_of_the_host_are_offered_and_no_others():
    urls = [
        "http://a.org/news/2020/first",
        "http://a.org/x",
        "http://b.org/news/2020/frist",
        "http://a.org/news/2020/fi",
    ]
    assert nearest("http://a.org/news/2020/frist", urls) == [urls[0], urls[3]]
    assert nearest("http://[a", urls) == []
    assert normal_form("http://[a") == "http://[a"


def test_explain_says_first_what_became_of_a_document(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["explain", str(run), "file://a.txt#2"]) == 0
    assert capsys.readouterr().out.startswith("Dropped at words: too_few_words; words_toy_n = 2 < 3.\n\n")
    assert main(["explain", str(run), "file://a.txt#3"]) == 0
    assert capsys.readouterr().out.startswith("Kept so far: it passed every gate up to slow.\n")
    assert main(["explain", str(run), "FILE://a.txt/"]) == 2
    assert "No record has the URL FILE://a.txt/. Nearest:\n  file://a.txt#0" in capsys.readouterr().err
    assert main(["explain", str(run), "0123456789abcdef"]) == 2
    assert "is no doc_id of this run" in capsys.readouterr().err


def test_inspect_shows_drops_by_rule_with_value_and_text(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(run), "words"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("words: 2 of 4 documents dropped\n\ntoo_few_words: 2 documents\n")
    assert {"words_toy_n = 1 < 3", "words_toy_n = 2 < 3", "one", "one two"} <= {
        line.strip() for line in said.split("\n")
    }
    assert main(["inspect", str(run), "words", "-n", "1"]) == 0
    once = capsys.readouterr().out
    assert once.count("words_toy_n") == 1
    assert main(["inspect", str(run), "words", "-n", "1"]) == 0
    assert capsys.readouterr().out == once


def test_the_end_of_a_run_names_its_drops_and_a_command_that_explains_one(run: Path):
    store, plan = Store(run), load_plan(run / "plan.json")
    for until in (None, "words"):
        said = summary(store, plan, read_books(store)[: 2 if until else None], until)
        assert said[0] == "records    6 read, 4 of them documents"
        assert any(re.match(r"dropped    .*\bwords too_few_words 2\b", line) for line in said)
        assert said[-1] == f"why        gristmill explain {run} 'file://a.txt#0'"
    assert "documents  2 kept after words" in said


def test_explain_has_each_step_of_the_way_once(run: Path):
    """A reducer may have the name of the annotator that reads it."""
    store, plan = Store(run), load_plan(run / "plan.json")
    (key,), step = plan.part, plan.step("words", "annotator")
    rows = rows_of(store, plan, key, toy_id(store, "file://a.txt#3"))
    doubled = replace(plan, steps=(*plan.steps, replace(step, kind="reducer")))
    fate = {"doc_id": "d", "url": "u", "stage": None, "copies_n": None}
    lines = list(way(doubled, key, fate, rows))
    assert [line.split(":")[0] for line in lines].count("  words") == 2  # what it measured, and its gate's verdict


def toy_id(store: Store, url: str) -> str:
    (fates,) = (frame for _, frame in read_fates(store, load_plan(store.root / "plan.json")))
    return fates.filter(pl.col("url") == url)["doc_id"].item()


def test_a_document_of_a_stopped_run_is_kept_up_to_the_last_gate_that_it_met(tmp_path: Path, capsys):
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.txt").write_text("one two three\n")
    made, store = toy.recipe(tmp_path / "lines"), Store(tmp_path / "run")
    launch(made, survey(made, store, "words"), store, InProcess(), "words", Silent(), lambda store, plan: None)
    assert main(["explain", str(store.root), "file://a.txt#0"]) == 0
    assert capsys.readouterr().out.startswith("Kept so far: it passed every gate up to words.\n")


def test_a_limit_by_several_columns_of_one_language_names_it_once():
    limit = pl.when(pl.col("language") == "cy").then(0.5).when(pl.col("language") == "en").then(0.1).otherwise(0.2)
    row = pl.DataFrame([{"language": "cy", "frac": 0.75}])
    assert reasons(pl.col("frac") > limit, row) == ["frac = 0.75 > 0.5, the limit for language cy"]


def test_a_stopped_run_of_several_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Many records of one URL are not all shown, a near-duplicate says how like it is, no corpus has no tokens."""
    words = [f"word{i}" for i in range(200)]
    texts = [" ".join(words[i * 7 % 50 :] + [f"n{i}x{j}" for j in range(400)]) for i in range(12)]
    rows = [{"text": text, "url": "https://many.example/"} for text in texts]
    whole = " ".join(f"other{i}" for i in range(400))
    rows += [{"text": whole, "url": "https://a.example/1"}, {"text": whole + " end.", "url": "https://b.example/2"}]
    for name, mine in (("a", rows[:12]), ("b", rows[12:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mine))
    sources = ", ".join(f"{{name: {n}, paths: {tmp_path}/{n}.jsonl}}" for n in "ab")
    (tmp_path / "c.yaml").write_text(
        f"sources: [{sources}]\nlanguage: {{enabled: false}}\ngates: {{enabled: false}}\nlicense: {{enabled: false}}\n"
        "dedup: {url: {enabled: false}}\n"
    )
    out = str(tmp_path / "run")
    assert main(["run", str(tmp_path / "c.yaml"), "--out", out, "--until", "dedup.minhash", "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["explain", out, "https://many.example/"]) == 0
    said = capsys.readouterr().out
    assert said.count("it passed every gate up to dedup.minhash.") == 10
    assert said.endswith("\n\n2 more records of this URL\n")
    near = [u for u in ("https://a.example/1", "https://b.example/2") if main(["explain", out, u]) == 0]
    assert len(near) == 2
    assert re.search(
        r"Dropped at dedup.minhash: near_duplicate; .*, near_similarity = (0\.9\d*|1)\.\n", capsys.readouterr().out
    )
    assert main(["ledger", out]) == 0
    assert [line.split()[4:6] for line in capsys.readouterr().out.splitlines()[-2:]] == [["-", "-"], ["-", "-"]]
    assert (
        main(["plan", str(tmp_path / "c.yaml"), "--out", out, "sources=[{name: a, paths: " + f"{tmp_path}/a.jsonl}}]"])
        == 0
    )
    assert capsys.readouterr().out.startswith("1 part, ")
