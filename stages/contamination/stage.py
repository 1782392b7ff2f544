"""Decontamination: documents that hold items of benchmarks, found by shared word n-grams, are marked and dropped.

MixtureVitae's rule (arXiv:2509.25531, appendix on contamination): 13-grams, at least 3 distinct hits, at least 0.1% of
the document. Ours counts the hits per item, not over all benchmarks, and leaves out n-grams that prove nothing (see
`index`). A paraphrase that keeps no 15 words in a row is not found.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Count, Range, Share, Whole
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer, Tables
from gristmill.stages.contamination import sampled
from gristmill.stages.contamination.benchmarks import KEY, BenchmarkSet, files_of, items_of, training_texts
from gristmill.stages.contamination.index import Index, Matches, build_index, load_index, memory

Field = Literal["question", "answer", "passage"]
HOLDS = 0.8  # share of a document that is an item's words from which fewer hits do: a short document is one n-gram


@dataclass(frozen=True)
class ContaminationIndex(Reducer):
    """Makes the index of the benchmarks' n-grams and counts in the corpus which of them are common language.

    Raises DataError for an index of more than `max_ngrams` n-grams (32 bytes each in every worker).
    """

    benchmarks: tuple[BenchmarkSet, ...] = ()  # {name, paths, question, answer, passage, train}; none: no such step
    ngram: Annotated[int, Range(2, 100)] = 13  # words (MixtureVitae, GPT-3); a text of fewer words is one n-gram
    # N-grams are looked for only where their inverse document frequency over the benchmark's items reaches this; idf of
    # one that d of N items have: ln(N / d) / ln N, so 0.5 leaves out what more than the square root of N items have.
    min_idf: Share = 0.5
    # ... and only where fewer sampled documents hold them without holding most of the item (licences, famous words).
    common_docs: Count = 10
    sample_docs: Whole = 20_000  # documents on which that is counted
    max_ngrams: Count = 50_000_000  # 1.6 GB in each worker

    name: ClassVar[str] = "contamination"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"ingest": ("text",)}
    needs: ClassVar[tuple[str, ...]] = ()
    passes: ClassVar[tuple[str, ...]] = sampled.PASSES
    files: ClassVar[tuple[str, ...]] = ("paths",)

    def __post_init__(self) -> None:
        names = [b.name for b in self.benchmarks]
        if len(set(names)) != len(names):
            raise ConfigError(f"contamination.benchmarks: two of them are called {max(names, key=names.count)!r}")

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.benchmarks)

    def preflight(self) -> None:
        for i, benchmark in enumerate(self.benchmarks):
            files_of(benchmark.paths, f"{KEY}.{i}.paths")
            files_of(benchmark.train, f"{KEY}.{i}.train")
            next(items_of(benchmark, self.ngram), None)  # its files are there, and its fields in the first record
            next(training_texts(benchmark), None)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for b in self.benchmarks for path in files_of((*b.paths, *b.train)))

    def index(self) -> Index:
        items = list(chain.from_iterable(items_of(b, self.ngram) for b in self.benchmarks))
        training = list(chain.from_iterable(training_texts(b) for b in self.benchmarks))
        words = sum(len(item.text) for item in items) // 6
        if words > 2 * self.max_ngrams:
            raise DataError(_too_many(words, self.max_ngrams))
        made = build_index(items, self.ngram, self.min_idf, self.common_docs, training)
        if made.hashes.size > self.max_ngrams:
            raise DataError(_too_many(int(made.hashes.size), self.max_ngrams))
        return made

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        return sampled.take(name, corpus, known, self.sample_docs)

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        return sampled.join(name, taken)

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        sampled.counted_in(self.index(), known).save(out)


def _too_many(ngrams: int, limit: int) -> str:
    return (
        f"contamination: the benchmarks have about {ngrams:,} n-grams, {memory(ngrams) / 1e9:.1f} GB in each worker; "
        f"contamination.max_ngrams is {limit:,}: raise it, or leave out passages (passage: [])"
    )


@dataclass(frozen=True)
class Contamination(Annotator):
    """Says of each document which benchmark item it holds most of, and how much."""

    benchmarks: tuple[BenchmarkSet, ...] = ()  # as in the index
    # Fields of an item that count as the item; a document that holds only others (a passage of Wikipedia) is marked.
    counted: tuple[Field, ...] = ("question", "answer")
    max_hits: Whole | None = 2  # as in the gate

    name: ClassVar[str] = "contamination"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"ingest": ("text",)}
    writes: ClassVar[tuple[str, ...]] = (
        "benchmark", "benchmark_item", "benchmark_field", "benchmark_hits_n", "benchmark_item_frac",
        "benchmark_doc_frac", "benchmark_text", "benchmark_items",
    )  # fmt: skip
    needs: ClassVar[tuple[str, ...]] = ("contamination",)
    rows: ClassVar[Literal["kept"]] = "kept"

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.benchmarks)

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        index = load_index(artifacts["contamination"])

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            matches = index.match(batch["text"].fill_null(""), fewest_hits(self.max_hits), self.counted)
            return batch.select("doc_id").hstack(benchmark_columns(index, matches))

        return annotate


def fewest_hits(max_hits: int | None) -> int:
    """Hits from which a document is said to hold an item."""
    return 1 if max_hits is None else max_hits + 1


def benchmark_columns(index: Index, matches: Matches) -> pl.DataFrame:
    named = pl.concat(
        [index.items.select("set", "name", "field"), pl.DataFrame({"set": [None], "name": [None], "field": [None]})],
        how="vertical_relaxed",
    )[np.where(matches.item < 0, index.items.height, matches.item)]
    labels = [f"{s}/{i}" for s, i in index.items.select("set", "name").iter_rows()]
    return pl.DataFrame(
        {
            "benchmark": named["set"].cast(pl.String),
            "benchmark_item": named["name"].cast(pl.String),
            "benchmark_field": named["field"].cast(pl.String),
            "benchmark_hits_n": matches.hits,
            "benchmark_item_frac": matches.item_frac.astype(np.float32),
            "benchmark_doc_frac": matches.doc_frac.astype(np.float32),
            "benchmark_text": pl.Series(matches.texts, dtype=pl.String),
            "benchmark_items": pl.Series(
                [list(dict.fromkeys(labels[i] for i in row)) for row in matches.listed], dtype=pl.List(pl.String)
            ),
        }
    )


def holds_item(prefix: str, max_hits: int | None, max_doc_frac: float | None, max_item_frac: float | None) -> pl.Expr:
    """Too many hits for the document's length, or nearly all of an item of some length, or of the document."""
    if max_hits is None:
        return pl.lit(False)
    hits, of_doc, of_item = (pl.col(f"{prefix}_{name}") for name in ("hits_n", "doc_frac", "item_frac"))
    of_text = pl.lit(False) if max_doc_frac is None else of_doc > max_doc_frac
    whole = pl.lit(False) if max_item_frac is None else (of_item > max_item_frac) & (hits >= LONG_HITS)
    return ((hits > max_hits) & (of_text | whole)) | ((hits > 0) & (of_doc >= HOLDS))


