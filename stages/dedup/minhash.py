"""Groups near-duplicates by MinHash, locality-sensitive hashing and connected components; one of each group stays.

Defaults are FineWeb's (arXiv:2406.17557, sec. 3.4): word 5-grams, 14 bands of 8 values, so two documents with
Jaccard similarity s meet with probability 1 - (1 - s^8)^14: 0.5 at s = 0.69, 0.92 at s = 0.8.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.ranges import Hundreds, Seed, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Grouping, PolarsType, Reads
from gristmill.pipeline.kernels.numbers.minhash import (
    elect,
    flatten,
    from_binary,
    matching,
    multipliers,
    pack,
    shingles_of,
    signatures,
    similarity,
    to_binary,
    unite,
)
from gristmill.pipeline.kernels.text.hashing import code_points, utf8
from gristmill.stages.dedup.audit import AUDIT, audit_told, audited, removal_told
from gristmill.stages.dedup.sources import SourceDedup, judged
from gristmill.stages.dedup.survival import KEEP, Preference, asked, names, ranks, read_for, types

MERGED_ROWS = 1 << 20  # of a frame that `merge` yields
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd: times it, ranks stay different and fill the range of keys


@dataclass(frozen=True)
class Scheme:
    """How a text becomes a signature."""

    word_ngram: Hundreds = 5  # words in a shingle (FineWeb: 5)
    char_ngram: Hundreds = 7  # characters in a shingle of a script without spaces: as sensitive to edits as 5 words
    bands: Hundreds = 14  # FineWeb: 14
    rows: Hundreds = 8  # values in a band (FineWeb: 8)
    seed: Seed = 1  # of the hash functions

    @property
    def width(self) -> int:
        """Bytes of a packed signature."""
        return 8 * self.bands + self.bands * self.rows

    def pack(self, texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """(n, width) uint8 packed signatures, and (n,) bool: which texts have a word at all."""
        data, offsets = utf8(texts)
        factors, addends = multipliers(self.bands * self.rows, self.seed)
        values, shingles = signatures(data, offsets, code_points(), self.word_ngram, self.char_ngram, factors, addends)
        return pack(values, self.bands), shingles > 0

    def jaccard(self, left: pl.Series, right: pl.Series) -> np.ndarray:
        """(n,) exact Jaccard similarity of the texts' sets of shingles; 0 where neither has one."""

        def sets(texts: pl.Series) -> list[np.ndarray]:
            data, offsets = utf8(texts)
            n = (self.word_ngram, self.char_ngram)
            return [np.unique(shingles_of(data, a, b, code_points(), *n)) for a, b in pairwise(offsets)]

        pairs = [(a.size + b.size, np.intersect1d(a, b).size) for a, b in zip(sets(left), sets(right), strict=True)]
        return np.array([common / (both - common) if both else 0.0 for both, common in pairs])


@dataclass(frozen=True)
class Signatures(Annotator):
    """The packed MinHash signature of every text; null where a text has no word."""

    scheme: Scheme = Scheme()  # shingles, bands and rows: how a text becomes a signature
    name: ClassVar = "dedup.signatures"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text",)}
    writes: ClassVar = ("minhash",)
    needs: ClassVar = ()
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            packed, valid = self.scheme.pack(batch["text"])
            return batch.select("doc_id").with_columns(to_binary(packed, valid).alias("minhash"))

        return annotate


