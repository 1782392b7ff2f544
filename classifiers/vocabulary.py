"""Selects the terms of an embedding from a sample by document frequency, and counts them in texts."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.terms import (
    character_tables,
    count_terms,
    distinct_terms,
    hash_table,
)
from gristmill.pipeline.kernels.threads import side_by_side

# Vocabulary fitting merges term counts of this many texts at a time, to bound memory.
_SLICE = 4096
_SIDE_BY_SIDE = 2  # slices at a time: the kernels hold no lock, and a worker's neighbours wait here
# A language with fewer sampled documents than this does not judge its own function words.
_JUDGED_DOCS = 20

Counted = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Vocabulary:
    """The known terms: their hashes (n,) uint64, spellings, and document frequencies (n,) int64 among `docs`."""

    hashes: np.ndarray
    terms: tuple[str, ...]
    frequencies: np.ndarray
    docs: int
    max_chars: int

    def count(self, texts: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts per text as CSR: (row offsets, term ids, counts)."""
        counted = _counted(texts, self.hashes, self.max_chars)
        sizes, ids, counts = zip(*((np.diff(rows), ids, counts) for rows, ids, counts, _ in counted), strict=True)
        ends = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        return ends, np.concatenate(ids), np.concatenate(counts)

    def idf(self) -> np.ndarray:
        """(n,) float64, smoothed: log((1 + docs) / (1 + frequency)) + 1."""
        return np.log((1 + self.docs) / (1 + self.frequencies)) + 1

    def save(self, folder: Path) -> None:
        np.save(folder / "hashes.npy", self.hashes)
        np.save(folder / "frequencies.npy", self.frequencies)
        facts = {"terms": self.terms, "docs": self.docs, "max_chars": self.max_chars}
        (folder / "vocabulary.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> "Vocabulary":
        facts = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        arrays = (np.load(folder / "hashes.npy"), np.load(folder / "frequencies.npy"))
        return Vocabulary(arrays[0], tuple(facts["terms"]), arrays[1], facts["docs"], facts["max_chars"])


def fit_vocabulary(
    texts: pl.Series, languages: pl.Series, max_terms: int, min_df: int, max_df_frac: float, max_chars: int
) -> Vocabulary:
    """The `max_terms` terms in most documents, of those in at least `min_df` and at most `max_df_frac` of them.

    The upper bound also holds within every language of at least 20 documents: function words say which language a
    text is in, not what it is about. Raises DataError if no term qualifies.
    """
    tables = character_tables()

    def distinct(start: int) -> tuple[np.ndarray, np.ndarray]:
        found, _ = distinct_terms(*utf8(texts[start : start + _SLICE]), *tables, max_chars)
        return np.unique(found, return_counts=True)

    hashes, frequencies = np.empty(0, np.uint64), np.empty(0, np.int64)
    for new, counts in side_by_side(distinct, range(0, len(texts), _SLICE), _SIDE_BY_SIDE):
        hashes, inverse = np.unique(np.concatenate([hashes, new]), return_inverse=True)
        merged = np.zeros(len(hashes), np.int64)
        np.add.at(merged, inverse, np.concatenate([frequencies, counts]))
        frequencies = merged
    # In a tiny corpus the share would be less than min_df documents.
    fits = (frequencies >= min_df) & (frequencies <= max(min_df, max_df_frac * len(texts)))
    candidates = len(hashes)
    # Spare candidates, because the languages' function words are still among them.
    order = np.lexsort((hashes[fits], -frequencies[fits]))[: 2 * max_terms]
    hashes, frequencies = hashes[fits][order], frequencies[fits][order]
    counted = _counted(texts, hashes, max_chars)
    content = ~_function_words(counted, languages, len(hashes), max_df_frac)
    kept = np.flatnonzero(content)[:max_terms]
    spellings = _spellings(texts, counted, kept)
    hashes = np.ascontiguousarray(hashes[kept])
    frequencies = np.ascontiguousarray(frequencies[kept])
    if not len(hashes):
        raise DataError(
            f"none of {candidates} terms in {len(texts)} sampled documents stands in at least min_df={min_df} and "
            f"at most max_df_frac={max_df_frac} of them; lower embed.min_df or give more documents"
        )
    return Vocabulary(hashes, spellings, frequencies, len(texts), max_chars)


def _counted(texts: pl.Series, hashes: np.ndarray, max_chars: int) -> list[Counted]:
    """Of each slice of the texts what `count_terms` gives, and where each term stands first: (terms, 2)."""
    tables, table = character_tables(), hash_table(hashes)

    def counted(start: int) -> Counted:
        seen = np.full((len(hashes), 2), -1, np.int64)
        buffers = utf8(texts[start : start + _SLICE])
        return *count_terms(*buffers, *tables, max_chars, hashes, table, seen), seen

    return side_by_side(counted, range(0, max(len(texts), 1), _SLICE), _SIDE_BY_SIDE)


def _function_words(counted: Iterable[Counted], languages: pl.Series, terms: int, max_df_frac: float) -> np.ndarray:
    """(terms,) bool: in more than `max_df_frac` of the documents of some language that is common enough to judge."""
    names, codes = np.unique(languages.fill_null("").to_numpy().astype(str), return_inverse=True)
    docs, found, start = np.bincount(codes, minlength=len(names)), {}, 0
    for rows, ids, _, _ in counted:
        language = np.repeat(codes[start : start + len(rows) - 1], np.diff(rows))
        start += len(rows) - 1
        for code in np.flatnonzero(docs >= _JUDGED_DOCS):
            found[code] = found.get(code, 0) + np.bincount(ids[language == code], minlength=terms)
    common = np.zeros(terms, bool)
    for code, counts in found.items():
        common |= counts > max_df_frac * docs[code]
    return common


def _spellings(texts: pl.Series, counted: Iterable[Counted], chosen: np.ndarray) -> tuple[str, ...]:
    """How each chosen term is written where it first appears, lower-cased as the kernel reads it."""
    lower = character_tables()[1]
    spellings: list[str] = [""] * len(chosen)
    missing, start = np.ones(len(chosen), bool), 0
    for rows, _, _, seen in counted:
        data, _ = utf8(texts[start : start + len(rows) - 1])
        start += len(rows) - 1
        for i in np.flatnonzero(missing & (seen[chosen, 0] >= 0)):
            first, last = seen[chosen[i]]
            written = data[first:last].tobytes().decode("utf-8")
            spellings[i] = "".join(chr(lower[ord(c)] if ord(c) < 0x10000 else ord(c)) for c in written)
            missing[i] = False
    return tuple(spellings)
