"""The report's section on objective texts and benchmarks: what was looked for, what was found, hits to read."""

from gristmill.pipeline.books.held_out import Sought, memory_line, read_sought
from gristmill.pipeline.contract.drawing.html import Html, tag, together
from gristmill.pipeline.contract.drawing.tables import (
    cell,
    count,
    folded,
    head,
    nothing,
    number,
    percent,
    ratio,
    row,
    table,
)
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store

KINDS = {"dedup.objective": "objective", "contamination": "benchmark"}


def held_out(store: Store, plan: Plan) -> Html:
    sought = read_sought(store, plan)
    if not sought:
        return nothing("This run looked for no objective text and no benchmark in its documents.")
    rows = [
        row(
            s.name,
            cell(KINDS[s.kind]),
            number(count(s.items)),
            tag("td.n.minor", count(s.short)),
            tag("td.n.minor", count(len(s.found)) if s.kind == "contamination" else "–"),
            tag("td.n.minor", percent(ratio(len(s.found), s.items)) if s.kind == "contamination" else "–"),
            number(count(s.touched)),
            number(count(s.dropped)),
        )
        for s in sought
    ]
    heads = head(
        "text",
        "kind",
        "items:n",
        "too short:n.minor",
        "found:n.minor",
        "of its items:n.minor",
        "documents with any:n",
        "dropped:n",
    )
    caption = (
        tag("b", "What must not be trained on. "),
        "Documents that hold word n-grams of one item. ",
        [f"{KINDS[kind].capitalize()}: {memory_line(store, kind)}. " for kind in dict.fromkeys(s.kind for s in sought)],
        "Too short: items that cannot be told from chance.",
    )
    return together(table(caption, heads, rows), [hits(s) for s in sought if s.samples])


def hits(s: Sought) -> Html:
    rows = [
        row(
            sample["url"] or sample["doc_id"],
            tag("td.minor", sample["item"] or "–"),
            tag("td.n.minor", count(sample["hits"])),
            tag("td.n.minor", percent(sample["item_frac"])),
            cell(tag("q", sample["text"] or "")),
            cell(sample["preview"] or "–"),
        )
        for sample in s.samples
    ]
    heads = head("document", "item:minor", "n-grams:n.minor", "of the item:n.minor", "shared words", "the item")
    return folded(f"{s.name}: {len(rows)} of the documents, to read", table("", heads, rows))
