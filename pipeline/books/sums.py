"""What the records of a part add up to: made by the worker that writes their fates, and kept in the ledger's own file.

Books, card and report add up the sums of the parts and read no record for them; `gristmill verify` counts the records
again. Sums are whole numbers by section and key, so parts may be added in any order.
"""

from collections.abc import Iterable, Iterator, Sequence

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.books.splits import COLUMN as SPLITS_COLUMN
from gristmill.pipeline.books.splits import splits_of
from gristmill.pipeline.contract.drawing.told import MEAN_PARTS
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of

Key = tuple[str | int | bool | None, ...]
Sums = dict[str, dict[Key, list[int]]]
Rows = Iterator[tuple[Key, Sequence[int]]]

# (stage, rule), null: in the corpus -> records, record bytes, text bytes, tokens, bytes cut by each replacing stage
ENDED = "ended"
WRITTEN = "written"  # () -> rows, bytes, tokens of the corpus, copies counted
SPLITS = "splits"  # (split,) -> documents, rows, bytes, tokens
VALUES = "values"  # (column, value) -> documents, their tokens; documents chosen, their rows, tokens of the rows
CUTS = "cuts"  # (why,) -> lines, bytes that a cleaning stage cut out of texts
MEANS = "means"  # (column, value, score) -> sum in MEAN_PARTS of a unit, documents with a score

VALUED = ("language", "license", "license_tier", "domain")
# Columns of the ledger that the books add up
SUMMED = ("doc_id", "stage", "rule", "record_bytes", "text_bytes", "cut_bytes", "token_count", "copies_n")
VERSION = 1  # of what is summed, and how
_META = b"gristmill.sums"


def summed_columns(plan: Plan) -> list[str]:
    """Columns beside the ledger's own that sums are made of."""
    scored = [column for by, prefix in averaged(plan) for column in (by, *columns_of(plan, prefix))]
    return list(dict.fromkeys((*VALUED, SPLITS_COLUMN, *scored)))


def averaged(plan: Plan) -> list[tuple[str, str]]:
    return list(dict.fromkeys(pair for step in plan.steps for pair in step.stage.averaged))


def columns_of(plan: Plan, prefix: str) -> tuple[str, ...]:
    """Columns whose names start so, in the order of the steps."""
    steps = (s for s in plan.steps if s.kind in ("annotator", "grouping"))
    return tuple(c for s in steps for c in s.writes if c.startswith(prefix))


def part_sums(store: Store, plan: Plan, key: str, fates: pl.DataFrame) -> Sums:
    """fates: LEDGER rows of the part."""
    documents = fates.drop_nulls("doc_id").select("doc_id", "cut_bytes", "token_count", "copies_n")
    return {
        **record_sums(store, plan, key, fates),
        VALUES: table_of(_values(store, plan, key, documents)),
        CUTS: table_of(_cuts(store, plan, key, documents)),
        MEANS: table_of(_means(store, plan, key, documents)),
    }


def record_sums(store: Store, plan: Plan, key: str, fates: pl.DataFrame) -> Sums:
    """The sums that the books are made of, by the ledger's records (SUMMED)."""
    sums = fates.group_by("stage", "rule").agg(
        pl.len(),
        pl.col("record_bytes", "text_bytes").sum(),
        pl.col("token_count").fill_null(0).sum(),
        *(_cut(i).sum().alias(f"cut{i}") for i in range(len(plan.replacers))),
    )
    rows = fates.filter(pl.col("copies_n") > 0)
    n = rows["copies_n"]
    written = int(n.sum()), int((n * rows["text_bytes"]).sum()), int((n * rows["token_count"]).sum())
    return {
        ENDED: table_of(((stage, rule), counts) for stage, rule, *counts in sums.iter_rows()),
        WRITTEN: {(): [*written]},
        SPLITS: table_of(_splits(store, plan, key, rows)),
    }


def _cut(number: int) -> pl.Expr:
    """Bytes that a document lost at the replacing stage of this number; 0 where it did not come so far."""
    return pl.col("cut_bytes").list.get(number, null_on_oob=True).fill_null(0)


def _splits(store: Store, plan: Plan, key: str, chosen: pl.DataFrame) -> Rows:
    """chosen: the part's documents in the corpus."""
    names, dataset = splits_of(plan), plan.writer(SPLITS_COLUMN)
    if not names or dataset is None or chosen.is_empty():
        return
    copies = store.read(dataset, key, (SPLITS_COLUMN,))
    rows = chosen.select("doc_id", "text_bytes", "token_count").join(copies, on="doc_id")
    for number, name in enumerate(names):
        n = rows[SPLITS_COLUMN].list.get(number)
        sums = ((n > 0).sum(), n.sum(), (n * rows["text_bytes"]).sum(), (n * rows["token_count"]).sum())
        yield (name,), [int(value) for value in sums]


