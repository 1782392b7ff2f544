"""Indexes the word n-grams of given texts (items) and looks up which of them a batch of documents holds.

Two kinds of n-grams prove nothing and are left out of every count: those that stand in many items of one set (the
template of its questions), by inverse document frequency over the set's items; and those that stand in many documents
of the corpus which hold no more than a part of the item (licences, notices, quotations everybody knows).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.kernels.numbers.overlap import count_partial, find_hits, lookup_tables, match_items, text_ngrams
from gristmill.pipeline.kernels.text.hashing import code_points, utf8

WHOLE = 0.8  # share of an item's n-grams from which a document holds the item, not only words of it
SHOWN_CHARS = 300  # of a matched text
PREVIEW_CHARS = 200  # of an item
LISTED_ITEMS = 100  # of one document
BYTES_PER_NGRAM = 32  # 8 hash, 8 postings' start, 4 posting, 4 document count, 4 first, 2-4 filter, 1 flags


@dataclass(frozen=True)
class Item:
    """A text to look for. `set`: the benchmark or target; `name`: which of its items; `field`: what of it."""

    set: str
    name: str
    field: str
    text: str


@dataclass(frozen=True, eq=False)
class Matches:
    """Per document: the item that it holds most of, and the document's own numbers. Arrays (documents,)."""

    item: np.ndarray  # int64, -1: none
    hits: np.ndarray  # distinct rare n-grams of the item in the document
    item_frac: np.ndarray  # float64, share of the item's n-grams in the document
    doc_frac: np.ndarray  # float64, hits / n-grams of the document
    texts: list[str | None]  # the longest stretch of the document that is the item's
    listed: list[list[int]]  # every item of which the document holds at least `fewest` rare n-grams, most first


