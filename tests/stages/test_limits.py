"""gates.limits: least and greatest values, and the best share, of any column."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frames import FakeCorpus
from gristmill.pipeline.books.document.verdict import broken_by
from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.plan.plan import make_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.stages import limits
from gristmill.stages.limits import Limit, LimitBroken, LimitTables


def documents(n: int = 1000) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "doc_id": [f"{i:032x}" for i in range(n)],
            "q_mine": pl.Series(rng.integers(0, 50, n) / 50, dtype=pl.Float32),
            "language": rng.choice(["en", "de", None], n, p=[0.7, 0.2, 0.1]),
        }
    )


def broken(tmp_path: Path, frames: list[pl.DataFrame], *limits: Limit) -> pl.DataFrame:
    tmp_path.mkdir(exist_ok=True)
    LimitTables(limits).run(FakeCorpus(frames), tmp_path)
    annotate = LimitBroken(limits).open({"limits": tmp_path})
    return pl.concat([frame.join(annotate(frame), on="doc_id") for frame in frames])


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0, 0.0001])
def test_top_share_keeps_that_share_of_each_language_whatever_the_ties(share, tmp_path):
    rows = broken(tmp_path, [documents()], Limit("q_mine", top_share=share, by="language"))
    for (_,), group in rows.group_by("language"):
        kept = group.filter(pl.col("limit_broken").is_null())
        gone = group.filter(pl.col("limit_broken") == "q_mine_not_in_top_share")
        assert kept.height == max(1, round(share * group.height))
        if gone.height:
            assert kept["q_mine"].min() >= gone["q_mine"].max()


def test_top_share_does_not_depend_on_order_or_batches(tmp_path):
    limit = Limit("q_mine", top_share=0.3)
    docs = documents()
    whole = broken(tmp_path / "a", [docs], limit).sort("doc_id")
    parts = broken(tmp_path / "b", [docs[600:], docs[:600].reverse(), docs.clear()], limit).sort("doc_id")
    assert whole.equals(parts)
    assert (tmp_path / "a" / "limits.json").read_bytes() == (tmp_path / "b" / "limits.json").read_bytes()


@pytest.mark.parametrize("by", [None, "language"])
def test_top_share_found_between_two_sampled_values_is_that_of_all(by, tmp_path, monkeypatch):
    docs, found = documents(6000), []
    kinds = [Limit("q_mine", top_share=share, by=by) for share in (0.003, 0.3, 0.5, 0.98, 1.0)]
    for i, (sampled, size) in enumerate([(10**6, 6000), (600, 700), (600, 6000)]):
        monkeypatch.setattr(limits, "SAMPLED", sampled)
        (tmp_path / str(i)).mkdir()
        LimitTables(tuple(kinds)).run(FakeCorpus([docs[n : n + size] for n in range(0, 6000, size)]), tmp_path / str(i))
        found.append((tmp_path / str(i) / "limits.json").read_text())
    assert found[0] == found[1] == found[2]
    edges = json.loads(found[0])
    tie = pl.Series(key64(docs["doc_id"], "limits.q_mine").astype(np.float64) / 2.0**64)
    for limit, edge in zip(kinds, edges, strict=True):
        for group, (value, draw) in edge.items():
            mine = docs.with_columns(tie.alias("tie")).filter(pl.col("language").fill_null("") == group if by else True)
            ordered = mine.sort("q_mine", "tie", descending=[True, False])
            assert ordered.select("q_mine", "tie").row(max(1, round(limit.top_share * mine.height)) - 1) == (
                value,
                draw,
            )


def test_exactly_at_a_limit_stays_and_null_breaks_none(tmp_path):
    docs = documents(4).with_columns(q_mine=pl.Series([0.3, 0.29, None, 0.9], dtype=pl.Float32))
    rows = broken(tmp_path, [docs], Limit("q_mine", min=0.3), Limit("q_mine", max=0.5), Limit("q_mine", top_share=1.0))
    assert rows["limit_broken"].to_list() == [None, "q_mine_too_low", None, "q_mine_too_high"]


def test_a_column_without_a_value_is_an_error(tmp_path):
    docs = documents(5).with_columns(q_mine=pl.lit(None, pl.Float32))
    with pytest.raises(DataError, match="q_mine is null in every document"):
        broken(tmp_path, [docs], Limit("q_mine", min=0.3))


def test_explain_shows_the_value_that_broke_a_limit():
    least = "{column: token_count, min: 50}, {column: token_count, min: 60}"
    limits = f"{least}, {{column: language_score, top_share: 0.1, by: language}}"
    recipe = make_recipe(parse_yaml(f"input: {{paths: x}}\ngates: {{limits: [{limits}]}}"), "x")
    step = next(s for s in make_plan("x", "", recipe.stages, ()).steps if s.name == "limits.gate")
    row = pl.DataFrame({"token_count": 55, "language_score": 0.25, "language": "de"})
    assert broken_by(step, "token_count_too_low", row) == "token_count = 55 < 60"
    assert broken_by(step, "language_score_not_in_top_share", row) == "language_score = 0.25 and language = de"


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("{column: q_mine}", "q_mine: one of min, max or top_share; got none"),
        ("{column: q_mine, min: 0, max: 1}", "one of min, max or top_share; got min, max"),
        ("{column: q_mine, min: 0, by: language}", "by belongs to top_share"),
        ("{column: colour, min: 0}", "no column 'colour'; there are q_reference"),
        ("{column: q_mine, top_share: 1.5}", "top_share"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(limit, said):
    with pytest.raises(ConfigError, match=said):
        make_recipe(parse_yaml(f"input: {{paths: x}}\ngates: {{limits: [{limit}]}}"), "x")


def test_limits_join_the_recipe_after_quality_only_where_there_are_any():
    bare = [s.name for s in make_recipe(parse_yaml("input: {paths: x}"), "x").stages]
    assert "limits" not in bare
    tree = parse_yaml("input: {paths: x}\ngates: {limits: [{column: q_reference, top_share: 0.1}]}")
    recipe = make_recipe(tree, "x")
    names = [s.name for s in recipe.stages]
    at = names.index("limits")
    assert names[at - 1 : at + 3] == ["quality", "limits", "limits", "limits.gate"]
    assert recipe.stages[at + 2].rules == ("q_reference_not_in_top_share",)
    assert make_recipe(json.loads(json.dumps(recipe.resolved)), "x").stages == recipe.stages
