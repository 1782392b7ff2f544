"""dedup.exact: which of the documents with one text stays, and what the others are told."""

from pathlib import Path

import polars as pl

from frames import doc_id, exchanged, splits, text_hash
from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.draws import key64
from gristmill.stages.dedup.exact import ExactDuplicates, ExactGate


def documents(rows: list[tuple[str, str, bool]]) -> pl.DataFrame:
    """Rows of (name, text, is_held_out)."""
    return pl.DataFrame(
        {
            "doc_id": [doc_id(name) for name, _, _ in rows],
            "text_hash": [text_hash(text) for _, text, _ in rows],
            "is_held_out": [held for _, _, held in rows],
            "url": pl.Series([None] * len(rows), dtype=pl.String),
            "dump": pl.Series([None] * len(rows), dtype=pl.String),
        }
    )


def annotated(frames: list[pl.DataFrame], out: Path, **options: int) -> pl.DataFrame:
    """What the grouping writes, each frame a bundle of its own."""
    out.mkdir(parents=True)
    return pl.concat(exchanged(ExactDuplicates(keep=()), [[f] for f in frames], out, **options)[0])


ROWS = [(f"d{i}", f"text {i % 5}" if i < 12 else f"only {i}", i == 8) for i in range(30)]


def test_exact_keeps_one_document_of_each_text(tmp_path):
    batch = documents(ROWS)
    found = annotated([batch], tmp_path / "a")
    kept = batch.filter(ExactGate().decide(found).is_null())
    assert kept["text_hash"].n_unique() == kept.height == batch["text_hash"].n_unique()
    survivors = found.filter(pl.col("exact_duplicate_of").is_null())["doc_id"]
    assert set(found["exact_duplicate_of"].drop_nulls()) <= set(survivors)
    assert found["exact_copies_n"].to_list() == [{0: 3, 1: 3}.get(i % 5, 2) if i < 12 else 1 for i in range(len(ROWS))]


def test_exact_survivor_is_the_held_out_document_else_the_smallest_draw(tmp_path):
    batch = documents(ROWS)
    found = annotated([batch], tmp_path / "a")
    of = dict(zip(found["doc_id"], found["exact_duplicate_of"], strict=True))
    assert of[doc_id("d3")] == doc_id("d8")
    assert of[doc_id("d8")] is None
    group = [doc_id(f"d{i}") for i in (0, 5, 10)]
    best = min(group, key=lambda i: key64([i], "dedup")[0])
    assert [of[i] for i in group] == [None if i == best else best for i in group]


def test_exact_groups_are_the_same_for_any_order_bundles_partitions_and_memory(tmp_path):
    batch = documents(ROWS)
    want = annotated([batch], tmp_path / "a").sort("doc_id")
    for n, frames in enumerate(
        [*splits(batch), splits(batch.reverse())[2], [batch[:0], batch.sample(30, seed=1, shuffle=True)]]
    ):
        for partitions, memory in ((1, 1 << 30), (8, 1 << 30), (2, 1 << 12)):
            found = annotated(frames, tmp_path / f"b{n}-{partitions}-{memory}", partitions=partitions, memory=memory)
            assert found.sort("doc_id").equals(want)


def test_exact_without_duplicates_or_documents_marks_nothing(tmp_path):
    for n, batch in enumerate(
        (
            documents(ROWS[12:]),
            documents([]).cast({"doc_id": pl.String, "text_hash": pl.String, "is_held_out": pl.Boolean}),
        )
    ):
        found = annotated([batch], tmp_path / str(n))
        assert found.to_arrow().cast(arrow_schema(found.columns)).num_rows == batch.height
        assert found["exact_duplicate_of"].null_count() == batch.height
        assert (found["exact_copies_n"] == 1).all()


def test_exact_hashes_that_share_a_prefix_are_different_texts(tmp_path):
    batch = documents([("a", "x", False), ("b", "y", False)]).with_columns(
        text_hash=pl.Series(["0" * 15 + "1" * 17, "0" * 15 + "2" * 17])
    )
    found = annotated([batch], tmp_path / "a")
    assert found["exact_duplicate_of"].to_list() == [None, None]
