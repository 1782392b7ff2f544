"""Connected components of documents that share a band of their MinHash signatures, over the whole corpus.

Every band key joins its documents to the first of them in a star, and one union-find unites the stars. With an index
across runs the components of older runs take part, each as one member.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.shapes import NOWHERE, Artifacts, Grouping, Part, PolarsType, Reads
from gristmill.pipeline.kernels.numbers.minhash import flatten, unite
from gristmill.stages.dedup.index.segments import FILES, NO_INDEX, Across, Segments, older_segments
from gristmill.stages.dedup.minhash import SCHEME, Scheme, given_documents, packed
from gristmill.stages.dedup.survival import ranks

MERGED_ROWS = 1 << 20  # of a frame that `merge` yields
MET = 1 << 16  # components of older runs whose documents are looked up at once
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd: times it, numbers stay different and fill the range of keys


@dataclass(frozen=True)
class Components(Grouping):
    """Joins documents that share a band, and those they share one with: connected components of the whole corpus.

    All rows of a band key meet, and each is joined to the first: 16 bytes per document and band travel, 9 on disk. A
    union-find over those stars, 40 bytes per document that shares a band, gives each component the number of the
    smallest band key that joins some of it, or of the older run's component that it meets (of several, the smallest).
    Held-out texts given as files take part, so that their near-duplicates leave, too.
    """

    scheme: Scheme = SCHEME  # the one of dedup.signatures
    across: Across = NO_INDEX  # where the index lies
    older: tuple[str, ...] = ()  # segments of the index that the documents are compared with
    name: ClassVar = "dedup.components"
    version: ClassVar = 2
    needs: ClassVar = ("dedup.references",)
    borrowed: ClassVar = {"across": ("dedup",), "older": ()}
    outside_identity: ClassVar = ("across",)
    meets: ClassVar = True
    merges: ClassVar = True

    @property
    def reads(self) -> Reads:
        flags = {"dedup.references": ("is_held_out",)} if self.older else {}
        return {"dedup.signatures": ("minhash",), **flags}

    @property
    def order(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ("rank", "component") if self.older else ()

    @property
    def writes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(self.returns)

    @property
    def scatters(self) -> dict[str, PolarsType]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"rank": pl.UInt64, "component": pl.UInt64} if self.older else {}

    @property
    def gathers(self) -> dict[str, PolarsType]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"to": pl.UInt64, "least": pl.UInt64, **self.scatters}

    @property
    def returns(self) -> dict[str, PolarsType]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"minhash_component": pl.UInt64, **({"minhash_known": pl.String} if self.older else {})}

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> "Components":
        return replace(self, older=older_segments(self.across.index, parts, before, earlier))

    def extra(self, artifacts: Artifacts) -> pl.DataFrame:
        return given_documents(self.scheme, artifacts)

    def known(self, low: int, high: int) -> Iterator[pl.DataFrame]:
        for rows in self._segments().rows("bands", low, high):
            nothing = {"node": pl.lit(NOWHERE, pl.UInt64), "rank": pl.lit(0, pl.UInt64)}
            yield rows.with_columns(**nothing)

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("minhash")
        keys = band_keys(self.scheme, batch["minhash"])
        of_document = np.repeat(np.arange(batch.height), self.scheme.bands)
        rows = pl.DataFrame({"key": keys, "node": batch["node"].gather(of_document)})
        if not self.older:
            return rows
        return rows.with_columns(ranks(batch).gather(of_document), component=pl.lit(0, pl.UInt64))

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        keys, nodes = rows["key"].to_numpy(), rows["node"].to_numpy()
        if not self.older:
            first = firsts(keys)
            stars = rows.select("node", to=pl.Series(nodes[first]), least="key")
            return stars.filter(pl.Series(shared(first)))
        component, head = rows["component"].to_numpy(), firsts(keys)
        own = component == 0
        mine, met = keys[own], component[head]  # of a key, the smallest component stands first; 0: it has none
        first = firsts(mine)
        stars = rows.filter(pl.Series(own)).select("rank", "node", least="key", to=pl.Series(nodes[own][first]))
        stars = stars.with_columns(component=pl.Series(met[own]))
        hit = pl.col("component") > 0  # joined by the component, however many bands meet it
        hits = stars.filter(hit).with_columns(to="node").unique(["node", "component"])
        stars = stars.filter(pl.Series(shared(first)) & ~hit)
        others = np.flatnonzero(~own & (component != met))  # components that have met only now, by a run made anew
        of = rows.filter(pl.Series(own))[np.searchsorted(mine, keys[others])]
        more = of.select("rank", "node", least="key", to="node").with_columns(component=pl.Series(component[others]))
        return pl.concat([stars, hits, more])

    def gather_long(self, rows: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        if not self.older:
            to = next(rows())["node"][0]
            yield from (f.select("node", to=pl.lit(to, pl.UInt64), least="key") for f in rows())
            return
        met, first, own = None, None, pl.col("component") == 0
        for frame in rows():
            met = int(frame["component"][0]) if met is None else met
            mine = frame.filter(own)
            if mine.height:
                first = mine[:1]
                break
        if first is None:
            return
        if not met and sum(int((frame["component"] == 0).sum()) for frame in rows()) < 2:
            return
        for frame in rows():
            to = "node" if met else pl.lit(first["node"][0], pl.UInt64)
            columns = ("node", "to", "least", "rank", "component")
            yield (
                frame.filter(own)
                .select("node", "rank", to=to, least="key", component=pl.lit(met, pl.UInt64))
                .select(columns)
            )
            others = frame.filter(~own & (pl.col("component") != met)).select("component")
            of = first.select("node", "rank", to="node", least="key")
            yield of.join(others, how="cross").select(columns)

    def merge(self, gathered: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        joined = self._segments().whole("joined") if self.older else pl.DataFrame()
        met = distinct(_met(frame) for frame in gathered()) if self.older else np.zeros(0, np.uint64)
        known = distinct([met, *(c.to_numpy() for c in joined.get_columns())])
        members, least, rank = self._members(known.size, gathered)
        parent = np.arange(least.size)
        if joined.height:
            a, b = (np.searchsorted(known, joined[name].to_numpy()) for name in ("key", "component"))
            unite(a, b, least, parent)
        at = known.size
        for frame in gathered():
            begins, of = starts(frame["node"].to_numpy())
            a = at + of
            at += begins.size
            to = frame["to"].to_numpy()
            other = np.concatenate([[True], (a[1:] != a[:-1]) | (to[1:] != to[:-1])])[: a.size]
            unite(a[other], known.size + np.searchsorted(members, to[other]), least, parent)
            if self.older:
                c = frame["component"].to_numpy()
                unite(a[c > 0], np.searchsorted(known, c[c > 0]), least, parent)
        flatten(parent)
        least[known.size :] *= SPREAD
        least[: known.size] = known
        waits = np.ones(members.size, bool)
        if self.older:
            roots, standing = _first_documents(parent, rank, known.size)
            waits[standing] = False
            for i in range(0, roots.size, MET):
                of = roots[i : i + MET]
                lines = _stays(self._segments(), known, parent, of)
                yield lines.select(
                    node=pl.Series(members[standing[i : i + MET]]),
                    minhash_component=pl.Series(known[of]),
                    minhash_known="minhash_known",
                )
        for i in range(0, members.size, MERGED_ROWS):
            some = np.arange(i, min(i + MERGED_ROWS, members.size))
            some = some[waits[some]]
            frame = pl.DataFrame({"node": members[some], "minhash_component": least[parent[known.size + some]]})
            yield frame.with_columns(minhash_known=pl.lit(None, pl.String)) if self.older else frame

    def _members(
        self, known: int, gathered: Callable[[], Iterator[pl.DataFrame]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nodes that share a band, sorted; the smallest band key that each shares, behind a 0 for each of `known`
        components; with an index, their ranks."""
        nodes, least, rank = [np.zeros(0, np.uint64)], [np.zeros(known, np.uint64)], [np.zeros(0, np.uint64)]
        for frame in gathered():
            values = frame["node"].to_numpy()
            begins, _ = starts(values)
            nodes.append(values[begins])
            least.append(np.minimum.reduceat(frame["least"].to_numpy(), begins))
            if self.older:
                rank.append(frame["rank"].to_numpy()[begins])
        return np.concatenate(nodes), np.concatenate(least), np.concatenate(rank)

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", *self.writes)

    def _segments(self) -> Segments:
        return Segments(self.across.index or "", self.older)


