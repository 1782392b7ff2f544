"""Traces a document through the stages to the rule that dropped it, and lists the documents that a rule drops."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import cast

import polars as pl

from gristmill.pipeline.books.ledger import read_fates
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Gate
from gristmill.pipeline.plan.config import build, override
from gristmill.pipeline.plan.identity import stage_fields
from gristmill.pipeline.plan.plan import Plan, Step
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.store import REJECTED_DATASET, Store, read_parquet

SHOWN_CHARS = 160


def explain(store: Store, plan: Plan, wanted: str) -> list[str]:
    """A document's (or rejected record's) whole way, by doc_id or URL. Raises ConfigError when the run has none."""
    lines: list[str] = []
    for key, fates in read_fates(store, plan):
        for fate in fates.filter((pl.col("doc_id") == wanted) | (pl.col("url") == wanted)).iter_rows(named=True):
            lines += [*way(store, plan, key, fate), ""]
    if not lines:
        raise ConfigError(
            f"{wanted!r} is neither a doc_id nor a URL of this run (its ledger lists {len(plan.parts)} parts)"
        )
    return lines[:-1]


def way(store: Store, plan: Plan, key: str, fate: dict[str, object]) -> Iterator[str]:
    part = next(p for p in plan.parts if p.key == key)
    yield f"{fate['doc_id'] or 'record ' + str(fate['record'])}  {fate['url'] or ''}"
    yield f"  from {part.path}"
    if fate["doc_id"] is None:
        yield f"  {fate['stage']}: rejected, {fate['rule']} ({fate['record_bytes']:,} bytes)"
        return
    for step in plan.steps:
        if step.kind not in ("source", "annotator", "gate") or store.receipt(step.name, key) is None:
            continue
        row = row_of(store, step, key, str(fate["doc_id"]))
        if row is None:
            break
        if step.kind == "gate":
            verdict = f"dropped, {row['rule']}" if row["rule"] else "kept"
            yield f"  {step.label}: {verdict}"
            if row["rule"]:
                yield from deciding(store, step, key, str(fate["doc_id"]))
        else:
            yield f"  {step.name}: " + ", ".join(f"{k}={show(v)}" for k, v in row.items() if k != "doc_id")
    if fate["stage"] is None:
        copies = fate["copies_n"]
        yield "  corpus: " + ("kept so far" if copies is None else f"written {copies} times")


def row_of(store: Store, step: Step, key: str, doc_id: str) -> dict[str, object] | None:
    frame = store.read(step.name, key, step.writes).filter(pl.col("doc_id") == doc_id)
    return frame.row(0, named=True) if frame.height else None


def deciding(store: Store, step: Step, key: str, doc_id: str) -> Iterator[str]:
    """The columns that the gate read."""
    for dataset, columns in step.reads.items():
        row = store.read(dataset, key, columns).filter(pl.col("doc_id") == doc_id)
        if row.height:
            yield f"    {dataset}: " + ", ".join(
                f"{k}={show(v)}" for k, v in row.row(0, named=True).items() if k != "doc_id"
            )


def show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, bytes)) and len(value) > 8:
        return f"[{len(value)} values]"
    text = str(value).replace("\n", " ")
    return repr(text[:SHOWN_CHARS] + "...") if len(text) > SHOWN_CHARS else text


def inspect(store: Store, plan: Plan, stage: str, rule: str | None, n: int) -> list[str]:
    """Up to `n` documents that a stage dropped (by `rule`) or, without a rule, saw, with the values that decided.

    Raises ConfigError for an unknown stage or rule.
    """
    if stage == plan.source.label and rule is not None:
        return list(rejected(store, plan, rule, n))
    steps = [s for s in plan.steps if s.label == stage or s.name == stage or s.label.startswith(stage + ".")]
    if not steps:
        raise ConfigError(f"no stage {stage!r}; there are {', '.join(dict.fromkeys(s.label for s in plan.steps))}")
    gates = [s for s in steps if s.kind == "gate"]
    rules = [r for s in gates for r in s.rules]
    if rule is not None and rule not in rules:
        raise ConfigError(f"{stage} has no rule {rule!r}; it has {', '.join(rules) or 'none'}")
    lines: list[str] = []
    shown = [s for s in gates if rule is None or rule in s.rules] or [s for s in steps if s.kind == "annotator"]
    for step in shown[:1] if rule is None else shown:
        for part in plan.parts:
            if store.receipt(step.name, part.key) is None:
                continue
            frame = store.read(step.name, part.key, step.writes)
            if rule is not None:
                frame = frame.filter(pl.col("rule") == rule)
            head = store.read(plan.source.name, part.key, ("url", "text"))
            for row in (
                frame.head(n - len(lines) // 3)
                .join(head, on="doc_id", how="left", maintain_order="left")
                .iter_rows(named=True)
            ):
                values = (
                    deciding(store, step, part.key, row["doc_id"]) if step.kind == "gate" else [show_row(row, step)]
                )
                verdict = (row["rule"] or "kept") if step.kind == "gate" else ""
                lines.append(f"{row['doc_id']}  {row['url'] or ''}  {verdict}")
                lines.append("    " + "; ".join(v.strip() for v in values))
                lines.append("    " + show(row["text"]))
            if len(lines) >= 3 * n:
                return lines
    return lines


def show_row(row: dict[str, object], step: Step) -> str:
    return ", ".join(f"{c}={show(row[c])}" for c in step.writes if c != "text")


def rejected(store: Store, plan: Plan, rule: str, n: int) -> Iterator[str]:
    for part in plan.parts:
        path = store.data(REJECTED_DATASET, part.key)
        if n <= 0 or not path.is_file():
            continue
        frame = read_parquet(path).filter(pl.col("rule") == rule).head(n)
        n -= frame.height
        for row in frame.iter_rows(named=True):
            what = f"{row['rule']}, {row['record_bytes']:,} bytes"
            yield f"record {row['record']} of {part.path}  {row['url'] or ''}  {what}"


def limit_change(step: Step, change: str) -> str:
    """ "min_words=60" from that, "gates.min_words=60" or, by the rule's name, "too_few_words=60"."""
    name, sign, value = change.partition("=")
    field = name.strip().removeprefix(f"{step.name}.").removeprefix(f"{step.label}.")
    known = stage_fields(step.stage)
    by_rule = step.gate.limits
    if not sign:
        raise ConfigError(f"{change!r}: write limit=value")
    if field not in known and field not in by_rule:
        near = get_close_matches(field, [*known, *by_rule], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}"
        raise ConfigError(f"{step.name} has no limit {field!r}{hint}")
    return f"{by_rule.get(field, field)}={value}"


