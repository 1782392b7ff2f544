"""CLIMB's clusters: k-means over embeddings, clusters of poor mean quality pruned, the rest merged into few.

After arXiv:2504.13161, 3.1 and NeMo Curator's recipe; where the two disagree the setting says so.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import MEAN_PARTS, Finished, Told
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Amount, Count, Few, Number, Seed, Share, Size, Threads, Whole
from gristmill.pipeline.contract.samples import drawn_sample
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer, first_broken
from gristmill.pipeline.kernels.numbers.clustering import (
    TermSample,
    fit_centroids,
    fold_small,
    merge_centroids,
    plane,
    relabel_by_weight,
    top_terms,
)
from gristmill.pipeline.kernels.numbers.embedding import nearest, vectors_of
from gristmill.stages.cluster.report import told


@dataclass(frozen=True)
class PruneRule:
    """A fine cluster whose mean of `column` (of the quality stage, larger is better) is below `min` is pruned.

    Means of different criteria are not calibrated alike, so each has its own threshold. Paper: 3.0 on a 0-5 scale;
    Curator: 2.0 for advertisement and 1.0 for the rest.
    """

    column: str
    min: Number


@dataclass(frozen=True)
class Cluster(Reducer):
    """Fits centroids on a drawn sample, measures every fine cluster, prunes and merges.

    Files: centroids.npy (k, dims) float32; clusters.json (settings, fine clusters with size, mean scores, reasons of
    pruning and merged id; merged clusters with size and top terms); map.json (2-D sample: x, y, cluster_id).
    """

    k_init: Few | None = None  # fine clusters (paper: 1000); None: by the number of documents, see fine_clusters
    k_final: Few | None = 21  # merged clusters (paper: 21); None with `distance` set
    distance: Amount | None = None  # merge below this height instead (paper and Curator: 1.5, for stella's vectors)
    linkage: Literal["ward", "centroid", "average", "complete"] = "ward"  # paper: not said; Curator: ward
    prune: tuple[PruneRule, ...] = ()  # a cluster that breaks any of them is pruned
    prune_mean: Literal["docs", "tokens"] = "docs"  # Curator: mean over documents
    min_tokens_frac: Share | None = 0.005  # a merged cluster with a smaller share of the tokens joins its nearest
    fit_docs: Size = 100_000  # k-means is fitted on so many documents, drawn by doc_id
    iterations: Count = 20  # of k-means
    restarts: Count = 1  # of k-means; the best of them stays
    terms: Whole = 12  # named per merged cluster
    map_docs: Whole = 2_000  # points of the report's map
    threads: Threads = 1  # of k-means; part of the identity because sums depend on it
    seed: Seed = 42  # Curator's

    name: ClassVar[str] = "cluster"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("embed.model",)

    def __post_init__(self) -> None:
        if (self.k_final is None) == (self.distance is None):
            raise ConfigError("cluster: set one of k_final and distance, and the other to null")

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        most = self.k_final or self.k_init
        return {} if most is None else {"cluster_id": tuple(map(str, range(most)))}

    @property
    def reads(self) -> Reads:
        scores = tuple(sorted({rule.column for rule in self.prune}))
        return {"embed": ("embedding",), "ingest.tokens": ("token_count",)} | ({"quality": scores} if scores else {})

    def tell(self, run: Finished) -> Told:
        return told(run)

    def run(self, corpus: Corpus, out: Path) -> None:
        """Raises DataError for an empty corpus, or if every cluster would be pruned."""
        seen = _Count()
        vectors = (seen.through(b).select("doc_id", "embedding") for b in corpus.batches())
        sample = drawn_sample(vectors, self.fit_docs, "cluster")
        if sample.is_empty():
            raise DataError("cluster: no document has come this far; look at the ledger for what dropped them")
        k = self.k_init or fine_clusters(seen.rows, self.k_final)
        sampled = vectors_of(sample["embedding"])
        centroids = fit_centroids(sampled, k, self.iterations, self.restarts, self.seed, self.threads)

        term_rows = {doc_id: i for i, doc_id in enumerate(_read(corpus.artifacts["embed.model"] / "sample.json"))}
        term_fine = np.full(len(term_rows), -1, np.int64)
        sizes = _Sizes(len(centroids), self.prune, self.prune_mean)
        for batch in corpus.batches():
            fine = nearest(vectors_of(batch["embedding"], centroids.shape[1]), centroids)
            sizes.add(fine, batch)
            for doc_id, cluster in zip(batch["doc_id"], fine.tolist(), strict=True):
                if doc_id in term_rows:
                    term_fine[term_rows[doc_id]] = cluster

        reasons = [sizes.broken_rules(c) for c in range(len(centroids))]
        kept = np.array([c for c in range(len(centroids)) if sizes.docs[c] and not reasons[c]], np.int64)
        if not len(kept):
            raise DataError(
                "cluster: every cluster breaks a prune rule; loosen "
                + ", ".join(f"{r.column} >= {r.min} (best cluster: {sizes.best(r.column)})" for r in self.prune)
            )
        merged = self._merge(centroids[kept], sizes.tokens[kept])
        cluster_of = np.full(len(centroids), -1, np.int64)
        cluster_of[kept] = merged

        names = self._names(corpus.artifacts["embed.model"], term_fine, cluster_of, int(merged.max()) + 1)
        np.save(out / "centroids.npy", centroids)
        _write(out / "clusters.json", _tables(sizes, reasons, cluster_of, names, len(sampled)))
        _write(out / "map.json", _map(sampled[: self.map_docs], centroids, cluster_of))

    def _merge(self, centroids: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        groups = merge_centroids(centroids, self.linkage, self.distance, self.k_final)
        if self.min_tokens_frac is not None:
            groups = fold_small(groups, centroids, tokens, self.min_tokens_frac * tokens.sum())
        return relabel_by_weight(groups, tokens)

    def _names(self, model: Path, term_fine: np.ndarray, cluster_of: np.ndarray, clusters: int) -> list[list[str]]:
        spellings = tuple(_read(model / "vocabulary.json")["terms"])
        sample = TermSample(np.load(model / "sample_rows.npy"), np.load(model / "sample_terms.npy"), spellings)
        labels = np.where(term_fine >= 0, cluster_of[term_fine], -1)
        return top_terms(sample, labels, clusters, self.terms)


def fine_clusters(docs: int, k_final: int | None) -> int:
    """Square root of the documents, or 4 for each merged cluster if that is more, so that merging has a choice.

    At most the paper's 1000, and at most one for 8 documents.
    """
    return max(1, min(1000, docs // 8, max(round(math.sqrt(docs)), 4 * (k_final or 0))))


@dataclass(frozen=True)
class AssignCluster(Annotator):
    """Nearest fine centroid (ties to the lowest id) and its merged cluster, null where that was pruned."""

    name: ClassVar[str] = "cluster"
    version: ClassVar[int] = 1
    reads: ClassVar = {"embed": ("embedding",)}
    writes: ClassVar[tuple[str, ...]] = ("cluster_fine_id", "cluster_id")
    needs: ClassVar[tuple[str, ...]] = ("cluster",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        centroids = np.load(artifacts["cluster"] / "centroids.npy")
        fine_clusters = _read(artifacts["cluster"] / "clusters.json")["fine"]
        cluster_of = pl.Series([f["cluster_id"] for f in fine_clusters], dtype=pl.Int64)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            fine = pl.Series(
                "cluster_fine_id",
                nearest(vectors_of(batch["embedding"], centroids.shape[1]), centroids),
                dtype=pl.Int64,
            )
            return batch.select("doc_id", fine, cluster_of.gather(fine).alias("cluster_id"))

        return annotate


@dataclass(frozen=True)
class ClusterGate(Gate):
    """Drops the documents of pruned clusters (CLIMB drops the cluster, not its worst documents)."""

    name: ClassVar[str] = "cluster.gate"
    version: ClassVar[int] = 1
    reads: ClassVar = {"cluster": ("cluster_id",)}
    rules: ClassVar[tuple[str, ...]] = ("pruned_cluster",)

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        return first_broken(batch, {"pruned_cluster": pl.col("cluster_id").is_null()})


class _Count:
    """Counts the rows of batches that pass through."""

    def __init__(self) -> None:
        self.rows = 0

    def through(self, batch: pl.DataFrame) -> pl.DataFrame:
        self.rows += batch.height
        return batch


class _Sizes:
    """Documents, tokens and mean scores per fine cluster, as exact integer sums."""

    def __init__(self, clusters: int, rules: tuple[PruneRule, ...], mean: str) -> None:
        self.rules, self.mean = rules, mean
        self.docs, self.tokens = np.zeros(clusters, np.int64), np.zeros(clusters, np.int64)
        columns = sorted({rule.column for rule in rules})
        # Python integers: parts times tokens of a large cluster may pass 2^63.
        self.sums = {c: np.zeros(clusters, object) for c in columns}
        self.weights = {c: np.zeros(clusters, object) for c in columns}

    def add(self, fine: np.ndarray, batch: pl.DataFrame) -> None:
        tokens = batch["token_count"].fill_null(0).to_numpy().astype(np.int64)
        np.add.at(self.docs, fine, 1)
        np.add.at(self.tokens, fine, tokens)
        for column, sums in self.sums.items():
            scores = batch[column].cast(pl.Float64).to_numpy()
            known = np.isfinite(scores)
            weight = (np.ones(len(fine), np.int64) if self.mean == "docs" else tokens)[known]
            parts = np.round(scores[known] * MEAN_PARTS).astype(np.int64)
            np.add.at(sums, fine[known], (parts * weight).astype(object))
            np.add.at(self.weights[column], fine[known], weight.astype(object))

    def score(self, column: str, cluster: int) -> float | None:
        weight = self.weights[column][cluster]
        return round(int(self.sums[column][cluster]) / (MEAN_PARTS * int(weight)), 6) if weight else None

    def best(self, column: str) -> float | None:
        return max((s for c in range(len(self.docs)) if (s := self.score(column, c)) is not None), default=None)

    def broken_rules(self, cluster: int) -> list[dict]:
        """A cluster without any score for a criterion does not break its rule."""
        means = ((rule, self.score(rule.column, cluster)) for rule in self.rules)
        return [
            {"column": rule.column, "mean": mean, "min": rule.min}
            for rule, mean in means
            if mean is not None and mean < rule.min
        ]


def _tables(sizes: _Sizes, reasons: list, cluster_of: np.ndarray, names: list[list[str]], fitted: int) -> dict:
    fine = [
        {
            "id": c,
            "docs": int(sizes.docs[c]),
            "tokens": int(sizes.tokens[c]),
            "scores": {column: sizes.score(column, c) for column in sizes.sums},
            # A centroid without documents is not merged; a document that meets it later has no cluster either.
            "cluster_id": int(cluster_of[c]) if cluster_of[c] >= 0 else None,
            "pruned": reasons[c],
        }
        for c in range(len(cluster_of))
    ]
    merged = [
        {
            "id": g,
            "docs": int(sizes.docs[cluster_of == g].sum()),
            "tokens": int(sizes.tokens[cluster_of == g].sum()),
            "fine": np.flatnonzero(cluster_of == g).tolist(),
            "terms": terms,
        }
        for g, terms in enumerate(names)
    ]
    return {"fitted_docs": fitted, "fine": fine, "clusters": merged}


def _map(vectors: np.ndarray, centroids: np.ndarray, cluster_of: np.ndarray) -> dict:
    points, ids = plane(vectors), cluster_of[nearest(vectors, centroids)]
    return {
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "cluster_id": [int(i) if i >= 0 else None for i in ids],
    }


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, facts: dict) -> None:
    path.write_text(json.dumps(facts, ensure_ascii=False, sort_keys=True), encoding="utf-8")
