"""The first job of everybody: filter, deduplicate, sample to N tokens, without reference texts or quality model."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.pipeline.books.notes import notes
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import OPTIONAL, make_recipe
from gristmill.pipeline.run.store import Store
from lawrun import execute
from places import ROOT

FUNCTION = ["the", "of", "and", "to", "in", "that", "with", "have", "be", "for", "it", "on"]
TOPICS = (
    "market price trade shop money bank cost sale buyer seller goods stall",
    "river water fish boat bridge flood shore stream lake harbour island wave",
    "garden winter summer flower leaf root seed plant tree grass soil spring",
    "teacher school library lesson class book pupil pencil reading exam paper desk",
    "engine machine wheel motor metal fuel railway station train track tool repair",
)


def prose(rng: np.random.Generator, topic: int, sentences: int = 14) -> str:
    words = FUNCTION + TOPICS[topic % len(TOPICS)].split()
    return "\n".join(" ".join(rng.choice(words, 12)).capitalize() + "." for _ in range(sentences))


def write_pages(folder: Path, n: int = 160, host: str = "example.com") -> Path:
    rng = np.random.default_rng(3)
    path = folder / "pages.jsonl"
    rows = [{"text": prose(rng, i), "url": f"https://{host}/{i}", "license": "CC-BY-4.0"} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def corpus_of(out: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(p) for p in sorted((out / "corpus" / "data").glob("*.parquet"))])


def job(path: Path, out: Path, *settings: str, config: str = "permissive") -> Store:
    given = [f"input.paths={path}", "mixture.budget_tokens=16000", "tokenizer.vocab_size=300", *settings]
    return execute(make_recipe(override(read_config(ROOT / "configs" / f"{config}.yaml"), given), "job"), out)


@pytest.mark.parametrize("config", ["permissive", "commoncrawl"])
def test_web_config_without_references_samples_to_the_budget_and_says_what_is_off(config, tmp_path):
    store = job(write_pages(tmp_path), tmp_path / "run", "language.keep=en", config=config)
    corpus = corpus_of(store.root)
    assert corpus["token_count"].sum() == pytest.approx(16000, rel=0.005)
    assert corpus["quality"].null_count() == corpus.height
    (note,) = notes(store, load_plan(store.root / "plan.json"))
    assert "0 of 160 documents are of reference hosts" in note
    assert "dedup.references.paths" in note


def test_references_too_few_for_the_quality_model_leave_null_criteria_and_a_note(tmp_path):
    path = write_pages(tmp_path, host="en.wikipedia.org")  # all of them references: nothing to compare with
    store = job(path, tmp_path / "run")
    said = notes(store, load_plan(store.root / "plan.json"))
    assert any(
        "of your 160 documents 160 are reference pages, and only 0 of these have others" in note for note in said
    )
    assert corpus_of(store.root)["quality"].null_count() > 0


def test_quality_off_runs_without_a_note_about_quality(tmp_path):
    store = job(write_pages(tmp_path, host="en.wikipedia.org"), tmp_path / "run", "quality.enabled=false")
    assert not any("quality" in note for note in notes(store, load_plan(store.root / "plan.json")))
    assert json.loads((store.artifact("quality.model") / "model.json").read_text()) == {"folds": 0}


OFF = [
    ("language", "gates"), ("license",), ("gates",), ("signals", "gates"), ("dedup.exact",), ("dedup.minhash",),
    ("dedup.exact", "dedup.minhash"), ("quality",), ("dedup.references",), ("domain",),
]  # fmt: skip


@pytest.mark.parametrize("off", OFF, ids="+".join)
@pytest.mark.parametrize("written", ["{}.enabled=false", "{}=null"])
def test_every_optional_section_off_makes_the_same_plan_in_both_writings(off, written, tmp_path):
    tree = override(read_config(ROOT / "configs" / "commoncrawl.yaml"), [written.format(path) for path in off])
    recipe = make_recipe(tree, "x")
    again = make_recipe(recipe.resolved, "x")  # what config.yaml of the run says
    assert again.stages == recipe.stages
    for path in off:
        assert not {s.name for s in recipe.stages if s.kind == "gate"} & {f"{path}.gate", path} or path in (
            "quality",
            "dedup.references",
        )


def test_everything_optional_off_still_samples_to_the_budget(tmp_path):
    off = [f"{path}.enabled=false" for path in OPTIONAL]
    more = ["dedup.references.enabled=false", "quality.enabled=false", "domain.bucket.by=language"]
    store = job(write_pages(tmp_path), tmp_path / "run", *off, *more, config="commoncrawl")
    corpus = corpus_of(store.root)
    assert corpus["token_count"].sum() == pytest.approx(16000, rel=0.005)
    assert corpus["bucket"].unique().to_list() == ["unknown"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("input=null", "input: null; it cannot be off"),
        ("sample=null", "sample: null; it cannot be off"),
        ("signals=null", "signals is off, but gates reads it"),
        ("language=null", "language is off, but gates drop documents without a language"),
        ("embed=null", "embed is off, but cluster reads it"),
        ("cluster=null", "cluster is off, but the mixture's buckets are clusters"),
        ("gates.enabled=maybe", "gates.enabled: true or false"),
    ],
)
def test_a_section_that_cannot_be_off_alone_is_refused_with_the_way_out(setting, said):
    tree = override(read_config(ROOT / "configs" / "commoncrawl.yaml"), [setting])
    with pytest.raises(ConfigError, match=said):
        make_recipe(tree, "x")


def test_a_limit_on_quality_without_quality_is_an_error_not_ignored(tmp_path):
    with pytest.raises(GristmillError, match=r"quality\.min_reference is set, but no document has q_reference"):
        job(write_pages(tmp_path), tmp_path / "run", "quality.min_reference=0.5")


def test_the_command_prints_the_note(tmp_path, capsys):
    path = write_pages(tmp_path)
    command = ["run", str(ROOT / "configs" / "permissive.yaml"), f"input.paths={path}", "mixture.budget_tokens=16000"]
    assert main([*command, "tokenizer.vocab_size=300", "--out", str(tmp_path / "run"), "--workers", "1"]) == 0
    assert "note       No quality model and nothing to search the mixture for" in capsys.readouterr().out
    assert "No quality model" in (tmp_path / "run" / "report.html").read_text()
