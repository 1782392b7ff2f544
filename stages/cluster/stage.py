"""CLIMB's clusters: k-means over embeddings, clusters of poor mean quality pruned, the rest merged into few.

After arXiv:2504.13161, 3.1 and NeMo Curator's recipe; where the two disagree the setting says so.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Amount, Count, Few, Seed, Share, Size, Threads, Whole
from gristmill.pipeline.contract.samples import compact, drawn_sample, smallest, summed, tables_of, together
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer, Tables
from gristmill.pipeline.kernels.numbers.clustering import (
    TermSample,
    fit_centroids,
    fold_small,
    merge_centroids,
    plane,
    relabel_by_weight,
    top_terms,
)
from gristmill.pipeline.kernels.numbers.embedding import vectors_of, vectors_to_series
from gristmill.stages.cluster.languages import (
    Group,
    by_language,
    group_numbers,
    groups_of,
    nearest_inside,
    numbers_of,
    of_one_language,
)
from gristmill.stages.cluster.report import told
from gristmill.stages.cluster.sizes import FineSizes, PruneRule


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
    prune: tuple[PruneRule, ...] = ()  # fine clusters that break any of them are dropped with all their documents
    prune_mean: Literal["docs", "tokens"] = "docs"  # Curator: mean over documents
    min_tokens_frac: Share | None = 0.005  # a merged cluster with a smaller share of the tokens joins its nearest
    # Where two languages have so many documents, every language is clustered by itself, with its share of k_final by
    # tokens: most are one cluster. Where one language has, or with null: all documents together
    language_docs: Count | None = 8
    fit_docs: Size = 100_000  # k-means is fitted on so many documents, drawn by doc_id
    iterations: Count = 20  # of k-means
    restarts: Count = 1  # of k-means; the best of them stays
    terms: Whole = 12  # named per merged cluster
    map_docs: Whole = 2_000  # points of the report's map
    threads: Threads = 2  # of k-means; part of the identity because sums may depend on it
    seed: Seed = 42  # Curator's

    name: ClassVar[str] = "cluster"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("embed.model",)
    passes: ClassVar[tuple[str, ...]] = ("drawn", "vectors", "sizes")
    averaged: ClassVar[tuple[tuple[str, str], ...]] = (("cluster_id", "q_"),)

    def __post_init__(self) -> None:
        if (self.k_final is None) == (self.distance is None):
            raise ConfigError("cluster: set one of k_final and distance, and the other to null")

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        most = self.k_final or self.k_init
        several = self.language_docs is not None and len(known.get("language", "..")) > 1
        return {} if most is None or several else {"cluster_id": tuple(map(str, range(most)))}

    @property
    def reads(self) -> Reads:
        scores = tuple(sorted({rule.column for rule in self.prune}))
        read: Reads = {"embed": ("embedding",), "ingest.tokens": ("token_count",), "language": ("language",)}
        return {**read, "quality": scores} if scores else read

    def tell(self, run: Finished) -> Told:
        return told(run)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """The sampled documents' ids, and the languages' sizes; their vectors; then the sizes of the fine clusters."""
        if name == "drawn":
            languages: list[pl.DataFrame] = []

            def ids() -> Iterator[pl.DataFrame]:
                for batch in corpus.batches(("language", "token_count")):
                    languages.append(compact(by_language(batch)))
                    yield batch.select("doc_id", "language")

            return {"drawn": drawn_sample(ids(), self.fit_docs, "cluster"), "languages": summed(languages, "language")}
        if name == "vectors":
            if not known["drawn"].width:
                return {}
            batches = corpus.batches(("embedding",), of=known["drawn"]["doc_id"])
            return {"vectors": together(batch.select("doc_id", "embedding") for batch in batches)}
        return self._sizes_of(corpus, known)

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        """Raises DataError for an empty corpus."""
        if name == "drawn":
            both = list(taken)
            drawn = smallest(tables_of("drawn", both), self.fit_docs)
            if drawn.is_empty():
                raise DataError("cluster: no document has come this far; look at the ledger for what dropped them")
            return {"drawn": drawn, "languages": summed(tables_of("languages", both), "language")}
        if name == "vectors":
            vectors = together(tables_of("vectors", taken))
            return self._fitted(known["drawn"].join(vectors, on="doc_id", maintain_order="left"), self._groups(known))
        both = list(taken)
        return {"sizes": together(tables_of("sizes", both)), "terms": together(tables_of("terms", both))}

    def _groups(self, known: Tables) -> tuple[Group, ...]:
        """The languages' groups; one without a name for all where they are clustered together."""
        sizes = {language: (docs, tokens) for language, docs, tokens in known["languages"].iter_rows()}
        docs, tokens = ({language: size[i] for language, size in sizes.items()} for i in (0, 1))
        groups = () if self.language_docs is None else groups_of(docs, tokens, self.k_final, self.language_docs)
        return groups or (Group("", tuple(sorted(docs)), sum(docs.values()), self.k_final),)

    def _fitted(self, sample: pl.DataFrame, groups: Sequence[Group]) -> Tables:
        docs = sum(group.docs for group in groups)
        sampled, owned = vectors_of(sample["embedding"]), group_numbers(sample["language"], numbers_of(groups))
        fitted = [self._fit(sampled[owned == i], group, docs) for i, group in enumerate(groups)]
        owner = np.repeat(np.arange(len(groups)), [len(f) for f in fitted])
        centroids = pl.DataFrame([vectors_to_series(np.concatenate(fitted)), pl.Series("owner", owner, pl.Int64)])
        return {"centroids": centroids, "shown": sample.head(self.map_docs).select("embedding", "language")}

    def _sizes_of(self, corpus: Corpus, known: Tables) -> Tables:
        centroids, owner = vectors_of(known["centroids"]["embedding"]), known["centroids"]["owner"].to_numpy()
        number_of = numbers_of(self._groups(known))
        term_rows = {doc_id: i for i, doc_id in enumerate(_read(corpus.artifacts["embed.model"] / "sample.json"))}
        sizes = FineSizes(len(centroids), self.prune, self.prune_mean)
        terms: list[tuple[int, int]] = []
        for batch in corpus.batches():
            mine = group_numbers(batch["language"], number_of)
            fine = nearest_inside(vectors_of(batch["embedding"], centroids.shape[1]), mine, centroids, owner)
            sizes.add(fine, batch)
            in_both = zip(batch["doc_id"], fine.tolist(), strict=True)
            terms += [(term_rows[doc_id], cluster) for doc_id, cluster in in_both if doc_id in term_rows]
        rows = pl.DataFrame(terms, {"row": pl.Int64, "fine": pl.Int64}, orient="row")
        return {"sizes": sizes.table(), "terms": rows}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """Raises DataError where every cluster would be pruned."""
        groups = self._groups(known)
        apart = groups[0].name != ""
        number_of = numbers_of(groups)
        centroids, owner = vectors_of(known["centroids"]["embedding"]), known["centroids"]["owner"].to_numpy()
        sizes = FineSizes(len(centroids), self.prune, self.prune_mean)
        sizes.add_table(known["sizes"])
        term_fine = np.full(len(_read(corpus.artifacts["embed.model"] / "sample.json")), -1, np.int64)
        term_fine[known["terms"]["row"].to_numpy()] = known["terms"]["fine"].to_numpy()

        reasons = [sizes.broken_rules(c) for c in range(len(centroids))]
        kept = np.array([c for c in range(len(centroids)) if sizes.docs[c] and not reasons[c]], np.int64)
        if not len(kept):
            raise DataError(
                "cluster: every cluster breaks a prune rule; loosen "
                + ", ".join(f"{r.column} >= {r.min} (best cluster: {sizes.best(r.column)})" for r in self.prune)
            )
        cluster_of, labels, names = np.full(len(centroids), -1, np.int64), [], []
        for i, group in enumerate(groups):
            mine = kept[owner[kept] == i]
            if not len(mine):
                continue
            merged = self._merge(centroids[mine], sizes.tokens[mine], group.k)
            cluster_of[mine] = merged + len(names)
            of = int(merged.max()) + 1
            names += self._names(corpus.artifacts["embed.model"], term_fine, cluster_of, (len(names), of), apart)
            labels += [{"language": group.name, "name": group.bucket(g, of)} for g in range(of)]
        np.save(out / "centroids.npy", centroids)
        tables = _tables(sizes, reasons, cluster_of, names, known["drawn"].height)
        if apart:
            for row, label in zip(tables["clusters"], labels, strict=True):
                row |= label
            tables |= {"languages": number_of, "owner": owner.tolist()}
        _write(out / "clusters.json", tables)
        shown = vectors_of(known["shown"]["embedding"], centroids.shape[1])
        fine = nearest_inside(shown, group_numbers(known["shown"]["language"], number_of), centroids, owner)
        _write(out / "map.json", _map(shown, cluster_of[fine]))

    def _fit(self, sampled: np.ndarray, group: Group, docs: int) -> np.ndarray:
        """(k, dims) fine centroids of a group; docs: of all groups, among which k_init is shared."""
        if group.k == 1 and group.name:
            k = 1
        elif self.k_init is not None:
            k = max(1, round(self.k_init * group.docs / docs))
        else:
            k = fine_clusters(group.docs, group.k)
        if not len(sampled):
            return np.zeros((1, sampled.shape[1]), np.float32)
        return fit_centroids(sampled, k, self.iterations, self.restarts, self.seed, self.threads)

    def _merge(self, centroids: np.ndarray, tokens: np.ndarray, k: int | None) -> np.ndarray:
        groups = merge_centroids(centroids, self.linkage, self.distance if k is None else None, k)
        if self.min_tokens_frac is not None:
            groups = fold_small(groups, centroids, tokens, self.min_tokens_frac * tokens.sum())
        return relabel_by_weight(groups, tokens)

    def _names(
        self, model: Path, term_fine: np.ndarray, cluster_of: np.ndarray, span: tuple[int, int], apart: bool
    ) -> list[list[str]]:
        """Terms of `span`: the first cluster of a group, and how many. `apart`: beside documents of the group alone."""
        first, clusters = span
        spellings = tuple(_read(model / "vocabulary.json")["terms"])
        sample = TermSample(np.load(model / "sample_rows.npy"), np.load(model / "sample_terms.npy"), spellings)
        labels = np.where(term_fine >= 0, cluster_of[term_fine], -1)
        if apart:
            chosen = (labels >= first) & (labels < first + clusters)
            sample, labels = of_one_language(sample, chosen), labels[chosen] - first
        return top_terms(sample, labels, clusters, self.terms)


