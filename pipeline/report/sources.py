"""The sources of a run in one table: records, documents, what each stage left, tokens in the corpus."""

from collections import Counter

from gristmill.pipeline.contract.drawing.html import Html, tag
from gristmill.pipeline.contract.drawing.tables import count, head, number, percent, ratio, row, short, table
from gristmill.pipeline.report.facts import Facts


def sources(facts: Facts) -> Html:
    """A row per source; a stage that dropped nothing of any source has no column."""
    found = facts.funnels
    stages = list(found[0].after)
    before = [None, *stages[:-1]]
    busy = [
        stage
        for stage, last in zip(stages, before, strict=True)
        if any(f.after[stage] != (f.records if last is None else f.after[last]) for f in found)
    ]
    total = sum(f.tokens for f in found)
    rows = [
        row(
            f.source,
            tag("td.n", count(f.records)),
            *(number(count(f.after[stage])) for stage in busy),
            number(short(f.tokens)),
            number(percent(ratio(f.tokens, total))),
            tag("td", ", ".join(f"{rule} {count(n)}" for rule, n in Counter(f.dropped).most_common(2)) or "–"),
        )
        for f in found
    ]
    caption = (tag("b", "Sources: "), "documents left after each stage, and tokens in the corpus.")
    heads = head("source", "records:n", *(f"{stage}:n" for stage in busy), "tokens:n", "share:n", "dropped most")
    return table(caption, heads, rows)
