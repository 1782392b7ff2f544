"""Counts which n-grams of an index are common language in the corpus, on documents drawn by their ids."""

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.shapes import Corpus
from gristmill.stages.contamination.index import Index

SALT = "contamination"


def counted(index: Index, corpus: Corpus, sample_docs: int) -> Index:
    """The index with its counts of documents, from about `sample_docs` documents of the corpus."""
    counts = np.zeros(index.hashes.size, np.int32)
    if not counts.size:
        return index
    documents = sum(batch.height for batch in corpus.batches(()))
    share = min(1.0, sample_docs / max(documents, 1))
    for batch in corpus.batches(("text",)):
        drawn = batch.filter(pl.Series(uniform(batch["doc_id"], SALT) < share, dtype=pl.Boolean))
        if drawn.height:
            index.add_partial(drawn["text"], counts)
    return index.with_counts(counts)
