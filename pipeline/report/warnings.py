"""What the builder of a corpus should look at before using it, said in sentences with the numbers that matter."""

from collections.abc import Iterator
from itertools import chain

from gristmill.pipeline.contract.drawing.html import Content, tag
from gristmill.pipeline.contract.drawing.tables import count, names, percent, plural, ratio
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.report.documents import drops
from gristmill.pipeline.report.facts import Facts, choosing

_GREEDY = 0.5  # of a stage's input: a rule that takes more decides the corpus


def warnings(facts: Facts, plan: Plan) -> list[Content]:
    found = (failed, noted, greedy_rules, languages, licenses, of_stages)
    return list(chain.from_iterable(look(facts, plan) for look in found))


def of_stages(facts: Facts, plan: Plan) -> Iterator[Content]:
    for told in facts.told:
        yield from told.warnings


def failed(facts: Facts, plan: Plan) -> Iterator[Content]:
    if facts.failures:
        units = names([f"{f.get('unit')}: {f.get('message')}" for f in facts.failures])
        yield (
            tag("b", f"{len(facts.failures)} of {len(plan.parts)} parts failed"),
            " and are not in the corpus (run again to retry them): ",
            units,
        )


def noted(facts: Facts, plan: Plan) -> Iterator[Content]:
    for note in facts.notes:
        what, dot, rest = note.partition(": ")
        yield (tag("b", f"{what}{dot}"), f"{rest}.")


def greedy_rules(facts: Facts, plan: Plan) -> Iterator[Content]:
    for entry in facts.entries:
        for rule, total in drops(entry):
            share = ratio(total["docs"], entry["docs_in"])
            # Not at ingest (records that are no pages), nor what a gate leaves out by choice.
            if share > _GREEDY and entry["stage"] not in (plan.source.label, choosing(plan)):
                yield (
                    tag("b", f"{entry['stage']}: "),
                    tag("code", rule),
                    f" drops {percent(share)} of what reaches the stage ({count(total['docs'])} documents).",
                )


def languages(facts: Facts, plan: Plan) -> Iterator[Content]:
    total = sum(t.written for t in facts.languages.values())
    known = judged_languages(plan)
    if known is None or not total:
        return
    left = {v: t.written for v, t in facts.languages.items() if v is not None and v not in known and t.written}
    if left:
        listed = names(
            [f"{v} {percent(ratio(n, total))}" for v, n in sorted(left.items(), key=lambda x: (-x[1], x[0]))]
        )
        yield (
            tag("b", f"{plural(len(left), 'language')} without word-level thresholds"),
            f", judged by the language-neutral rules only: {listed} of the corpus's tokens. ",
            tag("code", "gristmill thresholds"),
            " estimates limits from a run.",
        )
    unknown = facts.languages.get(None)
    if unknown and unknown.written:
        yield (tag("b", "Language unknown"), f" for {percent(ratio(unknown.written, total))} of the corpus's tokens.")


def judged_languages(plan: Plan) -> set[str] | None:
    """Languages for which a gate's word-level rules hold; None where no gate tells."""
    return next((known for s in plan.steps if s.kind == "gate" and (known := s.gate.judged_languages())), None)


def licenses(facts: Facts, plan: Plan) -> Iterator[Content]:
    total = sum(t.written for t in facts.licenses.values())
    unknown = facts.licenses.get(None)
    if total and unknown and unknown.written:
        yield (
            tag("b", "Licence unknown"),
            f" for {percent(ratio(unknown.written, total))} of the corpus's tokens; each row says so in ",
            tag("code", "license"),
            ".",
        )
