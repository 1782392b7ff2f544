"""Selects the terms of an embedding from a sample by document frequency, and counts them in texts."""

import json
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

# Vocabulary fitting merges term counts of this many texts at a time, to bound memory.
_SLICE = 4096
# A language with fewer sampled documents than this does not judge its own function words.
_JUDGED_DOCS = 20


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
        first_seen = np.full((len(self.hashes), 2), -1, np.int64)
        table = hash_table(self.hashes)
        return count_terms(*utf8(texts), *character_tables(), self.max_chars, self.hashes, table, first_seen)

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
    hashes, frequencies = np.empty(0, np.uint64), np.empty(0, np.int64)
    for start in range(0, len(texts), _SLICE):
        found, _ = distinct_terms(*utf8(texts[start : start + _SLICE]), *tables, max_chars)
        new, counts = np.unique(found, return_counts=True)
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
    content = ~_function_words(texts, languages, hashes, max_df_frac, max_chars)
    hashes = np.ascontiguousarray(hashes[content][:max_terms])
    frequencies = np.ascontiguousarray(frequencies[content][:max_terms])
    if not len(hashes):
        raise DataError(
            f"none of {candidates} terms in {len(texts)} sampled documents stands in at least min_df={min_df} and "
            f"at most max_df_frac={max_df_frac} of them; lower embed.min_df or give more documents"
        )
    return Vocabulary(hashes, _spellings(texts, hashes, max_chars), frequencies, len(texts), max_chars)


def _function_words(
    texts: pl.Series, languages: pl.Series, hashes: np.ndarray, max_df_frac: float, max_chars: int
) -> np.ndarray:
    """(terms,) bool: in more than `max_df_frac` of the documents of some language that is common enough to judge."""
    tables, table = character_tables(), hash_table(hashes)
    names, codes = np.unique(languages.fill_null("").to_numpy().astype(str), return_inverse=True)
    docs, found = np.bincount(codes, minlength=len(names)), {}
    for start in range(0, len(texts), _SLICE):
        seen = np.full((len(hashes), 2), -1, np.int64)
        buffers = utf8(texts[start : start + _SLICE])
        rows, terms, _ = count_terms(*buffers, *tables, max_chars, hashes, table, seen)
        language = np.repeat(codes[start : start + _SLICE], np.diff(rows))
        for code in np.flatnonzero(docs >= _JUDGED_DOCS):
            counts = np.bincount(terms[language == code], minlength=len(hashes))
            found[code] = found.get(code, 0) + counts
    common = np.zeros(len(hashes), bool)
    for code, counts in found.items():
        common |= counts > max_df_frac * docs[code]
    return common


def _spellings(texts: pl.Series, hashes: np.ndarray, max_chars: int) -> tuple[str, ...]:
    """How each term is written where it first appears, lower-cased as the kernel reads it."""
    classes, lower = character_tables()
    table = hash_table(hashes)
    spellings: list[str | None] = [None] * len(hashes)
    for start in range(0, len(texts), _SLICE):
        data, offsets = utf8(texts[start : start + _SLICE])
        seen = np.full((len(hashes), 2), -1, np.int64)
        count_terms(data, offsets, classes, lower, max_chars, hashes, table, seen)
        for term in np.flatnonzero(seen[:, 0] >= 0):
            if spellings[term] is None:
                written = data[seen[term, 0] : seen[term, 1]].tobytes().decode("utf-8")
                codes = (lower[ord(c)] if ord(c) < 0x10000 else ord(c) for c in written)
                spellings[term] = "".join(map(chr, codes))
    return tuple(s or "" for s in spellings)
