"""Every text that the mixture is measured on is kept out of the corpus: whole, in part, or around a document.

Objective texts are the held-out references or, where there are any, the files of mixture.validation. Documents that
hold enough of their word n-grams are dropped under a rule of their own; a target that stands verbatim in the corpus
would reward the mixture for learning it by heart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl

from gristmill.pipeline.contract.ranges import Count, Range, Share, Whole
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer, Tables
from gristmill.stages.contamination import sampled
from gristmill.stages.contamination.index import Item, build_index, load_index
from gristmill.stages.contamination.stage import holds_item
from gristmill.stages.mixture.material.readings import any_held_out, held_out_texts, validation_texts


@dataclass(frozen=True)
class Measured:
    """What mixture.validation says."""

    validation: tuple[str, ...] = ()
    validation_fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObjectiveIndex(Reducer):
    """Makes the index of the objective texts' n-grams, and counts in the corpus which of them are common language."""

    ngram: Annotated[int, Range(2, 100)] = 13  # words; a text of fewer words is one n-gram
    min_idf: Share = 0.5  # as contamination.min_idf, over the texts of a target
    common_docs: Count = 10  # as contamination.common_docs
    sample_docs: Whole = 20_000  # as contamination.sample_docs
    measured: Measured = Measured()  # not a key of this section: what mixture.validation says

    name: ClassVar[str] = "dedup.objective"
    version: ClassVar[int] = 1
    borrowed: ClassVar = {"measured": ("mixture",)}
    reads: ClassVar[Reads] = {"ingest": ("text",)}
    needs: ClassVar[tuple[str, ...]] = ("dedup.held_out",)
    passes: ClassVar[tuple[str, ...]] = sampled.PASSES
    files: ClassVar[tuple[str, ...]] = ("validation",)

    @property
    def validation(self) -> tuple[str, ...]:
        return self.measured.validation

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """Nothing where there is no objective text."""
        if name == "texts" and not self.validation and not any_held_out(self._held_out(corpus)):
            return {}
        return sampled.take(name, corpus, known, self.sample_docs)

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        return sampled.join(name, taken)

    def _targets(self, corpus: Corpus) -> dict[str, list[str]]:
        if self.validation:
            return validation_texts(self.validation, self.measured.validation_fields)
        return held_out_texts(self._held_out(corpus))

    def _held_out(self, corpus: Corpus) -> Path:
        return corpus.artifacts["dedup.held_out"] / "texts.parquet"

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        items = [
            Item(target, str(number), "text", text)
            for target, texts in self._targets(corpus).items()
            for number, text in enumerate(texts, start=1)
        ]
        sampled.counted_in(build_index(items, self.ngram, self.min_idf, self.common_docs), known).save(out)


@dataclass(frozen=True)
class ObjectiveOverlap(Annotator):
    """Says of each document which objective text it shares most n-grams with, and how many."""

    name: ClassVar[str] = "dedup.objective"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"ingest": ("text",)}
    writes: ClassVar[tuple[str, ...]] = (
        "objective_target", "objective_hits_n", "objective_item_frac", "objective_doc_frac", "objective_text",
    )  # fmt: skip
    needs: ClassVar[tuple[str, ...]] = ("dedup.objective",)
    rows: ClassVar[Literal["kept"]] = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        index = load_index(artifacts["dedup.objective"])
        targets = pl.concat([index.items["set"], pl.Series("set", [None], dtype=pl.String)])

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            found = index.match(batch["text"].fill_null(""), fewest=1)
            return batch.select("doc_id").with_columns(
                targets[np.where(found.item < 0, targets.len() - 1, found.item)].alias("objective_target"),
                pl.Series("objective_hits_n", found.hits, pl.Int64),
                pl.Series("objective_item_frac", found.item_frac, pl.Float32),
                pl.Series("objective_doc_frac", found.doc_frac, pl.Float32),
                pl.Series("objective_text", found.texts, pl.String),
            )

        return annotate


@dataclass(frozen=True)
class ObjectiveGate(Gate):
    """Drops documents that hold words of an objective text: copies, near copies, parts of it, and pages around it."""

    max_hits: Whole | None = 2  # distinct n-grams of one text in a document; three are 15 words in a row. null: off
    name: ClassVar[str] = "dedup.objective.gate"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"dedup.objective": ("objective_hits_n", "objective_item_frac", "objective_doc_frac")}
    rules: ClassVar[tuple[str, ...]] = ("objective_text",)

    def table(self) -> dict[str, pl.Expr]:
        # No share of the document is asked for: three n-grams in a long document are as much a leak as in a short one.
        return {"objective_text": holds_item("objective", self.max_hits, 0.0, None)}
