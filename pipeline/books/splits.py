"""The splits of the corpus in the books: documents, rows, bytes and tokens of training, its phases and validation."""

from collections.abc import Mapping

from gristmill.pipeline.contract.corpus.splits import TRAIN
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.plan.plan import Plan

COLUMN = "splits_n"


def splits_of(plan: Plan) -> tuple[str, ...]:
    """The splits of the plan's corpus; () where it has only the one called train."""
    splits = next((s.sink.splits for s in plan.steps if s.kind == "sink"), (TRAIN,))
    return () if splits == (TRAIN,) else splits


def shared(plan: Plan) -> frozenset[str]:
    """Phases that may hold documents of others, as the stage that samples says."""
    phases = [p for s in plan.steps for p in getattr(s.stage, "phases", ())]
    return frozenset(p.name for p in phases if getattr(p, "reuse", False))


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
