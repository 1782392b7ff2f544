"""What the report tells, read from the run folder once: narrow columns part by part, artifacts, the corpus's own files.

A fact that a run does not have (no such column, no shards) is None or empty, and its section says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.books.finished import told_of
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.books.notes import notes
from gristmill.pipeline.books.sources import Funnel, funnels
from gristmill.pipeline.books.sums import CUTS, VALUED, VALUES, sums_of
from gristmill.pipeline.contract.drawing.told import Told
from gristmill.pipeline.contract.state import read_state
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import records
from gristmill.pipeline.run.store import Store, read_parquet

SAMPLED_DOCS = 10
_SCAN_ROWS = 2_000  # of the first shard that are looked at for distinct documents: copies of one may lie close


@dataclass
class Tally:
    """Of one value of a column: documents seen and their tokens; documents chosen, rows and tokens written."""

    docs: int = 0
    tokens: int = 0
    chosen: int = 0
    rows: int = 0
    written: int = 0

    def add(self, values: Sequence[int]) -> None:
        self.docs += values[0]
        self.tokens += values[1]
        self.chosen += values[2]
        self.rows += values[3]
        self.written += values[4]


@dataclass(frozen=True)
class Shard:
    name: str
    rows: int
    tokens: int
    bytes: int


@dataclass(frozen=True)
class Facts:
    name: str
    config_digest: str
    parts_n: int
    entries: list[dict]
    failures: list[dict]
    languages: dict[str | None, Tally]
    licenses: dict[str | None, Tally]
    tiers: dict[str | None, Tally]
    domains: dict[str | None, Tally]
    told: list[Told]  # what the stages tell of this run
    shards: list[Shard]
    samples: list[dict]
    config: str | None
    funnels: list[Funnel]  # one per named source
    notes: list[str]  # what reducers could not do
    cuts: dict[str, tuple[int, int]]  # why a cleaning stage cut text out of documents -> lines, bytes


def choosing(plan: Plan) -> str | None:
    """The label of the gate that leaves documents out by choice, not for what they are."""
    return next((s.label for s in plan.steps if s.kind == "gate" and s.gate.chooses), None)


def read_facts(store: Store, plan: Plan) -> Facts:
    sums = sums_of(store, plan)
    kinds: dict[str, dict[str | None, Tally]] = {column: {} for column in VALUED}
    for (column, value), counts in sums.get(VALUES, {}).items():
        if plan.writer(str(column)):
            kinds[str(column)][None if value is None else str(value)] = Tally(*counts)
    return Facts(
        name=plan.name,
        config_digest=plan.config_digest,
        parts_n=len(plan.parts),
        entries=read_books(store),
        failures=[read_json(p) or {} for p in sorted((store.root / "failures").glob("*.json"))],
        languages=kinds["language"],
        licenses=kinds["license"],
        tiers=kinds["license_tier"],
        domains=kinds["domain"],
        told=told_of(store, plan),
        shards=list(read_shards(store)),
        samples=read_samples(store),
        config=read_text(store.root / "config.yaml"),
        funnels=funnels(store, plan),
        notes=notes(store, plan),
        cuts={str(why): (lines, size) for (why,), (lines, size) in sums.get(CUTS, {}).items()},
    )


def read_shards(store: Store) -> Iterator[Shard]:
    for path in records(store):
        tokens = read_parquet(path, ["token_count"])["token_count"]
        yield Shard(path.name, tokens.len(), int(tokens.sum()), path.stat().st_size)


def read_samples(store: Store) -> list[dict]:
    """The first distinct documents of the first shard: shards are shuffled, so this is a fair draw of rows."""
    first = next(iter(records(store)), None)
    if first is None:
        return []
    found: dict[str, dict] = {}
    with pq.ParquetFile(first) as file:
        scanned = 0
        for batch in file.iter_batches(batch_size=64):
            for row in pa.Table.from_batches([batch]).to_pylist():
                found.setdefault(row["doc_id"], row)
                if len(found) == SAMPLED_DOCS:
                    return list(found.values())
            scanned += batch.num_rows
            if scanned >= _SCAN_ROWS:
                break
    return list(found.values())


def read_json(path: Path) -> dict | None:
    return dict(read_state(path)) if path.is_file() else None


def read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
