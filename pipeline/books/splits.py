"""The splits of the corpus in the books: documents, rows, bytes and tokens of training, its phases and validation."""

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from gristmill.pipeline.contract.corpus.splits import TRAIN, VALIDATION, split_of
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import record_path, written_units
from gristmill.pipeline.run.store import Store, read_parquet

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


def check_splits(store: Store, plan: Plan, entry: Mapping) -> list[str]:
    """A line per split, counted from its shards. Raises BooksError where a split does not hold what the books (`entry`)
    say, or a document is in two that must not share any."""
    names = splits_of(plan)
    if not names:
        return []
    held: dict[str, Counter[str]] = {name: Counter() for name in names}
    tokens: Counter[str] = Counter()
    for unit in written_units(store):
        frame = read_parquet(record_path(store, unit), ["doc_id", "token_count"])
        held[split_of(unit)].update(frame["doc_id"])
        tokens[split_of(unit)] += int(frame["token_count"].sum())
    refuse_shared(held, shared(plan))
    for name, total in entry["splits"].items():
        found = {"docs": len(held[name]), "rows": held[name].total(), "tokens": tokens[name]}
        wrong = [what for what, n in found.items() if n != total[what]]
        if wrong:
            raise BooksError(f"{name} holds {found[wrong[0]]:,} {wrong[0]}, the books say {total[wrong[0]]:,}")
    return [f"{n}: {held[n].total():,} rows of {len(held[n]):,} documents, {tokens[n]:,} tokens" for n in names]


def refuse_shared(held: Mapping[str, Counter[str]], free: frozenset[str]) -> None:
    """Raises BooksError for a document of validation that is trained on, or that two phases without reuse hold."""
    names: Sequence[str] = [name for name in held if name not in free]
    owner: dict[str, str] = {}
    for name in names:
        for doc_id in held[name]:
            if doc_id in owner:
                raise BooksError(f"document {doc_id} is in {owner[doc_id]} and in {name}")
            owner[doc_id] = name
    for name in free:
        for doc_id in held[name]:
            if owner.get(doc_id) == VALIDATION:
                raise BooksError(f"document {doc_id} is in {name} and in {VALIDATION}")
