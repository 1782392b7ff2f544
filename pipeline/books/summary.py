"""What a run writes for people: papers, the summary, status and ledger tables."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from gristmill.pipeline.books.card.attribution import write_attribution
from gristmill.pipeline.books.card.card import write_card
from gristmill.pipeline.books.finished import FinishedRun, told_of
from gristmill.pipeline.books.ledger import NO_DOCUMENT, read_fates
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.state import write_json
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import records
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of


def write_papers(store: Store, plan: Plan) -> None:
    from gristmill.pipeline.report.page import write_report

    store = view_of(store, plan)
    run = FinishedRun(store, plan)
    for step in plan.steps:
        for name, value in step.stage.papers(run).items():
            write_json(inside(store.root, name), value)
    for step in plan.steps:
        step.stage.deliver(run)
    write_attribution(store, plan)
    write_card(store, plan, told_of(store, plan))
    write_report(store, plan)


def inside(root: Path, name: str) -> Path:
    """Raises PlanError for a path that would leave the run folder."""
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise PlanError(f"a stage would write {name!r}, which lies outside of the run folder")
    return path


def dropped(entry: dict) -> str:
    rules = sorted(entry["dropped"].items(), key=lambda item: -item[1]["docs"])
    return ", ".join(f"{rule} {t['docs']:,}" for rule, t in rules if t["docs"])


def ledger_lines(entries: list[dict]) -> list[str]:
    lines = [f"{'stage':16} {'docs in':>10} {'docs out':>10} {'bytes out':>14} {'tokens out':>13}  dropped"]
    for e in entries:
        sizes = f"{e['docs_in']:10,} {e['docs_out']:10,} {e['bytes_out']:14,} {e['tokens_out']:13,}"
        lines.append(f"{e['stage']:16} {sizes}  {dropped(e)}")
    last = entries[-1]
    if "rows" in last:
        lines.append(f"corpus: {last['docs_out']:,} documents in {last['rows']:,} rows, {last['tokens']:,} tokens")
    return lines


def summary(store: Store, plan: Plan, entries: list[dict], until: str | None) -> list[str]:
    """A dozen lines at the end of a run."""
    if not entries:
        return [
            f"queued   gristmill status {store.name} tells how far it is; the last job writes the books, the card and",
            "         the report. Where jobs end otherwise, the same command goes on from there",
        ]
    first, last = entries[0], entries[-1]
    choosing = {s.label for s in plan.steps if s.kind == "gate" and s.gate.chooses}
    passed = next((e["docs_in"] for e in entries if e["stage"] in choosing), last["docs_in"])
    worst = sorted(
        (
            (t["docs"], e["stage"], rule)
            for e in entries
            for rule, t in e["dropped"].items()
            if t["docs"] and rule not in NO_DOCUMENT and e["stage"] not in choosing
        ),
        reverse=True,
    )
    dropped = f"dropped    {'; '.join(f'{stage} {rule} {n:,}' for n, stage, rule in worst[:3]) or 'none'}"
    why = [f"why        {command}" for command in questions(store, plan)]
    if until is not None or last["stage"] != "corpus":
        kept = f"documents  {last['docs_out']:,} kept after {last['stage']}"
        return [
            f"records    {first['docs_in']:,} read, {first['docs_out']:,} of them documents",
            kept,
            dropped,
            *why,
        ]
    times = f", each written {last['rows'] / last['docs_out']:.1f} times on average" if last["docs_out"] else ""
    told = [line for one in told_of(store, plan) for line in one.summary]
    return [
        f"records    {first['docs_in']:,} read, {first['docs_out']:,} of them documents",
        f"documents  {passed:,} passed every rule, {last['docs_out']:,} of them chosen{times}: "
        f"{plural(last['rows'], 'row')} in {plural(len(list(records(store))), 'shard')}",
        f"tokens     {last['tokens']:,}, copies counted",
        dropped,
        *(f"{word:10} {text}" for word, text in told),
        f"books      balanced over {len(entries)} stages: every record has one fate (gristmill ledger {store.name})",
        f"corpus     {store.name}/corpus",
        f"report     {store.name}/report.html",
        *why,
    ]


def questions(store: Store, plan: Plan) -> Iterator[str]:
    """A command that explains one of the dropped documents."""
    for _, fates in read_fates(store, plan):
        gone = fates.filter(pl.col("doc_id").is_not_null() & pl.col("rule").is_not_null() & pl.col("url").is_not_null())
        if gone.height:
            yield f"gristmill explain {shlex.quote(store.name)} {shlex.quote(gone['url'][0])}"
            return
