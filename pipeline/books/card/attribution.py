"""corpus/ATTRIBUTION.parquet: URL, title, author and licence of every document of the corpus that has a licence.

Authors are those that the input names in a column which the run keeps (`input.keep_columns`), else those of the page.
"""

from collections.abc import Iterator

import orjson
import polars as pl
import pyarrow as pa

from gristmill.pipeline.books.ledger import read_fates
from gristmill.pipeline.books.sums import with_columns
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store

ATTRIBUTION = "ATTRIBUTION.parquet"
AUTHORS = ("author", "authors", "creator", "byline")  # columns of an input that name who wrote a text
NAMES = ("doc_id", "url", "title", "author", "license", "license_tier")
SCHEMA = pa.schema([(name, pa.string()) for name in NAMES])
CARRIED = "carried"


def write_attribution(store: Store, plan: Plan) -> None:
    """In the order of the input; a run without licences writes an empty table."""
    write_parquet(store.root / "corpus" / ATTRIBUTION, rows(store, plan))


def rows(store: Store, plan: Plan) -> Iterator[pa.Table]:
    yield SCHEMA.empty_table()
    for key, fates in read_fates(store, plan, ("doc_id", "url", "copies_n")):
        chosen = fates.filter(pl.col("copies_n") > 0).select("doc_id", "url")
        found = with_columns(store, plan, key, chosen, ("license", "license_tier"))
        if found is None or found.is_empty():
            continue
        found = found.drop_nulls("license")
        there = [column for column in ("title", "author", CARRIED) if plan.writer(column)]
        found = with_columns(store, plan, key, found, there)
        if found is None:
            raise DataError(f"{store.name} has lost what the input says of {key}; run again to read it")
        found = found.with_columns(pl.lit(None, pl.String).alias(c) for c in ("title", "author") if c not in there)
        if CARRIED in there:
            authors = pl.Series([author_of(text) for text in found[CARRIED]], dtype=pl.String)
            found = found.with_columns(author=authors.fill_null(found["author"]))
        yield found.select(SCHEMA.names).to_arrow().cast(SCHEMA)


def author_of(carried: str | None) -> str | None:
    """Who the input says wrote it; names of a list are joined."""
    values = orjson.loads(carried) if carried else {}
    for column in AUTHORS:
        named = values.get(column)
        names = [n for n in (named if isinstance(named, list) else [named]) if isinstance(n, str) and n.strip()]
        if names:
            return "; ".join(name.strip() for name in names)
    return None
