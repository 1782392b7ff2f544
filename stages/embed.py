"""embed.model fits (or names) the embedding model; embed writes a unit vector for every document."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.classifiers.embedder import (
    TFIDF_SVD,
    SentenceEncoder,
    fit_tfidf_svd,
    open_embedder,
    save_encoder,
    save_tfidf_svd,
)
from gristmill.classifiers.vocabulary import fit_vocabulary
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Count, Dimensions, Seed, Size, SomeShare, Threads
from gristmill.pipeline.contract.samples import drawn_sample, smallest, tables_of, together
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Reducer, Tables
from gristmill.pipeline.kernels.numbers.embedding import vectors_to_series


@dataclass(frozen=True)
class EmbedModel(Reducer):
    """The embedding model, fitted on a drawn sample, and that sample's term counts (for naming clusters).

    Files: model.json and, for tfidf-svd, weights.npy; vocabulary.json, hashes.npy, frequencies.npy;
    sample.json (doc_ids) with sample_rows.npy, sample_terms.npy, sample_counts.npy (CSR).
    """

    model: str = TFIDF_SVD  # or a sentence-transformers id or folder (CLIMB: NovaSearch/stella_en_400M_v5)
    revision: str | None = None  # commit of a published model; name one, or a later run may read another model
    dims: Dimensions = (
        128  # of tfidf-svd; NMI on 20 labelled domains: 64 .81, 128 .82, 256 .83 (docs/decisions/cluster.md)
    )
    sample_docs: Size = 20_000  # fitted on so many documents, drawn by doc_id
    max_terms: Size = 50_000  # vocabulary
    min_df: Count = 2  # a term stands in at least so many sampled documents
    max_df_frac: SomeShare = 0.4  # and in at most this share of them, and of those of every common language
    max_chars: Count = 8_000  # of a document's beginning
    max_tokens: Count = 512  # of a transformer's input (NeMo Curator's CLIMB recipe: 512)
    block_rows: Size = 1  # transformer rows per call; more is faster on a GPU (docs/decisions/cluster.md)
    device: str = "cpu"  # of a transformer
    trust_remote_code: bool = False  # stella needs it
    term_docs: Count = 5_000  # sampled documents whose term counts are kept for the top terms of clusters
    threads: Threads = 1  # of the linear algebra; part of the identity because sums depend on it
    seed: Seed = 0  # of the randomized SVD

    name: ClassVar[str] = "embed.model"
    version: ClassVar[int] = 3
    reads: ClassVar = {"ingest": ("text",), "language": ("language",)}
    needs: ClassVar[tuple[str, ...]] = ()
    passes: ClassVar[tuple[str, ...]] = ("drawn", "heads")

    def preflight(self) -> None:
        if self.model != TFIDF_SVD and find_spec("sentence_transformers") is None:
            raise ConfigError(f"embed.model: {self.model} needs the extra: pip install 'gristmill[transformers]'")
        is_id = self.model.count("/") <= 1 and not self.model.startswith((".", "/", "~"))  # name, or owner/name
        if self.model != TFIDF_SVD and not is_id and not Path(self.model).is_dir():
            raise ConfigError(f"embed.model: there is no folder {self.model}")

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """The sampled documents' ids; then their texts' beginnings, at most 4 * max_chars bytes each."""
        if name == "drawn":
            return {"drawn": drawn_sample(corpus.batches(()), self.sample_docs, "embed.model")}
        if not known["drawn"].width:
            return {"heads": pl.DataFrame()}
        head = pl.col("text").fill_null("").str.head(self.max_chars)
        batches = corpus.batches(of=known["drawn"]["doc_id"])
        return {"heads": together(batch.select("doc_id", "language", head) for batch in batches)}

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        if name == "drawn":
            return {"drawn": smallest(tables_of("drawn", taken), self.sample_docs)}
        heads = together(tables_of("heads", taken))
        return {"sample": known["drawn"].join(heads, on="doc_id", maintain_order="left") if heads.width else heads}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """Raises DataError for an empty corpus, or if no term qualifies for the vocabulary."""
        sample = known["sample"]
        if sample.is_empty():
            raise DataError("embed.model: no document has come this far; look at the ledger for what dropped them")
        texts, languages = sample["text"], sample["language"]
        vocabulary = fit_vocabulary(texts, languages, self.max_terms, self.min_df, self.max_df_frac, self.max_chars)
        vocabulary.save(out)
        if self.model == TFIDF_SVD:
            save_tfidf_svd(fit_tfidf_svd(vocabulary, texts, self.dims, self.seed, self.threads), out)
        else:
            save_encoder(self._encoder(), out)
        rows, terms, counts = vocabulary.count(texts.head(self.term_docs))
        (out / "sample.json").write_text(json.dumps(sample["doc_id"].head(self.term_docs).to_list()))
        np.save(out / "sample_rows.npy", rows)
        np.save(out / "sample_terms.npy", terms)
        np.save(out / "sample_counts.npy", counts)

    def _encoder(self) -> SentenceEncoder:
        return SentenceEncoder(
            model=self.model,
            revision=self.revision,
            max_tokens=self.max_tokens,
            max_chars=self.max_chars,
            device=self.device,
            block_rows=self.block_rows,
            threads=self.threads,
            trust_remote_code=self.trust_remote_code,
        )


@dataclass(frozen=True)
class Embed(Annotator):
    """A unit vector per document; all zeros where the text holds no term the model knows."""

    name: ClassVar[str] = "embed"
    version: ClassVar[int] = 2
    reads: ClassVar = {"ingest": ("text",)}
    writes: ClassVar[tuple[str, ...]] = ("embedding",)
    needs: ClassVar[tuple[str, ...]] = ("embed.model",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        embedder = open_embedder(artifacts["embed.model"])

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            return batch.select("doc_id", vectors_to_series(embedder.embed(batch["text"])))

        return annotate
