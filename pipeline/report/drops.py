"""The report's section on documents that rules dropped: a few of every rule, drawn, with the value that did it."""

from dataclasses import dataclass

from gristmill.pipeline.books.document.dropped import Drop, drops
from gristmill.pipeline.contract.drawing.html import Html, breakable, tag, tag_with, together
from gristmill.pipeline.contract.drawing.tables import code, count, folded, nothing, percent, plural, ratio
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.report.limits import DRAWN_DOCS
from gristmill.pipeline.report.text import beginning
from gristmill.pipeline.run.store import Store

EACH = 2  # documents of a rule
OPEN_RULES = 6  # the rules that drop most; those of the others are folded


@dataclass(frozen=True)
class RuleDrops:
    """A rule of a gate, how many of the documents judged it dropped, and some of them."""

    stage: str
    rule: str
    dropped: int
    judged: int
    drawn: list[Drop]


def read_drops(store: Store, plan: Plan) -> list[RuleDrops]:
    """Of every gate but the one that chooses; the rules that drop most come first."""
    found: list[RuleDrops] = []
    for step in plan.steps:
        if step.kind != "gate" or step.gate.chooses:
            continue
        seen = drops(store, plan, step, EACH, enough=DRAWN_DOCS)
        found += [RuleDrops(step.label, r, n, seen.judged, seen.drawn[r]) for r, n in seen.by_rule.items()]
    return sorted(found, key=lambda d: (-d.dropped, d.stage, d.rule))


def dropped(found: list[RuleDrops]) -> Html:
    if not found:
        return nothing("No rule dropped a document.")
    lead = tag(
        "p.lead",
        f"At most {EACH} documents of each rule, drawn by their ids, with the value that broke the rule and the text "
        "as the gate saw it. Read them before you change a limit: ",
        tag("code", "gristmill inspect RUN STAGE --rule RULE"),
        " shows more, ",
        tag("code", "--what-if LIMIT=VALUE"),
        " says what another limit would do.",
    )
    first, rest = found[:OPEN_RULES], found[OPEN_RULES:]
    more = folded(f"{plural(len(rest), 'more rule')}", [rule_drops(d) for d in rest]) if rest else None
    return together(lead, *(rule_drops(d) for d in first), more)


def rule_drops(d: RuleDrops) -> Html:
    title = tag(
        "h3.apart",
        code(d.rule),
        f" of {d.stage}: ",
        count(d.dropped),
        f" ({percent(ratio(d.dropped, d.judged))})",
    )
    return together(title, tag("div.docs", [article(one) for one in d.drawn]))


def article(one: Drop) -> Html:
    return tag(
        "article",
        tag("h4", tag("bdi", breakable(one.url or one.doc_id))),
        tag("div.facts", tag("bdi", one.why)),
        tag_with("div.text", {"dir": "auto"}, beginning(one.text)),
    )
