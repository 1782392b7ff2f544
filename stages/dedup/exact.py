"""Groups documents whose texts are the same bytes, and keeps one of each group.

The survivor is a held-out document where the group has one (so that no copy of a held-out text stays in the corpus),
else the document with the smallest draw: no crawl, file or worker is preferred, and order does not matter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer
from gristmill.pipeline.contract.state import write_parquet
from gristmill.stages.dedup.sources import SourceDedup, judged

SALT = "dedup"  # near-duplicates use the same draw, so the same document survives in both


@dataclass(frozen=True)
class ExactGroups(Reducer):
    """Groups documents by text_hash into duplicates.parquet: doc_id, duplicate_of, exact_copies_n, sorted by doc_id.

    Only members of groups of two and more are listed; duplicate_of is null for the survivor. Two passes: the first
    holds 8 bytes per document to find repeated hashes, the second the documents that have them.
    """

    name: ClassVar = "dedup.exact"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text_hash",), "dedup.references": ("is_held_out",)}
    needs: ClassVar = ()

    def run(self, corpus: Corpus, out: Path) -> None:
        repeated = _repeated([_prefixes(batch["text_hash"]) for batch in corpus.batches()])
        members = [
            batch.filter(_contains(repeated, _prefixes(batch["text_hash"])))
            .select("doc_id", "text_hash", "is_held_out")
            .with_columns(key=key64(batch["doc_id"], SALT)[_contains(repeated, _prefixes(batch["text_hash"]))])
            for batch in corpus.batches()
        ]
        write_parquet(out / "duplicates.parquet", _groups(members).to_arrow())


def _prefixes(hashes: pl.Series) -> np.ndarray:
    """(n,) uint64: the first 60 bits of each hash, enough to set candidates apart cheaply."""
    return hashes.str.slice(0, 15).str.to_integer(base=16, dtype=pl.Int64).cast(pl.UInt64).to_numpy()


def _repeated(prefixes: list[np.ndarray]) -> np.ndarray:
    """Sorted values that occur more than once."""
    ordered = np.concatenate(prefixes) if prefixes else np.zeros(0, np.uint64)
    ordered.sort()
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _contains(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n,) bool: which values are in `ordered`."""
    if not ordered.size:
        return np.zeros(values.size, bool)
    place = np.minimum(np.searchsorted(ordered, values), ordered.size - 1)
    return ordered[place] == values


def _groups(members: list[pl.DataFrame]) -> pl.DataFrame:
    """The artifact from doc_id, text_hash, is_held_out, key of the candidates."""
    if not members:
        members = [
            pl.DataFrame(
                schema={"doc_id": pl.String, "text_hash": pl.String, "is_held_out": pl.Boolean, "key": pl.UInt64}
            )
        ]
    ranked = pl.concat(members).sort(
        "text_hash", "is_held_out", "key", "doc_id", descending=[False, True, False, False]
    )
    return (
        ranked.with_columns(
            first=pl.col("doc_id").first().over("text_hash"),
            exact_copies_n=pl.len().over("text_hash").cast(pl.Int64),
        )
        .filter(pl.col("exact_copies_n") > 1)
        .select(
            "doc_id",
            pl.when(pl.col("first") != pl.col("doc_id")).then("first").alias("duplicate_of"),
            "exact_copies_n",
        )
        .sort("doc_id")
    )


@dataclass(frozen=True)
class ExactDuplicates(Annotator):
    """Which document each exact duplicate repeats, and how many documents share its text."""

    name: ClassVar = "dedup.exact"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ()}
    writes: ClassVar = ("exact_duplicate_of", "exact_copies_n")
    needs: ClassVar = ("dedup.exact",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        groups = pl.read_parquet(artifacts["dedup.exact"] / "duplicates.parquet", glob=False)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            return (
                batch.select("doc_id")
                .join(groups, on="doc_id", how="left", maintain_order="left")
                .select(
                    "doc_id",
                    pl.col("duplicate_of").alias("exact_duplicate_of"),
                    pl.col("exact_copies_n").fill_null(1),
                )
            )

        return annotate


@dataclass(frozen=True)
class ExactGate(Gate):
    """Drops all but one of the documents with the same text."""

    sources: tuple[SourceDedup, ...] = ()  # of the list `sources`
    name: ClassVar = "dedup.exact.gate"
    version: ClassVar = 1
    borrowed: ClassVar = {"sources": ("sources",)}
    rules: ClassVar = ("exact_duplicate",)

    @property
    def reads(self) -> Reads:
        return {"dedup.exact": ("exact_duplicate_of",), **({"ingest": ("source",)} if self.sources else {})}

    def table(self) -> dict[str, pl.Expr]:
        return {"exact_duplicate": pl.col("exact_duplicate_of").is_not_null() & judged(self.sources)}
