"""What a search reads, found in passes over bundles, is what it would read of all documents together."""

import numpy as np
import polars as pl
import pytest

from frames import FakeCorpus
from gristmill.stages.mixture.material.drawn import (
    Drawing,
    Readings,
    Shares,
    candidates,
    documents_of,
    identity_of,
    read_of,
    read_table,
    readings_of,
    sized,
    sizes_of,
    totals_of,
)


def documents(n: int = 3000) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "doc_id": [f"{i:05d}" for i in rng.permutation(n)],
            "bucket": [f"b{i}" for i in np.minimum(rng.geometric(0.4, n), 6)],
            "language": "",
            "token_count": pl.Series(np.round(rng.lognormal(4, 1.2, n)).astype(int), dtype=pl.Int64),
        }
    )


def told(read: Readings) -> list:
    left_out = () if read.left_out is None else (read.left_out,)
    return [(dict(r.documents), dict(r.lengths)) for r in (*read.proxies, *left_out, *read.unread)]


@pytest.mark.parametrize(
    ("shares", "few"),
    [
        (Shares((0.01, 0.03), 0.03, 0.02, 3), True),
        (Shares((0.05,), None, 0.1, 2), True),
        (Shares((0.3,), 0.5, 0.4, 1), False),
        (Shares((1.0,), 1.0, 1.0, 2), False),
    ],
)
def test_readings_of_candidates_are_those_of_all_documents_however_they_are_bundled(shares: Shares, few: bool):
    docs = documents()
    sizes = sizes_of([sized(docs)])
    want = told(readings_of(docs.sort("doc_id"), shares, totals_of(sizes)))
    assert want == told(readings_of(docs, shares, totals_of(sizes_of(sized(docs[i::7]) for i in range(7)))))
    for bundles in ([docs], [docs[i::5] for i in range(5)], [docs[:10], docs[10:2000].reverse(), docs[2000:]]):
        taken = [candidates((part[i : i + 300] for i in range(0, part.height, 300)), sizes, shares) for part in bundles]
        found = candidates(taken, sizes, shares)
        for docs_of in (found, documents_of(found)):
            read = readings_of(docs_of, shares, totals_of(sizes))
            assert told(read) == want
        assert told(read_of(read_table(read), shares, totals_of(sizes))) == want
        assert (documents_of(found).height < docs.height / 2) == few


def test_buckets_are_named_by_their_documents_in_any_order_and_by_nothing_else():
    docs = documents()
    name = identity_of(sizes_of([sized(docs)]))
    assert identity_of(sizes_of(sized(part) for part in (docs[2000:].reverse(), docs[:2000]))) == name
    moved = docs.with_columns(bucket=pl.when(pl.col("doc_id") == "00007").then(pl.lit("b9")).otherwise("bucket"))
    other = docs.with_columns(doc_id=pl.when(pl.col("doc_id") == "00007").then(pl.lit("x")).otherwise("doc_id"))
    assert len({name, *(identity_of(sizes_of([sized(d)])) for d in (moved, other, docs[1:]))}) == 4


@pytest.mark.parametrize("bundles", [1, 7])
def test_what_is_held_does_not_grow_with_the_documents(bundles: int):
    """A reading of so many tokens and a sample of so many documents, of 4,000 and of 16,000 of the same kind."""

    def shares(sizes: pl.DataFrame) -> Shares:
        share = 20_000 / sizes["token_count"].sum()
        return Shares((share,), share, share, 2)

    def held(n: int) -> dict[str, pl.DataFrame]:
        docs = documents(n).with_columns(text=pl.lit("t"), q=pl.int_range(pl.len()).cast(pl.Float32))
        # The longest document sets how much farther a bundle must reach; it is the same in both.
        docs = docs.with_columns(pl.col("token_count").clip(upper_bound=400))
        drawing, known = Drawing((), pl.lit("").alias("language"), shares, True, ("q",), 50), {}
        for name in ("sizes", "scores", "candidates", "texts"):
            parts = [FakeCorpus([docs[i :: 2 * bundles], docs[i + bundles :: 2 * bundles]]) for i in range(bundles)]
            known |= drawing.join(name, (drawing.take(name, part, known) for part in parts), known)
        assert known["sizes"]["docs"].sum() == n
        assert known["documents"]["q"].null_count() == 0
        assert set(known["texts"]["doc_id"]) == set(known["read"]["doc_id"]) <= set(known["documents"]["doc_id"])
        return known

    few, many = held(4000), held(16_000)
    assert few["sample"].height == many["sample"].height == 6 * 50
    for table in ("documents", "texts"):
        assert many[table].height < 1.15 * few[table].height < 0.5 * 4000
