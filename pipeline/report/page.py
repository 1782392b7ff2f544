"""report.html: one file that says what a run made of its input. No script, request or clock: same run, same bytes."""

from collections.abc import Iterator
from pathlib import Path

from gristmill.pipeline.contract.drawing.html import Content, Html, tag, tag_with, together
from gristmill.pipeline.contract.drawing.tables import (
    cell,
    code,
    count,
    folded,
    head,
    number,
    percent,
    ratio,
    row,
    short,
    size,
    table,
)
from gristmill.pipeline.contract.state import write_text
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.report import documents as report_sections
from gristmill.pipeline.report.drops import dropped, read_drops
from gristmill.pipeline.report.facts import Facts, choosing, read_facts
from gristmill.pipeline.report.limits import Histogram, histograms
from gristmill.pipeline.report.sought import held_out
from gristmill.pipeline.report.sources import sources
from gristmill.pipeline.report.style import STYLE
from gristmill.pipeline.report.warnings import warnings
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of

# Nothing may be loaded and nothing may run, whatever a document's text has in it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def report_path(store: Store) -> Path:
    return store.root / "report.html"


def write_report(store: Store, plan: Plan) -> None:
    """Reads a finished run's folder; a section whose facts the run does not have says so."""
    store = view_of(store, plan)
    made, drawn = histograms(store, plan)
    gone = dropped(read_drops(store, plan))
    write_text(report_path(store), page(read_facts(store, plan), plan, made, drawn, held_out(store, plan), gone))


