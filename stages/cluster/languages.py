"""Splits the clusters by language: large languages have clusters of their own, small ones are one cluster each.

A multilingual corpus clustered as a whole falls into languages before it falls into topics, and a mixture over such
clusters moves languages. Each language gets its share of the merged clusters by tokens; where that rounds to one, or
its documents are few, the language is one cluster. (Small ones in one cluster together would not keep their shares.)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.numbers.clustering import TermSample
from gristmill.pipeline.kernels.numbers.embedding import nearest

UNKNOWN = "unknown"  # the language of documents without one
PAPER_CLUSTERS = 21  # arXiv:2504.13161; says which languages are large where the number follows from a distance
FUNCTION_WORDS = 0.2  # of a language's documents: a term in more of them is no topic's


@dataclass(frozen=True)
class Group:
    """Languages that are clustered together into at most `k` merged clusters (None: by distance)."""

    name: str
    languages: tuple[str, ...]
    docs: int
    k: int | None

    def bucket(self, number: int, of: int) -> str:
        """Name of a merged cluster, the `number`th of `of`: de-c03, or de where there is one."""
        return self.name if of == 1 else f"{self.name}-c{number:02d}"


def groups_of(docs: Mapping[str, int], tokens: Mapping[str, int], k: int | None, least: int) -> tuple[Group, ...]:
    """A group per language, most tokens first; none where fewer than two languages have `least` documents: the others
    are strays then. docs, tokens: by language; k: merged clusters in all, None where a distance decides."""
    if sum(n >= least for n in docs.values()) < 2:
        return ()
    own = sorted(docs, key=lambda name: (-tokens[name], name))
    total = max(1, sum(tokens.values()))
    groups = []
    for name in own:
        share = round((k or PAPER_CLUSTERS) * tokens[name] / total)
        whole = share <= 1 or docs[name] < least
        groups.append(Group(name, (name,), docs[name], 1 if whole else share if k else None))
    return tuple(groups)


def numbers_of(groups: Iterable[Group]) -> dict[str, int]:
    """Language -> number of its group."""
    return {language: i for i, group in enumerate(groups) for language in group.languages}


def by_language(batch: pl.DataFrame) -> pl.DataFrame:
    """language, docs, tokens; those without a language are UNKNOWN's."""
    return batch.group_by(pl.col("language").fill_null(UNKNOWN)).agg(
        docs=pl.len().cast(pl.Int64), tokens=pl.col("token_count").sum().cast(pl.Int64)
    )


def group_numbers(languages: Iterable[str | None], groups: Mapping[str, int]) -> np.ndarray:
    """(n,) the group of each document's language; -1 for a language that no group has. groups: language -> number."""
    return np.array([groups.get(UNKNOWN if name is None else name, -1) for name in languages], np.int64)


def nearest_inside(vectors: np.ndarray, number: np.ndarray, centroids: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """(n,) the nearest centroid of the document's own group; of any group where it has none. owner (k,): the group of
    each centroid."""
    result = np.zeros(len(vectors), np.int64)
    for group in np.unique(number).tolist():
        rows = np.flatnonzero(number == group)
        mine = np.flatnonzero(owner == group) if group >= 0 else np.arange(len(owner))
        result[rows] = mine[nearest(np.ascontiguousarray(vectors[rows]), np.ascontiguousarray(centroids[mine]))]
    return result


def of_one_language(sample: TermSample, chosen: np.ndarray) -> TermSample:
    """Term counts of the chosen documents (n,) bool, without terms that many of them have (function words)."""
    document = np.repeat(np.arange(len(chosen)), np.diff(sample.rows))
    frequency = np.bincount(sample.terms[chosen[document]], minlength=len(sample.spellings))
    kept = chosen[document] & (frequency[sample.terms] <= max(2.0, FUNCTION_WORDS * chosen.sum()))
    lengths = np.bincount(document[kept], minlength=len(chosen))[chosen]
    return TermSample(np.concatenate([[0], np.cumsum(lengths)]), sample.terms[kept], sample.spellings)
