"""Traces a document through the stages: in one sentence what became of it and why, then its whole way."""

import textwrap
from collections.abc import Iterator
from typing import TypeAlias

import polars as pl

from gristmill.pipeline.books.document.nearest import nearest
from gristmill.pipeline.books.document.verdict import broken_by, show
from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.books.ledger import NO_DOCUMENT, read_fates
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import MEASURING, Step
from gristmill.pipeline.run.shards import records
from gristmill.pipeline.run.store import Store, read_parquet

WIDTH = 118
SHOWN = 10  # records of one URL
OF = "_duplicate_of"
Rows: TypeAlias = dict[str, dict[str, object]]  # step -> column -> value of a document


def explain(store: Store, plan: Plan, wanted: str) -> list[str]:
    """What became of a document (or rejected record), by doc_id or URL: the answer, then the whole way.

    An archive's requests and metadata of that URL are named only where there is nothing else. Raises ConfigError, with
    the nearest URLs, when the run has none.
    """
    found: list[tuple[str, dict[str, object]]] = []
    for key, fates in read_fates(store, plan):
        mine = fates.filter((pl.col("doc_id") == wanted) | (pl.col("url") == wanted))
        found += [(key, fate) for fate in mine.iter_rows(named=True)]
    if not found:
        raise ConfigError(unknown(store, plan, wanted))
    pages = [(key, fate) for key, fate in found if fate["rule"] not in NO_DOCUMENT]
    lines: list[str] = []
    asked = pages or found
    for key, fate in asked[:SHOWN]:
        lines += [*told(store, plan, key, fate), ""]
    return lines[:-1] if len(asked) <= SHOWN else [*lines, f"{plural(len(asked) - SHOWN, 'more record')} of this URL"]


def unknown(store: Store, plan: Plan, wanted: str) -> str:
    """What to say of a doc_id or URL that the run does not have."""
    if "." not in wanted and "/" not in wanted:
        return f"{wanted!r} is no doc_id of this run, and no URL; gristmill inspect {store.name} STAGE shows some"
    urls = (
        url for _, fates in read_fates(store, plan) for url in fates["url"].drop_nulls().unique(maintain_order=True)
    )
    near = nearest(wanted, urls)
    if not near:
        return f"No record has the URL {wanted}, and none of its host is like it"
    return "\n  ".join([f"No record has the URL {wanted}. Nearest:", *near])


def told(store: Store, plan: Plan, key: str, fate: dict[str, object]) -> Iterator[str]:
    rows = rows_of(store, plan, key, str(fate["doc_id"])) if fate["doc_id"] is not None else {}
    yield f"{answer(store, plan, key, fate, rows)}."
    yield ""
    yield from way(plan, key, fate, rows)


def answer(store: Store, plan: Plan, key: str, fate: dict[str, object], rows: Rows) -> str:
    """In one sentence: rejected, dropped by which value against which limit, left out by choice, or where it stands."""
    stage, rule, doc_id = fate["stage"], fate["rule"], str(fate["doc_id"])
    if fate["doc_id"] is None:
        return f"Rejected at {stage}: {rule}; no document was made of these {fate['record_bytes']:,} bytes"
    if stage is None:
        return kept(store, plan, fate, rows)
    step = next(s for s in plan.steps if s.kind == "gate" and s.label == stage and rule in s.rules)
    if step.gate.chooses:
        said = choice(store, plan, rows)
        return f"Left out by {stage}: {rule}{f'; {said}' if said else ''}"
    return f"Dropped at {stage}: {rule}; {why(store, plan, step, str(rule), key, doc_id)}"


def kept(store: Store, plan: Plan, fate: dict[str, object], rows: Rows) -> str:
    copies = fate["copies_n"]
    if copies is None:
        last = [s.label for s in plan.steps if s.kind == "gate" and s.name in rows][-1:]
        return f"Kept so far: it passed {f'every gate up to {last[0]}' if last else 'no gate yet'}"
    doc_id = str(fate["doc_id"])
    said = choice(store, plan, rows)
    shards = [
        p.relative_to(store.root).as_posix() for p in records(store) if doc_id in read_parquet(p, ["doc_id"])["doc_id"]
    ]
    where = f", in {', '.join(shards)}" if shards else ""
    return f"Kept: written {times(copies)}{where}{f'; {said}' if said else ''}"


