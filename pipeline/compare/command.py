"""The `diff` command: what changed from one run to another, as text or JSON."""

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from gristmill.pipeline.compare.differences import ABSENT, Difference, Moved, Setting, Share, difference
from gristmill.pipeline.compare.sides import open_side
from gristmill.pipeline.contract.shown import say

SHOWN = 12  # rows of a list that the text holds; --json has all


def diff_command(a: Namespace) -> int:
    found = difference(open_side(a.run_a), open_side(a.run_b))
    say(json.dumps(asdict(found), indent=1, ensure_ascii=False) if a.json else list(lines(found)))
    return 0


def lines(found: Difference) -> Iterator[str]:
    yield f"A {found.a}"
    yield f"B {found.b}"
    for name, why in found.stopped.items():
        yield f"{name.upper()}: {why}"
    if not found.any:
        yield f"no difference: {found.documents['both']:,} documents, {found.tokens['b']:,} tokens in both"
        return
    yield from table("config", [f"{s.key}: {value(s.a)} -> {value(s.b)}" for s in found.config])
    yield from table("code (versions of steps)", [f"{s.key}: {value(s.a)} -> {value(s.b)}" for s in found.code])
    yield from table("inputs", [told_input(s) for s in found.inputs])
    yield from table(
        "funnel: documents out of a stage, dropped by a rule",
        [f"{f.stage + ' ' + f.rule:44} {count(f.a):>12} -> {count(f.b):>12}" for f in found.funnel],
    )
    documents, rows, tokens = found.documents, found.rows, found.tokens
    yield from table(
        "corpus",
        [
            f"documents  {documents['a']:,} -> {documents['b']:,}; {documents['both']:,} in both, "
            f"{documents['changed']:,} of them with other text or another number of copies",
            f"rows       {rows['a']:,} -> {rows['b']:,}",
            f"tokens     {tokens['a']:,} -> {tokens['b']:,}",
        ],
    )
    for group, shares in found.shares.items():
        changed = [told_share(s) for s in shares if s.tokens_a != s.tokens_b]
        yield from table(f"tokens by {group}", changed)
    if "cluster" in found.remade:
        yield "  (clusters were made anew in B: a number there may be another topic)"
    yield from table("in A and not in B, by what ended them in B", [told_move(m) for m in found.left])
    yield from table("in B and not in A, by what ended them in A", [told_move(m) for m in found.came])


def table(head: str, rows: Sequence[str]) -> Iterator[str]:
    if rows:
        yield ""
        yield head
        yield from (f"  {row}" for row in rows[:SHOWN])
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN} more (--json has them)"


def value(of: object) -> str:
    return ABSENT if of is None else of if isinstance(of, str) else json.dumps(of, ensure_ascii=False)


def told_input(s: Setting) -> str:
    if s.a is None or s.b is None:
        return f"{s.key}: only in {'B' if s.a is None else 'A'}"
    return f"{s.key}: has changed"


def count(n: int) -> str:
    return "-" if n < 0 else f"{n:,}"


def told_share(s: Share) -> str:
    return f"{s.name:24} {s.share_a:.4f} -> {s.share_b:.4f}   {s.tokens_a:,} -> {s.tokens_b:,} tokens"


def told_move(m: Moved) -> str:
    what = f"{m.stage} {m.rule}".strip()
    return f"{m.documents:,}  {what}, {m.tokens:,} tokens; for one: {m.example}"
