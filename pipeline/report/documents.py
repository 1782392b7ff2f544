"""The report's sections on documents: where they went, which rules took them, what they are, what the corpus holds."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gristmill.pipeline.contract.drawing.html import Content, Html, breakable, tag, tag_with, together
from gristmill.pipeline.contract.drawing.tables import (
    bar,
    cell,
    code,
    count,
    folded,
    head,
    key,
    nothing,
    number,
    percent,
    plain,
    plural,
    ratio,
    row,
    segment,
    short,
    size,
    table,
)
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.report import charts
from gristmill.pipeline.report.facts import Facts, Tally
from gristmill.pipeline.report.limits import Histogram
from gristmill.pipeline.report.text import TEXT_CHARS, TEXT_LINES, beginning

_RULES_SHOWN = 3  # per stage in the flow; all stand in the table of rules
_KINDS_SHOWN = 12  # languages, licences or domains; the rest is one row
_HISTOGRAMS_SHOWN = 12


def drops(entry: dict) -> list[tuple[str, dict]]:
    """A stage's rules that dropped documents, most first."""
    return sorted(((r, t) for r, t in entry["dropped"].items() if t["docs"]), key=lambda x: (-x[1]["docs"], x[0]))


def flow(facts: Facts) -> Html:
    records = facts.entries[0]["docs_in"]
    rows = []
    for entry in facts.entries:
        gone = drops(entry)
        shades = ("gone", "gone2", "gone3")
        parts = [segment("kept", ratio(entry["docs_out"], records), f"{count(entry['docs_out'])} go on")]
        for i, (rule, total) in enumerate(gone):
            if i < _RULES_SHOWN:
                parts.append(segment(shades[i % 3], ratio(total["docs"], records), f"{rule} {count(total['docs'])}"))
        rest = sum(t["docs"] for _, t in gone[_RULES_SHOWN:])
        if rest:
            parts.append(segment("gone3", ratio(rest, records), f"other rules {count(rest)}"))
        named = [tag("span", breakable(r), " ", tag("b", count(t["docs"]))) for r, t in gone[:_RULES_SHOWN]]
        if rest:
            named.append(tag("span", f"{len(gone) - _RULES_SHOWN} more ", tag("b", count(rest))))
        rows.append(
            row(
                entry["stage"],
                tag("td.n.minor", count(entry["docs_in"])),
                tag("td.wide", bar(*parts)),
                number(count(entry["docs_out"])),
                tag("td.n.dim.minor", percent(ratio(entry["docs_out"], records))),
                tag("td.n.minor", size(entry["bytes_out"])),
                number(short(entry["tokens_out"])),
                cell(tag("div.drops", named) if named else tag("span.dim", "–")),
            )
        )
    last = facts.entries[-1]
    if "rows" in last:
        rows.append(
            tag(
                "tr.sum",
                tag_with("th", {"scope": "row"}, "written"),
                tag("td.minor"),
                cell(""),
                number(count(last["rows"])),
                tag("td.minor"),
                tag("td.n.minor", size(last["bytes"])),
                number(short(last["tokens"])),
                tag("td.dim", "rows of the corpus, copies counted"),
            )
        )
    caption = (
        tag("b", "Every record has one fate. "),
        "In = out + dropped at every stage, in documents, bytes and tokens; the bar's full width is all records. "
        "Bytes are of extracted text: what extraction takes off a page is booked at ingest"
        f"{', what cleaning cuts at its own stage' if facts.cuts else ''}.",
        " ",
        key("f-kept", "goes on"),
        key("f-gone", "dropped here, by rule"),
    )
    heads = head(
        "stage",
        "in:n.minor",
        "documents:wide",
        "out:n",
        "of records:n.minor",
        "bytes out:n.minor",
        "tokens out:n",
        "dropped by rule",
    )
    return tag("div.fits.flow", table(caption, heads, rows))


