"""Classifies vectors by topic: the nearest prototype, which is the vector of a text of words typical of a label."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.classifiers.domain_labels import DOMAIN_WORDS
from gristmill.classifiers.embedder import Embedder
from gristmill.pipeline.kernels.numbers.embedding import similarities

LABELS: tuple[str, ...] = tuple(DOMAIN_WORDS)


@dataclass(frozen=True)
class Prototypes:
    """One unit vector per label: (labels, dims) float32."""

    labels: tuple[str, ...]
    vectors: np.ndarray

    def probabilities(self, vectors: np.ndarray, temperature: float) -> np.ndarray:
        """(n, labels) float64: softmax of cosine similarity / temperature. A zero vector gives equal shares."""
        logits = similarities(vectors, self.vectors).astype(np.float64) / temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        # Columns are added in a fixed order: numpy's pairwise sum along a row does not depend on other rows.
        return weights / weights.sum(axis=1, keepdims=True)


def domain_prototypes(embedder: Embedder) -> Prototypes:
    """The 26 labels under `embedder`, so that they live in the space of the documents' vectors."""
    return Prototypes(LABELS, embedder.embed(pl.Series(list(DOMAIN_WORDS.values()), dtype=pl.String)))
