"""Limits on any column that the run has by then: a least or greatest value, or the best share of the documents.

`limits` finds where the best share begins, over the whole corpus or in each language, source or dump; its annotator
names the first limit that a document breaks, and the gate drops it by that name. A null value breaks no limit.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import orjson
import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Number, SomeShare
from gristmill.pipeline.contract.samples import compact, drawn, smallest, summed, tables_of, together
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer, Tables

OWN = "input."  # before the name of a column that the documents carry from the input
GROUPS = {"language": "language", "source": "ingest", "dump": "ingest"}
TABLES = "limits.json"
KEYS = ("limit", "group")
SAMPLED = 20_000  # values of a group by which the two around its edge are chosen: 6% of all lie between them, at most
SIGMAS = 8  # of the share of a sample that stands before the edge: 10^-15 of all draws are farther off
BRACKET = {
    "limit": pl.Int64, "group": pl.String, "first_value": pl.Float64, "first_tie": pl.Float64,
    "last_value": pl.Float64, "last_tie": pl.Float64,
}  # fmt: skip
# Where the columns lie that can be limited; q_ columns are the quality stage's.
DATASETS = {
    "language": ("language_score",),
    "license": ("license_confidence",),
    "ingest.tokens": ("token_count",),
    "ingest": ("text_bytes",),
    "dedup.exact": ("exact_copies_n",),
    "dedup.minhash": ("minhash_cluster_size",),
}


@dataclass(frozen=True)
class Limit:
    """One limit: `min`, `max` or `top_share`."""

    column: str  # any column that a stage before wrote: q_mine, license_confidence, words_n
    min: Number | None = None  # the least value that stays
    max: Number | None = None  # the greatest value that stays
    top_share: SomeShare | None = None  # this share of the documents with the greatest values stays; ties by draw
    by: Literal["language", "source", "dump"] | None = None  # the share is of each of these; null: of all documents

    def __post_init__(self) -> None:
        kinds = [key for key in ("min", "max", "top_share") if getattr(self, key) is not None]
        if len(kinds) != 1:
            given = ", ".join(kinds) or "none"
            raise ConfigError(f"gates.limits, {self.column}: one of min, max or top_share; got {given}")
        if self.by is not None and self.top_share is None:
            raise ConfigError(f"gates.limits, {self.column}: by belongs to top_share")
        dataset_of(self.column)

    @property
    def stored(self) -> str:
        """The column of the run that holds the values."""
        return "carried" if self.column.startswith(OWN) else self.column

    @property
    def value(self) -> pl.Expr:
        """The values; null where they are no numbers."""
        if not self.column.startswith(OWN):
            return pl.col(self.column)
        return pl.col("carried").map_elements(
            lambda row: _number(orjson.loads(row).get(self.column.removeprefix(OWN))), return_dtype=pl.Float64
        )

    @property
    def broken(self) -> pl.Expr:
        """The condition of a document that breaks a least or greatest value; of a best share, the columns it is of."""
        if self.top_share is not None:
            return pl.struct(self.stored, *([self.by] if self.by else [])).is_not_null()
        return self.value < self.min if self.min is not None else self.value > self.max

    @property
    def rule(self) -> str:
        if self.top_share is not None:
            return f"{self.column.removeprefix(OWN)}_not_in_top_share"
        return f"{self.column.removeprefix(OWN)}_too_{'low' if self.min is not None else 'high'}"


def dataset_of(column: str) -> str:
    """Raises ConfigError for a column that no earlier stage writes."""
    if column.startswith("q_"):
        return "quality"
    if column.startswith(OWN):
        return "ingest"
    found = next((dataset for dataset, columns in DATASETS.items() if column in columns), None)
    if found is None:
        known = ", ".join(name for columns in DATASETS.values() for name in columns)
        raise ConfigError(
            f"gates.limits: no column {column!r}; there are q_reference, q_importance, q_NAME, {known}, and input.NAME "
            "for one of input.keep_columns"
        )
    return found


def _number(value: object) -> float | None:
    """A carried value as a number: decimals stand as text."""
    try:
        return None if value is None else float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return None


def reads_of(limits: Sequence[Limit]) -> Reads:
    """What the limits look at."""
    wanted = dict.fromkeys((dataset_of(limit.column), limit.stored) for limit in limits)
    wanted |= dict.fromkeys((GROUPS[limit.by], limit.by) for limit in limits if limit.by is not None)
    reads: dict[str, tuple[str, ...]] = {}
    for dataset, column in wanted:
        reads[dataset] = (*reads.get(dataset, ()), column)
    return reads


def _draws(doc_ids: pl.Series, limit: Limit) -> np.ndarray:
    """(n,) float64 in [0, 1): settles ties, the same wherever the document stands."""
    return key64(doc_ids, f"limits.{limit.column}").astype(np.float64) / 2.0**64


@dataclass(frozen=True)
class LimitTables(Reducer):
    """Finds for every top share the value, and the draw among its ties, at which the share is full: limits.json."""

    limits: tuple[Limit, ...] = ()  # {column, min | max | top_share, by}: on q_ columns and others, after the quality
    name: ClassVar = "limits"
    version: ClassVar = 1
    passes: ClassVar = ("sampled", "inside")

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.limits)

    def mentions(self) -> Mapping[str, tuple[str, Sequence[str]]]:
        own = [limit.column.removeprefix(OWN) for limit in self.limits if limit.column.startswith(OWN)]
        return {"gates.limits": ("column of input.keep_columns", own)}

    @property
    def reads(self) -> Reads:  # pyright: ignore[reportIncompatibleVariableOverride]
        return reads_of(self.limits)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """Values per limit and group: how many there are, and a sample; then those between two sampled ones."""
        if name == "inside" and known["brackets"].is_empty():  # smallest and largest values have none
            return {}
        limits = [(i, limit) for i, limit in enumerate(self.limits) if name == "sampled" or limit.top_share is not None]
        values = (_valued(batch, limit, i) for batch in corpus.batches() for i, limit in limits)
        if name == "sampled":
            counts: list[pl.DataFrame] = []
            return {"sample": smallest(self._sampled(values, counts), SAMPLED, KEYS), "counts": summed(counts, KEYS)}
        before, inside = [], []
        for rows in values:
            placed = rows.join(known["brackets"], on=KEYS)
            first = _before("value", "tie", "first_value", "first_tie")
            last = _before("last_value", "last_tie", "value", "tie")
            before.append(compact(placed.filter(first).group_by(KEYS).agg(n=pl.len().cast(pl.Int64))))
            inside.append(compact(placed.filter(~first & ~last).select(*KEYS, "value", "tie")))
        return {"before": summed(before, KEYS), "inside": together(inside)}

    def _sampled(self, values: Iterator[pl.DataFrame], counts: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for rows in values:
            counts.append(compact(rows.group_by(KEYS).agg(n=pl.len().cast(pl.Int64))))
            if rows.height and self.limits[rows["limit"][0]].top_share is not None:
                yield drawn(rows, "limits.sample")

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        both = list(taken)
        if name == "inside":
            return {"before": summed(tables_of("before", both), KEYS), "inside": together(tables_of("inside", both))}
        counts = summed(tables_of("counts", both), KEYS)
        sample = smallest(tables_of("sample", both), SAMPLED, KEYS)
        groups = sample.group_by(KEYS) if sample.width else ()
        rows = [self._bracket(int(limit), str(group), rows, counts) for (limit, group), rows in groups]
        return {"counts": counts, "brackets": pl.DataFrame(rows, schema=BRACKET, orient="row")}

    def _last(self, number: int, documents: int) -> int:
        """Place, from 0, of the last document that stays; at least one of every group does."""
        share = self.limits[number].top_share
        assert share is not None
        return max(1, int(pl.select(pl.lit(documents * share).round()).item())) - 1

    def _bracket(self, number: int, group: str, sample: pl.DataFrame, counts: pl.DataFrame) -> tuple:
        """Two values around the last that stays, so far apart that chance does not reach them."""
        documents = counts.filter((pl.col("limit") == number) & (pl.col("group") == group))["n"][0]
        ordered = sample.sort("value", "tie", descending=[True, False]).select("value", "tie")
        share = self._last(number, documents) / documents
        near, off = share * sample.height, SIGMAS * (np.sqrt(sample.height * share * (1 - share)) + 1)
        first, last = int(near - off) - 1, int(near + off) + 1
        begin = ordered.row(first) if first >= 0 else (np.inf, -1.0)
        return number, group, *begin, *(ordered.row(last) if last < sample.height else (-np.inf, 2.0))

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """Raises DataError for a limit on a column that is null in every document."""
        tables: list[dict[str, list[float]]] = []
        for i, limit in enumerate(self.limits):
            counts = known["counts"].filter(pl.col("limit") == i) if known["counts"].width else pl.DataFrame()
            if counts.is_empty():
                raise DataError(
                    f"gates.limits: {limit.column} is null in every document, so that its limit says nothing; "
                    "take the limit out, or see the notes on what is off"
                )
            rows = counts.select("group", "n").sort("group").iter_rows()
            tables.append(
                {} if limit.top_share is None else {group: self._edge(i, group, n, known) for group, n in rows}
            )
        (out / TABLES).write_text(json.dumps(tables, indent=1, sort_keys=True, ensure_ascii=False))

    def _edge(self, number: int, group: str, documents: int, known: Tables) -> list[float]:
        """(value, draw) of the last document that stays."""
        mine = (pl.col("limit") == number) & (pl.col("group") == group)
        before = known["before"].filter(mine)["n"].sum() if known["before"].width else 0
        inside = known["inside"].filter(mine).sort("value", "tie", descending=[True, False])
        return list(inside.select("value", "tie").row(self._last(number, documents) - int(before)))


def _valued(batch: pl.DataFrame, limit: Limit, number: int) -> pl.DataFrame:
    """doc_id, limit, group, value and tie (the draw, where a share is asked for) of the rows that have a value."""
    group = pl.col(limit.by).fill_null("") if limit.by else pl.lit("")
    ties = np.zeros(batch.height) if limit.top_share is None else _draws(batch["doc_id"], limit)
    tied = batch.with_columns(pl.Series("tie", ties, dtype=pl.Float64))
    value = limit.value.cast(pl.Float64).fill_nan(None)
    numbered = pl.lit(number, pl.Int64).alias("limit")
    return tied.select("doc_id", numbered, group.alias("group"), value.alias("value"), "tie").drop_nulls("value")


def _before(value: str, tie: str, other: str, other_tie: str) -> pl.Expr:
    """Whether a value stands before another: the greater, or of equal ones that of the smaller draw."""
    same = pl.col(value) == pl.col(other)
    return (pl.col(value) > pl.col(other)) | (same & (pl.col(tie) < pl.col(other_tie)))


@dataclass(frozen=True)
class LimitBroken(Annotator):
    """Names the first limit that each document breaks; null: none."""

    limits: tuple[Limit, ...] = ()  # as in the tables
    name: ClassVar = "limits"
    version: ClassVar = 1
    writes: ClassVar = ("limit_broken",)
    needs: ClassVar = ("limits",)

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.limits)

    @property
    def reads(self) -> Reads:  # pyright: ignore[reportIncompatibleVariableOverride]
        return reads_of(self.limits)

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        tables = json.loads((artifacts["limits"] / TABLES).read_text(encoding="utf-8"))

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            broken = pl.Series("limit_broken", [None] * batch.height, dtype=pl.String)
            for limit, edges in zip(reversed(self.limits), reversed(tables), strict=True):
                name = pl.repeat(limit.rule, batch.height, dtype=pl.String, eager=True)
                broken = name.zip_with(_breaks(batch, limit, edges), broken)
            return batch.select("doc_id").with_columns(broken.alias("limit_broken"))

        return annotate


def _breaks(batch: pl.DataFrame, limit: Limit, edges: dict[str, list[float]]) -> pl.Series:
    """(n,) bool: false where the value is null."""
    stored = batch.select(limit.value.alias("value"))["value"]
    value = stored.cast(pl.Float64).fill_nan(None)
    if limit.top_share is None:
        # Scores are stored as float32, so limits are rounded alike: a document exactly at the limit stays.
        given = limit.min if limit.min is not None else limit.max
        bound = float(np.float32(given)) if stored.dtype == pl.Float32 else given
        broken = value < bound if limit.min is not None else value > bound
        return broken.fill_null(False)
    group = batch[limit.by].fill_null("") if limit.by else pl.repeat("", batch.height, dtype=pl.String, eager=True)
    at = group.replace_strict({g: e[0] for g, e in edges.items()}, default=None, return_dtype=pl.Float64)
    tie = group.replace_strict({g: e[1] for g, e in edges.items()}, default=None, return_dtype=pl.Float64)
    draw = pl.Series(_draws(batch["doc_id"], limit), dtype=pl.Float64)
    return ((value < at) | ((value == at) & (draw > tie))).fill_null(False)


@dataclass(frozen=True)
class LimitSection:
    """What the gate's rules are named after."""

    limits: tuple[Limit, ...] = ()  # as in the tables


@dataclass(frozen=True)
class LimitGate(Gate):
    """Drops the documents that break a limit, by its name."""

    section: LimitSection = LimitSection()  # the limits of the section `gates`
    name: ClassVar = "limits.gate"
    version: ClassVar = 1
    borrowed: ClassVar = {"section": ("gates",)}

    @property
    def reads(self) -> Reads:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"limits": ("limit_broken",), **reads_of(self.section.limits)}

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.section.limits)

    @property
    def rules(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(dict.fromkeys(limit.rule for limit in self.section.limits))

    def table(self) -> Mapping[str, pl.Expr]:
        """For what is told of a document; where a best share begins stands in the artifact alone."""
        rules: dict[str, pl.Expr] = {}
        for limit in self.section.limits:
            rules[limit.rule] = rules[limit.rule] | limit.broken if limit.rule in rules else limit.broken
        return rules

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        return batch["limit_broken"].alias("rule")