def rules(facts: Facts, plan: Plan) -> Html:
    records = facts.entries[0]["docs_in"]
    found = [(e, rule, t) for e in facts.entries for rule, t in drops(e)]
    if not found:
        return nothing("No rule dropped a document.")
    worst = max(t["docs"] for _, _, t in found)
    rows = [
        row(
            code(rule),
            cell(breakable(entry["stage"])),
            tag("td.mid.minor", bar(segment("gone", ratio(t["docs"], worst)), look=".thin")),
            number(count(t["docs"])),
            number(percent(ratio(t["docs"], records))),
            tag("td.n.minor", percent(ratio(t["docs"], entry["docs_in"]))),
            tag("td.n.minor", size(t["bytes"])),
            number(short(t["tokens"]) if t["tokens"] else "–"),
        )
        for entry, rule, t in sorted(found, key=lambda x: (-x[2]["docs"], x[0]["stage"], x[1]))
    ]
    heads = head(
        "rule",
        "stage",
        ":mid.minor",
        "documents:n",
        "of records:n",
        "of its stage:n.minor",
        "bytes:n.minor",
        "tokens:n",
    )
    caption = (
        tag("b", "What was dropped, and by what. "),
        "A document is booked under the first rule it breaks, so rules that come later count fewer than they match.",
    )
    idle = list(idle_rules(facts, plan))
    quiet = (
        folded(
            f"{plural(len(idle), 'rule')} in force that dropped nothing",
            tag("p", [[tag("code", r), " "] for r in idle]),
        )
        if idle
        else None
    )
    return together(table(caption, heads, rows), quiet, cuts(facts) if facts.cuts else None)


def cuts(facts: Facts) -> Html:
    total = sum(n for _, n in facts.cuts.values())
    rows = [
        row(code(why), number(count(lines) if lines else "–"), number(size(n)), number(percent(ratio(n, total))))
        for why, (lines, n) in sorted(facts.cuts.items(), key=lambda x: (-x[1][1], x[0]))
    ]
    caption = (
        tag("b", "What cleaning cut out of documents that went on. "),
        f"{size(total)} of text, which the ledger books as ",
        tag("code", "cut_text"),
        "; a line is booked under the first rule it breaks.",
    )
    return table(caption, head("rule", "lines:n", "bytes:n", "of all cut:n"), rows)


def idle_rules(facts: Facts, plan: Plan) -> Iterator[str]:
    busy = {(e["stage"], rule) for e in facts.entries for rule, _ in drops(e)}
    for step in plan.steps:
        if step.kind not in ("source", "gate"):
            continue
        in_force = (step.gate.table() if step.kind == "gate" else {}) or step.rules
        yield from (f"{step.label}.{rule}" for rule in in_force if (step.label, rule) not in busy)


def kinds(facts: Facts) -> Html:
    languages = kind_table("Languages", "language", facts.languages, "share of the tokens read, and of those written.")
    licenses = kind_table(
        "Licences", "licence", facts.licenses, "the same, from the documents that reached the decision."
    )
    tiers = kind_table("Tiers of licence", "tier", facts.tiers, "how freely the texts may be used.")
    domains = kind_table("Domains", "domain", facts.domains, "the same, from the documents that were embedded.")
    left = (languages, domains) if facts.domains else (languages,)
    right = (licenses, tiers) if facts.tiers else (licenses,)
    return tag("div.two", tag("div.rest", left), tag("div.rest", right))


def kind_table(title: str, name: str, tallies: Mapping[str | None, Tally], meaning: str) -> Html:
    if not tallies:
        return together(tag("h3", title), nothing(f"This run has no column for it: no {name} is known."))
    before, after = sum(t.tokens for t in tallies.values()), sum(t.written for t in tallies.values())
    order = sorted(tallies, key=lambda v: (-tallies[v].written, -tallies[v].tokens, -tallies[v].docs, v or ""))
    shown, rest = order[:_KINDS_SHOWN], order[_KINDS_SHOWN:]
    most = max((max(ratio(tallies[v].tokens, before), ratio(tallies[v].written, after)) for v in order), default=1.0)

    def line(first: Content, t: Tally) -> Html:
        was, now = ratio(t.tokens, before), ratio(t.written, after)
        pair = tag("div.pair", bar(segment("soft", ratio(was, most))), bar(segment("kept", ratio(now, most))))
        return row(
            first,
            tag("td.n.minor", count(t.docs)),
            number(percent(was)),
            tag("td.mid", pair),
            number(percent(now)),
            number(short(t.written)),
        )

    rows = [line(tag("span.dim", "unknown") if v is None else v, tallies[v]) for v in shown]
    if rest:
        other = Tally()
        for v in rest:
            t = tallies[v]
            other.add((t.docs, t.tokens, t.chosen, t.rows, t.written))
        rows.append(line(tag("span.dim", f"{len(rest)} more"), other))
    caption = (tag("b", f"{title}: "), meaning, " ", key("f-soft", "before"), key("f-kept", "in the corpus"))
    return table(caption, head(name, "docs:n.minor", "before:n", "tokens:mid", "corpus:n", "tokens:n"), rows)


