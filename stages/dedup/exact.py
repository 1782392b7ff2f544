"""Groups documents whose texts are the same bytes, and keeps one of each group (stages/dedup/survival.py)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.classifiers.hosts import hosts_of
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.shapes import NOWHERE, Grouping, Part, PolarsType, Reads
from gristmill.stages.dedup.index.segments import NO_INDEX, Across, Segments, older_segments
from gristmill.stages.dedup.repeats import IndexedGate
from gristmill.stages.dedup.survival import (
    KEEP,
    Preference,
    asked,
    check_kinds,
    joined,
    lines_of,
    names,
    read_for,
    text_of,
    types,
)

HASH_BYTES = 16  # blake2b-128
WHERE = ("exact_hosts", "exact_dumps")  # of all documents with a text, at the one that stays


@dataclass(frozen=True)
class ExactDuplicates(Grouping):
    """Which document each exact duplicate repeats, and how many documents share its text.

    Documents meet by the first half of their text_hash and are compared by the whole; 115 bytes per document travel.
    """

    # Which copy stays: a held-out one, then by these columns in turn ({column: ingest.text_bytes, prefer: large}, or
    # order: [words, best first]), then the smallest draw. By default: freest licence, longest text, earliest capture.
    keep: tuple[Preference, ...] = KEEP
    across: Across = NO_INDEX  # where the index lies
    older: tuple[str, ...] = ()  # segments of the index that the documents are compared with
    name: ClassVar = "dedup.exact"
    version: ClassVar = 3
    borrowed: ClassVar = {"across": ("dedup",), "older": ()}
    outside_identity: ClassVar = ("across",)
    meets: ClassVar = True

    @property
    def writes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(self.returns)

    @property
    def returns(self) -> dict[str, PolarsType]:  # pyright: ignore[reportIncompatibleVariableOverride]
        own = {"exact_duplicate_of": pl.String, "exact_copies_n": pl.Int64, **dict.fromkeys(WHERE, pl.String)}
        return {**own, **({"exact_duplicate_older": pl.Boolean} if self.older else {})}

    @property
    def reads(self) -> Reads:
        return read_for(self.keep, {"ingest": ("text_hash", "url", "dump"), "dedup.references": ("is_held_out",)})

    @property
    def scatters(self) -> dict[str, PolarsType]:
        is_new = {"is_new": pl.Boolean} if self.older else {}
        return {"rest": pl.UInt64, **is_new, **types(self.keep), "doc_id": pl.String, **dict.fromkeys(WHERE, pl.String)}

    @property
    def order(self) -> tuple[str, ...]:
        return ("rest", *(("is_new",) if self.older else ()), *names(self.keep), "doc_id")

    def preflight(self) -> None:
        check_kinds(self.keep, f"{self.name}.keep")

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> "ExactDuplicates":
        return replace(self, older=older_segments(self.across.index, parts, before, earlier))

    def known(self, low: int, high: int) -> Iterator[pl.DataFrame]:
        first = [pl.lit(0).cast(dtype).alias(name) for name, dtype in types(self.keep).items()]
        nowhere = [pl.lit(None, pl.String).alias(name) for name in WHERE]
        for rows in Segments(self.across.index or "", self.older).rows("texts", low, high):
            yield rows.with_columns(*first, *nowhere, node=pl.lit(NOWHERE, pl.UInt64), is_new=pl.lit(False))

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        halves = halves_of(batch["text_hash"])
        hashed = {"key": halves[:, 0], "rest": halves[:, 1]}
        rows = (
            batch.select("doc_id", "node", exact_hosts=hosts_of(batch["url"]), exact_dumps="dump")
            .hstack(asked(batch, self.keep))
            .with_columns(**{k: pl.Series(v) for k, v in hashed.items()})
        )
        return rows.with_columns(is_new=pl.lit(True)) if self.older else rows

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        mine = pl.col("is_new") if self.older else pl.lit(True)
        known = (~mine).any().over("key", "rest")
        groups = rows.with_columns(
            exact_copies_n=(mine.sum() if self.older else pl.len()).over("key", "rest").cast(pl.Int64),
            first=pl.col("doc_id").first().over("key", "rest"),
            **({"exact_duplicate_older": known} if self.older else {}),
        )
        met = pl.col("exact_copies_n") > 1
        repeats = pl.col("first") != pl.col("doc_id")
        if self.older:  # a record that an older run read, too, has the same doc_id
            met, repeats = mine & (met | pl.col("exact_duplicate_older")), repeats | pl.col("exact_duplicate_older")
        of = pl.when(repeats).then("first").alias("exact_duplicate_of")
        groups = groups.filter(met)
        stays = [pl.when(~repeats).then(joined(name).over("key", "rest")).alias(name) for name in WHERE]
        return groups.with_columns(of, *stays).select("node", *self.returns)

    def gather_long(self, rows: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        texts: dict[int, Sums] = {}
        for frame in rows():
            for (rest,), some in frame.group_by("rest", maintain_order=True):
                texts.setdefault(int(str(rest)), Sums(some["doc_id"][0], WHERE)).add(some, self.older)
        for frame in rows():
            for (rest,), some in frame.group_by("rest", maintain_order=True):
                text = texts[int(str(rest))]
                if text.copies < 2 and not text.known:
                    continue
                mine = some.filter("is_new") if self.older else some
                repeats = pl.lit(text.known) | (pl.col("doc_id") != text.first)
                known = {"exact_duplicate_older": pl.lit(text.known)} if self.older else {}
                yield mine.select(
                    "node",
                    pl.when(repeats).then(pl.lit(text.first)).alias("exact_duplicate_of"),
                    pl.lit(text.copies, pl.Int64).alias("exact_copies_n"),
                    *(pl.when(~repeats).then(pl.lit(text.lines(name), pl.String)).alias(name) for name in WHERE),
                    **known,
                )

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        older = [pl.col("exact_duplicate_older").fill_null(False)] if self.older else []
        return batch.select("doc_id", "exact_duplicate_of", pl.col("exact_copies_n").fill_null(1), *WHERE, *older)


class Sums:
    """What is known of the documents of a text that come in frames: the first, how many, and where they stood."""

    def __init__(self, first: str, where: Sequence[str]):
        self.first, self.copies, self.known = first, 0, False
        self.where: dict[str, set[str]] = {name: set() for name in where}

    def add(self, rows: pl.DataFrame, older: Sequence[str]) -> None:
        mine = int(rows["is_new"].sum()) if older else rows.height
        self.copies, self.known = self.copies + mine, self.known or mine < rows.height
        for name, found in self.where.items():
            found.update(lines_of(rows[name]))

    def lines(self, name: str) -> str | None:
        return text_of(self.where[name])


def halves_of(hashes: pl.Series) -> np.ndarray:
    """(n, 2) uint64: both halves of each hash. Raises DataError for one that is not of 128 bits in hex."""
    raw = hashes.str.decode("hex", strict=False)
    if raw.null_count() or bool((raw.bin.size() != HASH_BYTES).any()):
        raise DataError("dedup.exact: a text_hash is not 32 hexadecimal digits")
    return np.frombuffer(b"".join(raw), ">u8").reshape(-1, 2).astype(np.uint64)


@dataclass(frozen=True)
class ExactGate(IndexedGate):
    """Drops all but one of the documents with the same text."""

    name: ClassVar = "dedup.exact.gate"
    version: ClassVar = 1
    rules: ClassVar = ("exact_duplicate_of_older", "exact_duplicate")
    instead: ClassVar = ("exact_duplicate_of",)
    older_column: ClassVar = "exact_duplicate_older"
