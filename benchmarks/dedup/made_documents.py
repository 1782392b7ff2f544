"""Documents that are only signatures, with planted groups: what benchmarks/dedup/grouping.py runs.

Of every 1,000 documents 50 are exact copies in pairs, 300 are in groups of near-duplicates (of 3 on average, over all
parts), one is a link of one long chain of shared bands, one has the band key of all its like and no text in common with
any of them; the others are alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.columns import REJECTED
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Part, Reads, Reducer, Source
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.kernels.numbers.minhash import to_binary
from gristmill.stages.dedup import Components, NearDuplicates

BANDS, BYTES = 14, 112
ALONE, EXACT, GROUP, CHAIN, KEY = range(5)


def mixed(values: np.ndarray) -> np.ndarray:
    """Splitmix64 of uint64 values."""
    with np.errstate(over="ignore"):
        z = values * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def kinds(numbers: np.ndarray) -> np.ndarray:
    c = numbers % 1000
    return np.select([c == 7, c == 11, c % 20 == 3, c >= 700], [CHAIN, KEY, EXACT, GROUP], ALONE)


def groups(numbers: np.ndarray, documents: int) -> np.ndarray:
    """Number of a document's group; meant for documents of the kind GROUP."""
    return (mixed(numbers.astype(np.uint64)) % np.uint64(max(1, documents // 10))).astype(np.int64)


def signatures(numbers: np.ndarray, documents: int) -> pl.Series:
    kind = kinds(numbers)
    own = numbers.astype(np.uint64)
    of_group = np.uint64(1 << 50) + groups(numbers, documents).astype(np.uint64)
    base = np.where(
        kind == GROUP, of_group, np.where(kind == EXACT, own // np.uint64(40) * np.uint64(40) + np.uint64(3), own)
    )
    keys = mixed(base[:, None] * np.uint64(64) + np.arange(BANDS, dtype=np.uint64))
    link = (numbers // 1000).astype(np.uint64)  # of the chain
    keys[:, 0] = np.where(kind == CHAIN, mixed(np.uint64(1 << 61) + link // np.uint64(2)), keys[:, 0])
    keys[:, 1] = np.where(kind == CHAIN, mixed(np.uint64(1 << 62) + (link + np.uint64(1)) // np.uint64(2)), keys[:, 1])
    keys[:, 5] = np.where(kind == KEY, np.uint64(0x5555555555555555), keys[:, 5])
    alike = np.where(kind == CHAIN, np.uint64(1 << 51), base)
    prints = mixed(alike[:, None] * np.uint64(64) + np.arange(32, 32 + BYTES // 8, dtype=np.uint64))
    packed = np.hstack([keys.astype("<u8").view(np.uint8), prints.astype("<u8").view(np.uint8)])
    return to_binary(packed, np.ones(numbers.size, bool))


def hexadecimal(numbers: np.ndarray, salt: str) -> pl.Series:
    """32 hexadecimal digits per number, different for different numbers and salts."""
    seed = np.frombuffer(hashlib.blake2b(salt.encode(), digest_size=8).digest(), "<u8")
    halves = [mixed(numbers.astype(np.uint64) ^ mixed(seed + np.uint64(i))) for i in range(2)]
    data = np.ascontiguousarray(np.stack(halves, axis=1).astype("<u8")).view(np.uint8)
    return to_binary(data, np.ones(numbers.size, bool)).bin.encode("hex")


@dataclass(frozen=True)
class Made(Source):
    """Numbers as documents."""

    documents: int = 1_000_000
    part_documents: int = 20_000
    crawl: str = ""  # of another name: the same signatures on other documents with other texts
    name: ClassVar = "ingest"
    version: ClassVar = 1
    writes: ClassVar = ("url", "dump", "record_bytes", "text_bytes", "text_hash")

    def parts(self) -> list[Part]:
        starts = range(0, self.documents, self.part_documents)
        return [
            Part(
                f"made-{a:012d}",
                f"made://{a}",
                f"{self.crawl}made-{a}",
                a,
                min(self.documents, a + self.part_documents),
                "",
            )
            for a in starts
        ]

    def run(self, part: Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        numbers = np.arange(part.start, part.end)
        text = np.where(kinds(numbers) == EXACT, numbers // 40 * 40 + 3, numbers)
        frame = pl.DataFrame(
            {
                "doc_id": hexadecimal(numbers, f"{self.crawl}"),
                "url": numbers.astype(str),
                "dump": pl.Series([None] * numbers.size, dtype=pl.String),
                "record_bytes": pl.Series([1] * numbers.size, dtype=pl.Int64),
                "text_bytes": pl.Series([1] * numbers.size, dtype=pl.Int64),
                "text_hash": hexadecimal(text, f"text{self.crawl}"),
            }
        )
        return frame, pl.DataFrame(REJECTED.empty_table())


@dataclass(frozen=True)
class NoReferences(Reducer):
    """No given text."""

    name: ClassVar = "dedup.references"
    version: ClassVar = 1
    reads: ClassVar = {}

    def run(self, corpus: Corpus, out: Path) -> None:
        schema = {"doc_id": pl.String, "text": pl.String, "language": pl.String, "is_held_out": pl.Boolean}
        write_parquet(out / "texts.parquet", pl.DataFrame(schema=schema).to_arrow())


@dataclass(frozen=True)
class NoFlags(Annotator):
    """No document is held out."""

    name: ClassVar = "dedup.references"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ()}
    writes: ClassVar = ("is_held_out",)

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda batch: batch.select("doc_id", is_held_out=pl.lit(False))


def signed(batch: pl.DataFrame, documents: int) -> pl.DataFrame:
    """The batch with signatures; given texts have theirs."""
    if "minhash" in batch.columns:
        return batch
    return batch.with_columns(signatures(batch["url"].cast(pl.Int64).to_numpy(), documents))


@dataclass(frozen=True)
class MadeSignatures(Annotator):
    """The planted signatures."""

    documents: int = 1_000_000
    name: ClassVar = "dedup.signatures"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("url",)}
    writes: ClassVar = ("minhash",)

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda batch: signed(batch, self.documents).select("doc_id", "minhash")


@dataclass(frozen=True)
class MadeComponents(Components):
    """Components of the planted signatures, which are made where they are read: they take no disk."""

    documents: int = 1_000_000

    @property
    def reads(self) -> Reads:
        return {"ingest": ("url",)}

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        return super().scatter(signed(batch, self.documents))


@dataclass(frozen=True)
class MadeNear(NearDuplicates):
    """The election by the planted signatures, made where they are read."""

    documents: int = 1_000_000

    @property
    def reads(self) -> Reads:
        return {dataset: columns for dataset, columns in super().reads.items() if dataset != "dedup.signatures"}

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        return super().scatter(signed(batch.drop_nulls("minhash_component"), self.documents))