def signals(made: list[Histogram], drawn: int) -> Html:
    if not made:
        return nothing("No gate of this run bounds a numeric column.")
    figures = []
    for h in made[:_HISTOGRAMS_SHOWN]:
        x = h.limited
        sides = (("≥", x.low), ("≤", x.high))
        bounds = ", ".join(f"{side} {plain(limit)}" for side, limit in sides if limit is not None)
        taken = f"{count(h.dropped_n)} dropped" if x.rules else f"gate dropped {count(sum(h.other))}"
        words = f"{bounds} · {taken} · median {plain(float(f'{h.quantiles[2]:.3g}'))}"
        caption = tag("figcaption", code(x.column), tag("span", words))
        figures.append(tag("figure", caption, charts.histogram_chart(h, f"{x.column}: {words}")))
    caption = tag(
        "figcaption",
        tag("b", "Where the limits cut. "),
        f"{count(drawn)} documents as their gate saw them; height is the square root of the share, and the last bin "
        "holds what lies beyond. ",
        key("f-kept", "kept"),
        key("f-gone", "dropped by this limit"),
        key("f-other", "dropped by another rule of the gate"),
    )
    heads = head(
        "column",
        "gate:minor",
        "min:n",
        "max:n",
        "1%:n.minor",
        "25%:n.minor",
        "median:n",
        "75%:n.minor",
        "99%:n.minor",
        "dropped:n",
    )
    rows = [
        row(
            code(h.limited.column),
            tag("td.minor", breakable(h.limited.gate.label)),
            *(number("–" if v is None else plain(v)) for v in (h.limited.low, h.limited.high)),
            *(tag("td.n" if i == 2 else "td.n.minor", plain(float(f"{q:.3g}"))) for i, q in enumerate(h.quantiles)),
            number(count(h.dropped_n) if h.limited.rules else "–"),
        )
        for h in made
    ]
    every = folded(
        f"All {len(made)} limited columns as a table", table("Quantiles over the same documents.", heads, rows)
    )
    return together(tag("div.fits", caption), tag("div.small", figures), every)


def corpus(facts: Facts) -> Html:
    if not facts.shards:
        return nothing("No shard was written.")
    rows = [
        row(code(s.name), number(count(s.rows)), number(count(s.tokens)), number(size(s.bytes))) for s in facts.shards
    ]
    total = tag(
        "tr.sum",
        tag_with("th", {"scope": "row"}, plural(len(facts.shards), "shard")),
        number(count(sum(s.rows for s in facts.shards))),
        number(count(sum(s.tokens for s in facts.shards))),
        number(size(sum(s.bytes for s in facts.shards))),
    )
    heads = head("file", "rows:n", "tokens:n", "size:n")
    title = (tag("b", "Shards "), "under ", tag("code", "corpus/data"), ".")
    if len(rows) <= 12:
        shards = table(title, heads, [*rows, total])
    else:
        shards = together(table(title, heads, [total]), folded("Every shard", table("", heads, rows)))
    return together(tag("div.fits.snug", shards), samples(facts))


def quality_place(doc: Mapping[str, Any]) -> str | None:
    """The quality rank in words: 0 is the best of the bucket, which a bare number would not say."""
    rank = doc.get("quality_rank")
    if rank is None:
        return None
    half, share = ("best", rank) if rank < 0.5 else ("worst", 1 - rank)
    return f"among the {half} {max(1, math.ceil(100 * share))}% of its bucket"


def samples(facts: Facts) -> Html:
    meant = [(column, named) for told in facts.told for column, named in told.words.items()]
    articles = []
    for doc in facts.samples:
        words = next((list(named[v]) for column, named in meant if (v := doc.get(column)) in named), None)
        known = [
            doc.get("language"),
            doc.get("license") or "no licence found" if "license" in doc else None,
            f"bucket {doc['bucket']}" + (f" ({', '.join(words[:3])})" if words else "") if doc.get("bucket") else None,
            doc.get("domain"),
            quality_place(doc),
            f"{count(doc['token_count'])} tokens" if doc.get("token_count") is not None else None,
            f"{doc['copies_n']} copies" if (doc.get("copies_n") or 1) > 1 else None,
        ]
        articles.append(
            tag(
                "article",
                tag("h3", tag("bdi", breakable(doc.get("url") or doc["doc_id"]))),
                tag("div.facts", [tag("bdi", k) for k in known if k]),
                tag_with("div.text", {"dir": "auto"}, beginning(doc.get("text") or "")),
            )
        )
    intro = tag(
        "p.lead",
        f"{len(articles)} documents of the corpus. Its rows are shuffled, so the first of them are a fair draw; texts "
        f"are cut at {TEXT_CHARS} characters or {TEXT_LINES} lines. Places in a bucket are by merged quality.",
    )
    return together(tag("h3.apart", "A sample"), intro, tag("div.docs", articles))
