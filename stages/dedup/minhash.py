"""Groups near-duplicates by MinHash, locality-sensitive hashing and connected components; one of each group stays.

Defaults are FineWeb's (arXiv:2406.17557, sec. 3.4): word 5-grams, 14 bands of 8 values, so two documents with
Jaccard similarity s meet with probability 1 - (1 - s^8)^14: 0.5 at s = 0.69, 0.92 at s = 0.8.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.ranges import Hundreds, Seed, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.kernels.numbers.minhash import (
    elect,
    flatten,
    from_binary,
    multipliers,
    pack,
    signatures,
    to_binary,
    unite_band,
)
from gristmill.pipeline.kernels.text.hashing import code_points, utf8
from gristmill.stages.dedup.exact import SALT
from gristmill.stages.dedup.sources import SourceDedup, judged


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
class MinhashGroups(Reducer):
    """Groups near-duplicates into duplicates.parquet: doc_id, duplicate_of, minhash_cluster_size, sorted by doc_id.

    Only members of groups of two and more are listed; duplicate_of is null for the survivor: a held-out document
    where there is one, else the smallest draw. Held-out texts given as files take part as survivors, so that their
    near-duplicates leave the corpus too. Bands are spilled to disk and joined one at a time: memory holds about 60
    bytes per document, and the ids of those in groups.
    """

    scheme: Scheme = Scheme()  # the one of dedup.signatures
    # Documents that meet in a band form chains: a like b, b like c. Of such a set a document leaves only if its
    # estimated similarity to one that stays reaches this; None takes the whole chain for one, as FineWeb does.
    # The estimate's standard error is at most 0.05.
    min_similarity: Share | None = 0.6
    name: ClassVar = "dedup.minhash"
    version: ClassVar = 1
    reads: ClassVar = {
        "dedup.signatures": ("minhash",),
        "dedup.references": ("is_held_out",),
        "dedup.exact": ("exact_copies_n",),
    }
    needs: ClassVar = ("dedup.references",)

    def run(self, corpus: Corpus, out: Path) -> None:
        given = self._given_texts(corpus.artifacts["dedup.references"] / "texts.parquet")
        with TemporaryDirectory(dir=out) as folder:
            spill = _Spill(Path(folder), self.scheme)
            for batch in chain([given], corpus.batches()):
                spill.add(batch)
            standing, rows = spill.join(self._min_matching())
        batches = chain([given], corpus.batches(("exact_copies_n",)))
        clusters = _clusters(spill.members(batches, standing, rows))
        write_parquet(out / "duplicates.parquet", clusters.to_arrow())

    def _given_texts(self, path: Path) -> pl.DataFrame:
        """Held-out texts that came as files, as rows that no part holds (0 copies)."""
        texts = pl.read_parquet(path, glob=False).filter("is_held_out")
        packed, valid = self.scheme.pack(texts["text"])
        return texts.select("doc_id", to_binary(packed, valid).alias("minhash"), "is_held_out").with_columns(
            exact_copies_n=pl.lit(0, pl.Int64)
        )

    def _min_matching(self) -> int:
        """Fingerprint bytes that must agree with the survivor; 0 where none need."""
        if self.min_similarity is None:
            return 0
        values = self.scheme.bands * self.scheme.rows
        return ceil(values * (self.min_similarity * (1 - 1 / 256) + 1 / 256) - 1e-9)


class _Spill:
    """Signatures of the corpus on disk, a file per band; in memory only what decides who survives.

    A row is the place of a document among those that have a signature, in the order they came; a rank is its place in
    the order of survival: held-out documents first, then by draw.
    """

    def __init__(self, folder: Path, scheme: Scheme) -> None:
        self.scheme = scheme
        self.bands = [folder / f"band-{b}.u64" for b in range(scheme.bands)]
        self.fingerprints = folder / "fingerprints.u8"
        for path in (*self.bands, self.fingerprints):
            path.touch()
        self.signed: list[np.ndarray] = []  # per batch: which documents have a signature
        self.draws: list[np.ndarray] = []
        self.held_out: list[np.ndarray] = []

    def add(self, batch: pl.DataFrame) -> None:
        self.signed.append(batch["minhash"].is_not_null().to_numpy())
        batch = batch.drop_nulls("minhash")
        try:
            packed = from_binary(batch["minhash"], self.scheme.width)
        except ValueError as error:
            raise DataError(f"dedup.signatures: {error}; give dedup.signatures and dedup.minhash one scheme") from error
        for b, path in enumerate(self.bands):
            with path.open("ab") as file:
                file.write(packed[:, 8 * b : 8 * b + 8].tobytes())
        with self.fingerprints.open("ab") as file:
            file.write(packed[:, 8 * self.scheme.bands :].tobytes())
        self.draws.append(key64(batch["doc_id"], SALT))
        self.held_out.append(batch["is_held_out"].to_numpy())

    def join(self, min_matching: int) -> tuple[np.ndarray, np.ndarray]:
        """By rank: (n,) the rank of the document that stands for it, and (n,) its row."""
        rows = np.lexsort((np.concatenate(self.draws), ~np.concatenate(self.held_out)))
        parent = np.arange(rows.size)
        for path in self.bands:
            keys = np.fromfile(path, "<u8")[rows]
            unite_band(keys, np.argsort(keys, kind="stable"), parent)
        flatten(parent)
        if not min_matching or not rows.size:
            return parent, rows
        shape = (rows.size, self.scheme.bands * self.scheme.rows)
        fingerprints = np.asarray(np.memmap(self.fingerprints, np.uint8, mode="r", shape=shape))
        return elect(parent, np.argsort(parent, kind="stable"), fingerprints, rows, min_matching), rows

    def members(self, batches: Iterable[pl.DataFrame], standing: np.ndarray, rows: np.ndarray) -> pl.DataFrame:
        """doc_id, exact_copies_n, rank and survivor's rank of all documents in groups, from a second reading."""
        grouped = (np.bincount(standing, minlength=standing.size) > 1)[standing]
        rank = np.empty(rows.size, np.int64)
        rank[rows] = np.arange(rows.size)
        found, start = [], 0
        for batch, signed in zip(batches, self.signed, strict=True):
            ranks = rank[start : start + signed.sum()]
            start += ranks.size
            frame = batch.select("doc_id", "exact_copies_n").filter(pl.Series(signed, dtype=pl.Boolean))
            frame = frame.with_columns(rank=ranks, survivor=standing[ranks])
            found.append(frame.filter(pl.Series(grouped[ranks], dtype=pl.Boolean)))
        return pl.concat(found)


