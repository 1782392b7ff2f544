"""domain names the topic of a document; domain.bucket names the unit of the mixture that it belongs to."""

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from gristmill.classifiers.domain import LABELS, Prototypes, domain_prototypes
from gristmill.classifiers.embedder import open_embedder
from gristmill.classifiers.fasttext import labels_of, load
from gristmill.classifiers.license.sites import HOST_CHARS
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.ranges import Count, FilePath, Share, SomeAmount
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Reads
from gristmill.pipeline.kernels.numbers.embedding import vectors_of


@dataclass(frozen=True)
class Domain(Annotator):
    """The topic of a document and its probability: one of 26 labels by the nearest prototype, or a fastText model's.

    Both are null where the model knows nothing of the text. The prototypes are English words: under tfidf-svd they
    say little about other languages (docs/decisions/cluster.md).
    """

    model: FilePath | None = None  # path of a supervised fastText .bin; None: prototypes in the space of the embeddings
    temperature: SomeAmount = 0.1  # of the prototypes' softmax over cosine similarities (docs/decisions/cluster.md)
    min_prob: Share | None = 0.2  # below it the domain is null (domain_prob stays): most such guesses are wrong
    max_chars: Count = 2_000  # fastText reads so much of a document's beginning (NeMo Curator's classifier: 2000)

    name: ClassVar[str] = "domain"
    version: ClassVar[int] = 1
    writes: ClassVar[tuple[str, ...]] = ("domain", "domain_prob")
    rows: ClassVar = "kept"
    files: ClassVar[tuple[str, ...]] = ("model",)

    @property
    def reads(self) -> Reads:
        return {"ingest": ("text",)} if self.model is not None else {"embed": ("embedding",)}

    @property
    def needs(self) -> tuple[str, ...]:
        return () if self.model is not None else ("embed.model",)

    def preflight(self) -> None:
        if self.model is not None:
            labels_of(self.model, "domain.model")

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        labels = LABELS if self.model is None else labels_of(self.model, "domain.model")
        return {"domain": tuple(label.removeprefix("__label__") for label in labels)}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Raises InputError if the model file is missing."""
        if self.model is None:
            find = _by_prototype(domain_prototypes(open_embedder(artifacts["embed.model"])), self.temperature)
        else:
            find = _by_fasttext(self.model, self.max_chars)
        return lambda batch: labelled(batch["doc_id"], find(batch), self.min_prob)


Found: TypeAlias = list[tuple[str, float] | None]


def _by_prototype(prototypes: Prototypes, temperature: float) -> Callable[[pl.DataFrame], Found]:
    def find(batch: pl.DataFrame) -> Found:
        vectors = vectors_of(batch["embedding"], prototypes.vectors.shape[1])
        probabilities = prototypes.probabilities(vectors, temperature)
        # Ties go to the first label.
        best = probabilities.argmax(axis=1) if len(vectors) else np.zeros(0, np.int64)
        return [
            (prototypes.labels[label], float(row[label])) if vector.any() else None
            for label, row, vector in zip(best, probabilities, vectors, strict=True)
        ]

    return find


def _by_fasttext(path: str, max_chars: int) -> Callable[[pl.DataFrame], Found]:
    if not Path(path).is_file():
        raise InputError(f"domain.model: no file {path}")
    model = load(path)

    def find(batch: pl.DataFrame) -> Found:
        heads = (" ".join(t[:max_chars].split()) for t in batch["text"].fill_null(""))
        return [_predict(model, head) for head in heads]

    return find


def _predict(model, text: str) -> tuple[str, float] | None:
    """None where the model knows no word of the text."""
    labels, probs = model.predict(text)
    # fastText's softmax may pass 1 by a rounding error.
    return (labels[0].removeprefix("__label__"), min(1.0, float(probs[0]))) if text and len(labels) else None


def labelled(doc_ids: pl.Series, found: Found, least: float | None) -> pl.DataFrame:
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


UNKNOWN = "unknown"  # the bucket of documents whose column is null
_BUCKET_READS: dict[str, Reads] = {
    "cluster": {"cluster": ("cluster_id",)},
    "domain": {"domain": ("domain",)},
    "language": {"language": ("language",)},
    "dump": {"ingest": ("dump",)},
    "source": {"ingest": ("source", "url", "file_path")},
}


@dataclass(frozen=True)
class Bucket(Annotator):
    """The bucket of a document: c03 (de-c03 where languages are clustered apart), Science, de, CC-MAIN-2024-10,
    example.org; `unknown` where the column is null."""

    # The column whose values are the buckets: cluster, domain (topic), language, dump, or source (the name in the list
    # `sources`; where sources are not named, the URL's registered domain, else the file's name).
    by: Literal["cluster", "domain", "language", "dump", "source"] = "cluster"

    name: ClassVar[str] = "domain.bucket"
    version: ClassVar[int] = 3
    writes: ClassVar[tuple[str, ...]] = ("bucket",)
    rows: ClassVar = "kept"

    def __post_init__(self) -> None:
        if self.by not in _BUCKET_READS:
            raise ConfigError(f"bucket.by={self.by!r} is not one of {', '.join(_BUCKET_READS)}")

    @property
    def needs(self) -> tuple[str, ...]:
        return ("cluster",) if self.by == "cluster" else ()

    @property
    def reads(self) -> Reads:
        return _BUCKET_READS[self.by]

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        if self.by == "source":  # where sources are named, every document has one
            return {"bucket": known["source"]} if "source" in known else {}
        if self.by == "cluster" and "cluster_id" in known:
            return {"bucket": (*(f"c{number.zfill(2)}" for number in known["cluster_id"]), UNKNOWN)}
        return {"bucket": (*known[self.by], UNKNOWN)} if self.by in known else {}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        if self.by == "source":
            source_of = _source_namer()
            return lambda batch: batch.select(
                "doc_id",
                pl.Series(
                    "bucket",
                    [s or source_of(u, f) for s, u, f in batch.select("source", "url", "file_path").iter_rows()],
                    dtype=pl.String,
                ),
            )
        if self.by == "cluster":
            clusters = json.loads((artifacts["cluster"] / "clusters.json").read_text(encoding="utf-8"))["clusters"]
            named = {c["id"]: c["name"] for c in clusters if "name" in c}
            value = pl.format("c{}", pl.col("cluster_id").cast(pl.String).str.zfill(2))
            if named:
                value = pl.col("cluster_id").replace_strict(named, default=None, return_dtype=pl.String)
        else:
            value = pl.col(_BUCKET_READS[self.by][self.by if self.by != "dump" else "ingest"][0])
        return lambda batch: batch.select("doc_id", value.fill_null(UNKNOWN).alias("bucket"))


def _source_namer() -> Callable[[str | None, str | None], str]:
    """url, file_path -> registered domain (packaged public suffix list, no download), else host, else file name."""
    from gristmill.classifiers.hosts import parts_of

    def source_of(url: str | None, file_path: str | None) -> str:
        try:
            host = (urlsplit(url).hostname or "") if url else ""
        except ValueError:  # e.g. an unclosed IPv6 bracket
            host = ""
        if host and len(host) <= HOST_CHARS:
            return host if _is_address(host) else parts_of(host).top_domain_under_public_suffix or host
        return PurePosixPath(file_path).name if file_path else "unknown"

    return source_of


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
