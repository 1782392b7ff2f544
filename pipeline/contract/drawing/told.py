"""What a stage tells of a finished run: sections of the report, warnings, and words for values of its columns.

The report asks every stage of the plan, in order, and knows none of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from gristmill.pipeline.contract.drawing.html import Content

MEAN_PARTS = 1 << 20  # scores are summed as integers of so many parts, so that the order of rows does not show


@dataclass(frozen=True)
class Section:
    """A section of the report. `name` is its anchor, a word of [a-z-]."""

    name: str
    title: str
    content: Content


@dataclass(frozen=True)
class Told:
    """What one stage adds to the report; everything may be empty."""

    sections: tuple[Section, ...] = ()
    warnings: tuple[Content, ...] = ()  # what a person should look at before using the corpus
    sentences: tuple[str, ...] = ()  # of the summary at the top
    figures: tuple[tuple[str, str, str], ...] = ()  # (name, value, what it is of), in the row of key figures
    card: tuple[str, ...] = ()  # lines of Markdown in the dataset card
    files: tuple[Path, ...] = ()  # copied beside the dataset card
    summary: tuple[tuple[str, str], ...] = ()  # (word, text): lines at the end of a run
    # column -> value -> words that say what the value stands for (a cluster's terms)
    words: Mapping[str, Mapping[object, Sequence[str]]] = field(default_factory=dict)


@dataclass
class Means:
    """Sums of scores over documents: column -> (sum in MEAN_PARTS of a unit, documents with a score)."""

    sums: dict[str, tuple[int, int]] = field(default_factory=dict)

    def mean(self, column: str) -> float | None:
        total, n = self.sums.get(column, (0, 0))
        return total / MEAN_PARTS / n if n else None


class Finished(Protocol):
    """A finished run as a stage sees it."""

    @property
    def root(self) -> Path: ...

    def artifact(self, name: str) -> Path:
        """The folder of an artifact; it may not exist."""
        ...

    def columns(self, prefix: str) -> tuple[str, ...]:
        """Columns written in this run whose names start so, in the order of the steps."""
        ...

    def dropped(self, stage: str) -> Mapping[str, tuple[int, int]]:
        """(documents that a stage's gate saw, those it dropped) by the name of their source, "" where there is none."""
        ...

    def pairs(self, stage: str, n: int) -> pl.DataFrame:
        """At most `n` documents that a stage dropped for another one, by draw: doc_id, url, text, and stays_doc_id,
        stays_url, stays_text, similarity. Without those for which a text stays that no part holds."""
        ...

    def seen(self, step: str, n: int) -> Iterator[pl.DataFrame]:
        """What a step was given: doc_id and the columns that it reads, of whole parts in the order of their draws until
        there are n documents."""
        ...

    def means(self, by: str, prefix: str) -> Mapping[object, Means]:
        """Mean scores of the documents by the value of a column, of all columns whose names start so: of pairs that a
        stage of the run declares (`Shape.averaged`). {} where the run has no such columns."""
        ...

    def written(self, column: str, split: str = "") -> Mapping[object, int]:
        """Tokens of a split, or of all that is trained on, by the value of one of the corpus's columns."""
        ...
