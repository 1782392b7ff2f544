"""The dataset card: tokenizer, licences by tier, languages, sources, opt-out, personal data, files that are there."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from huggingface_hub import DatasetCard

from gristmill.pipeline.books.card.attribution import author_of
from gristmill.pipeline.books.summary import write_papers
from gristmill.pipeline.contract.carried.values import carried_json
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent

CONFIG = """
name: card
sources:
  - {{name: open, paths: {folder}/open.jsonl, license: CC-BY-4.0, trusted: true, dedup: off, language: en}}
  - {{name: dark, paths: {folder}/dark.jsonl, trusted: true, dedup: off, language: de}}
input: {{keep_columns: [author]}}
pii: {{enabled: true, phone: drop}}
quality: {{enabled: false}}
embed: {{enabled: false}}
cluster: {{enabled: false}}
domain: {{enabled: false, bucket: {{by: source}}}}
tokenizer: {{vocab_size: 280}}
mixture: {{budget_tokens: 4000}}
corpus: {{validation: 0.1}}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    for name in ("open", "dark"):
        rows = [
            {"text": f"{name} number {i} of all, " * 6, "id": f"{name}{i}", "author": f"A. {i}", "title": f"T{i}"}
            for i in range(50)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made, store = make_recipe(parse_yaml(CONFIG.format(folder=folder)), "card"), Store(folder / "run")
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), write_papers)
    return store.root / "corpus"


def test_the_card_s_files_are_there_and_its_head_is_read_by_the_hub(corpus: Path):
    card = DatasetCard.load(corpus / "README.md")
    assert (corpus / card.data.license_link).is_file()
    assert card.data.license_name == "per-document"
    digest = hashlib.sha256((corpus / "tokenizer.json").read_bytes()).hexdigest()
    assert f"`{digest}`" in card.text
    assert "280 ids" in card.text
    assert (corpus / "config.yaml").read_bytes() == (corpus.parent / "config.yaml").read_bytes()
    assert "gristmill run config.yaml --out RUN" in card.text


def test_tables_add_up_to_what_is_trained_on(corpus: Path):
    rows = pl.concat([pl.read_parquet(p) for p in (corpus / "data").glob("*.parquet")])
    text = (corpus / "README.md").read_text()
    total = rows["token_count"].sum()
    for (tier, license), part in rows.group_by("license_tier", "license"):
        n, documents = part["token_count"].sum(), part["doc_id"].n_unique()
        line = f"| {tier} | {license or 'none found'} | {documents:,} | {n:,} | {n / total:.4f} |"
        assert line in text
        assert line in (corpus / "LICENSES.md").read_text()
    for (language,), part in rows.group_by("language"):
        n, documents = part["token_count"].sum(), part["doc_id"].n_unique()
        assert f"| {language} | {documents:,} | {part.height:,} | {n:,} | {n / total:.4f} |" in text


def test_sections_say_what_was_done_about_rights_and_personal_data(corpus: Path):
    text = (corpus / "README.md").read_text()
    for said in ("## Opt-out", "Documents with one are dropped", "## Personal data", "phone: the document is dropped",
                 "## Sources", "## Splits", "Tiers: permissive"):  # fmt: skip
        assert said in text


def test_attribution_names_authors_that_the_input_names(corpus: Path):
    found = pl.read_parquet(corpus / "ATTRIBUTION.parquet")
    assert set(found["license"]) == {"CC-BY-4.0"}
    assert found["author"].str.contains(r"^A\. \d+$").all()
    assert found["title"].str.replace("T", "A. ").to_list() == found["author"].to_list()


def test_authors_of_lists_are_joined_and_other_values_are_none():
    assert author_of(carried_json({"authors": ["A", "B"], "byline": "C"})) == "A; B"
    assert author_of(carried_json({"author": " ", "byline": "C"})) == "C"
    assert author_of(carried_json({"author": 7})) is None
    assert author_of(None) is None