@dataclass(frozen=True, eq=False)
class Index:
    """hashes (u,) uint64 sorted; items of hashes[e]: postings[posting_starts[e] : posting_starts[e + 1]]."""

    n: int
    items: pl.DataFrame  # set, name, field, preview, ngrams_n (of the item), sorted by number
    hashes: np.ndarray
    posting_starts: np.ndarray
    postings: np.ndarray
    telling: np.ndarray  # (u,) bool: not a template of its set
    partial: np.ndarray  # (u,) int32: sampled documents that hold it without holding its item
    common_docs: int

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray, int]:
        return lookup_tables(self.hashes)

    @cached_property
    def rare(self) -> np.ndarray:
        return self.telling & (self.partial < self.common_docs)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(items,) int64: telling n-grams of each item."""
        owner = np.repeat(np.arange(self.hashes.size), np.diff(self.posting_starts))
        return np.bincount(self.postings[self.telling[owner]], minlength=self.items.height).astype(np.int64)

    def hits(self, texts: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        data, offsets = utf8(texts)
        seen, first, k = self.tables
        return find_hits(data, offsets, code_points(), self.n, self.hashes, seen, first, k)

    def with_counts(self, partial: np.ndarray) -> "Index":
        return Index(
            self.n, self.items, self.hashes, self.posting_starts, self.postings, self.telling, partial, self.common_docs
        )

    def add_partial(self, texts: pl.Series, counts: np.ndarray) -> None:
        """Counts, per n-gram, documents that hold it but not the item."""
        starts, entries, *_ = self.hits(texts)
        count_partial(starts, entries, self.posting_starts, self.postings, self.telling, self.sizes, WHOLE, counts)

    def match(self, texts: pl.Series, fewest: int, fields: Sequence[str] | None = None) -> Matches:
        """fields: only items of these fields; those of the others only in documents that hold none of these."""
        starts, entries, begins, ends, total = self.hits(texts)
        first = np.ones(self.items.height, bool)
        if fields is not None:
            first = self.items["field"].is_in(list(fields)).to_numpy()
        tables = (self.posting_starts, self.postings, self.telling, self.rare, self.sizes)
        item, hits, shared, many_starts, many = match_items(starts, entries, *tables, first, fewest)
        if not first.all():
            other, more, also, _, _ = match_items(starts, entries, *tables, ~first, fewest)
            none = item < 0
            item, hits, shared = (np.where(none, b, a) for a, b in ((item, other), (hits, more), (shared, also)))
        data, _ = utf8(texts)
        quotes: list[str | None] = [None] * len(texts)
        for d in np.flatnonzero(item >= 0):
            rows = slice(starts[d], starts[d + 1])
            mine = np.array([item[d] in self.items_of(e) for e in entries[rows]])
            quotes[d] = longest_stretch(data, begins[rows][mine], ends[rows][mine])
        sizes = np.maximum(self.sizes[np.maximum(item, 0)], 1) if self.items.height else np.ones(len(texts))
        return Matches(
            item,
            hits,
            np.where(item >= 0, shared / sizes, 0.0),
            hits / np.maximum(total, 1),
            quotes,
            [many[a:b].tolist()[:LISTED_ITEMS] for a, b in pairwise(many_starts)],
        )

    def items_of(self, entry: int) -> np.ndarray:
        return self.postings[self.posting_starts[entry] : self.posting_starts[entry + 1]]

    def save(self, folder: Path) -> None:
        write_parquet(folder / "items.parquet", self.items.to_arrow())
        for name in ("hashes", "posting_starts", "postings", "telling", "partial"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        report = {"n": self.n, "common_docs": self.common_docs, "ngrams": int(self.hashes.size)}
        report |= {"items": self.items.height, "memory_bytes": memory(int(self.hashes.size))}
        report |= {"templates": int((~self.telling).sum()), "common": int((self.telling & ~self.rare).sum())}
        (folder / "report.json").write_text(json.dumps(report, indent=1))


def memory(ngrams: int) -> int:
    """Bytes that a worker needs for an index of so many distinct n-grams."""
    return BYTES_PER_NGRAM * ngrams


def load_index(folder: Path) -> Index:
    report = json.loads((folder / "report.json").read_text())
    arrays = {
        name: np.load(folder / f"{name}.npy") for name in ("hashes", "posting_starts", "postings", "telling", "partial")
    }
    return Index(report["n"], pl.read_parquet(folder / "items.parquet"), common_docs=report["common_docs"], **arrays)


def longest_stretch(data: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> str | None:
    """Text of the longest run of overlapping spans, at most SHOWN_CHARS of it. begins, ends (n,) in text order."""
    best, start, stop = (0, 0), -1, -1
    for b, e in zip(begins.tolist(), ends.tolist(), strict=True):
        start, stop = (start, e) if start >= 0 and b <= stop else (b, e)
        best = max(best, (start, stop), key=lambda s: s[1] - s[0])
    if best[1] == 0:
        return None
    text = data[best[0] : best[1]].tobytes().decode("utf-8", "replace").strip()
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."


def build_index(items: Sequence[Item], n: int, min_idf: float, common_docs: int, without: Sequence[str] = ()) -> Index:
    """min_idf: n-grams below it are templates; idf of one in d of a set's N items: ln(N / d) / ln N, 1 where N is 1.

    Items of one set with the same n-grams are one item. `without`: texts whose n-grams are not looked for.
    """
    grams, starts = _grams([item.text for item in items], n)
    unwanted = np.unique(_grams(without, n)[0])
    kept: list[int] = []
    rows: list[np.ndarray] = []
    known: set[tuple[str, bytes]] = set()
    for i, item in enumerate(items):
        mine = np.unique(grams[starts[i] : starts[i + 1]])
        mine = mine[~np.isin(mine, unwanted)] if unwanted.size else mine
        key = (item.set, mine.tobytes())
        if mine.size and key not in known:
            known.add(key)
            kept.append(i)
            rows.append(mine)
    flat = np.concatenate(rows) if rows else np.zeros(0, np.uint64)
    owners = np.repeat(np.arange(len(rows), dtype=np.int32), [r.size for r in rows])
    order = np.lexsort((owners, flat))
    hashes, counts = np.unique(flat, return_counts=True)
    posting_starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]).astype(np.int64)
    postings = owners[order].astype(np.int32)
    table = pl.DataFrame(
        {
            "set": [items[i].set for i in kept],
            "name": [items[i].name for i in kept],
            "field": [items[i].field for i in kept],
            "preview": [items[i].text.strip()[:PREVIEW_CHARS] for i in kept],
            "ngrams_n": [int(r.size) for r in rows],
        },
        schema={"set": pl.String, "name": pl.String, "field": pl.String, "preview": pl.String, "ngrams_n": pl.Int64},
    )
    telling = _telling(table, hashes.size, posting_starts, postings, min_idf)
    partial = np.zeros(hashes.size, np.int32)
    return Index(n, table, hashes, posting_starts, postings, telling, partial, common_docs)


def _grams(texts: Sequence[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    data, offsets = utf8(pl.Series(texts, dtype=pl.String))
    return text_ngrams(data, offsets, code_points(), n)


def _telling(
    items: pl.DataFrame, size: int, posting_starts: np.ndarray, postings: np.ndarray, min_idf: float
) -> np.ndarray:
    """(size,) bool: n-grams whose idf reaches `min_idf` in every set that has them; an item's fields count once."""
    telling = np.ones(size, bool)
    owner = np.repeat(np.arange(size), np.diff(posting_starts))
    record = items.select(pl.struct("set", "name").rank("dense").alias("record"))["record"].to_numpy().astype(np.int64)
    for name in items["set"].unique().sort():
        members = (items["set"] == name).to_numpy()
        many = np.unique(record[members]).size
        mine = members[postings]
        pairs = np.unique(owner[mine].astype(np.int64) * items.height + record[postings[mine]] - 1)
        found = np.bincount(pairs // max(items.height, 1), minlength=size)
        if many > 1:
            idf = np.log(many / np.maximum(found, 1)) / np.log(many)
            telling &= (found == 0) | (idf >= min_idf)
    return telling