def page(facts: Facts, plan: Plan, made: list[Histogram], drawn: int, sought: Html, gone: Html) -> str:
    sections: list[tuple[str, str, Content]] = [
        ("flow", "Where the documents went", report_sections.flow(facts)),
        *([("sources", "Sources", sources(facts))] if facts.funnels else []),
        ("rules", "Rules", report_sections.rules(facts, plan)),
        ("dropped", "Dropped documents", gone),
        ("held-out", "Held out", sought),
        ("kinds", "Languages and licences", report_sections.kinds(facts)),
        ("signals", "Signals and their limits", report_sections.signals(made, drawn)),
        *((s.name, s.title, s.content) for told in facts.told for s in told.sections),
        ("corpus", "Corpus", report_sections.corpus(facts)),
        ("recipe", "Recipe", recipe(facts, plan)),
    ]
    body = tag(
        "body",
        masthead(facts, plan),
        tag_with(
            "nav", {"aria-label": "Sections"}, tag("ol", [tag("li", link(name, title)) for name, title, _ in sections])
        ),
        tag(
            "main",
            [
                tag_with(
                    "section",
                    {"id": name, "aria-labelledby": f"{name}-title"},
                    tag_with("h2", {"id": f"{name}-title"}, tag("span.no", str(i)), tag("span", title)),
                    content,
                )
                for i, (name, title, content) in enumerate(sections, 1)
            ],
        ),
        tag(
            "footer",
            "Written by Gristmill from the run folder. The numbers are those of ",
            tag("code", "ledger.json"),
            " and of the stages' artifacts; this page loads nothing and runs nothing.",
        ),
    )
    top = tag(
        "head",
        tag_with("meta", {"charset": "utf-8"}),
        tag_with("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        tag_with("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag_with("meta", {"name": "referrer", "content": "no-referrer"}),
        tag_with("link", {"rel": "icon", "href": "data:,"}),
        tag("title", f"{facts.name} · Gristmill report"),
        tag("style", Html(STYLE)),
    )
    return "<!doctype html>\n" + tag_with("html", {"lang": "en"}, top, body) + "\n"


def link(name: str, title: str) -> Html:
    return tag_with("a", {"href": f"#{name}"}, title)


def masthead(facts: Facts, plan: Plan) -> Html:
    found = warnings(facts, plan)
    if found:
        items = [tag("li.failed" if facts.failures and i == 0 else "li", note) for i, note in enumerate(found)]
        notes = tag_with("ul.notes", {"aria-label": "Worth a look"}, items)
    else:
        notes = tag("p.calm", "Nothing stands out: every part succeeded, the books balance, no cap binds.")
    identity = f"{count(facts.parts_n)} part{'s' * (facts.parts_n != 1)} · {len(plan.steps)} steps · config "
    return tag(
        "header",
        tag("div.kind", "Gristmill report"),
        tag("h1", facts.name),
        tag("p.identity", identity, tag("code", facts.config_digest)),
        tag("p.abstract", abstract(facts, plan)),
        keys(facts, plan),
        notes,
    )


def abstract(facts: Facts, plan: Plan) -> Html:
    return together([[sentence, " "] for sentence in sentences(facts, plan)])


def chosen_from(facts: Facts, plan: Plan) -> dict:
    """The books of the gate that chooses how often a document is written; of the last stage where none does, or where
    the run has not come so far."""
    return next((e for e in facts.entries if e["stage"] == choosing(plan)), facts.entries[-1])


def sentences(facts: Facts, plan: Plan) -> Iterator[str]:
    first, last = facts.entries[0], facts.entries[-1]
    before, chooses = chosen_from(facts, plan), choosing(plan)
    passed = before["docs_in"] if before["stage"] == chooses else before["docs_out"]
    so_far = f" up to {before['stage']}" if chooses not in (None, before["stage"]) else ""
    yield (
        f"Of {count(first['docs_in'])} records, {count(first['docs_out'])} became documents, and "
        f"{count(passed)} of these ({percent(ratio(passed, first['docs_out']))}) passed every gate{so_far}."
    )
    for told in facts.told:
        yield from told.sentences
    if "rows" in last:
        yield (
            f"The corpus holds {count(last['tokens'])} tokens in {count(last['rows'])} rows of "
            f"{count(last['docs_out'])} documents."
        )


def keys(facts: Facts, plan: Plan) -> Html:
    first, last = facts.entries[0], facts.entries[-1]
    found: list[tuple[str, str, str]] = [
        ("records in", count(first["docs_in"]), f"{size(first['bytes_in'])} before extraction"),
        (
            "documents",
            count(first["docs_out"]),
            f"{short(first['tokens_out'])} tokens, {size(first['bytes_out'])} of text",
        ),
    ]
    before = chosen_from(facts, plan)
    if before is not last:
        reached = f"{short(before['tokens_in'])} tokens to choose from"
        found.append(("passed every gate", count(before["docs_in"]), reached))
    found += [figure for told in facts.told for figure in told.figures]
    if "rows" in last:
        repeats = ratio(last["rows"], last["docs_out"])
        found.append(("chosen", count(last["docs_out"]), f"{count(last['rows'])} rows, {repeats:.2f} copies each"))
        found.append(("tokens in the corpus", short(last["tokens"]), "copies counted"))
    if facts.shards:
        n = len(facts.shards)
        found.append(("shards", count(n), f"{size(sum(s.bytes for s in facts.shards))} of Parquet"))
    return tag("dl.keys", [tag("div", tag("dt", k), tag("dd", v, tag("small", more))) for k, v, more in found])


def recipe(facts: Facts, plan: Plan) -> Html:
    rows = [
        row(code(s.name), cell(s.kind), number(str(s.stage.version)), cell(tag("code.dim", s.fingerprint[:12])))
        for s in plan.steps
    ]
    lead = tag(
        "p.lead",
        "The same input, config and code give the same corpus, byte for byte, whatever the number of workers. ",
        "Of each step: its shape, version and fingerprint.",
    )
    steps = folded(f"{len(rows)} steps", table("", head("step", "shape", "version:n", "fingerprint"), rows))
    config = folded("Resolved config", tag("pre", facts.config)) if facts.config else None
    return together(lead, steps, config)