@dataclass(frozen=True)
class Components(Grouping):
    """Joins documents that share a band, and those they share one with: connected components of the whole corpus.

    All rows of a band key meet, and each is joined to the first in the order of survival: 24 bytes per document and
    band travel. A union-find over those stars, 40 bytes per document that shares a band, gives each component the
    number of its first document. Held-out texts given as files take part, so that their near-duplicates leave, too.
    """

    scheme: Scheme = Scheme()  # the one of dedup.signatures
    name: ClassVar = "dedup.components"
    version: ClassVar = 1
    reads: ClassVar = {"dedup.signatures": ("minhash",), "dedup.references": ("is_held_out",)}
    writes: ClassVar = ("minhash_component",)
    needs: ClassVar = ("dedup.references",)
    merges: ClassVar = True
    scatters: ClassVar = {"rank": pl.UInt64}
    order: ClassVar = ("rank",)
    gathers: ClassVar = {"rank": pl.UInt64, "to": pl.UInt64}
    returns: ClassVar = {"minhash_component": pl.UInt64}

    def extra(self, artifacts: Artifacts) -> pl.DataFrame:
        return given_documents(self.scheme, artifacts)

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("minhash")
        keys = np.ascontiguousarray(packed(self.scheme, batch["minhash"])[:, : 8 * self.scheme.bands]).view("<u8")
        of_document = np.repeat(np.arange(batch.height), self.scheme.bands)
        rows = pl.DataFrame({"key": keys.ravel().astype(np.uint64)})
        return rows.hstack([batch["node"].gather(of_document), ranks(batch).gather(of_document)])

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        first = firsts(rows["key"].to_numpy())
        to = pl.Series("to", rows["node"].to_numpy()[first])
        return rows.select("node", "rank", to).filter(pl.Series(shared(first)))

    def merge(self, gathered: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        members = distinct(frame["node"].to_numpy() for frame in gathered())
        rank, parent = np.zeros(members.size, np.uint64), np.arange(members.size)
        for frame in gathered():
            rank[np.searchsorted(members, frame["node"].to_numpy())] = frame["rank"].to_numpy()
        for frame in gathered():
            a, b = (np.searchsorted(members, frame[name].to_numpy()) for name in ("node", "to"))
            unite(a, b, rank, parent)
        flatten(parent)
        for i in range(0, members.size, MERGED_ROWS):
            number = rank[parent[i : i + MERGED_ROWS]] * SPREAD
            yield pl.DataFrame({"node": members[i : i + MERGED_ROWS], "minhash_component": number})

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", "minhash_component")


def firsts(keys: np.ndarray) -> np.ndarray:
    """(n,) the place of the first row with each row's key; keys (n,) lie together."""
    begins = np.concatenate([[True], keys[1:] != keys[:-1]])
    return np.flatnonzero(begins)[np.cumsum(begins) - 1]


def shared(places: np.ndarray) -> np.ndarray:
    """(n,) bool: whether another row points to the same place; places (n,) are rows."""
    return np.bincount(places, minlength=places.size)[places] > 1


def distinct(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The values of all arrays, each once, sorted; memory is that of twice the result."""
    known, waiting, waits = np.zeros(0, np.uint64), [], 0
    for values in arrays:
        waiting.append(np.unique(values))
        waits += waiting[-1].size
        if waits > known.size:
            known, waiting, waits = np.unique(np.concatenate([known, *waiting])), [], 0
    return np.unique(np.concatenate([known, *waiting]))


def packed(scheme: Scheme, signatures_: pl.Series) -> np.ndarray:
    """(n, width) uint8. Raises DataError for signatures of another scheme."""
    try:
        return from_binary(signatures_, scheme.width)
    except ValueError as error:
        raise DataError(f"dedup.signatures: {error}; give dedup.signatures and dedup.minhash one scheme") from error


def given_documents(scheme: Scheme, artifacts: Artifacts) -> pl.DataFrame:
    """Held-out texts that came as files, as documents of which the corpus holds no copy."""
    texts = pl.read_parquet(artifacts["dedup.references"] / "texts.parquet", glob=False).filter("is_held_out")
    signed, valid = scheme.pack(texts["text"])
    return texts.select("doc_id", to_binary(signed, valid).alias("minhash"), "is_held_out").with_columns(
        exact_copies_n=pl.lit(0, pl.Int64)
    )


@dataclass(frozen=True)
class NearDuplicates(Grouping):
    """Which document each near-duplicate repeats, and how many documents its cluster holds, exact copies too.

    The documents of a component meet; in the order of survival each joins the first one that stays and is alike, or
    stays itself.
    """

    scheme: Scheme = Scheme()  # the one of dedup.signatures
    # Documents that meet in a band form chains: a like b, b like c. Of such a set a document leaves only if its
    # estimated similarity to one that stays reaches this; None takes the whole chain for one, as FineWeb does.
    # The estimate's standard error is at most 0.05.
    min_similarity: Share | None = 0.6
    # Which copy stays: a held-out one, then by these columns in turn ({column: ingest.text_bytes, prefer: large}, or
    # order: [words, best first]), then the smallest draw. By default: freest licence, longest text, earliest capture.
    keep: tuple[Preference, ...] = KEEP
    name: ClassVar = "dedup.minhash"
    version: ClassVar = 2
    writes: ClassVar = ("near_duplicate_of", "near_similarity", "minhash_cluster_size")
    needs: ClassVar = ("dedup.references",)
    returns: ClassVar = {
        "near_duplicate_of": pl.String,
        "near_similarity": pl.Float64,
        "minhash_cluster_size": pl.Int64,
    }
    settles: ClassVar = ("exact_copies_n",)

    @property
    def reads(self) -> Reads:
        own = {
            "dedup.components": ("minhash_component",),
            "dedup.signatures": ("minhash",),
            "dedup.references": ("is_held_out",),
            "dedup.exact": ("exact_copies_n",),
        }
        return read_for(self.keep, own)

    @property
    def scatters(self) -> dict[str, PolarsType]:
        own = {"doc_id": pl.String, "exact_copies_n": pl.Int64, "fingerprint": pl.Binary}
        return {**types(self.keep), **own}

    @property
    def order(self) -> tuple[str, ...]:
        return (*names(self.keep), "doc_id")

    def extra(self, artifacts: Artifacts) -> pl.DataFrame:
        nothing = [pl.lit(None, pl.Int64).alias(p.column.rpartition(".")[2]) for p in self.keep]
        return given_documents(self.scheme, artifacts).with_columns(nothing)

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("minhash_component")
        prints = np.ascontiguousarray(packed(self.scheme, batch["minhash"])[:, 8 * self.scheme.bands :])
        fingerprint = to_binary(prints, np.ones(batch.height, bool)).alias("fingerprint")
        key = pl.col("minhash_component").alias("key")
        return (
            batch.select(key, "node", "doc_id", "exact_copies_n")
            .hstack(asked(batch, self.keep))
            .with_columns(fingerprint)
        )

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        standing = firsts(rows["key"].to_numpy())
        values, order = self.scheme.bands * self.scheme.rows, np.arange(rows.height)
        prints = from_binary(rows["fingerprint"], values)
        if self._min_matching():
            standing = elect(standing, order, prints, order, self._min_matching())
        alike = np.clip(similarity(matching(prints, standing), values), 0, 1)
        repeats = pl.col("of") != pl.col("doc_id")
        of = rows["doc_id"].gather(standing).alias("of")
        return (
            rows.select("node", "doc_id", "exact_copies_n")
            .with_columns(of, pl.Series("standing", standing), pl.Series("alike", alike))
            .with_columns(minhash_cluster_size=pl.col("exact_copies_n").sum().over("standing"))
            .filter(pl.Series(shared(standing)) & (rows["exact_copies_n"] > 0))
            .select(
                "node",
                pl.when(repeats).then("of").alias("near_duplicate_of"),
                pl.when(repeats).then("alike").alias("near_similarity"),
                "minhash_cluster_size",
            )
        )

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        size = pl.col("minhash_cluster_size").fill_null(pl.col("exact_copies_n"))
        return batch.select("doc_id", "near_duplicate_of", "near_similarity", size)

    def papers(self, run: Finished) -> dict[str, object]:
        return {AUDIT: audited(run, self.name, self.scheme.jaccard)}

    def tell(self, run: Finished) -> Told:
        return audit_told(run, self.name)

    def _min_matching(self) -> int:
        """Fingerprint bytes that must agree with the survivor; 0 where none need."""
        if self.min_similarity is None:
            return 0
        values = self.scheme.bands * self.scheme.rows
        return ceil(values * (self.min_similarity * (1 - 1 / 256) + 1 / 256) - 1e-9)


@dataclass(frozen=True)
class NearGate(Gate):
    """Drops all but one of a cluster of near-duplicates."""

    sources: tuple[SourceDedup, ...] = ()  # of the list `sources`
    warn_share: Share = 0.5  # the report warns where more of one source's documents leave
    name: ClassVar = "dedup.minhash.gate"
    version: ClassVar = 1
    borrowed: ClassVar = {"sources": ("sources",)}
    outside_identity: ClassVar = ("warn_share",)
    rules: ClassVar = ("near_duplicate",)
    instead: ClassVar = ("near_duplicate_of", "near_similarity")

    @property
    def reads(self) -> Reads:
        return {
            "dedup.minhash": ("near_duplicate_of", "near_similarity"),
            **({"ingest": ("source",)} if self.sources else {}),
        }

    def table(self) -> dict[str, pl.Expr]:
        return {"near_duplicate": pl.col("near_duplicate_of").is_not_null() & judged(self.sources)}

    def tell(self, run: Finished) -> Told:
        return removal_told(run, self.name.removesuffix(".gate"), self.warn_share)