def fine_clusters(docs: int, k_final: int | None) -> int:
    """Square root of the documents, or 4 for each merged cluster if that is more, so that merging has a choice.

    At most the paper's 1000, and at most one for 8 documents.
    """
    return max(1, min(1000, docs // 8, max(round(math.sqrt(docs)), 4 * (k_final or 0))))


@dataclass(frozen=True)
class AssignCluster(Annotator):
    """Nearest fine centroid of the language (ties to the lowest id) and its merged cluster, null if that was pruned."""

    name: ClassVar[str] = "cluster"
    version: ClassVar[int] = 2
    reads: ClassVar = {"embed": ("embedding",), "language": ("language",)}
    writes: ClassVar[tuple[str, ...]] = ("cluster_fine_id", "cluster_id")
    needs: ClassVar[tuple[str, ...]] = ("cluster",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        centroids = np.load(artifacts["cluster"] / "centroids.npy")
        facts = _read(artifacts["cluster"] / "clusters.json")
        cluster_of = pl.Series([f["cluster_id"] for f in facts["fine"]], dtype=pl.Int64)
        number_of, owner = facts.get("languages", {}), np.array(facts.get("owner", [0] * len(centroids)))

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            fine = pl.Series(
                "cluster_fine_id",
                nearest_inside(
                    vectors_of(batch["embedding"], centroids.shape[1]),
                    group_numbers(batch["language"], number_of),
                    centroids,
                    owner,
                ),
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

    def table(self) -> dict[str, pl.Expr]:
        return {"pruned_cluster": pl.col("cluster_id").is_null()}


def _tables(sizes: FineSizes, reasons: list, cluster_of: np.ndarray, names: list[list[str]], fitted: int) -> dict:
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


def _map(vectors: np.ndarray, ids: np.ndarray) -> dict:
    points = plane(vectors)
    return {
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "cluster_id": [int(i) if i >= 0 else None for i in ids],
    }


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, facts: dict) -> None:
    path.write_text(json.dumps(facts, ensure_ascii=False, sort_keys=True), encoding="utf-8")
