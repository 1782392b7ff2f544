"""Languages keep their shares: clusters inside a language, weights pinned by language, a search where targets are."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from test_mixture_stage import corpus, run, weights

from frames import FakeCorpus
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.kernels.numbers.embedding import vectors_to_series
from gristmill.pipeline.plan.config import build
from gristmill.stages.cluster import AssignCluster, Cluster
from gristmill.stages.cluster.languages import groups_of
from gristmill.stages.domain import Bucket
from gristmill.stages.embed import EmbedModel
from gristmill.stages.mixture.config import Bucketing, ConfirmSection
from gristmill.stages.mixture.stage import Mixture

WORDS = {
    "en": {
        "ships": "the sea is a ship with sails and the wind",
        "courts": "the judge of the court is with a law and act",
    },
    "de": {
        "ships": "das Meer und ein Schiff mit Segeln bei dem Wind",
        "courts": "ein Richter und das Gesetz bei dem Gericht mit",
    },
    "eo": {"ships": "la maro kaj la vento"},
}
QUICK = Mixture(confirm=ConfirmSection(seeds=3), threads=1)


def texts() -> pl.DataFrame:
    """60 English, 40 German, 10 Esperanto and 3 other documents of two topics, by words drawn from short lists."""
    rng, rows = np.random.default_rng(0), []
    for language, n in (("en", 60), ("de", 40), ("eo", 10)):
        kinds = list(WORDS[language])
        for i in range(n):
            known = WORDS[language][kinds[i % len(kinds)]].split()
            rows.append((f"{language}{i:02d}", language, kinds[i % len(kinds)], " ".join(rng.choice(known, 60))))
    rows += [(f"x{i}", language, "few", "a b c d") for i, language in enumerate(("sw", "sw", None))]
    frame = pl.DataFrame(rows, schema=["doc_id", "language", "topic", "text"], orient="row")
    return frame.with_columns(token_count=pl.lit(60))


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """Documents with vectors in which languages lie farther apart than topics, and the artifact of their clusters."""
    folder, docs = tmp_path_factory.mktemp("clusters"), texts()
    rng = np.random.default_rng(1)
    place = {"en": 0, "de": 1, "eo": 2}
    points = rng.normal(0, 0.01, (docs.height, 8))
    for row, (language, topic) in enumerate(docs.select("language", "topic").iter_rows()):
        points[row, place.get(language, 3)] += 3
        points[row, 4 + (topic == "courts")] += 1
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    docs = docs.with_columns(embedding=vectors_to_series(points.astype(np.float32)))
    for name in ("embed.model", "cluster"):
        (folder / name).mkdir()
    EmbedModel(dims=4, min_df=1, max_df_frac=1.0).run(FakeCorpus([docs]), folder / "embed.model")
    given = FakeCorpus([docs[:50], docs[50:]], {"embed.model": folder / "embed.model"})
    Cluster(k_final=4, min_tokens_frac=None).run(given, folder / "cluster")
    artifacts = {"cluster": folder / "cluster"}
    found = docs.join(AssignCluster().open(artifacts)(docs), on="doc_id", maintain_order="left")
    return found.join(Bucket().open(artifacts)(found), on="doc_id", maintain_order="left"), folder / "cluster"


def test_clusters_lie_inside_languages_and_small_ones_are_whole(clustered):
    docs, _ = clustered
    names = docs.group_by("language").agg(pl.col("bucket").unique().sort()).sort("language", nulls_last=True)
    found = dict(names.iter_rows())
    assert found == {
        "de": ["de"], "en": ["en-c00", "en-c01"], "eo": ["eo"], "sw": ["sw"], None: ["unknown"],
    } or found["de"] == ["de-c00", "de-c01"]  # fmt: skip
    topics = docs.filter(pl.col("language") == "en").group_by("bucket").agg(pl.col("topic").n_unique())
    assert topics["topic"].to_list() == [1, 1]


def test_terms_of_a_cluster_are_its_topic_s_without_function_words(clustered):
    _, folder = clustered
    rows = json.loads((folder / "clusters.json").read_text())["clusters"]
    assert {r["language"] for r in rows} == {"en", "de", "eo", "sw", "unknown"}
    said = {t for r in rows if r["language"] == "en" for t in r["terms"]}
    assert not said & {"the", "a", "is", "with", "and"}


def test_one_language_beside_a_few_strays_is_clustered_as_one():
    assert groups_of({"en": 500, "fr": 3, "zh": 1}, {"en": 5, "fr": 3, "zh": 1}, 21, 8) == ()
    groups = groups_of({"en": 500, "fr": 90, "zh": 1}, {"en": 700, "fr": 290, "zh": 10}, 21, 8)
    assert [(g.name, g.k) for g in groups] == [("en", 15), ("fr", 6), ("zh", 1)]


def three(folder) -> FakeCorpus:
    """The buckets code and law are of one language, prose halves of another, and the target is code."""
    given = corpus(folder)
    frame = given.frames[0].with_columns(
        language=pl.when(pl.col("bucket") == "prose").then(pl.lit("xx")).otherwise(pl.lit("en")),
        bucket=pl.when(pl.col("bucket") == "prose")
        .then(pl.format("prose{}", pl.int_range(pl.len()) % 2))
        .otherwise(pl.col("bucket")),
    )
    return FakeCorpus([frame], given.artifacts, given.scratch)


def test_small_languages_that_share_a_bucket_keep_their_share_together(tmp_path):
    given = three(tmp_path)
    rare = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("yy")).otherwise(pl.lit("zz"))
    frame = given.frames[0].with_columns(
        language=pl.when(pl.col("language") == "xx").then(rare).otherwise("language"),
        bucket=pl.when(pl.col("language") == "xx").then(pl.lit("other")).otherwise("bucket"),
    )
    found = run(QUICK, FakeCorpus([frame], given.artifacts, given.scratch), tmp_path / "out")
    natural = {b["bucket"]: b["natural_share"] for b in found["buckets"]}
    assert weights(found)["other"] == pytest.approx(natural["other"], abs=3e-6)
    assert set(found["search"]["languages"]) == {"en", "other"}


def by_language(found: dict) -> dict[str, float]:
    mine = weights(found)
    return {"xx": mine["prose0"] + mine["prose1"], "en": mine["code"] + mine["law"]}


def test_a_search_moves_weights_inside_the_targets_language_only(tmp_path):
    found = run(QUICK, three(tmp_path), tmp_path / "out")
    natural = {b["bucket"]: b["natural_share"] for b in found["buckets"]}
    assert by_language(found)["xx"] == pytest.approx(natural["prose0"] + natural["prose1"], abs=3e-6)
    assert weights(found)["prose0"] == pytest.approx(natural["prose0"], abs=3e-6)
    assert found["search"]["languages_searched"] == ["en"]
    if found["search"]["found"]:
        assert weights(found)["code"] > natural["code"]
    assert "searched inside en, every language keeps its share" in found["verdict"]


@pytest.mark.parametrize(
    ("rule", "share"),
    [({"xx": 0.2}, 0.2), ({"temperature": 1e6}, 0.5), ("unimax", 0.5)],
)
def test_a_rule_sets_the_shares_of_languages(tmp_path, rule, share):
    found = run(replace(QUICK, languages=rule, method="natural"), three(tmp_path), tmp_path / "out")
    assert by_language(found)["xx"] == pytest.approx(share, abs=1e-4)


def test_free_languages_are_searched_as_any_bucket(tmp_path):
    found = run(replace(QUICK, languages="free", pull=0.0), three(tmp_path), tmp_path / "out")
    assert weights(found)["code"] > 0.9
    assert "languages_searched" not in found["search"]


def test_where_each_language_is_one_bucket_there_is_nothing_to_search(tmp_path):
    given = three(tmp_path)
    whole = given.frames[0].with_columns(bucket=pl.col("language"))
    stage = replace(QUICK, bucketing=Bucketing("language"))
    found = run(stage, FakeCorpus([whole], given.artifacts, given.scratch), tmp_path / "out")
    for b in found["buckets"]:
        assert b["weight"] == pytest.approx(b["natural_share"], abs=3e-6)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"languages": "even"}, "'even' is none of natural, unimax, free"),
        ({"languages": {"en": 0.7, "de": 0.5}}, "sum to 1 at most"),
        ({"languages": {"temperature": 0.3}}, "at least 1"),
    ],
)
def test_rules_that_are_none_are_refused(section, says):
    with pytest.raises(ConfigError, match=says):
        build(Mixture, section, "mixture")


def test_groups_of_buckets_and_shares_of_languages_cannot_both_bind(tmp_path):
    stage = build(Mixture, {"groups": [{"buckets": ["code", "prose0"], "minimum": 0.5}]}, "mixture")
    with pytest.raises(ConfigError, match=r"set mixture\.languages: free"):
        run(stage, three(tmp_path), tmp_path / "out")
