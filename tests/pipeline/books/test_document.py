"""What became of one document: which value broke which limit, the nearest URLs, drops drawn by rule."""

import re
from pathlib import Path

import polars as pl
import pytest

import toy
from gristmill.pipeline.books.document.nearest import nearest, normal_form
from gristmill.pipeline.books.document.verdict import reasons
from gristmill.pipeline.books.ledger import read_books
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
