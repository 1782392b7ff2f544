"""What a reducer is given to read, and what it opens to share work out among workers before it makes its artifact."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import polars as pl

Artifacts: TypeAlias = Mapping[str, Path]
Tables: TypeAlias = Mapping[str, pl.DataFrame]


class Corpus(Protocol):
    """What a Reducer sees: the kept rows of all parts, or of a bundle of them, one batch per part."""

    artifacts: Artifacts
    # A folder of the step's own that outlives a killed run (it may not exist yet). It is no output and proves nothing
    # by being there: what a reducer keeps in it, it must find again under a digest of all that it was made from.
    scratch: Path

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        """doc_id + the columns in `reads`, or those of them that `columns` names. May be iterated several times.

        `of`: only the documents with these ids; of a part that holds none of them nothing is read.
        """
        ...

    def ordered(self, frames: Iterable[pl.DataFrame], by: Sequence[str]) -> Iterator[pl.DataFrame]:
        """The rows of all frames sorted by columns, of which the first is UInt64, beyond memory."""
        ...


class Sharing(Protocol):
    """What a reducer with `rounds` has opened in a worker: it asks for work, does it, and makes the artifact of it."""

    def ask(self, answers: pl.DataFrame) -> pl.DataFrame:
        """Work that other workers shall do before the artifact can be made: a row each, of which no two are equal; no
        row: nothing more. `answers`: all so far, one after another; without columns before the first."""
        ...

    def answer(self, asked: pl.DataFrame) -> pl.DataFrame:
        """What comes of a row that was asked. It must depend on that row alone, and not on who does it. A column
        `failed` (boolean): rows where it is true are asked again by the next command."""
        ...

    def finish(self, answers: pl.DataFrame, out: Path) -> None:
        """The artifact's files, as `Reducer.finish` makes them without any answer."""
        ...