def times(copies: object) -> str:
    return "once" if copies == 1 else f"{copies} times"


def why(store: Store, plan: Plan, step: Step, rule: str, key: str, doc_id: str) -> str:
    """The value that broke the rule; of a duplicate, the URL of the document that stays, and how like they are."""
    row = columns_of(store, step, key, doc_id)
    if row is None:
        return "its columns are gone"
    said = broken_by(step, rule, row)
    for name, value in row.row(0, named=True).items():
        if name.endswith(OF) and value is not None:
            url = url_of(store, plan, str(value))
            said += f", {url}" if url else ""
            said += alike(store, plan, f"{name.removesuffix(OF)}_similarity", key, doc_id)
    return said


def alike(store: Store, plan: Plan, column: str, key: str, doc_id: str) -> str:
    """How like a duplicate is to the document that stays, where a step wrote it."""
    dataset = plan.writer(column)
    found = store.read(dataset, key, (column,), [doc_id])[column].to_list() if dataset else []
    return "".join(f", {column} = {show(value)}" for value in found if value is not None)


def url_of(store: Store, plan: Plan, doc_id: str) -> str | None:
    for _, fates in read_fates(store, plan):
        found = fates.filter(pl.col("doc_id") == doc_id)
        if found.height:
            return found["url"][0]
    return None


def choice(store: Store, plan: Plan, rows: Rows) -> str | None:
    """What the stages say on how often the document is written."""
    document: dict[str, object] = {}
    for step in plan.steps:
        if step.kind in MEASURING:
            document |= rows.get(step.name, {})
    run = FinishedRun(store, plan)
    said = (step.stage.choice(document, run) for step in plan.steps)
    return "; ".join(clause for clause in said if clause) or None


def way(plan: Plan, key: str, fate: dict[str, object], rows: Rows) -> Iterator[str]:
    part = plan.part[key]
    yield f"{fate['doc_id'] or 'record ' + str(fate['record'])}  {fate['url'] or ''}"
    yield f"  from {part.path}"
    if fate["doc_id"] is None:
        return
    for step in plan.steps:
        row = rows.get(step.name)
        if row is None or step.kind not in (*MEASURING, "gate"):  # a reducer may have an annotator's name
            continue
        if step.kind == "gate":
            verdict = f"dropped, {row['rule']}" if row["rule"] else "kept"
            yield f"  {step.label}: {verdict}"
        else:
            values = ", ".join(f"{k}={show(v)}" for k, v in row.items() if k != "doc_id")
            yield from textwrap.wrap(
                f"{step.name}: {values}", WIDTH, initial_indent="  ", subsequent_indent="    ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    if fate["stage"] is None:
        copies = fate["copies_n"]
        yield "  corpus: " + ("kept so far" if copies is None else f"written {times(copies)}")


def rows_of(store: Store, plan: Plan, key: str, doc_id: str) -> Rows:
    """What each step wrote of a document, in the order of the plan, as far as it came."""
    rows: Rows = {}
    for step in plan.steps:
        if step.kind in (*MEASURING, "gate") and store.receipt(step.name, key) is not None:
            frame = store.read(step.name, key, step.writes, [doc_id])
            if frame.is_empty():
                break
            rows[step.name] = frame.row(0, named=True)
    return rows


def columns_of(store: Store, step: Step, key: str, doc_id: str) -> pl.DataFrame | None:
    """One row with the columns that a gate read of the document."""
    row: pl.DataFrame | None = None
    for dataset, columns in step.reads.items():
        read = store.read(dataset, key, columns, [doc_id])
        if read.is_empty():
            return None
        row = read if row is None else row.join(read, on="doc_id", how="left")
    return row