def _clusters(members: pl.DataFrame) -> pl.DataFrame:
    """The artifact; the size counts exact copies, and texts given as files not at all."""
    names = members.select(survivor="rank", duplicate_of="doc_id")
    return (
        members.with_columns(minhash_cluster_size=pl.col("exact_copies_n").sum().over("survivor"))
        .join(names, on="survivor", how="left")
        .filter(pl.col("exact_copies_n") > 0)
        .select(
            "doc_id",
            pl.when(pl.col("duplicate_of") != pl.col("doc_id")).then("duplicate_of").alias("duplicate_of"),
            "minhash_cluster_size",
        )
        .sort("doc_id")
    )


@dataclass(frozen=True)
class NearDuplicates(Annotator):
    """Which document each near-duplicate repeats, and how many documents its cluster holds."""

    name: ClassVar = "dedup.minhash"
    version: ClassVar = 1
    reads: ClassVar = {"dedup.exact": ("exact_copies_n",)}
    writes: ClassVar = ("near_duplicate_of", "minhash_cluster_size")
    needs: ClassVar = ("dedup.minhash",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        groups = pl.read_parquet(artifacts["dedup.minhash"] / "duplicates.parquet", glob=False)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            return batch.join(groups, on="doc_id", how="left", maintain_order="left").select(
                "doc_id",
                pl.col("duplicate_of").alias("near_duplicate_of"),
                pl.col("minhash_cluster_size").fill_null(pl.col("exact_copies_n")),
            )

        return annotate


@dataclass(frozen=True)
class NearGate(Gate):
    """Drops all but one of a cluster of near-duplicates."""

    sources: tuple[SourceDedup, ...] = ()  # of the list `sources`
    name: ClassVar = "dedup.minhash.gate"
    version: ClassVar = 1
    borrowed: ClassVar = {"sources": ("sources",)}
    rules: ClassVar = ("near_duplicate",)

    @property
    def reads(self) -> Reads:
        return {"dedup.minhash": ("near_duplicate_of",), **({"ingest": ("source",)} if self.sources else {})}

    def table(self) -> dict[str, pl.Expr]:
        return {"near_duplicate": pl.col("near_duplicate_of").is_not_null() & judged(self.sources)}
