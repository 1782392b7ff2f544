"""The splits of the corpus in the books: documents, rows, bytes and tokens of training, its phases and validation."""

from collections.abc import Mapping

import polars as pl

from gristmill.pipeline.contract.corpus.splits import TRAIN
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store

COLUMN = "splits_n"


def splits_of(plan: Plan) -> tuple[str, ...]:
    """The splits of the plan's corpus; () where it has only the one called train."""
    splits = next((s.sink.splits for s in plan.steps if s.kind == "sink"), (TRAIN,))
    return () if splits == (TRAIN,) else splits


def shared(plan: Plan) -> frozenset[str]:
    """Phases that may hold documents of others, as the stage that samples says."""
    phases = [p for s in plan.steps for p in getattr(s.stage, "phases", ())]
    return frozenset(p.name for p in phases if getattr(p, "reuse", False))


class SplitSums:
    """Documents, rows, bytes and tokens of every split, by the fates of the documents, part by part."""

    def __init__(self, store: Store, plan: Plan):
        self.store, self.dataset, self.names = store, plan.writer(COLUMN), splits_of(plan)
        self.totals = {name: dict.fromkeys(("docs", "rows", "bytes", "tokens"), 0) for name in self.names}

    def add(self, key: str, chosen: pl.DataFrame) -> None:
        """chosen: doc_id, text_bytes and token_count of a part's documents in the corpus."""
        if not self.names or self.dataset is None or chosen.is_empty():
            return
        copies = self.store.read(self.dataset, key, (COLUMN,))
        rows = chosen.select("doc_id", "text_bytes", "token_count").join(copies, on="doc_id")
        for number, name in enumerate(self.names):
            n = rows[COLUMN].list.get(number)
            sums = ((n > 0).sum(), n.sum(), (n * rows["text_bytes"]).sum(), (n * rows["token_count"]).sum())
            for what, value in zip(self.totals[name], sums, strict=True):
                self.totals[name][what] += int(value)

    def entry(self) -> dict[str, object]:
        """What the books say of them; nothing for a corpus with the split train alone."""
        return {"splits": self.totals} if self.names else {}


def check_splits(found: Mapping[str, Mapping[str, int]], entry: Mapping) -> list[str]:
    """A line per split. found: docs, rows and tokens of each, counted from its shards. Raises BooksError where a split
    does not hold what the books (`entry`) say."""
    for name, total in entry.get("splits", {}).items():
        wrong = [what for what, n in found[name].items() if n != total[what]]
        if wrong:
            raise BooksError(f"{name} holds {found[name][wrong[0]]:,} {wrong[0]}, the books say {total[wrong[0]]:,}")
    return [
        f"{name}: {found[name]['rows']:,} rows of {found[name]['docs']:,} documents, {found[name]['tokens']:,} tokens"
        for name in entry.get("splits", {})
    ]
