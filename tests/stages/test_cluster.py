"""cluster: CLIMB's synthetic check, pruning, merging, folding, names, and order of documents."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from frames import FakeCorpus
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.kernels.numbers.clustering import (
    TermSample,
    distinct_rows,
    fit_centroids,
    fold_small,
    merge_centroids,
    plane,
    relabel_by_weight,
    top_terms,
)
from gristmill.pipeline.kernels.numbers.embedding import nearest, vectors_to_series
from gristmill.stages.cluster import AssignCluster, Cluster, ClusterGate, PruneRule, fine_clusters
from gristmill.stages.embed import EmbedModel


def planted(seed: int = 0, per_blob: int = 60) -> pl.DataFrame:
    """30 Gaussian blobs on the unit sphere in 8 super-groups; 6 of the blobs are junk with low scores.

    A document's text is the name of its super-group, so that names can be checked too.
    """
    rng = np.random.default_rng(seed)
    groups = np.linalg.qr(rng.normal(size=(32, 8)))[0].T
    group_of = np.arange(30) % 8
    blobs = groups[group_of] + 0.08 * rng.normal(size=(30, 32))
    blob = np.repeat(np.arange(30), per_blob)
    points = blobs[blob] + 0.015 * rng.normal(size=(len(blob), 32))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    junk = blob >= 24
    score = np.where(junk, 0.8, 3.2) + 0.2 * rng.normal(size=len(blob))
    return pl.DataFrame(
        {
            "doc_id": [f"d{i:05d}" for i in range(len(blob))],
            "embedding": vectors_to_series(points.astype(np.float32)),
            "token_count": pl.Series(rng.integers(50, 150, len(blob)), dtype=pl.Int64),
            "q_reference": pl.Series(score, dtype=pl.Float32),
            "text": [f"group{'abcdefgh'[group_of[b]]} some words" for b in blob],
            "language": "en",
            "group": group_of[blob],
            "junk": junk,
        }
    )


@pytest.fixture(scope="module")
def embed_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("embed.model")
    EmbedModel(dims=8, min_df=1, max_df_frac=1.0).run(FakeCorpus([planted()]), out)
    return out


def fit(out: Path, embed_model: Path, docs: pl.DataFrame, batch: int = 500, **fields) -> Path:
    out.mkdir()
    stage = Cluster(**({"k_init": 60, "k_final": 8} | fields))
    columns = ["doc_id", *(c for names in stage.reads.values() for c in names)]
    frames = [docs[i : i + batch].select(columns) for i in range(0, docs.height, batch)]
    stage.run(FakeCorpus(frames, {"embed.model": embed_model}), out)
    return out


def assign(folder: Path, docs: pl.DataFrame) -> pl.DataFrame:
    return AssignCluster().open({"cluster": folder})(docs.select("doc_id", "embedding", "language"))


JUNK = (PruneRule("q_reference", 2.0),)


@pytest.mark.parametrize("linkage", ["ward", "average", "complete"])
def test_cluster_planted_super_groups_are_recovered_and_junk_pruned_exactly(tmp_path, embed_model, linkage):
    docs = planted()
    found = assign(fit(tmp_path / "c", embed_model, docs, prune=JUNK, linkage=linkage), docs)
    assert found["cluster_id"].is_null().to_list() == docs["junk"].to_list()
    kept = docs.with_columns(found["cluster_id"]).filter(~pl.col("junk"))
    assert adjusted_rand_score(kept["group"], kept["cluster_id"]) >= 0.99
    assert sorted(kept["cluster_id"].unique()) == list(range(8))


def test_cluster_planted_super_groups_are_recovered_by_distance(tmp_path, embed_model):
    docs = planted()
    folder = fit(tmp_path / "c", embed_model, docs, linkage="average", k_final=None, distance=0.9)
    assert adjusted_rand_score(docs["group"], assign(folder, docs)["cluster_id"]) >= 0.99


def test_cluster_any_order_of_documents_gives_the_same_bytes(tmp_path, embed_model):
    docs = planted()
    shuffled = docs.sample(fraction=1, shuffle=True, seed=1)
    for mean in ("docs", "tokens"):
        a = fit(tmp_path / f"{mean}a", embed_model, docs, prune=JUNK, prune_mean=mean, fit_docs=900)
        b = fit(tmp_path / f"{mean}b", embed_model, shuffled, 77, prune=JUNK, prune_mean=mean, fit_docs=900)
        assert {p.name: p.read_bytes() for p in a.iterdir()} == {p.name: p.read_bytes() for p in b.iterdir()}


def test_cluster_tables_add_up_and_name_reasons_and_terms(tmp_path, embed_model):
    docs = planted()
    folder = fit(tmp_path / "c", embed_model, docs, prune=JUNK)
    facts = json.loads((folder / "clusters.json").read_text())
    assert sum(f["docs"] for f in facts["fine"]) == docs.height
    assert sum(f["tokens"] for f in facts["fine"]) == docs["token_count"].sum()
    assert sum(c["docs"] for c in facts["clusters"]) == docs.filter(~pl.col("junk")).height
    tokens = [c["tokens"] for c in facts["clusters"]]
    assert tokens == sorted(tokens, reverse=True)
    for f in facts["fine"]:
        if f["docs"]:
            assert (f["cluster_id"] is None) == (f["scores"]["q_reference"] < 2.0)
            assert [r["column"] for r in f["pruned"]] == (["q_reference"] if f["cluster_id"] is None else [])
    assert sorted(c["terms"][0] for c in facts["clusters"]) == [f"group{g}" for g in "abcdefgh"]
    points = json.loads((folder / "map.json").read_text())
    assert len(points["x"]) == len(points["y"]) == len(points["cluster_id"]) == docs.height


def test_cluster_where_every_cluster_breaks_a_rule_is_an_error(tmp_path, embed_model):
    with pytest.raises(DataError, match=r"q_reference >= 9"):
        fit(tmp_path / "c", embed_model, planted(), prune=(PruneRule("q_reference", 9.0),))


def test_cluster_without_scores_keeps_what_it_cannot_judge(tmp_path, embed_model):
    docs = planted().with_columns(q_reference=pl.lit(None, pl.Float32))
    assert assign(fit(tmp_path / "c", embed_model, docs, prune=JUNK), docs)["cluster_id"].null_count() == 0


def test_cluster_looser_threshold_never_prunes_more(tmp_path, embed_model):
    docs = planted()
    pruned = [
        assign(fit(tmp_path / str(t), embed_model, docs, prune=(PruneRule("q_reference", t),)), docs)["cluster_id"]
        .is_null()
        .to_numpy()
        for t in (3.25, 3.2, 2.0, 0.5)
    ]
    for strict, loose in pairwise(pruned):
        assert not (loose & ~strict).any()


def test_cluster_of_one_document_has_one_cluster(tmp_path, embed_model):
    docs = planted()[:1]
    folder = fit(tmp_path / "c", embed_model, docs, k_init=None, k_final=21)
    assert assign(folder, docs)["cluster_id"].to_list() == [0]


def test_cluster_of_equal_documents_has_one_cluster(tmp_path, embed_model):
    docs = pl.concat([planted()[:1]] * 40).with_columns(doc_id=pl.int_range(40).cast(pl.String))
    assert assign(fit(tmp_path / "c", embed_model, docs), docs)["cluster_id"].to_list() == [0] * 40


def test_cluster_of_an_empty_corpus_says_so(tmp_path, embed_model):
    with pytest.raises(DataError, match="no document"):
        fit(tmp_path / "c", embed_model, planted().clear())


def test_cluster_with_both_or_neither_merge_setting_is_a_config_error():
    for fields in ({"k_final": 5, "distance": 1.5}, {"k_final": None, "distance": None}):
        with pytest.raises(ConfigError, match="k_final"):
            Cluster(**fields)


def test_fine_clusters_grow_with_the_documents_up_to_the_papers():
    asked = [(1, 21), (100, 21), (2_000, 21), (30_000, 21), (30_000, None), (10_000_000, 21)]
    assert [fine_clusters(*a) for a in asked] == [1, 12, 84, 173, 173, 1000]


def test_cluster_reads_quality_only_for_its_rules():
    assert "quality" not in Cluster().reads
    assert Cluster(prune=(PruneRule("q_b", 0), PruneRule("q_a", 0))).reads["quality"] == ("q_a", "q_b")


def test_cluster_assign_any_split_of_a_batch_changes_nothing(tmp_path, embed_model):
    docs = planted(per_blob=5)
    folder = fit(tmp_path / "c", embed_model, docs, prune=JUNK)
    whole = assign(folder, docs)
    for size in (1, 7):
        assert pl.concat([assign(folder, docs[i : i + size]) for i in range(0, docs.height, size)]).equals(whole)
    empty = assign(folder, docs.clear())
    assert empty.schema == {"doc_id": pl.String, "cluster_fine_id": pl.Int64, "cluster_id": pl.Int64}


def test_cluster_assign_of_vectors_of_another_model_is_an_error(tmp_path, embed_model):
    folder = fit(tmp_path / "c", embed_model, planted(per_blob=5))
    other = pl.DataFrame(
        {"doc_id": ["a"], "embedding": vectors_to_series(np.ones((1, 5), np.float32)), "language": ["en"]}
    )
    with pytest.raises(DataError, match="32 are expected"):
        assign(folder, other)


def test_cluster_gate_drops_documents_without_a_cluster():
    batch = pl.DataFrame({"doc_id": ["a", "b"], "cluster_id": [None, 0]}, schema_overrides={"cluster_id": pl.Int64})
    assert ClusterGate().decide(batch).to_list() == ["pruned_cluster", None]
    assert ClusterGate().decide(batch.clear()).to_list() == []


def test_nearest_equals_plain_numpy_and_ties_go_to_the_lowest():
    rng = np.random.default_rng(0)
    vectors, centroids = rng.normal(size=(200, 9)).astype(np.float32), rng.normal(size=(17, 9)).astype(np.float32)
    plain = np.square(vectors[:, None] - centroids[None]).sum(axis=2).argmin(axis=1)
    assert nearest(vectors, centroids).tolist() == plain.tolist()
    assert nearest(vectors, np.repeat(centroids[:1], 3, axis=0)).tolist() == [0] * 200
    assert nearest(np.zeros((1, 2), np.float32), np.array([[1, 1], [0.1, 0], [0, 0.1]], np.float32)).tolist() == [1]


def test_fit_centroids_never_more_than_the_distinct_vectors():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]]
    found = fit_centroids(vectors, 5, 5, 1, seed=1, threads=1)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, np.eye(3).tolist()))


def test_merge_centroids_by_count_and_by_distance():
    points = np.array([[0.0, 0], [10, 0], [0.5, 0], [10.5, 0], [30, 0]])
    assert merge_centroids(points, "average", None, 3).tolist() == [0, 1, 0, 1, 2]
    assert merge_centroids(points, "average", 1.0, None).tolist() == [0, 1, 0, 1, 2]
    assert merge_centroids(points, "average", 15.0, None).tolist() == [0, 0, 0, 0, 1]
    # Ward's height of two single points is their distance; of pairs it is sqrt(2) times that of their means.
    assert merge_centroids(points, "ward", 10.1, None).tolist() == [0, 1, 0, 1, 2]
    assert merge_centroids(points[:4], "ward", 14.2, None).tolist() == [0, 0, 0, 0]


def test_fold_small_lightest_first_into_the_nearest():
    centroids = np.array([[0.0], [1.0], [1.2], [5.0]])
    weights = np.array([100, 3, 2, 50])
    assert fold_small(np.arange(4), centroids, weights, 4).tolist() == [0, 1, 1, 3]
    assert fold_small(np.arange(4), centroids, weights, 10).tolist() == [0, 0, 0, 3]
    assert fold_small(np.arange(4), centroids, weights, 1000).tolist() == [0, 0, 0, 0]


def test_relabel_by_weight_largest_first_ties_by_first_member():
    assert relabel_by_weight(np.array([7, 3, 7, 9]), np.array([1, 5, 4, 6])).tolist() == [1, 2, 1, 0]


def test_plane_keeps_distances_of_points_in_a_plane():
    rng = np.random.default_rng(2)
    flat = rng.normal(size=(30, 2)) @ np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    shown = plane(flat)
    gaps = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    assert np.linalg.norm(shown[:, None] - shown[None], axis=2) == pytest.approx(gaps, abs=1e-3)
    assert plane(flat[:1]).tolist() == [[0, 0]]


def test_top_terms_prefers_what_tells_a_group_apart():
    rows = np.array([0, 3, 5, 7, 9])
    terms = np.array([0, 1, 3, 0, 1, 0, 2, 0, 2])
    sample = TermSample(rows, terms, ("common", "left", "right", "once"))
    assert top_terms(sample, np.array([0, 0, 1, 1]), 2, 3) == [["left"], ["right"]]
    assert top_terms(sample, np.array([-1, -1, 0, 0]), 2, 3) == [["right"], []]


def test_distinct_rows_are_counted_as_far_as_asked():
    rows = np.array([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], np.float32)
    assert [distinct_rows(rows, most) for most in (1, 2, 3, 9)] == [1, 2, 3, 3]
