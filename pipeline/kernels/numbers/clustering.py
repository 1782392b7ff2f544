"""Numerics of CLIMB's clustering: seeded k-means, merging of centroids, folding of small clusters, a map, names."""

from dataclasses import dataclass

import numpy as np

# Stored centroids are rounded: linear algebra may differ in the last bits from one CPU to another.
DECIMALS = 5


def fit_centroids(vectors: np.ndarray, k: int, iterations: int, restarts: int, seed: int, threads: int) -> np.ndarray:
    """k-means (FAISS, k-means++) on unit vectors (n, dims) float32; centroids (<= k, dims) float32, rounded.

    The centroids are means, not re-normalised (as in NeMo Curator's CLIMB recipe). Fewer than k come out if the
    vectors have fewer distinct values. The result depends on the order of `vectors`: sort by draw first.
    """
    import faiss

    k = max(1, distinct_rows(vectors, k))
    faiss.omp_set_num_threads(threads)
    means = faiss.Kmeans(
        vectors.shape[1],
        k,
        niter=iterations,
        nredo=restarts,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(vectors),  # the sample is drawn by the caller
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
    )
    means.train(np.ascontiguousarray(vectors))
    return np.round(np.asarray(means.centroids), DECIMALS).astype(np.float32)


def distinct_rows(vectors: np.ndarray, most: int) -> int:
    """How many different rows there are, counted up to `most`."""
    seen: set[bytes] = set()
    for row in vectors + np.float32(0):  # no negative zero
        if len(seen) == most:
            break
        seen.add(row.tobytes())
    return len(seen)


def merge_centroids(centroids: np.ndarray, method: str, distance: float | None, count: int | None) -> np.ndarray:
    """Group (n,) of each centroid (n, dims): hierarchical clustering cut at a distance or into `count` groups.

    Groups are numbered from 0 in the order of their lowest centroid.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(centroids) == 1:
        return np.zeros(1, np.int64)
    tree = linkage(centroids.astype(np.float64), method=method)
    if distance is not None:
        groups = fcluster(tree, t=distance, criterion="distance")
    else:
        groups = fcluster(tree, t=count, criterion="maxclust")
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def fold_small(groups: np.ndarray, centroids: np.ndarray, weights: np.ndarray, least: float) -> np.ndarray:
    """Moves every group lighter than `least` into the group with the nearest weighted mean, lightest group first.

    groups (n,) int, centroids (n, dims), weights (n,) >= 0 (tokens). At least one group remains.
    """
    groups = groups.copy()
    while True:
        ids = np.unique(groups)
        mass = np.array([weights[groups == g].sum() for g in ids])
        lightest = int(np.argmin(mass))
        if len(ids) == 1 or mass[lightest] >= least:
            return groups
        means = np.array([_mean(centroids[groups == g], weights[groups == g]) for g in ids])
        gaps = np.round(np.square(means - means[lightest]).sum(axis=1), 9)
        gaps[lightest] = np.inf
        groups[groups == ids[lightest]] = ids[int(np.argmin(gaps))]


def _mean(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.average(rows.astype(np.float64), axis=0, weights=weights if weights.sum() > 0 else None)


def relabel_by_weight(groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Renumbers groups 0, 1, ... from the heaviest to the lightest; ties in the order of their first member."""
    ids, first = np.unique(groups, return_index=True)
    mass = np.array([weights[groups == g].sum() for g in ids])
    order = np.lexsort((first, -mass))
    new = np.empty(len(ids), np.int64)
    new[order] = np.arange(len(ids))
    return new[np.searchsorted(ids, groups)]


def plane(vectors: np.ndarray) -> np.ndarray:
    """First two principal components (n, 2) float64 of vectors (n, dims), sign-fixed, rounded to 4 decimals."""
    if len(vectors) < 2 or vectors.shape[1] < 2:
        return np.zeros((len(vectors), 2))
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, [-1, -2]]
    axes = axes * np.sign(axes[np.abs(np.round(axes, 9)).argmax(axis=0), [0, 1]])
    return np.round(centred @ axes, 4) + 0.0


@dataclass(frozen=True)
class TermSample:
    """Terms of sampled documents, CSR: terms[rows[i]:rows[i + 1]] are the distinct term ids of document i."""

    rows: np.ndarray
    terms: np.ndarray
    spellings: tuple[str, ...]


def top_terms(sample: TermSample, labels: np.ndarray, groups: int, count: int) -> list[list[str]]:
    """The terms that tell each of `groups` from the whole: largest p(term | group) * log(p(term | group) / p(term)).

    p counts documents, so that one long page cannot name a cluster; a term needs two documents of the group.
    labels (documents,) int, -1: in no group. Numbers and single letters are left out.
    """
    document = np.repeat(np.arange(len(labels)), np.diff(sample.rows))
    overall = np.bincount(sample.terms, minlength=len(sample.spellings)) / max(1, len(labels))
    names = []
    for group in range(groups):
        members = labels == group
        found = np.bincount(sample.terms[members[document]], minlength=len(sample.spellings))
        share = found / max(1, members.sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(found >= 2, share * np.log(share / overall), 0.0)
        best = [t for t in np.lexsort((np.arange(len(score)), -np.round(score, 9)))[: 4 * count] if score[t] > 0]
        names.append([s for s in (sample.spellings[t] for t in best) if _names_something(s)][:count])
    return names


def _names_something(term: str) -> bool:
    return not set(term) <= set("0") and (len(term) > 1 or ord(term) > 0x2E80)
