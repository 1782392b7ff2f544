"""MinHash signatures of texts (Broder 1997): the bands by which near-duplicates meet, and their similarity.

Defaults are FineWeb's (arXiv:2406.17557, sec. 3.4): word 5-grams, 14 bands of 8 values, so two documents with
Jaccard similarity s meet with probability 1 - (1 - s^8)^14: 0.5 at s = 0.69, 0.92 at s = 0.8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.ranges import Hundreds, Seed
from gristmill.pipeline.contract.shapes import Annotator, Artifacts
from gristmill.pipeline.kernels.numbers.minhash import (
    from_binary,
    multipliers,
    pack,
    shingles_of,
    signatures,
    to_binary,
)
from gristmill.pipeline.kernels.text.hashing import code_points, utf8


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

    def sets(self, texts: pl.Series) -> list[np.ndarray]:
        """The hashes of each text's shingles, sorted, each once."""
        data, offsets = utf8(texts)
        n = (self.word_ngram, self.char_ngram)
        return [np.unique(shingles_of(data, a, b, code_points(), *n)) for a, b in pairwise(offsets)]

    def jaccard(self, left: pl.Series, right: pl.Series) -> np.ndarray:
        """(n,) exact Jaccard similarity of the texts' sets of shingles; 0 where neither has one."""
        both_sides = zip(self.sets(left), self.sets(right), strict=True)
        pairs = [(a.size + b.size, np.intersect1d(a, b).size) for a, b in both_sides]
        return np.array([common / (both - common) if both else 0.0 for both, common in pairs])


SCHEME = Scheme()


@dataclass(frozen=True)
class Signatures(Annotator):
    """The packed MinHash signature of every text; null where a text has no word."""

    scheme: Scheme = SCHEME  # shingles, bands and rows: how a text becomes a signature
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
    minhash = to_binary(signed, valid).alias("minhash")
    return texts.select("doc_id", minhash, "is_held_out", "text", exact_copies_n=pl.lit(0, pl.Int64))
