"""Groups documents whose texts are the same bytes, and keeps one of each group (stages/dedup/survival.py)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.ranges import Share
from gristmill.pipeline.contract.shapes import Gate, Grouping, PolarsType, Reads
from gristmill.stages.dedup.audit import removal_told
from gristmill.stages.dedup.sources import SourceDedup, judged
from gristmill.stages.dedup.survival import KEEP, Preference, asked, names, read_for, types

HASH_BYTES = 16  # blake2b-128


@dataclass(frozen=True)
class ExactDuplicates(Grouping):
    """Which document each exact duplicate repeats, and how many documents share its text.

    Documents meet by the first half of their text_hash and are compared by the whole; 115 bytes per document travel.
    """

    # Which copy stays: a held-out one, then by these columns in turn ({column: ingest.text_bytes, prefer: large}, or
    # order: [words, best first]), then the smallest draw. By default: freest licence, longest text, earliest capture.
    keep: tuple[Preference, ...] = KEEP
    name: ClassVar = "dedup.exact"
    version: ClassVar = 2
    writes: ClassVar = ("exact_duplicate_of", "exact_copies_n")
    returns: ClassVar = {"exact_duplicate_of": pl.String, "exact_copies_n": pl.Int64}

    @property
    def reads(self) -> Reads:
        return read_for(self.keep, {"ingest": ("text_hash",), "dedup.references": ("is_held_out",)})

    @property
    def scatters(self) -> dict[str, PolarsType]:
        return {"rest": pl.UInt64, **types(self.keep), "doc_id": pl.String}

    @property
    def order(self) -> tuple[str, ...]:
        return ("rest", *names(self.keep), "doc_id")

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        halves = _halves(batch["text_hash"])
        hashed = {"key": halves[:, 0], "rest": halves[:, 1]}
        return (
            batch.select("doc_id", "node")
            .hstack(asked(batch, self.keep))
            .with_columns(**{k: pl.Series(v) for k, v in hashed.items()})
        )

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        groups = rows.with_columns(
            exact_copies_n=pl.len().over("key", "rest").cast(pl.Int64),
            first=pl.col("doc_id").first().over("key", "rest"),
        ).filter(pl.col("exact_copies_n") > 1)
        repeats = pl.when(pl.col("first") != pl.col("doc_id")).then("first")
        return groups.select("node", repeats.alias("exact_duplicate_of"), "exact_copies_n")

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", "exact_duplicate_of", pl.col("exact_copies_n").fill_null(1))


def _halves(hashes: pl.Series) -> np.ndarray:
    """(n, 2) uint64: both halves of each hash. Raises DataError for one that is not of 128 bits in hex."""
    raw = hashes.str.decode("hex", strict=False)
    if raw.null_count() or bool((raw.bin.size() != HASH_BYTES).any()):
        raise DataError("dedup.exact: a text_hash is not 32 hexadecimal digits")
    return np.frombuffer(b"".join(raw), ">u8").reshape(-1, 2).astype(np.uint64)


@dataclass(frozen=True)
class ExactGate(Gate):
    """Drops all but one of the documents with the same text."""

    sources: tuple[SourceDedup, ...] = ()  # of the list `sources`
    warn_share: Share = 0.5  # the report warns where more of one source's documents leave
    name: ClassVar = "dedup.exact.gate"
    version: ClassVar = 1
    borrowed: ClassVar = {"sources": ("sources",)}
    outside_identity: ClassVar = ("warn_share",)
    rules: ClassVar = ("exact_duplicate",)
    instead: ClassVar = ("exact_duplicate_of",)

    @property
    def reads(self) -> Reads:
        return {"dedup.exact": ("exact_duplicate_of",), **({"ingest": ("source",)} if self.sources else {})}

    def table(self) -> dict[str, pl.Expr]:
        return {"exact_duplicate": pl.col("exact_duplicate_of").is_not_null() & judged(self.sources)}

    def tell(self, run: Finished) -> Told:
        return removal_told(run, self.name.removesuffix(".gate"), self.warn_share)
