"""The ledger by source: of each named source, what every stage took and dropped, and what the corpus holds."""

from collections import Counter
from dataclasses import dataclass, field

from gristmill.pipeline.books.ledger import labels
from gristmill.pipeline.books.sums import ENDED, WRITTEN, Sums, sums_by_source
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store


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
    names = sorted({part.source for part in plan.parts} - {""})
    return [funnel_of(plan, name, sums_by_source(store, plan).get(name, {})) for name in names]


def funnel_of(plan: Plan, source: str, sums: Sums) -> Funnel:
    found, ended = Funnel(source), Counter[str]()
    for (stage, rule), (docs, *_) in sums.get(ENDED, {}).items():
        found.records += docs
        found.documents += docs * (stage != plan.source.label)
        if stage is not None:
            found.dropped[f"{stage} {rule}"] = docs
            ended[str(stage)] += docs
    found.rows, _, found.tokens = sums.get(WRITTEN, {}).get((), (0, 0, 0))
    left = found.records
    for label in labels(plan):
        left -= ended[label]
        found.after[label] = left
    return found


def funnel_lines(found: list[Funnel]) -> list[str]:
    """A row per source, and the three rules that took most of each; tokens and shares are those of a written corpus."""
    if not found:
        return []
    total = max(1, sum(f.tokens for f in found))
    written = any(f.rows for f in found)
    lines = [
        "",
        f"{'source':16} {'records':>10} {'documents':>10} {'kept':>10} {'tokens':>13} {'share':>6}  dropped most",
    ]
    for f in found:
        most = ", ".join(f"{rule} {n:,}" for rule, n in Counter(f.dropped).most_common(3))
        kept = list(f.after.values())[-1] if f.after else f.documents
        tokens, share = (f"{f.tokens:,}", f"{f.tokens / total:.3f}") if written else ("-", "-")
        sizes = f"{f.records:10,} {f.documents:10,} {kept:10,} {tokens:>13} {share:>6}"
        lines.append(f"{f.source:16} {sizes}  {most}")
    return lines
