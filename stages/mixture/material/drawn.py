"""What a search reads of the corpus, in passes: sizes of the buckets, candidates by their draws, then their texts.

A reading is a prefix of every bucket in the order of a draw, without what earlier readings had. So it lies in the
prefix that is longer by what those can have had, and of every bundle such a prefix is all that is needed. Where
QuaDMix's parameters are searched, the scores of a sample of every bucket stand for those of all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

import polars as pl

from gristmill.pipeline.contract.draws import key128
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.samples import drawn, drawn_sample, reaching, smallest, summed, tables_of, together
from gristmill.pipeline.contract.shapes import Corpus, Tables
from gristmill.stages.mixture.material.readings import Reading, any_held_out, length_of, reading

PROXY, LEFT_OUT = "proxy", "left out"
READ: Mapping[str, type[pl.DataType]] = {"reading": pl.Int32, "bucket": pl.String, "doc_id": pl.String}
SAMPLE = "quadmix"  # the salt of the stage quadmix: its tables are made of the same documents


@dataclass(frozen=True)
class Shares:
    """The fractions of every bucket that are read."""

    proxies: tuple[float, ...]  # by the search's proxies, all in one order
    left_out: float | None  # by the choice of the pull, of what the proxies do not read
    judge: float  # by each seed of the confirmation, of what none of those reads
    seeds: int

    def salts(self) -> dict[str, tuple[float, tuple[float, ...]]]:
        """Salt of a draw -> (fraction that is read in its order, fractions of what is passed over)."""
        most = max(self.proxies)
        found: dict[str, tuple[float, tuple[float, ...]]] = {PROXY: (most, ())}
        before = (most,)
        if self.left_out is not None:
            found[LEFT_OUT] = (self.left_out, before)
            before = (most, self.left_out)
        return found | {f"confirm/{seed}": (self.judge, before) for seed in range(self.seeds)}


@dataclass(frozen=True, eq=False)
class Readings:
    proxies: tuple[Reading, ...]
    left_out: Reading | None
    unread: tuple[Reading, ...]  # of the confirmation's seeds

    @property
    def all(self) -> tuple[Reading, ...]:
        return (*self.proxies, *(() if self.left_out is None else (self.left_out,)), *self.unread)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset[str]().union(*(r.ids for r in self.all))


def readings_of(docs: pl.DataFrame, shares: Shares, totals: pl.DataFrame) -> Readings:
    """docs: doc_id, bucket, token_count of all documents, or candidates; totals: as of `totals_of`."""
    if "salt" in docs.columns:
        found = docs.partition_by("salt", as_dict=True)
        by_salt = {salt: found[(salt,)] for salt in shares.salts()}
    else:
        by_salt = dict.fromkeys(shares.salts(), docs)

    def read(salt: str, share: float, seen: frozenset[str] = frozenset()) -> Reading:
        return reading(by_salt[salt], share, salt, totals, seen)

    proxies = tuple(read(PROXY, share) for share in shares.proxies)
    seen = frozenset[str]().union(*(r.ids for r in proxies))
    left_out = None if shares.left_out is None else read(LEFT_OUT, shares.left_out, seen)
    seen |= frozenset() if left_out is None else left_out.ids
    return Readings(proxies, left_out, tuple(read(f"confirm/{s}", shares.judge, seen) for s in range(shares.seeds)))


def read_table(read: Readings) -> pl.DataFrame:
    """reading (by its place among all), bucket, doc_id; in the order in which documents are read."""
    rows = [
        pl.DataFrame({"doc_id": ids}, {"doc_id": pl.String}).select(
            pl.lit(i).alias("reading"), pl.lit(b).alias("bucket"), "doc_id"
        )
        for i, one in enumerate(read.all)
        for b, ids in one.documents.items()
    ]
    return pl.concat(rows) if rows else pl.DataFrame(schema=READ)


def read_of(table: pl.DataFrame, shares: Shares, totals: pl.DataFrame) -> Readings:
    """The readings of such a table, whose shares and totals are those that they were made with."""
    documents: dict[int, dict[str, tuple[str, ...]]] = {}
    for i, bucket, ids in table.group_by("reading", "bucket", maintain_order=True).agg("doc_id").iter_rows():
        documents.setdefault(i, {})[bucket] = tuple(ids)
    sizes = dict(totals.iter_rows())
    left_out = () if shares.left_out is None else (shares.left_out,)
    fractions = (*shares.proxies, *left_out, *[shares.judge] * shares.seeds)
    found = [
        Reading(documents.get(i, {}), {b: length_of(fraction, sizes[b]) for b in documents.get(i, {})})
        for i, fraction in enumerate(fractions)
    ]
    n = len(shares.proxies)
    return Readings(tuple(found[:n]), found[n] if left_out else None, tuple(found[n + len(left_out) :]))


def sized(batch: pl.DataFrame) -> pl.DataFrame:
    """bucket, language, docs, token_count, longest, and two sums of keys that name the documents, modulo 2^64."""
    keys = key128(batch["doc_id"], "mixture")
    rows = batch.select(
        "bucket",
        "language",
        pl.lit(1, pl.Int64).alias("docs"),
        pl.col("token_count").cast(pl.Int64),
        pl.col("token_count").cast(pl.Int64).alias("longest"),
        pl.Series("low", keys[:, 0]),
        pl.Series("high", keys[:, 1]),
    )
    return sizes_of([rows])


def sizes_of(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Sizes of several batches or bundles as one."""
    return summed(frames, ("bucket", "language"), greatest=("longest",))


def by_bucket(sizes: pl.DataFrame) -> pl.DataFrame:
    """bucket, token_count, docs of the buckets that have tokens, sorted."""
    table = sizes.group_by("bucket").agg(pl.col("token_count", "docs").sum()).sort("bucket")
    return table.filter(pl.col("token_count") > 0)


