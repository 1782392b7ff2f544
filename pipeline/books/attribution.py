"""corpus/ATTRIBUTION.parquet: URL, title and licence of every document of the corpus that has a licence."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from gristmill.pipeline.books.finished import with_columns
from gristmill.pipeline.books.ledger import read_fates
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store

ATTRIBUTION = "ATTRIBUTION.parquet"
SCHEMA = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("title", pa.string()), ("license", pa.string())])


def write_attribution(store: Store, plan: Plan) -> None:
    """In the order of the input; a run without licences writes an empty table."""
    write_parquet(store.root / "corpus" / ATTRIBUTION, rows(store, plan))


def rows(store: Store, plan: Plan) -> Iterator[pa.Table]:
    yield SCHEMA.empty_table()
    for key, fates in read_fates(store, plan):
        chosen = fates.filter(pl.col("copies_n") > 0).select("doc_id", "url")
        found = with_columns(store, plan, key, chosen, ("license",))
        if found is None or found.is_empty():
            continue
        titled = with_columns(store, plan, key, found, ("title",))
        found = found.with_columns(title=None) if titled is None else titled
        yield found.drop_nulls("license").select(SCHEMA.names).to_arrow().cast(SCHEMA)
