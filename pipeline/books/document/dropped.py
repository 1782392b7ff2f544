"""Draws documents that a rule dropped, each with the value that broke the rule and its text; lists those of a stage."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from gristmill.pipeline.books.document.explain import why
from gristmill.pipeline.books.document.verdict import show
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.draws import drawn_order, key64
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import MEASURING, Step
from gristmill.pipeline.run.store import REJECTED_DATASET, Store, read_parquet

SALT = "dropped"


@dataclass(frozen=True)
class Drop:
    """A document that a rule dropped: which value did it, and the text that the gate judged."""

    part: str
    doc_id: str
    url: str | None
    why: str
    text: str


@dataclass(frozen=True)
class Drops:
    """What a gate did with the documents of some parts: how many it judged, and dropped by rule, some of them drawn."""

    judged: int
    by_rule: dict[str, int]
    drawn: dict[str, list[Drop]]


def drops(store: Store, plan: Plan, step: Step, n: int, only: str | None = None, enough: int | None = None) -> Drops:
    """`n` documents of every rule (or of `only`), the same ones on every look.

    enough: parts are read, in the order of their draws, until the gate has judged so many documents; None: all parts.
    """
    judged = 0
    counts: Counter[str] = Counter()
    found: list[pl.DataFrame] = []
    keys = [p.key for p in plan.parts if store.receipt(step.name, p.key) is not None]
    for key in drawn_order(keys, SALT):
        frame = store.read(step.name, key, ("rule",))
        judged += frame.height
        gone = frame.drop_nulls("rule").filter(pl.lit(True) if only is None else pl.col("rule") == only)
        counts.update(dict(gone.group_by("rule").len().iter_rows()))
        draw = pl.Series("draw", key64(gone["doc_id"], SALT), dtype=pl.UInt64)
        mine = gone.with_columns(draw, pl.lit(key).alias("part"))
        kept = pl.concat([*found, mine]).sort("draw").group_by("rule", maintain_order=True).head(n)
        found = [kept.select(mine.columns)]
        if enough is not None and judged >= enough:
            break
    drawn: dict[str, list[Drop]] = {}
    for row in found[0].iter_rows(named=True) if found else ():
        drawn.setdefault(row["rule"], []).append(drop(store, plan, step, row["rule"], row["part"], row["doc_id"]))
    return Drops(judged, dict(counts.most_common()), drawn)


def drop(store: Store, plan: Plan, step: Step, rule: str, part: str, doc_id: str) -> Drop:
    head = store.read(plan.source.name, part, ("url", "text"), [doc_id])
    reason = why(store, plan, step, rule, part, doc_id)
    return Drop(part, doc_id, head["url"][0], reason, text_before(store, plan, step, part, doc_id) or head["text"][0])


def text_before(store: Store, plan: Plan, step: Step, part: str, doc_id: str) -> str | None:
    """A document's text as the last stage before this one that replaces text wrote it."""
    for other in reversed(plan.steps[: plan.index(step)]):
        if other in plan.replacers and store.receipt(other.name, part) is not None:
            frame = store.read(other.name, part, ("text",), [doc_id])
            return frame["text"][0] if frame.height else None
    return None


def inspect(store: Store, plan: Plan, stage: str, rule: str | None, n: int) -> list[str]:
    """Up to `n` documents that a stage dropped (by `rule`), drawn, with the value that broke the rule and the text.

    Of a stage without a gate: documents with the columns that it wrote. Raises ConfigError for an unknown stage or
    rule.
    """
    source = plan.source
    if stage == source.label and (
        rule is not None or not any(s.label == stage and s.kind == "gate" for s in plan.steps)
    ):
        if rule is not None and rule not in source.rules:
            raise ConfigError(f"{stage} has no rule {rule!r}; it has {', '.join(source.rules)}")
        if rule is not None:
            return list(rejected(store, plan, rule, n))
    steps = [s for s in plan.steps if s.label == stage or s.name == stage or s.label.startswith(stage + ".")]
    if not steps:
        raise ConfigError(f"no stage {stage!r}; there are {', '.join(dict.fromkeys(s.label for s in plan.steps))}")
    gates = [s for s in steps if s.kind == "gate"]
    rules = [r for s in gates for r in s.rules]
    if rule is not None and rule not in rules:
        raise ConfigError(f"{stage} has no rule {rule!r}; it has {', '.join(rules) or 'none'}")
    if not gates:
        return list(annotated(store, plan, steps, n))
    lines: list[str] = []
    for step in gates:
        if rule is None or rule in step.rules:
            lines += dropped_lines(drops(store, plan, step, n, rule), step, rule, n)
    return lines


def dropped_lines(found: Drops, step: Step, only: str | None, n: int) -> Iterator[str]:
    """`n` drops in all: one of every rule, most first, then a second one, and so on."""
    gone = sum(found.by_rule.values())
    by = f" by {only}" if only is not None else ""
    yield f"{step.label}: {gone or 'none'} of {found.judged:,} documents dropped{by}"
    left = dict.fromkeys(found.by_rule, 0)
    for turn in range(n):
        for rule in left:
            if turn < len(found.drawn[rule]) and sum(left.values()) < n:
                left[rule] += 1
    for rule, shown in left.items():
        if shown:
            yield ""
            yield f"{rule}: {plural(found.by_rule[rule], 'document')}"
        for one in found.drawn[rule][:shown]:
            yield f"  {one.doc_id}  {one.url or ''}"
            yield f"    {one.why}"
            yield f"    {show(one.text.strip())}"
    if hidden := [rule for rule, shown in left.items() if not shown]:
        yield ""
        yield f"and {', '.join(f'{rule} {found.by_rule[rule]:,}' for rule in hidden)} (-n shows more)"


def annotated(store: Store, plan: Plan, steps: list[Step], n: int) -> Iterator[str]:
    """The first documents that an annotator, or the source, measured."""
    for step in [s for s in steps if s.kind in MEASURING]:
        left = n
        for part in plan.parts:
            if left <= 0 or store.receipt(step.name, part.key) is None:
                continue
            frame = store.read(step.name, part.key, step.writes).head(left)
            left -= frame.height
            head = store.read(plan.source.name, part.key, tuple({"url", "text"} - set(step.writes)))
            for row in frame.join(head, on="doc_id", how="left", maintain_order="left").iter_rows(named=True):
                yield f"{row['doc_id']}  {row['url'] or ''}"
                yield "    " + ", ".join(f"{c}={show(row[c])}" for c in step.writes if c != "text")
                yield "    " + show(row["text"])


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