def identity_of(sizes: pl.DataFrame) -> str:
    """Names the buckets by content, whatever the order of the documents, so that runs of this clustering are never
    taken for another's."""
    kept = by_bucket(sizes)["bucket"]
    sums = sizes.filter(pl.col("bucket").is_in(kept.implode())).group_by("bucket").agg(pl.col("low", "high").sum())
    members = "\n".join(f"{bucket}/{low:016x}{high:016x}" for bucket, low, high in sums.sort("bucket").iter_rows())
    return blake2b(members.encode(), digest_size=16).hexdigest()


def totals_of(sizes: pl.DataFrame) -> pl.DataFrame:
    """bucket, total: tokens with an end behind each document; of the buckets that have tokens."""
    return by_bucket(sizes).select("bucket", total=pl.col("token_count") + pl.col("docs"))


def candidates(frames: Iterable[pl.DataFrame], sizes: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    """Documents that a reading may have: salt, size, draw and limit beside the columns of the batches.

    frames: batches of doc_id, bucket, token_count and scores, or candidates of bundles.
    """
    longest = sizes.group_by("bucket").agg(pl.col("longest").max() + 1)
    totals = totals_of(sizes).join(longest, on="bucket")
    limits = pl.concat(
        totals.select(
            "bucket",
            salt=pl.lit(salt),
            limit=sum((pl.col("total") * f + pl.col("longest") for f in passed), pl.col("total") * fraction),
        )
        for salt, (fraction, passed) in shares.salts().items()
    )

    def drawn_by(batch: pl.DataFrame) -> pl.DataFrame:
        if "salt" in batch.columns:
            return batch
        sized = batch.with_columns(size=pl.col("token_count") + 1)
        # The 53 bits by which `uniform` orders.
        rows = [drawn(sized, salt).with_columns(pl.col("draw") // 2**11, salt=pl.lit(salt)) for salt in shares.salts()]
        return pl.concat(rows).join(limits, on=("bucket", "salt"))

    return reaching(map(drawn_by, frames), "size", pl.col("limit"), by=("salt", "bucket"))


def documents_of(found: pl.DataFrame) -> pl.DataFrame:
    """The candidates' own columns, sorted by doc_id."""
    return found.drop("salt", "size", "draw", "limit").unique("doc_id").sort("doc_id")


@dataclass(frozen=True, eq=False)
class TextRows(Mapping[str, str]):
    """doc_id -> text of some rows of a table: no text is held a second time."""

    texts: pl.Series
    rows: Mapping[str, int]

    def __getitem__(self, doc_id: str) -> str:
        return self.texts[self.rows[doc_id]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def texts_of(texts: pl.DataFrame, ids: frozenset[str]) -> TextRows:
    """doc_id -> text of those that are asked for."""
    return TextRows(texts["text"], {doc_id: i for i, doc_id in enumerate(texts["doc_id"]) if doc_id in ids})


@dataclass(frozen=True)
class Drawing:
    """The passes. language: columns that are read for it, and its expression; shares: by the sizes of the buckets."""

    columns: tuple[str, ...]
    language: pl.Expr
    shares: Callable[[pl.DataFrame], Shares]
    validates: bool  # there are texts to search for, whatever is held out
    scores: tuple[str, ...] = ()  # columns by which documents are weighed; none: only buckets are
    sample_docs: int | None = None  # of each bucket, whose scores stand for all; None: all documents

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        if name == "sizes":
            batches = corpus.batches(("bucket", "token_count", *self.columns))
            return {"sizes": sizes_of(sized(batch.with_columns(self.language)) for batch in batches)}
        if name == "scores":
            batches = corpus.batches(("bucket", "token_count", *self.scores))
            return {"sample": drawn_sample(batches, self.sample_docs, SAMPLE, by="bucket")}
        if name == "texts":
            batches = corpus.batches(("text",), of=known["read"]["doc_id"])
            return {"texts": together(batch.select("doc_id", "text") for batch in batches)}
        sizes = known["sizes"]
        if (by_bucket(sizes).height < 2 and not self.scores) or self.aimless(corpus):
            return {}
        batches = corpus.batches(("bucket", "token_count", *self.scores))
        return {"candidates": candidates(batches, sizes, self.shares(sizes))}

    def join(self, name: str, taken: Iterator[Tables], known: Tables) -> Tables:
        """Raises DataError where no document has come this far."""
        if name == "texts":
            return {"texts": together(tables_of("texts", taken))}
        if name == "sizes":
            return {"sizes": some(sizes_of(tables_of("sizes", taken)))}
        if name == "scores":
            return {"sample": smallest(tables_of("sample", taken), self.sample_docs, by="bucket").sort("doc_id")}
        frames, docs, read = tables_of("candidates", taken), pl.DataFrame(), pl.DataFrame(schema=READ)
        first = next(frames, None)
        if first is not None:
            sizes = known["sizes"]
            shares = self.shares(sizes)
            found = candidates(chain([first], frames), sizes, shares)
            docs, read = documents_of(found), read_table(readings_of(found, shares, totals_of(sizes)))
        return {"documents": docs, "read": read}

    def aimless(self, corpus: Corpus) -> bool:
        """Whether there are no texts to search a mixture for."""
        held_out = corpus.artifacts.get("dedup.held_out")
        if self.validates:
            return False
        return held_out is None or not any_held_out(held_out / "texts.parquet")


def some(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame. Raises DataError where it has no rows."""
    if frame.is_empty():
        raise DataError("no documents reached the mixture: every one was dropped (gristmill ledger tells where)")
    return frame
