"""The six stage shapes: Source, Annotator, Gate, Reducer, Grouping, Sink. A stage derives from one of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import polars as pl

from gristmill.pipeline.contract.columns import Column
from gristmill.pipeline.contract.corpus.reducing import Artifacts, Corpus, Sharing, Tables
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.loading import named_code

Kind = Literal["source", "annotator", "gate", "reducer", "grouping", "sink"]
Reads: TypeAlias = Mapping[str, tuple[str, ...]]
PolarsType: TypeAlias = pl.DataType | type[pl.DataType]
NOWHERE = (1 << 64) - 1  # node of a row that is no document's of this run


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
    source: str = ""  # name of the source, where sources are named


@dataclass(frozen=True)
class Counted:
    """What became of a part's records: documents, and rejected ones by rule."""

    part: Part
    documents: int
    rejected: Mapping[str, int]


class Shape:
    """What every stage says of itself. A stage is a frozen dataclass that derives from one of the six shapes below.

    Its fields are its identity and its config section; all that stands here is declared once per class (or, where it
    depends on the fields, as a property of the same name).
    """

    kind: ClassVar[Kind]
    name: ClassVar[str]  # its dataset or artifact: `stage` or `stage.part`; a gate's: `stage.gate`, or the stage itself
    version: ClassVar[int]  # bump it when the output changes
    reads: ClassVar[Reads] = {}  # dataset -> the columns taken from it
    writes: ClassVar[tuple[str, ...]] = ()  # columns of `contract.columns`, or of `columns`
    rows: ClassVar[Literal["kept", "all"]] = "kept"  # "all": also what a gate has dropped (the ledger's token counts)
    needs: ClassVar[tuple[str, ...]] = ()  # artifacts, made by a Reducer earlier, whose folders are handed over
    rules: ClassVar[tuple[str, ...]] = ()  # every reason for which it may drop a document or record
    averaged: ClassVar[tuple[tuple[str, str], ...]] = ()  # (column, prefix of scores) of the means that `tell` asks for
    columns: ClassVar[tuple[Column, ...]] = ()  # definitions of columns that are this stage's own
    publish: ClassVar[Reads] = {}  # dataset -> columns that reach the corpus beside the standard ones
    files: ClassVar[tuple[str, ...]] = ()  # fields that hold paths: the files' contents are part of the identity
    outside_identity: ClassVar[tuple[str, ...]] = ()  # fields that say only where input lies, or how to get it
    # fields (dotted: of a section inside) that may hold "module:Class" of the user's own, which only a run imports
    own_names: ClassVar[tuple[str, ...]] = ()
    # field -> the config sections whose keys fill it; ("sources",): a tuple with an item for each source of the list
    borrowed: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    enabled: bool = True  # a field of stages that may be left out of the run
    off_is_empty: ClassVar[bool] = False  # not `enabled`, it stays in the run and writes nulls or an empty artifact

    @property
    def own_code(self) -> tuple[str, ...]:
        """Code of the user's own that the settings name. To make the stage imports none of it: what can only be checked
        with it is checked when it is made again in a run."""
        return named_code(self, self.own_names)

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        """Columns whose only values the settings give; `known`: those of earlier stages."""
        return {}

    def mentions(self) -> Mapping[str, tuple[str, Sequence[str]]]:
        """Setting -> a column and the values that it names there, which must be values of that column."""
        return {}

    def placed(self, parts: Sequence[Part], before: "Sequence[Stage]", earlier: "Sequence[Stage]") -> "Stage":
        """The stage in a run of these parts. before: the stages of the run's last plan; earlier: those before this one,
        placed. What it takes up from outside the config (which runs came before) is in its fields, so in its identity.
        """
        return self  # pyright: ignore[reportReturnType]

    def preflight(self) -> None:
        """Looks at what the settings name (a model's labels, a file's records, a package) before anything runs.

        Raises ConfigError or InputError with the key.
        """

    def check_code(self) -> None:
        """Like `preflight`, for what has to call code that the config names: only a run does, before its first part."""

    def notes(self) -> list[str]:
        """What a person should know before the run, once the stage is placed (a source: of what `parts` leaves out)."""
        return []

    def deliver(self, run: Finished) -> None:
        """Adds what the run leaves outside of its folder, when its corpus is finished; the same once more changes
        nothing. Raises PlanError where others have changed that place meanwhile."""
        return

    def papers(self, run: Finished) -> Mapping[str, object]:
        """JSON documents about the finished run that only this stage can write: path below the run folder -> value."""
        return {}

    def tell(self, run: Finished) -> Told:
        """Sections, warnings, lines of card and summary that only this stage can read out of a finished run."""
        return Told()

    def choice(self, document: Mapping[str, object], run: Finished) -> str | None:
        """Why a document was chosen, or left out by choice, in a clause; None: this stage has nothing to say of it.

        document: its columns as far as it came; values may be null.
        """
        return None

    def complaints(self, run: Finished) -> list[str]:
        """What does not hold of the finished run, recounted from its corpus (`gristmill verify`)."""
        return []


