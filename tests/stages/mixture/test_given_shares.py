"""Shares that the user gives: a corpus without a search, a present mixture to compare with, caps that sampling has."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_mixture_stage import QUICK, corpus, run, weights

from frames import FakeCorpus
from gristmill.pipeline.contract.corpus.shares import read_shares
from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError
from gristmill.stages.mixture.rates.rule import COPYING
from gristmill.stages.mixture.stage import Mixture

SHARES = {"web": 0.6, "code": 0.4}


def bare(size: int = 10, **tokens: int) -> FakeCorpus:
    """Buckets of so many tokens, in documents of `size`; no text, tokenizer or held-out texts."""
    rows = [(f"{b}-{i:05d}", b, size) for b, n in tokens.items() for i in range(n // size)]
    return FakeCorpus(
        [
            pl.DataFrame(rows, schema=["doc_id", "bucket", "token_count"], orient="row").with_columns(
                language=pl.lit("en")
            )
        ],
        {},
    )


def test_given_shares_need_no_search_no_text_and_no_references(tmp_path):
    stage = Mixture(weights=SHARES, budget_tokens=1000)
    assert stage.needs == ()
    assert "ingest" not in stage.reads
    found = run(stage, bare(web=800, code=300, books=500), tmp_path / "out")
    assert weights(found) == {"books": 0.0, "code": 0.4, "web": 0.6}
    assert found["verdict"] == "no search: the shares are those of mixture.weights; nothing is taken of books"
    assert found["search"]["method"] == "given"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("flat.json", json.dumps(SHARES)),
        ("flat.yaml", "web: 0.6\ncode: 0.4\n"),
        ("search.json", json.dumps({"weights": SHARES, "natural": {"web": 0.5, "code": 0.5}, "found": True})),
        ("run.json", json.dumps({"buckets": [{"bucket": b, "weight": w, "cap": 1} for b, w in SHARES.items()]})),
        ("rounded.json", json.dumps({"web": 0.6003, "code": 0.4002})),
    ],
)
def test_files_of_every_shape_are_read(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    assert read_shares(str(path), "mixture.weights") == pytest.approx(SHARES, abs=1e-4)


def test_a_bucket_called_no_keeps_its_name(tmp_path):
    (tmp_path / "w.yaml").write_text("no: 0.5\n1e3: 0.5\n")
    assert read_shares(str(tmp_path / "w.yaml"), "mixture.weights") == {"no": 0.5, "1e3": 0.5}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"web": 0.6, "code": 0.3}, "sum to 0.9, and must sum to 1"),
        ({"web": 60, "code": 40}, "write 60% as 0.6"),
        ({"web": -0.1, "code": 1.1}, "the share of web is -0.1"),
        ({"web": float("nan"), "code": 1.0}, "the share of web is nan"),
        ({}, "no bucket is named"),
        ("nowhere.json", "no file nowhere.json"),
    ],
)
def test_what_cannot_be_shares_is_named_before_anything_runs(given, says):
    with pytest.raises(ConfigError, match=f"mixture.weights.*{says}"):
        Mixture(weights=given)


def test_shares_that_cannot_be_met_name_the_bucket_and_the_budget_that_can(tmp_path):
    with pytest.raises(InfeasibleError, match=r"gives code 0.4 of 10,000 tokens, it has 300 .* to 3,000 at most"):
        run(Mixture(weights=SHARES, budget_tokens=10_000), bare(web=8000, code=300), tmp_path / "out")
    with pytest.raises(ConfigError, match="no document is in bucket code; there are web"):
        run(Mixture(weights=SHARES, budget_tokens=100), bare(web=8000), tmp_path / "other")


@pytest.mark.parametrize("more", [{"method": "bayes"}, {"runs": 12}, {"present": SHARES}, {"mode": "quadmix"}])
def test_settings_that_given_shares_make_useless_are_refused(more):
    with pytest.raises(ConfigError, match=f"mixture.weights gives every share: leave out mixture.{next(iter(more))}"):
        Mixture(weights=SHARES, **more)


def test_the_searched_mixture_is_compared_with_the_present_one(tmp_path):
    now = {"code": 0.1, "law": 0.1, "prose": 0.8}
    found = run(replace(QUICK, present=now), corpus(tmp_path), tmp_path / "out")
    rows = {c["baseline"]: c for c in found["confirm"]["comparisons"]}
    assert rows["present"]["high"] < 0
    assert rows["present"]["difference"] < rows["natural"]["difference"]
    assert "better than present: loss -" in found["verdict"]
    with pytest.raises(ConfigError, match=r"mixture\.present is compared by the confirmation"):
        replace(QUICK, present=now, method="natural")


def test_the_search_knows_the_cap_that_sampling_has(tmp_path):
    once = replace(QUICK, copying=replace(COPYING, max_copies=1), budget_share=1.0)
    found = run(once, corpus(tmp_path), tmp_path / "once")
    assert [b["weight"] for b in found["buckets"]] == pytest.approx(
        [b["natural_share"] for b in found["buckets"]], abs=1e-5
    )
    assert "the caps and bounds leave one mixture" in found["verdict"]
    assert found["max_epochs"] == 1.0
    half = run(replace(once, budget_share=0.5), corpus(tmp_path), tmp_path / "half")
    assert all(b["quota"] <= b["available_tokens"] + 1 for b in half["buckets"])


@pytest.mark.parametrize("share", [0.5, 1.0, 1 / 3, 4.0])
def test_a_budget_of_all_that_the_epochs_allow_is_feasible_whatever_its_rounding(tmp_path, share):
    for extra in (0, 10, 20):
        stage = Mixture(max_epochs=share, budget_share=share, copying=replace(COPYING, max_copies=9))
        found = run(
            stage, bare(10_001, web=510_100 + 1000 * extra, code=300_050, books=100_010), Path(tmp_path) / str(extra)
        )
        assert "one mixture" in found["verdict"]
        assert np.isclose(sum(b["weight"] for b in found["buckets"]), 1)