LONG_HITS = 8  # distinct n-grams, 20 words in a row: found whole, no length of the document makes that a chance


@dataclass(frozen=True)
class ContaminationGate(Gate):
    """Drops documents that hold an item of a benchmark."""

    benchmarks: tuple[BenchmarkSet, ...] = ()  # as in the index
    drop: bool = True  # false: documents are marked (columns benchmark, benchmark_...), and all stay
    counted: tuple[Field, ...] = ("question", "answer")  # as in the annotator
    max_hits: Whole | None = 2  # distinct n-grams of one item in a document (MixtureVitae: 3 are too many); null: off
    # A document with more goes if they are more of its n-grams than this (MixtureVitae: 0.001) ...
    max_doc_frac: Share | None = 0.001
    max_item_frac: Share | None = 0.8  # ... or more of the item's than this, and at least 8

    name: ClassVar[str] = "contamination.gate"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {
        "contamination": ("benchmark_field", "benchmark_hits_n", "benchmark_item_frac", "benchmark_doc_frac")
    }
    rules: ClassVar[tuple[str, ...]] = ("benchmark_text",)

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.benchmarks)

    def table(self) -> dict[str, pl.Expr]:
        if not self.drop:
            return {}
        found = holds_item("benchmark", self.max_hits, self.max_doc_frac, self.max_item_frac)
        return {"benchmark_text": found & pl.col("benchmark_field").is_in(list(self.counted))}