def band_keys(scheme: Scheme, signatures: pl.Series) -> np.ndarray:
    """(n * bands,) uint64: the keys of every document's bands, document by document."""
    keys = np.ascontiguousarray(packed(scheme, signatures)[:, : 8 * scheme.bands]).view("<u8")
    return keys.ravel().astype(np.uint64)


def _met(frame: pl.DataFrame) -> np.ndarray:
    return frame.filter(pl.col("component") > 0)["component"].to_numpy()


def _first_documents(parent: np.ndarray, rank: np.ndarray, known: int) -> tuple[np.ndarray, np.ndarray]:
    """Known components that documents joined (those that stand for all that came together), and for each the number of
    its first document in the order of survival (rank, (documents,)); the forest begins with `known` components."""
    documents = np.flatnonzero(parent[known:] < known)
    documents = documents[np.argsort(rank[documents], kind="stable")]
    roots, first = np.unique(parent[known + documents], return_index=True)
    return roots, documents[first]


def _stays(segments: Segments, known: np.ndarray, parent: np.ndarray, roots: np.ndarray) -> pl.DataFrame:
    """`minhash_known` per root: a line for each document of older runs that stays in one of its components, with the
    component, its place in the order of survival, doc_id and fingerprint; a component without one has a line, too."""
    mine = np.flatnonzero(np.isin(parent[: known.size], roots))
    of = pl.DataFrame({"key": known[mine], "root": parent[mine]})
    found = pl.concat([pl.DataFrame(schema=FILES["stays"]), *segments.at("stays", known[mine])])
    rows = of.join(found, on="key", how="left").sort("root", "key", "order", "doc_id")
    words = [
        pl.col("key").cast(pl.String),
        pl.col("order").bin.encode("hex"),
        pl.col("doc_id"),
        pl.col("print").bin.encode("hex"),
    ]
    lines = pl.when(pl.col("doc_id").is_null()).then(words[0]).otherwise(pl.concat_str(words, separator=" "))
    joined = rows.group_by("root", maintain_order=True).agg(lines.str.join("\n").alias("minhash_known"))
    return pl.DataFrame({"root": roots}).join(joined, on="root", how="left", maintain_order="left")