class Source(Shape):
    """Input files to documents."""

    kind: ClassVar[Kind] = "source"

    def parts(self) -> list[Part]:
        """All parts, sorted by key. Raises InputError for a missing path or an empty glob."""
        raise NotImplementedError

    def preview(self, parts: Sequence[Part]) -> None:
        """Looks at files before anything runs. Raises InputError for those that cannot give documents."""
        return

    def review(self, counted: Sequence[Counted]) -> None:
        """Looks at what became of all parts' records. Raises DataError where too many were rejected."""
        return

    def remarks(self, counted: Sequence[Counted]) -> list[str]:
        """What a person should know of what became of the parts' records, for the end of the run and the report."""
        return []

    def run(self, part: Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Documents (doc_id + writes) and rejected records (`columns.REJECTED`), each in file order."""
        raise NotImplementedError


class Annotator(Shape):
    """Same rows, same order, new columns, row-local: a row's values depend on that row and the artifacts alone."""

    kind: ClassVar[Kind] = "annotator"
    # Like `reads`: later steps that read these columns there are given this stage's columns of the same names; its rows
    # must be "all". So a stage that cleans text is one more step, and no other changes; several form a chain.
    replaces: ClassVar[Reads] = {}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Loads models (in the worker) and returns batch -> frame with doc_id and `writes`."""
        raise NotImplementedError


class Gate(Shape):
    """The first broken rule per row, or null. Reads columns, never text. The ledger books its drops under the stage."""

    kind: ClassVar[Kind] = "gate"
    limits: ClassVar[Mapping[str, str]] = {}  # rule -> the field that limits it
    # Of its columns the one that names the document which stays for a dropped one, and how alike they are, in [0, 1]
    # (left out: the same). The ledger takes them up.
    instead: ClassVar[tuple[str, ...]] = ()
    chooses: ClassVar[bool] = False  # it leaves documents out by choice (no copy is wanted), not for what they are

    def table(self) -> Mapping[str, pl.Expr]:
        """Rules in force -> the condition under which a row breaks them, in the order in which they are judged.

        `explain` and the report read out of a condition which value broke it. {}: the gate has a `decide` of its own.
        """
        return {}

    def table_for(self, document: Mapping[str, object]) -> Mapping[str, pl.Expr]:
        """The table that holds for a document with these values of the columns read."""
        return self.table()

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        """String series, one per row: null keeps."""
        return first_broken(batch, self.table())

    def is_idle(self) -> bool:
        """Whether it can drop no document, with these settings: the run goes without it, and writes no file of it."""
        return False

    def judged_languages(self) -> set[str]:
        """Languages for which limits of their own are known; empty where the rules do not depend on the language."""
        return set()


class Reducer(Shape):
    """Whole corpus to an artifact: files under `out`, the same bytes for the same rows in any order.

    A reducer with `passes` sees no part as a whole: in each pass `take` goes through a bundle of parts, as many bundles
    side by side as there are workers, and leaves small tables; `join` makes one set of tables of all that was taken,
    which later passes know; after the last pass `finish` writes the artifact. What is taken must not depend on how the
    parts are bundled, once it is joined. A small corpus is one bundle.
    """

    kind: ClassVar[Kind] = "reducer"
    passes: ClassVar[tuple[str, ...]] = ()
    # How many times at most it asks for work that is shared out among workers (`sharing`), when all passes are joined;
    # what it would ask for beyond that, `finish` does itself. 0: it shares nothing.
    rounds: ClassVar[int] = 0
    spread: ClassVar[int] = 1  # workers that may be at the work of a round at the same time

    def run(self, corpus: Corpus, out: Path) -> None:
        """All in one process. A reducer without passes has this method only, and reads the corpus in it."""
        known: dict[str, pl.DataFrame] = {}
        for name in self.passes:
            known |= self.join(name, iter([self.take(name, corpus, known)]), corpus, known)
        self.finish(known, corpus, out)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """What the pass `name` needs of some parts: tables of bounded size. `known`: what earlier passes joined."""
        raise NotImplementedError

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        """What was taken of all bundles, in any order, one at least; `corpus` gives artifacts only."""
        raise NotImplementedError

    def sharing(self, known: Tables, corpus: Corpus) -> Sharing:
        """Opens, in a worker, what asks for work, does it and makes the artifact; `corpus` as for `finish`."""
        raise NotImplementedError

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """What all passes joined, to files; `corpus` gives artifacts and scratch only."""
        raise NotImplementedError


class Grouping(Shape):
    """Rows that share a key, brought together over the whole corpus, to columns of the documents that they come from.

    A part's documents are scattered into rows with a 64-bit `key`; all rows of a key meet in one `gather`; the rows
    that it returns go back to the parts of their documents, where `settle` makes the columns of the dataset. No method
    sees more than a part, or whole keys that fit into memory. Every document has a `node` (UInt64), its place in the
    corpus, which travels with its rows; results must not depend on the nodes' values.
    """

    kind: ClassVar[Kind] = "grouping"
    scatters: ClassVar[Mapping[str, PolarsType]] = {}  # columns of a scattered row beside `key` and `node`
    order: ClassVar[tuple[str, ...]] = ()  # those that order the rows of a key
    gathers: ClassVar[Mapping[str, PolarsType]] = {}  # columns that `gather` gives `merge` beside `node`
    returns: ClassVar[Mapping[str, PolarsType]] = {}  # columns that come back to a document beside `node`
    settles: ClassVar[tuple[str, ...]] = ()  # columns of `reads` that `settle` sees
    several: ClassVar[bool] = False  # a document may get several rows back: `settle` sees lists
    meets: ClassVar[bool] = False  # `gather` sees only keys of several rows; nothing comes of a row alone
    merges: ClassVar[bool] = False  # what is gathered goes through `merge`, as a whole, before it goes back

    def extra(self, artifacts: Artifacts) -> pl.DataFrame | None:
        """Documents that no part holds, which take part: doc_id and columns of `reads`. What comes back to them goes
        to a later grouping that reads it, in place of the columns that are missing here."""
        return None

    def known(self, low: int, high: int) -> Iterable[pl.DataFrame]:
        """Rows that other runs left, with a scattered row's columns and low <= key < high. Those that share a key with
        a row of this run take part in `gather`; their node is `NOWHERE`, and nothing goes back to them."""
        return ()

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        """doc_id, `node` and `reads` of some documents to any number of rows: `key` (UInt64), `node` and `scatters`."""
        raise NotImplementedError

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        """All rows of one or more keys, sorted by key and `order`, to `node` and `returns`, a node once at most (any
        number of times where `several` is set); where the stage `merges`, to `node` and `gathers`, any number of times.
        A key's result does not depend on the keys that came with it."""
        raise NotImplementedError

    def gather_long(self, rows: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        """As `gather`, for a key that does not fit into memory: frames in order. Without it such a key ends the run."""
        raise NotImplementedError

    def merge(self, gathered: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        """What `gather` gave for all keys, sorted by node and whole nodes in a frame, to `node` and `returns`, a node
        once at most. `gathered` may be called several times."""
        raise NotImplementedError

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        """doc_id, `settles` and the columns that came back (null where none did) to doc_id and `writes`."""
        raise NotImplementedError


class Sink(Shape):
    """Documents x copies to training shards, in two passes: each part is scattered into a slice per output shard, then
    each output shard gathers its slice of every part. A unit names an output shard (`contract.corpus.splits`)."""

    kind: ClassVar[Kind] = "sink"
    # names of columns that the corpus has beside the standard and the published ones; a sink defines none of its own
    columns: tuple[str, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]
    loads: tuple[str, ...] = ()  # patterns below the corpus folder that `datasets` can load
    splits: tuple[str, ...] = ("train",)  # training (or its phases) first, validation last

    def units(self, artifacts: Artifacts) -> list[str]:
        """The output shards of all splits."""
        raise NotImplementedError

    def scatter(self, batch: pl.DataFrame, units: Sequence[str]) -> pl.DataFrame:
        """Rows to write, with `shard` (which of the units, int) and the columns of the output, copies expanded.

        With a column `piece` (int) a shard is gathered piece after piece, so that one is in memory at a time.
        """
        raise NotImplementedError

    def gather(self, slices: Iterator[pl.DataFrame]) -> pl.DataFrame:
        """One output shard, or a stretch of it, in its final order."""
        raise NotImplementedError

    def write(self, pieces: Iterable[pl.DataFrame], corpus: Path, unit: str, artifacts: Artifacts) -> list[Path]:
        """Writes the output shard `unit`, whose rows come in pieces, below the folder `corpus`; the files it wrote."""
        raise NotImplementedError

    def finish(self, corpus: Path, units: Sequence[str]) -> list[Path]:
        """Files about all shards, when the last is written."""
        return []

    def recount(self, corpus: Path, units: Sequence[str]) -> dict[str, tuple[int, int | None]]:
        """Format -> (rows, tokens) of the written shards, read from their bytes; tokens None where it holds text."""
        raise NotImplementedError


Stage: TypeAlias = Source | Annotator | Gate | Reducer | Grouping | Sink


def first_broken(batch: pl.DataFrame, rules: Mapping[str, pl.Expr]) -> pl.Series:
    """Name of the first rule (in table order) whose condition is true for a row, else null.

    A null condition (the column is null) does not break the rule.
    """
    if not rules:
        return pl.Series("rule", [None] * batch.height, dtype=pl.String)
    decision = pl.coalesce([pl.when(broken).then(pl.lit(name)) for name, broken in rules.items()])
    return batch.select(decision.cast(pl.String).alias("rule")).to_series()
