"""Near-duplicates: in a component the documents are elected in the order of survival, and one of each cluster stays.

Defaults are FineWeb's (arXiv:2406.17557, sec. 3.4): word 5-grams, 14 bands of 8 values, so two documents with
Jaccard similarity s meet with probability 1 - (1 - s^8)^14: 0.5 at s = 0.69, 0.92 at s = 0.8.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.classifiers.hosts import hosts_of
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Share
from gristmill.pipeline.contract.shapes import Artifacts, Grouping, Part, PolarsType, Reads
from gristmill.pipeline.kernels.numbers.minhash import elect, from_binary, matching, similarity, to_binary
from gristmill.pipeline.kernels.numbers.shingle_sets import elect_exact, jaccards
from gristmill.stages.dedup.audit import AUDIT, audit_told, audited
from gristmill.stages.dedup.components import firsts, known_documents, shared
from gristmill.stages.dedup.exact import WHERE
from gristmill.stages.dedup.index.segments import NO_INDEX, Across, older_segments
from gristmill.stages.dedup.minhash import SCHEME, Scheme, given_documents, packed
from gristmill.stages.dedup.repeats import IndexedGate
from gristmill.stages.dedup.streamed import Streamed
from gristmill.stages.dedup.survival import (
    KEEP,
    Preference,
    asked,
    check_kinds,
    joined,
    names,
    read_for,
    types,
    unpacked,
)

DUP = ("dup_hosts", "dup_dumps")  # of all documents of a cluster, at the one that stays
HOSTS = 100  # names that a document's dup_hosts holds at most; dup_hosts_n counts all


@dataclass(frozen=True)
class Verified:
    """What the stage takes from the section `dedup`."""

    verify: bool = False


BY_SIGNATURE = Verified()


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
    verified: Verified = BY_SIGNATURE  # whether texts are compared, or signatures
    across: Across = NO_INDEX  # where the index lies
    older: tuple[str, ...] = ()  # segments of the index that the documents are compared with
    name: ClassVar = "dedup.minhash"
    version: ClassVar = 3
    needs: ClassVar = ("dedup.references",)
    borrowed: ClassVar = {"verified": ("dedup",), "across": ("dedup",), "older": ()}
    outside_identity: ClassVar = ("across",)
    settles: ClassVar = ("exact_copies_n", *WHERE)
    meets: ClassVar = True

    def __post_init__(self) -> None:
        if self.verified.verify and self.min_similarity is None:
            raise ConfigError(
                "dedup.verify: true compares the texts of two documents with dedup.minhash.min_similarity, which is "
                "null; give it a similarity, e.g. 0.7, or leave verify out"
            )

    def preflight(self) -> None:
        check_kinds(self.keep, f"{self.name}.keep")

    @property
    def reads(self) -> Reads:
        own = {
            "dedup.components": ("minhash_component", *(("minhash_known",) if self.older else ())),
            "dedup.signatures": ("minhash",),
            "dedup.references": ("is_held_out",),
            "dedup.exact": ("exact_copies_n", *WHERE),
            "ingest": ("url", "dump", *(("text",) if self.verified.verify else ())),
        }
        return read_for(self.keep, own)

    @property
    def writes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return (*self.returns, "dup_hosts_n")

    @property
    def scatters(self) -> dict[str, PolarsType]:
        own = {
            "doc_id": pl.String,
            "exact_copies_n": pl.Int64,
            "fingerprint": pl.Binary,
            **dict.fromkeys(DUP, pl.String),
        }
        return {**({"is_new": pl.Boolean} if self.older else {}), **types(self.keep), **own}

    @property
    def order(self) -> tuple[str, ...]:
        return (*(("is_new",) if self.older else ()), *names(self.keep), "doc_id")

    @property
    def returns(self) -> dict[str, PolarsType]:  # pyright: ignore[reportIncompatibleVariableOverride]
        own: dict[str, PolarsType] = {
            "near_duplicate_of": pl.String,
            "near_similarity": pl.Float64,
            "minhash_cluster_size": pl.Int64,
        }
        own |= dict.fromkeys(DUP, pl.String)
        return {**own, **({"near_duplicate_older": pl.Boolean} if self.older else {})}

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> "NearDuplicates":
        return replace(self, older=older_segments(self.across.index, parts, before, earlier))

    def extra(self, artifacts: Artifacts) -> pl.DataFrame:
        nothing = [pl.lit(None, pl.Int64).alias(p.column.rpartition(".")[2]) for p in self.keep]
        where = [pl.lit(None, pl.String).alias(name) for name in ("url", "dump", *WHERE)]
        return given_documents(self.scheme, artifacts).with_columns(nothing).with_columns(where)

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("minhash_component")
        fingerprint = fingerprints(self.scheme, self.verified, batch).alias("fingerprint")
        key = pl.col("minhash_component").alias("key")
        rows = (
            batch.select(key, "node", "doc_id", "exact_copies_n")
            .hstack(asked(batch, self.keep))
            .hstack(batch.select(_places(batch)))
            .with_columns(fingerprint)
        )
        if not self.older:
            return rows
        known = known_documents(batch.select("minhash_component", "node", "minhash_known")).drop_nulls("doc_id")
        known = known.select(
            "doc_id", "node", "fingerprint", *unpacked("order", self.keep),
            key="minhash_component", exact_copies_n=pl.lit(0, pl.Int64), is_new=pl.lit(False),
            **{name: pl.lit(None, pl.String) for name in DUP},
        )  # fmt: skip
        rows = rows.with_columns(is_new=pl.lit(True))
        return pl.concat([rows, known.select(rows.columns)])

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        stay = ~rows["is_new"].to_numpy() if self.older else np.zeros(rows.height, bool)
        standing, alike = self._standing(rows, stay)
        known = {"near_duplicate_older": pl.Series(stay[standing])} if self.older else {}
        of = rows["doc_id"].gather(standing).alias("of")
        return self._told(
            rows.select("node", "doc_id", "exact_copies_n", *DUP)
            .with_columns(of, pl.Series("standing", standing), pl.Series("near_similarity", alike), **known)
            .filter(pl.Series(shared(standing)))
            .with_columns(pl.col("exact_copies_n").sum().over("standing").alias("minhash_cluster_size"))
            .with_columns(joined(name).over("standing") for name in DUP)
        )

    def gather_long(self, rows: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        elected = Streamed(DUP)
        for frame in rows():
            both = pl.concat([elected.leaders, frame]) if elected.leaders is not None else frame
            stay = np.arange(both.height) < both.height - frame.height
            if self.older:
                stay |= ~both["is_new"].to_numpy()
            elected.add(both, frame.height, self._standing(both, stay)[0])
        for frame, places in zip(rows(), elected.places, strict=True):
            yield from self._of_leaders(frame, places, elected)

    def _of_leaders(self, frame: pl.DataFrame, places: np.ndarray, elected: "Streamed") -> Iterator[pl.DataFrame]:
        """What comes back to the rows of a frame that a leader with others stands for."""
        leaders = elected.leaders
        met = np.flatnonzero(elected.members[places] > 1)
        if leaders is None or not met.size:
            return
        of = places[met]
        both = pl.concat([leaders, frame[met]])
        to = np.concatenate([np.arange(leaders.height), of])
        alike = self._alike(both, to)[leaders.height :]
        known = {"near_duplicate_older": ~leaders["is_new"].gather(of)} if self.older else {}
        yield self._told(
            frame[met]
            .select("node", "doc_id", "exact_copies_n")
            .with_columns(
                leaders["doc_id"].gather(of).alias("of"),
                pl.Series("near_similarity", alike),
                pl.Series("minhash_cluster_size", elected.copies[of]),
                *(pl.Series(name, elected.lines(name, of), dtype=pl.String) for name in DUP),
                **known,
            )
        )

    def _told(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What comes back of documents of which each has `of`, the one that stands for it, and what its cluster has."""
        repeats = pl.col("of") != pl.col("doc_id")
        if self.older:  # a record that an older run read, too, has the same doc_id
            repeats |= pl.col("near_duplicate_older")
        return rows.filter(pl.col("exact_copies_n") > 0).select(
            "node",
            pl.when(repeats).then("of").alias("near_duplicate_of"),
            pl.when(repeats).then("near_similarity").alias("near_similarity"),
            "minhash_cluster_size",
            *(pl.when(~repeats).then(name).alias(name) for name in DUP),
            *(["near_duplicate_older"] if self.older else []),
        )

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        size = pl.col("minhash_cluster_size").fill_null(pl.col("exact_copies_n"))
        older = [pl.col("near_duplicate_older").fill_null(False)] if self.older else []
        stays = pl.col("near_duplicate_of").is_null()
        lines = [pl.when(stays).then(pl.coalesce(*both)).str.split("\n") for both in zip(DUP, WHERE, strict=True)]
        n = lines[0].list.len().cast(pl.Int64)
        return batch.select(
            "doc_id", "near_duplicate_of", "near_similarity", size, *older,
            dup_hosts_n=n, dup_hosts=lines[0].list.head(HOSTS), dup_dumps=lines[1],
        )  # fmt: skip

    def papers(self, run: Finished) -> dict[str, object]:
        return {AUDIT: audited(run, self.name, self.scheme.jaccard)}

    def tell(self, run: Finished) -> Told:
        return audit_told(run, self.name)

    def _standing(self, rows: pl.DataFrame, stay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the row that stands for each, and (n,) the similarity to it."""
        standing = firsts(rows["key"].to_numpy())
        if self.verified.verify:
            hashes, offsets = _sets(rows)
            standing = elect_exact(standing, hashes, offsets, float(self.min_similarity or 0.0), stay)
        elif self._min_matching():
            standing = elect(standing, self._prints(rows), self._min_matching(), stay)
        standing[stay] = np.flatnonzero(stay)
        return standing, self._alike(rows, standing)

    def _alike(self, rows: pl.DataFrame, standing: np.ndarray) -> np.ndarray:
        """(n,) similarity of each row to the one that stands for it: estimated; verified: exact, of the shingles."""
        if self.verified.verify:
            return jaccards(*_sets(rows), standing)
        values = self.scheme.bands * self.scheme.rows
        return np.clip(similarity(matching(self._prints(rows), standing), values), 0, 1)

    def _prints(self, rows: pl.DataFrame) -> np.ndarray:
        return from_binary(rows["fingerprint"], self.scheme.bands * self.scheme.rows)

    def _min_matching(self) -> int:
        """Fingerprint bytes that must agree with the survivor; 0 where none need."""
        if self.min_similarity is None:
            return 0
        values = self.scheme.bands * self.scheme.rows
        return ceil(values * (self.min_similarity * (1 - 1 / 256) + 1 / 256) - 1e-9)


def _sets(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The shingles' hashes of all rows, and (n + 1,) where each row's begin."""
    offsets = np.concatenate([[0], np.cumsum(rows["fingerprint"].bin.size().to_numpy() // 8)]).astype(np.int64)
    return np.frombuffer(b"".join(rows["fingerprint"].to_list()), "<u8").astype(np.uint64), offsets


def _places(batch: pl.DataFrame) -> list[pl.Expr]:
    """DUP of each document with its exact copies, as lines."""
    host = hosts_of(batch["url"].cast(pl.String))
    return [pl.coalesce("exact_hosts", host).alias("dup_hosts"), pl.coalesce("exact_dumps", "dump").alias("dup_dumps")]


def fingerprints(scheme: Scheme, verified: Verified, batch: pl.DataFrame) -> pl.Series:
    """Binary per row of `batch`: a byte of every value of its signature; verified: its text's shingles' hashes."""
    if verified.verify:
        return pl.Series([hashes.astype("<u8").tobytes() for hashes in scheme.sets(batch["text"])], dtype=pl.Binary)
    prints = np.ascontiguousarray(packed(scheme, batch["minhash"])[:, 8 * scheme.bands :])
    return to_binary(prints, np.ones(batch.height, bool))


@dataclass(frozen=True)
class NearGate(IndexedGate):
    """Drops all but one of a cluster of near-duplicates."""

    name: ClassVar = "dedup.minhash.gate"
    version: ClassVar = 1
    rules: ClassVar = ("near_duplicate_of_older", "near_duplicate")
    instead: ClassVar = ("near_duplicate_of", "near_similarity")
    older_column: ClassVar = "near_duplicate_older"
