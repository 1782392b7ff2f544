"""Which copy stays: held-out ones, then columns in the order of `keep`, then the draw; the loser names the winner."""

import json
from contextlib import nullcontext
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from frames import doc_id, exchanged, text_hash
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.kernels.numbers.dates import instants
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.dedup.exact import ExactDuplicates
from gristmill.stages.dedup.survival import Preference, asked
from lawrun import InProcess, Silent

OWN = """
from dataclasses import dataclass
from typing import ClassVar
import polars as pl
import pyarrow as pa
from gristmill.pipeline.contract.columns import Column
from gristmill.pipeline.contract.shapes import Annotator

@dataclass(frozen=True)
class Own(Annotator):
    name: ClassVar = "own"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text",)}
    writes: ClassVar = ("own_mood", "own_day")
    columns: ClassVar = (
        Column("own_mood", pa.string(), "", "how it feels"), Column("own_day", pa.string(), "ISO 8601", "when"),
    )

    def open(self, artifacts):
        return lambda batch: batch.select("doc_id", own_mood=pl.lit("sad"), own_day=pl.lit("2024"))
"""


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
        ({"date": ["2024-05-01T04:00:00Z", "2024-05-01T12:00:00+09:00"]}, 1),
        ({"date": ["2024-05-01T12:00:00Z", "2024-05-01T10:00:00-05:00"]}, 0),
        ({"date": ["2024-05-01T12:00:00.5Z", "2024-05-01T12:00:00.25Z", "2024-05-01T12:00:00.1234567Z"]}, 2),
        ({"date": ["2024-05-01", "1714521599"]}, 1),
        ({"date": ["1714521600000", "2024-05-01T00:00:01Z", "1714521600001.0"]}, 0),
        ({"date": ["Wed, 01 May 2024 12:00:00 GMT", "Wed, 01 May 2024 12:00:00 +0900"]}, 1),
        ({"date": ["Fri, 03 May 2024 12:00:00 GMT", "2024-05-02"]}, 1),
        ({"date": ["20240501120001", "2024-05-01 12:00"]}, 1),
        ({"date": ["01.05.2020", "2024-05-01", "01/05/2020", "yesterday", "2024-02-30", ""]}, 1),
        ({"license_tier": ["permissive", "unknown"], "is_held_out": [False, True]}, 1),
    ],
)
def test_default_policy(tmp_path: Path, columns: dict, stays: int):
    assert winner(copies(**columns), tmp_path) == stays
    assert winner(copies(**columns).reverse(), tmp_path / "b") == len(next(iter(columns.values()))) - 1 - stays


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-05-01T12:00:00+09:00", datetime(2024, 5, 1, 3)),
        ("2024-05-01T12:00:00.123456789Z", datetime(2024, 5, 1, 12, 0, 0, 123456)),
        ("2024-05-01T12:00:00,5-0330", datetime(2024, 5, 1, 15, 30, 0, 500000)),
        ("2024-05-01 12:00:00", datetime(2024, 5, 1, 12)),
        ("2024-05-01t12:00z", datetime(2024, 5, 1, 12)),
        (" 2024/05/01 12:00:00 UTC ", datetime(2024, 5, 1, 12)),
        ("20240501T120000+09", datetime(2024, 5, 1, 3)),
        ("20240501120000", datetime(2024, 5, 1, 12)),
        ("20240501", datetime(2024, 5, 1)),
        ("2024-05", datetime(2024, 5, 1)),
        ("2024", datetime(2024, 1, 1)),
        ("0001-01-01", datetime(1, 1, 1)),
        ("Wed, 01 May 2024 12:00:00 GMT", datetime(2024, 5, 1, 12)),
        ("1 May 2024 12:00 -0500", datetime(2024, 5, 1, 17)),
        ("Wednesday, 01-May-24 12:00:00 GMT", datetime(2024, 5, 1, 12)),
        ("Wed May  1 12:00:00 2024", datetime(2024, 5, 1, 12)),
        ("1714564800", datetime(2024, 5, 1, 12)),
        ("1714564800.25", datetime(2024, 5, 1, 12, 0, 0, 250000)),
        ("1714564800000", datetime(2024, 5, 1, 12)),
        *((text, None) for text in (None, "", "x", "01.05.2024", "01/05/2024", "05-01-2024", "2024-02-30", "12345")),
        *((text, None) for text in ("Wed, 31 Feb 2024 12:00:00 GMT", "1 Mai 2024 12:00:00", "2024-05-01T12:00+99:00")),
        *((text, None) for text in ("99999999999999", "2024-05-01x", "٢٠٢٤-٠٥-٠١", "2024-05-01 a.m.")),
    ],
)
def test_instants_of_dates_as_inputs_write_them(text: str | None, instant: datetime | None):
    assert instants(pl.Series([text, None], dtype=pl.String)).cast(pl.Datetime("us")).to_list() == [instant, None]


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
        pl.Series([date(1969, 5, 1), date(2024, 5, 1), None], dtype=pl.Date),
        pl.Series([datetime(1969, 1, 1), datetime(2024, 5, 1), datetime(2024, 5, 1, 1), None], dtype=pl.Datetime("ns")),
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
        ([{"column": "ingest.text_bytes"}, {"column": "ingest.url"}], r"\.keep\.1\.column: ingest\.url is text and no"),
        ([{"column": "license.license_tier"}], r"license_tier is text and no date; .* order: \["),
    ],
)
@pytest.mark.parametrize("section", ["exact", "minhash", "url"])
def test_a_policy_that_cannot_be_is_named_before_the_run(tmp_path: Path, section: str, keep: list, said: str):
    (tmp_path / "a.jsonl").write_text('{"text": "one text"}')
    tree = {"input": {"paths": str(tmp_path / "a.jsonl")}, "dedup": {section: {"keep": keep}}}
    tree["dedup"].setdefault("url", {})["enabled"] = True
    with pytest.raises((ConfigError, PlanError), match=said):
        survey(make_recipe(tree, "x"), Store(tmp_path / "run"), None)


def test_a_text_column_of_ones_own_is_known_by_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stage of the config's own declares what it writes; its words are refused, its dates are not."""
    (tmp_path / "own_words.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a.jsonl").write_text('{"text": "one text"}')
    own = {"stage": "own_words:Own", "after": "ingest"}
    for column, refused in (("own_mood", True), ("own_day", False)):
        keep = {"exact": {"keep": [{"column": f"own.{column}"}]}}
        tree = {"input": {"paths": str(tmp_path / "a.jsonl")}, "extra": [own], "dedup": keep}
        made = make_recipe(tree, "x")
        with pytest.raises(ConfigError, match="own_mood is text and no date") if refused else nullcontext():
            survey(made, Store(tmp_path / "run"), None)


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
