"""domain names the topic of a document; domain.bucket names the unit of the mixture that it belongs to."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from classifiers.domain import domain_prototypes
from classifiers.embedder import open_embedder
from pipeline.errors import ConfigError, InputError
from pipeline.kernels.embedding import vectors_of
from pipeline.stage import Artifacts, Reads


@dataclass(frozen=True)
class Domain:
    """The likeliest of 26 topic labels by the nearest prototype, with its softmax probability.

    Both are null for a zero vector. The prototypes are English: with tfidf-svd other languages get weak guesses.
    """

    temperature: float = 0.1  # of the softmax over cosine similarities (docs/decisions/cluster.md)
    min_prob: float | None = None  # below it the domain is null (domain_prob stays)

    name: ClassVar[str] = "domain"
    version: ClassVar[int] = 1
    reads: ClassVar = {"embed": ("embedding",)}
    writes: ClassVar[tuple[str, ...]] = ("domain", "domain_prob")
    needs: ClassVar[tuple[str, ...]] = ("embed.model",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        prototypes = domain_prototypes(open_embedder(artifacts["embed.model"]))

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            vectors = vectors_of(batch["embedding"], prototypes.vectors.shape[1])
            probabilities = prototypes.probabilities(vectors, self.temperature)
            best = probabilities.argmax(axis=1) if len(vectors) else np.zeros(0, np.int64)
            found = [
                (prototypes.labels[label], float(row[label])) if vector.any() else None
                for label, row, vector in zip(best, probabilities, vectors, strict=True)
            ]
            return labelled(batch["doc_id"], found, self.min_prob)

        return annotate


def labelled(doc_ids: pl.Series, found: list[tuple[str, float] | None], least: float | None) -> pl.DataFrame:
    """Label and probability per document, both null where nothing was found; the label also below `least`."""
    frame = pl.DataFrame(
        {
            "doc_id": doc_ids,
            "domain": pl.Series([f[0] if f else None for f in found], dtype=pl.String),
            "domain_prob": pl.Series([f[1] if f else None for f in found], dtype=pl.Float32),
        }
    )
    if least is None:
        return frame
    return frame.with_columns(pl.when(pl.col("domain_prob") >= pl.lit(least, pl.Float32)).then("domain"))


@dataclass(frozen=True)
class DomainFastText:
    """The topic label of a supervised fastText model, e.g. one trained on an owner's taxonomy."""

    model: str  # path of a fastText .bin
    min_prob: float | None = None  # below it the domain is null (domain_prob stays)
    max_chars: int = 2_000  # of a document's beginning (NeMo Curator's domain classifier: 2000)

    name: ClassVar[str] = "domain"
    version: ClassVar[int] = 1
    reads: ClassVar = {"ingest": ("text",)}
    writes: ClassVar[tuple[str, ...]] = ("domain", "domain_prob")
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar = "kept"
    files: ClassVar[tuple[str, ...]] = ("model",)

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Raises InputError if the model file is missing."""
        import fasttext

        if not Path(self.model).is_file():
            raise InputError(f"domain.model: no file {self.model}")
        model = fasttext.load_model(self.model)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            heads = (" ".join(t[: self.max_chars].split()) for t in batch["text"].fill_null(""))
            return labelled(batch["doc_id"], [_predict(model, h) for h in heads], self.min_prob)

        return annotate


def _predict(model, text: str) -> tuple[str, float] | None:
    """None where the model knows no word of the text."""
    labels, probs = model.predict(text)
    # fastText's softmax may pass 1 by a rounding error.
    return (labels[0].removeprefix("__label__"), min(1.0, float(probs[0]))) if text and len(labels) else None


_BUCKET_READS: dict[str, Reads] = {
    "cluster": {"cluster": ("cluster_id",)},
    "domain": {"domain": ("domain",)},
    "language": {"language": ("language",)},
    "dump": {"ingest": ("dump",)},
    "source": {"ingest": ("url", "file_path")},
}


@dataclass(frozen=True)
class Bucket:
    """The bucket of a document: c03, Science, de, CC-MAIN-2024-10, example.org; `unknown` where the column is null."""

    by: Literal["cluster", "domain", "language", "dump", "source"] = "cluster"  # source: registered domain, or file

    name: ClassVar[str] = "domain.bucket"
    version: ClassVar[int] = 1
    writes: ClassVar[tuple[str, ...]] = ("bucket",)
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar = "kept"

    def __post_init__(self) -> None:
        if self.by not in _BUCKET_READS:
            raise ConfigError(f"domain.bucket.by={self.by!r} is not one of {', '.join(_BUCKET_READS)}")

    @property
    def reads(self) -> Reads:
        return _BUCKET_READS[self.by]

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        if self.by == "source":
            source_of = _source_namer()
            return lambda batch: batch.select(
                "doc_id",
                pl.Series(
                    "bucket",
                    [source_of(u, f) for u, f in zip(batch["url"], batch["file_path"], strict=True)],
                    dtype=pl.String,
                ),
            )
        if self.by == "cluster":
            value = pl.format("c{}", pl.col("cluster_id").cast(pl.String).str.zfill(2))
        else:
            value = pl.col(_BUCKET_READS[self.by][self.by if self.by != "dump" else "ingest"][0])
        return lambda batch: batch.select("doc_id", value.fill_null("unknown").alias("bucket"))


def _source_namer() -> Callable[[str | None, str | None], str]:
    """url, file_path -> registered domain (packaged public suffix list, no download), else host, else file name."""
    import tldextract

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    def source_of(url: str | None, file_path: str | None) -> str:
        try:
            host = (urlsplit(url).hostname or "") if url else ""
        except ValueError:  # e.g. an unclosed IPv6 bracket
            host = ""
        if host:
            return host if _is_address(host) else extract(host).top_domain_under_public_suffix or host
        return PurePosixPath(file_path).name if file_path else "unknown"

    return source_of


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