def _values(store: Store, plan: Plan, key: str, documents: pl.DataFrame) -> Rows:
    copies, tokens = pl.col("copies_n").fill_null(0), pl.col("token_count").fill_null(0)
    writers = {column: plan.writer(column) for column in VALUED}
    for dataset in dict.fromkeys(writers.values()):
        columns = [column for column in VALUED if writers[column] == dataset]
        rows = with_columns(store, plan, key, documents, columns)
        if rows is None:
            continue
        for column in columns:
            sums = rows.group_by(column).agg(
                pl.len(),
                tokens.sum(),
                (copies > 0).sum().alias("chosen"),
                copies.sum(),
                (copies * tokens).sum().alias("written"),
            )
            for value, *counts in sums.iter_rows():
                yield (column, value), counts


def _cuts(store: Store, plan: Plan, key: str, documents: pl.DataFrame) -> Rows:
    """By the cleaning stage's columns `cut_<why>_lines_n` and `cut_<why>_bytes`, of documents that it made shorter."""
    for number, step in enumerate(plan.replacers):
        columns = tuple(c for c in step.writes if c.startswith("cut_"))
        if not columns or store.receipt(step.name, key) is None:
            continue
        shorter = documents.filter(_cut(number) > 0)["doc_id"]
        sums = store.read(step.name, key, columns).filter(pl.col("doc_id").is_in(shorter.implode())).sum()
        for column in columns:
            if column.endswith("_bytes"):
                why = column.removeprefix("cut_").removesuffix("_bytes")
                lines = f"cut_{why}_lines_n"
                yield (why,), [sums[lines][0] if lines in columns else 0, sums[column][0]]


def _means(store: Store, plan: Plan, key: str, documents: pl.DataFrame) -> Rows:
    for by, prefix in averaged(plan):
        scores = columns_of(plan, prefix)
        rows = with_columns(store, plan, key, documents.select("doc_id"), (by, *scores)) if scores else None
        if rows is None:
            continue
        known = {c: (pl.col(c).cast(pl.Float64).fill_nan(None) * MEAN_PARTS).round().cast(pl.Int64) for c in scores}
        sums = rows.group_by(by).agg(
            *(part.sum().alias(f"{c}.sum") for c, part in known.items()),
            *(part.count().alias(f"{c}.n") for c, part in known.items()),
        )
        for row in sums.iter_rows(named=True):
            for c in scores:
                yield (by, row[by], c), [row[f"{c}.sum"], row[f"{c}.n"]]


def with_columns(store: Store, plan: Plan, key: str, rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame | None:
    """`rows` that have all the columns, with them; None where a column's dataset does not exist for this part."""
    for dataset in dict.fromkeys(plan.writer(c) for c in columns):
        if dataset is None or store.receipt(dataset, key) is None:
            return None
        found = store.read(dataset, key, [c for c in columns if plan.writer(c) == dataset])
        if found["doc_id"].equals(rows["doc_id"]):
            rows = rows.hstack(found.drop("doc_id"))
        else:
            rows = rows.join(found, on="doc_id", how="inner", maintain_order="left")
    return rows


def table_of(rows: Iterable[tuple[Key, Sequence[int]]]) -> dict[Key, list[int]]:
    """In the order of the keys, a null first."""
    found = {key: [*counts] for key, counts in rows}
    return dict(sorted(found.items(), key=lambda item: [(word is not None, word) for word in item[0]]))


def with_sums(table: pa.Table, sums: Sums) -> pa.Table:
    """A part's ledger with its sums in the file's metadata."""
    packed = {name: [[[*key], counts] for key, counts in of.items()] for name, of in sums.items() if of}
    return table.replace_schema_metadata({_META: orjson.dumps(packed)})


def read_sums(store: Store, key: str) -> Sums:
    """Raises DataError for a part whose ledger was written without sums, or is damaged."""
    path = store.data("ledger", key)
    try:
        with pq.ParquetFile(path) as file:
            packed = orjson.loads((file.metadata.metadata or {})[_META])
        return {name: {tuple(k): counts for k, counts in of} for name, of in packed.items()}
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"cannot read the sums of {path}: {error}; run again to recompute it") from error


def added(many: Iterable[Sums]) -> Sums:
    total: Sums = {}
    for sums in many:
        add(total, sums)
    return total


def add(total: Sums, sums: Sums) -> None:
    for name, of in sums.items():
        table = total.setdefault(name, {})
        for key, counts in of.items():
            table[key] = [a + b for a, b in zip(table[key], counts, strict=True)] if key in table else counts


def sums_by_source(store: Store, plan: Plan) -> dict[str, Sums]:
    """The sums of the parts that have fates, by the name of their source ("": without one)."""

    def read() -> dict[str, Sums]:
        found: dict[str, Sums] = {}
        for part in plan.parts:
            if store.receipt("ledger", part.key) is not None:
                add(found.setdefault(part.source, {}), read_sums(store, part.key))
        return found

    return view_of(store, plan).once("sums", read)


def sums_of(store: Store, plan: Plan) -> Sums:
    """The sums of the whole run."""
    return added(sums_by_source(store, plan).values())