def what_if(store: Store, plan: Plan, stage: str, changes: Sequence[str]) -> list[str]:
    """What other limits of a gate would change, from the stored columns alone: documents by rule, before and after.

    Only documents that reach the gate are judged. Raises ConfigError for a stage without a gate or an unknown limit.
    """
    gates = [s for s in plan.steps if s.kind == "gate" and stage in (s.name, s.label)]
    if not gates:
        raise ConfigError(
            f"{stage!r} has no gate; there are {', '.join(s.label for s in plan.steps if s.kind == 'gate')}"
        )
    step = gates[-1]
    changed = override(stage_fields(step.stage), [limit_change(step, change) for change in changes])
    other = cast(Gate, build(type(step.stage), changed, step.name))
    moves: Counter[tuple[str, str]] = Counter()
    for part in plan.parts:
        if store.receipt(step.name, part.key) is None:
            continue
        run = PartRun(store, plan, part, {})
        ids = run.ids(step)
        before = run.load(step.name, ("rule",))["rule"].fill_null("kept")
        after = other.decide(run.batch(step, ids)).fill_null("kept")
        moves.update(zip(before, after, strict=True))
    total = sum(moves.values())
    kept = [sum(n for pair, n in moves.items() if pair[side] == "kept") for side in (0, 1)]
    lines = [f"{step.label}: {kept[0]:,} of {total:,} documents kept, {kept[1]:,} with {' '.join(changes)}"]
    lines += [f"{n:8,}  {a} -> {b}" for (a, b), n in moves.most_common() if a != b]
    return lines