def known_documents(batch: pl.DataFrame) -> pl.DataFrame:
    """The lines of `minhash_known`, one a row: older (its component), order, doc_id and fingerprint (null where nobody
    stays), beside the other columns of its document."""
    lines = batch.drop_nulls("minhash_known").with_columns(pl.col("minhash_known").str.split("\n"))
    words = pl.col("minhash_known").str.split(" ")
    return lines.explode("minhash_known").select(
        pl.exclude("minhash_known", "doc_id", "minhash"),
        older=words.list.get(0).cast(pl.UInt64),
        order=words.list.get(1, null_on_oob=True).str.decode("hex"),
        doc_id=words.list.get(2, null_on_oob=True),
        fingerprint=words.list.get(3, null_on_oob=True).str.decode("hex"),
    )


def starts(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k,) where each of the k keys begins, and (n,) the number of each row's key; keys (n,) lie together."""
    begins = np.concatenate([[True], keys[1:] != keys[:-1]])[: keys.size]
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def firsts(keys: np.ndarray) -> np.ndarray:
    """(n,) the place of the first row with each row's key; keys (n,) lie together."""
    begins, of = starts(keys)
    return begins[of]


def shared(places: np.ndarray) -> np.ndarray:
    """(n,) bool: whether another row points to the same place; places (n,) are rows."""
    return np.bincount(places, minlength=places.size)[places] > 1


def distinct(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The values of all arrays, each once, sorted; memory is that of twice the result."""
    known, waiting, waits = np.zeros(0, np.uint64), [], 0
    for values in arrays:
        waiting.append(_once(values))
        waits += waiting[-1].size
        if waits > known.size:
            known, waiting, waits = _once(np.concatenate([known, *waiting])), [], 0
    return _once(np.concatenate([known, *waiting]))


def _once(values: np.ndarray) -> np.ndarray:
    """As np.unique, which hashes: sorting takes a tenth of the time where nearly all values differ."""
    ordered = np.sort(values)
    return ordered[np.concatenate([np.ones(min(1, ordered.size), bool), ordered[1:] != ordered[:-1]])]
