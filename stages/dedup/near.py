"""Near-duplicates: in a component the documents are elected in the order of survival, and one of each cluster stays.

Defaults are FineWeb's (arXiv:2406.17557, sec. 3.4): word 5-grams, 14 bands of 8 values, so two documents with
Jaccard similarity s meet with probability 1 - (1 - s^8)^14: 0.5 at s = 0.69, 0.92 at s = 0.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.ranges import Share
from gristmill.pipeline.contract.shapes import Artifacts, Gate, Grouping, Part, PolarsType, Reads
from gristmill.pipeline.kernels.numbers.minhash import elect, from_binary, matching, similarity, to_binary
from gristmill.stages.dedup.audit import AUDIT, audit_told, audited, removal_told
from gristmill.stages.dedup.components import firsts, known_documents, shared
from gristmill.stages.dedup.index.segments import NO_INDEX, Across, older_segments
from gristmill.stages.dedup.minhash import SCHEME, Scheme, given_documents, packed
from gristmill.stages.dedup.sources import SourceDedup, judged
from gristmill.stages.dedup.survival import KEEP, Preference, asked, names, read_for, types, unpacked


@dataclass(frozen=True)
class NearDuplicates(Grouping):
    """Which document each near-duplicate repeats, and how many documents its cluster holds, exact copies too.

    The documents of a component meet; in the order of survival each joins the first one that stays and is alike, or
    stays itself. Those that stayed in older runs of the index come first, and stay.
    """

    scheme: Scheme = SCHEME  # the one of dedup.signatures
    # Documents that meet in a band form chains: a like b, b like c. Of such a set a document leaves only if its
    # estimated similarity to one that stays reaches this; None takes the whole chain for one, as FineWeb does.
    # The estimate's standard error is at most 0.05.
    min_similarity: Share | None = 0.6
    # Which copy stays: a held-out one, then by these columns in turn ({column: ingest.text_bytes, prefer: large}, or
    # order: [words, best first]), then the smallest draw. By default: freest licence, longest text, earliest capture.
    keep: tuple[Preference, ...] = KEEP
    across: Across = NO_INDEX
    older: tuple[str, ...] = ()  # segments of the index that the documents are compared with
    name: ClassVar = "dedup.minhash"
    version: ClassVar = 2
    needs: ClassVar = ("dedup.references",)
    borrowed: ClassVar = {"across": ("dedup",), "older": ()}
    outside_identity: ClassVar = ("across",)
    settles: ClassVar = ("exact_copies_n",)

    @property
    def reads(self) -> Reads:
        own = {
            "dedup.components": ("minhash_component", *(("minhash_known",) if self.older else ())),
            "dedup.signatures": ("minhash",),
            "dedup.references": ("is_held_out",),
            "dedup.exact": ("exact_copies_n",),
        }
        return read_for(self.keep, own)

    @property
    def writes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(self.returns)

    @property
    def scatters(self) -> dict[str, PolarsType]:
        own = {"doc_id": pl.String, "exact_copies_n": pl.Int64, "fingerprint": pl.Binary}
        return {**({"is_new": pl.Boolean} if self.older else {}), **types(self.keep), **own}

    @property
    def order(self) -> tuple[str, ...]:
        return (*(("is_new",) if self.older else ()), *names(self.keep), "doc_id")

    @property
    def returns(self) -> dict[str, PolarsType]:  # pyright: ignore[reportIncompatibleVariableOverride]
        own = {"near_duplicate_of": pl.String, "near_similarity": pl.Float64, "minhash_cluster_size": pl.Int64}
        return {**own, **({"near_duplicate_older": pl.Boolean} if self.older else {})}

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> "NearDuplicates":
        return replace(self, older=older_segments(self.across.index, parts, before, earlier))

    def extra(self, artifacts: Artifacts) -> pl.DataFrame:
        nothing = [pl.lit(None, pl.Int64).alias(p.column.rpartition(".")[2]) for p in self.keep]
        return given_documents(self.scheme, artifacts).with_columns(nothing)

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("minhash_component")
        prints = fingerprints(self.scheme, batch["minhash"])
        fingerprint = to_binary(prints, np.ones(batch.height, bool)).alias("fingerprint")
        key = pl.col("minhash_component").alias("key")
        rows = (
            batch.select(key, "node", "doc_id", "exact_copies_n")
            .hstack(asked(batch, self.keep))
            .with_columns(fingerprint)
        )
        if not self.older:
            return rows
        known = known_documents(batch.select("minhash_component", "node", "minhash_known")).drop_nulls("doc_id")
        known = known.select(
            "doc_id", "node", "fingerprint", *unpacked("order", self.keep),
            key="minhash_component", exact_copies_n=pl.lit(0, pl.Int64), is_new=pl.lit(False),
        )  # fmt: skip
        rows = rows.with_columns(is_new=pl.lit(True))
        return pl.concat([rows, known.select(rows.columns)])

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        standing = firsts(rows["key"].to_numpy())
        values, order = self.scheme.bands * self.scheme.rows, np.arange(rows.height)
        prints = from_binary(rows["fingerprint"], values)
        stay = ~rows["is_new"].to_numpy() if self.older else np.zeros(rows.height, bool)
        if self._min_matching():
            standing = elect(standing, order, prints, order, self._min_matching(), stay)
        standing[stay] = order[stay]
        alike = np.clip(similarity(matching(prints, standing), values), 0, 1)
        repeats = pl.col("of") != pl.col("doc_id")
        known = {"near_duplicate_older": pl.Series(stay[standing])} if self.older else {}
        if self.older:  # a record that an older run read, too, has the same doc_id
            repeats |= pl.col("near_duplicate_older")
        of = rows["doc_id"].gather(standing).alias("of")
        return (
            rows.select("node", "doc_id", "exact_copies_n")
            .with_columns(of, pl.Series("standing", standing), pl.Series("alike", alike), **known)
            .with_columns(minhash_cluster_size=pl.col("exact_copies_n").sum().over("standing"))
            .filter(pl.Series(shared(standing)) & (rows["exact_copies_n"] > 0))
            .select(
                "node",
                pl.when(repeats).then("of").alias("near_duplicate_of"),
                pl.when(repeats).then("alike").alias("near_similarity"),
                "minhash_cluster_size",
                *known,
            )
        )

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        size = pl.col("minhash_cluster_size").fill_null(pl.col("exact_copies_n"))
        older = [pl.col("near_duplicate_older").fill_null(False)] if self.older else []
        return batch.select("doc_id", "near_duplicate_of", "near_similarity", size, *older)

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


def fingerprints(scheme: Scheme, signatures: pl.Series) -> np.ndarray:
    """(n, bands * rows) uint8: a byte of every value of packed signatures."""
    return np.ascontiguousarray(packed(scheme, signatures)[:, 8 * scheme.bands :])


@dataclass(frozen=True)
class NearGate(Gate):
    """Drops all but one of a cluster of near-duplicates."""

    sources: tuple[SourceDedup, ...] = ()  # of the list `sources`
    warn_share: Share = 0.5  # the report warns where more of one source's documents leave
    across: Across = NO_INDEX
    older: tuple[str, ...] = ()
    name: ClassVar = "dedup.minhash.gate"
    version: ClassVar = 1
    borrowed: ClassVar = {"sources": ("sources",), "across": ("dedup",), "older": ()}
    outside_identity: ClassVar = ("warn_share", "across")
    rules: ClassVar = ("near_duplicate_of_older", "near_duplicate")
    instead: ClassVar = ("near_duplicate_of", "near_similarity")

    @property
    def reads(self) -> Reads:
        return {
            "dedup.minhash": (
                "near_duplicate_of",
                "near_similarity",
                *(("near_duplicate_older",) if self.older else ()),
            ),
            **({"ingest": ("source",)} if self.sources else {}),
        }

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> "NearGate":
        return replace(self, older=older_segments(self.across.index, parts, before, earlier))

    def table(self) -> dict[str, pl.Expr]:
        repeats = pl.col("near_duplicate_of").is_not_null() & judged(self.sources)
        older = {"near_duplicate_of_older": repeats & pl.col("near_duplicate_older")} if self.older else {}
        return {**older, "near_duplicate": repeats}

    def tell(self, run: Finished) -> Told:
        return removal_told(run, self.name.removesuffix(".gate"), self.warn_share)
