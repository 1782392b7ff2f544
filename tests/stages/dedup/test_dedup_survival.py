"""Which copy stays: held-out ones, then columns in the order of `keep`, then the draw; the loser names the winner."""

import json
from pathlib import Path

import polars as pl
import pytest

from frames import doc_id, exchanged, text_hash
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.dedup.exact import ExactDuplicates
from gristmill.stages.dedup.survival import Preference, asked
from lawrun import InProcess, Silent


def copies(**columns: list) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    given = {
        "license_tier": [None] * n,
        "text_bytes": [9] * n,
        "date": [None] * n,
        "is_held_out": [False] * n,
    } | columns
    types = {"license_tier": pl.String, "date": pl.String, "text_bytes": pl.Int64}
    frame = pl.DataFrame(given, schema_overrides={k: v for k, v in types.items() if k in given})
    frame = frame.with_columns(url=pl.lit(None, pl.String), dump=pl.lit(None, pl.String))
    return frame.with_columns(doc_id=pl.Series([doc_id(f"c{i}") for i in range(n)]), text_hash=pl.lit(text_hash("x")))


def winner(batch: pl.DataFrame, folder: Path, **options: tuple) -> int:
    folder.mkdir(exist_ok=True)
    (found,) = exchanged(ExactDuplicates(**options), [[batch]], folder)[0]
    (stays,) = found["exact_duplicate_of"].is_null().arg_true()
    return stays


@pytest.mark.parametrize(
    ("columns", "stays"),
    [
        ({"license_tier": ["unknown", "copyleft", "permissive", "site"]}, 2),
        ({"license_tier": ["permissive", "permissive"], "text_bytes": [9, 10]}, 1),
        ({"license_tier": ["copyleft", "permissive"], "text_bytes": [900, 10]}, 1),
        ({"license_tier": [None, "reserved"], "text_bytes": [900, 10]}, 1),
        ({"license_tier": [None, "a new word"]}, 1),
        ({"date": ["2024-05-01T10:00:00Z", "2024-05-01T09:59:59Z", None, "2025-01-01"]}, 1),
        ({"date": ["2024-05-01", "2024-04-30T23:59:59Z"]}, 1),
        ({"license_tier": ["permissive", "unknown"], "is_held_out": [False, True]}, 1),
    ],
)
def test_default_policy(tmp_path: Path, columns: dict, stays: int):
    assert winner(copies(**columns), tmp_path) == stays
    assert winner(copies(**columns).reverse(), tmp_path / "b") == len(next(iter(columns.values()))) - 1 - stays


def test_a_policy_of_ones_own_and_none(tmp_path: Path):
    batch = copies(text_bytes=[5, 7, 6], license_tier=["unknown", "unknown", "permissive"])
    assert winner(batch, tmp_path / "a", keep=(Preference("ingest.text_bytes"),)) == 0
    assert winner(batch, tmp_path / "b", keep=(Preference("ingest.text_bytes", "large"),)) == 1
    order = Preference("license.license_tier", order=("unknown",))
    assert winner(batch, tmp_path / "c", keep=(order, Preference("ingest.text_bytes"))) == 0
    draws = asked(batch, ())["rank"]
    assert winner(batch, tmp_path / "d", keep=()) == draws.arg_min()


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([-1e300, -2.0, -1.0, -0.0, 1e-300, 3.0, float("inf"), None], dtype=pl.Float64),
        pl.Series([-5, -1, 0, 2, 2**40, None, None], dtype=pl.Int64),
        pl.Series([False, True, None], dtype=pl.Boolean),
    ],
)
def test_numbers_keep_their_order_and_nothing_comes_last(values: pl.Series):
    batch = pl.DataFrame({"doc_id": [str(i) for i in range(values.len())], "is_held_out": False, "x": values})
    small = asked(batch, (Preference("any.x"),))["by_0"].to_list()
    large = asked(batch, (Preference("any.x", "large"),))["by_0"].to_list()
    n = values.len() - values.null_count()
    assert small == sorted(small)
    assert len(set(small[:n])) == n
    assert large[:n] == sorted(large[:n], reverse=True)
    assert all(v == 2**64 - 1 for v in (*small[n:], *large[n:]))


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ([{"column": "text_bytes"}], "'text_bytes' is no dataset.column"),
        ([{"column": "license.license_tier", "order": ["a"], "prefer": "large"}], "leave out prefer"),
        ([{"column": "ingest.text_bites"}], "text_bites, which no earlier step writes"),
        ([{"column": "quality.q_web"}], "which no earlier step writes"),
    ],
)
def test_a_policy_that_cannot_be_is_named_before_the_run(tmp_path: Path, keep: list, said: str):
    (tmp_path / "a.jsonl").write_text('{"text": "one text"}')
    tree = {"input": {"paths": str(tmp_path / "a.jsonl")}, "dedup": {"exact": {"keep": keep}}}
    with pytest.raises((ConfigError, PlanError), match=said):
        survey(make_recipe(tree, "x"), Store(tmp_path / "run"), None)


def test_the_ledger_names_the_document_that_stays_and_the_similarity(tmp_path: Path):
    words = [f"w{i}" for i in range(200)]
    texts = [" ".join(words), " ".join(words), " ".join([*words, "and", "an", "end"]), "something else entirely"]
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"text": t, "url": f"http://h/{i}"}) for i, t in enumerate(texts))
    )
    off = {name: {"enabled": False} for name in ("language", "license", "signals", "gates")}
    recipe, store = make_recipe({"input": {"paths": str(tmp_path / "a.jsonl")}, **off}, "x"), Store(tmp_path / "run")
    situation = survey(recipe, store, "dedup.minhash")
    launch(recipe, situation, store, InProcess(), "dedup.minhash", Silent(), lambda store, plan: None)
    (path,) = (tmp_path / "run" / "ledger").glob("*.parquet")
    fates = {r["url"][-1]: r for r in pl.read_parquet(path).iter_rows(named=True)}
    assert fates["2"]["stage"] is None  # the longest
    assert fates["3"]["stays_doc_id"] is None
    exact, near = sorted((fates["0"], fates["1"]), key=lambda r: r["rule"])
    assert (exact["rule"], exact["stays_doc_id"], exact["similarity"]) == ("exact_duplicate", near["doc_id"], 1.0)
    assert (near["rule"], near["stays_doc_id"]) == ("near_duplicate", fates["2"]["doc_id"])
    assert 0.85 < near["similarity"] < 1
