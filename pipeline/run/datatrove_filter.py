"""datatrove's documents and our batches, both ways, so that a recipe can use any datatrove filter."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import polars as pl
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.shapes import Gate


def documents_of(batch: pl.DataFrame) -> Iterator[Document]:
    """One datatrove Document per row: id = doc_id, text, everything else as metadata."""
    for row in batch.iter_rows(named=True):
        metadata = {k: v for k, v in row.items() if k not in ("doc_id", "text")}
        yield Document(text=row.get("text") or "", id=row["doc_id"], metadata=metadata)


def filter_class(reference: str) -> type[BaseFilter]:
    """The filter class behind "module:Class". Raises ConfigError for anything else, which is never called."""
    found = load_object(reference)
    if not (isinstance(found, type) and issubclass(found, BaseFilter)):
        raise ConfigError(f"filter {reference!r} is no datatrove filter (a subclass of its BaseFilter)")
    return found


@dataclass(frozen=True)
class DatatroveFilter(Gate):
    """A datatrove filter as a gate. It reads text, which our own gates never do: prefer a signal and a limit.

    The rule is the filter's own reason; `rules` must name every reason that it can give.
    """

    filter: str  # module:Class, e.g. datatrove.pipeline.filters:GopherQualityFilter
    arguments: tuple[tuple[str, int | float | str | bool | None], ...] = ()  # (name, value) of its constructor
    reasons: tuple[str, ...] = ()  # what it may answer; a filter that gives no reason breaks "filtered"
    step: str = "datatrove.gate"  # name of the step: the ledger books drops under it

    version: ClassVar[int] = 1
    reads: ClassVar = {"ingest": ("text",), "language": ("language",)}

    def __post_init__(self) -> None:
        if self.filter.startswith("datatrove."):  # to look at a config imports nothing else
            filter_class(self.filter)
        elif self.filter.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
            raise ConfigError(f"filter {self.filter!r} is no datatrove filter: Python's own modules have none")

    @property
    def name(self) -> str:
        return self.step

    @property
    def rules(self) -> tuple[str, ...]:
        return (*self.reasons, "filtered")

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        made = filter_class(self.filter)(**dict(self.arguments))  # pyright: ignore[reportArgumentType] - its own checks
        rules: list[str | None] = []
        for document in documents_of(batch):
            answer = made.filter(document)
            kept, reason = answer if isinstance(answer, tuple) else (answer, None)
            rules.append(None if kept else (reason or "filtered"))
        return pl.Series("rule", rules, dtype=pl.String)
