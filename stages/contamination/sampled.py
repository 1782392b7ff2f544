"""Counts which n-grams of an index are common language in the corpus, on documents drawn by their ids.

Two passes of a reducer: the documents are counted; then the texts of those whose draw is below their share are taken.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.samples import tables_of, together
from gristmill.pipeline.contract.shapes import Corpus, Tables
from gristmill.stages.contamination.index import Index

SALT = "contamination"
PASSES = ("count", "texts")
AT_ONCE = 1000  # documents in which n-grams are looked for at a time


def share_of(sample_docs: int, documents: int) -> float:
    return min(1.0, sample_docs / max(documents, 1))


def drawn_of(batch: pl.DataFrame, share: float) -> pl.DataFrame:
    return batch.filter(pl.Series(uniform(batch["doc_id"], SALT) < share, dtype=pl.Boolean))


def take(name: str, corpus: Corpus, known: Tables, sample_docs: int) -> Tables:
    if name == "count":
        return {"count": pl.DataFrame({"n": [sum(batch.height for batch in corpus.batches(()))]})}
    share = share_of(sample_docs, known["count"]["n"][0])
    ids = together(drawn_of(batch, share) for batch in corpus.batches(()))
    if ids.is_empty():
        return {}
    return {"texts": together(batch.select("text") for batch in corpus.batches(("text",), of=ids["doc_id"]))}


def join(name: str, taken: Iterator[Tables]) -> Tables:
    found = together(tables_of(name, taken))
    return {name: found.sum() if name == "count" else found}


def counted_in(index: Index, known: Tables) -> Index:
    """The index with its counts of documents, from those that were taken."""
    texts = known["texts"]
    return counted(index, (piece["text"] for piece in texts.iter_slices(AT_ONCE)) if texts.width else ())


def counted(index: Index, texts: Iterable[pl.Series]) -> Index:
    """The index with its counts of documents."""
    counts = np.zeros(index.hashes.size, np.int32)
    if not counts.size:
        return index
    for some in texts:
        if some.len():
            index.add_partial(some, counts)
    return index.with_counts(counts)
