"""The ledger by source: of each named source, what every stage took and dropped, and what the corpus holds."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from gristmill.pipeline.books.ledger import labels, read_fates
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of


@dataclass
class Funnel:
    """One source. `after`: stage -> documents left; `dropped`: "stage rule" -> documents (records, at ingest)."""

    source: str
    records: int = 0
    documents: int = 0
    after: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    rows: int = 0  # of the corpus: documents times copies
    tokens: int = 0  # of those rows


def funnels(store: Store, plan: Plan) -> list[Funnel]:
    """One per named source, in the order of their names; none where sources are not named."""
    return view_of(store, plan).once("funnels", lambda: _funnels(store, plan))


def _funnels(store: Store, plan: Plan) -> list[Funnel]:
    source_of = {part.key: part.source for part in plan.parts}
    found = {name: Funnel(name) for name in sorted({*source_of.values()} - {""})}
    ended: dict[str, Counter[str]] = {name: Counter() for name in found}
    if not found:
        return []
    for key, fates in read_fates(store, plan, ("doc_id", "stage", "rule", "token_count", "copies_n")):
        funnel = found[source_of[key]]
        funnel.records += fates.height
        funnel.documents += fates["doc_id"].count()
        for stage, rule, docs in (
            fates.drop_nulls("stage").group_by("stage", "rule").len().sort("stage", "rule").iter_rows()
        ):
            funnel.dropped[f"{stage} {rule}"] = funnel.dropped.get(f"{stage} {rule}", 0) + docs
            ended[funnel.source][stage] += docs
        written = fates.filter(pl.col("copies_n") > 0)
        funnel.rows += int(written["copies_n"].sum())
        funnel.tokens += int((written["copies_n"] * written["token_count"]).sum())
    for funnel in found.values():
        left = funnel.records
        for label in labels(plan):
            left -= ended[funnel.source][label]
            funnel.after[label] = left
    return list(found.values())


def funnel_lines(found: list[Funnel]) -> list[str]:
    """A row per source, and the three rules that took most of each."""
    if not found:
        return []
    total = max(1, sum(f.tokens for f in found))
    lines = [
        "",
        f"{'source':16} {'records':>10} {'documents':>10} {'kept':>10} {'tokens':>13} {'share':>6}  dropped most",
    ]
    for f in found:
        most = ", ".join(f"{rule} {n:,}" for rule, n in Counter(f.dropped).most_common(3))
        kept = list(f.after.values())[-1] if f.after else f.documents
        sizes = f"{f.records:10,} {f.documents:10,} {kept:10,} {f.tokens:13,} {f.tokens / total:6.3f}"
        lines.append(f"{f.source:16} {sizes}  {most}")
    return lines
