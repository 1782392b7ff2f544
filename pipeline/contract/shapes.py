"""The five stage shapes. A stage is a frozen dataclass: its fields are its whole identity and its config section.

Every stage has `name` (its dataset, `stage` or `stage.part`) and `version` (bump it when its output changes).
`reads` maps a dataset to the columns taken from it; `writes` names columns of `gristmill.pipeline.contract.columns`;
`needs` names artifacts (made by a Reducer earlier) whose folders are handed to `open`/`run`.
An annotator over all rows may say `replaces`, a mapping like `reads`: later steps that read those columns there are
given the annotator's own columns of the same names. So a stage that cleans text is one more step, and no other changes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import polars as pl

Reads: TypeAlias = Mapping[str, tuple[str, ...]]
Artifacts: TypeAlias = Mapping[str, Path]


@dataclass(frozen=True)
class Part:
    """A unit of work: records of `path` that start in bytes (or rows, or row groups) [start, end).

    `key` names the part's files in every dataset and is stable when other inputs come or go; `name` is the
    file's identity inside doc_id; `digest` changes when the file changes (size, etag or mtime, head).
    """

    key: str
    path: str
    name: str
    start: int
    end: int
    digest: str


@runtime_checkable
class Source(Protocol):
    """Input files to documents."""

    name: str
    version: int
    writes: tuple[str, ...]
    rules: tuple[str, ...]  # every reason for which a record may be rejected

    def parts(self) -> list[Part]:
        """All parts, sorted by key. Raises InputError for a missing path or an empty glob."""
        ...

    def run(self, part: Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Documents (doc_id + writes) and rejected records (`columns.REJECTED`), each in file order."""
        ...


@runtime_checkable
class Annotator(Protocol):
    """Same rows, same order, new columns, row-local: a row's values depend on that row and the artifacts alone."""

    name: str
    version: int
    reads: Reads
    writes: tuple[str, ...]
    needs: tuple[str, ...]
    rows: Literal["kept", "all"]  # "all": also documents that a gate has dropped (the ledger's token counts)

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Loads models (in the worker) and returns batch -> frame with doc_id and `writes`."""
        ...


@runtime_checkable
class Gate(Protocol):
    """The first broken rule per row, or null. Reads columns, never text."""

    name: str  # "<stage>.gate" or the stage itself; the ledger books its drops under the stage
    version: int
    reads: Reads
    rules: tuple[str, ...]

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        """String series, one per row: null keeps."""
        ...


class Corpus(Protocol):
    """What a Reducer sees: the kept rows of all parts, one batch per part, in the order of part keys."""

    artifacts: Artifacts
    # A folder of the step's own that outlives a killed run (it may not exist yet). It is no output and proves nothing
    # by being there: what a reducer keeps in it, it must find again under a digest of all that it was made from.
    scratch: Path

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """doc_id + the columns in `reads`, or those of them that `columns` names. May be iterated several times."""
        ...


@runtime_checkable
class Reducer(Protocol):
    """Whole corpus to an artifact: files under `out`, the same bytes for the same rows in any order."""

    name: str  # the artifact
    version: int
    reads: Reads
    needs: tuple[str, ...]

    def run(self, corpus: Corpus, out: Path) -> None: ...


@runtime_checkable
class Sink(Protocol):
    """Documents x copies to training shards, in two passes: each part is scattered into `shards` slices,
    then each output shard gathers its slice of every part."""

    name: str
    version: int
    reads: Reads
    needs: tuple[str, ...]

    def shards(self, artifacts: Artifacts) -> int:
        """How many output files."""
        ...

    def scatter(self, batch: pl.DataFrame, shards: int) -> pl.DataFrame:
        """Rows to write, with `shard` (int) and the columns of the output, copies expanded."""
        ...

    def gather(self, slices: Iterator[pl.DataFrame]) -> pl.DataFrame:
        """One output shard, in its final order."""
        ...


Stage: TypeAlias = Source | Annotator | Gate | Reducer | Sink


def first_broken(batch: pl.DataFrame, rules: Mapping[str, pl.Expr]) -> pl.Series:
    """Name of the first rule (in table order) whose condition is true for a row, else null.

    A null condition (the column is null) does not break the rule.
    """
    if not rules:
        return pl.Series("rule", [None] * batch.height, dtype=pl.String)
    decision = pl.coalesce([pl.when(broken).then(pl.lit(name)) for name, broken in rules.items()])
    return batch.select(decision.cast(pl.String).alias("rule")).to_series()
