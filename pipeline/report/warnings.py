"""What the builder of a corpus should look at before using it, said in sentences with the numbers that matter."""

from collections.abc import Iterator
from itertools import chain

from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.report.documents import drops
from gristmill.pipeline.report.facts import Facts
from gristmill.pipeline.report.html import Content, tag
from gristmill.pipeline.report.mixture import OFF
from gristmill.pipeline.report.tables import count, percent, plural, ratio

_GREEDY = 0.5  # of a stage's input: a rule that takes more decides the corpus
_FEW_DOCS = 50  # in a bucket: its losses and its quality are guesses
_SHOWN = 8  # names in one sentence


def warnings(facts: Facts, plan: Plan) -> list[Content]:
    found = (failed, noted, greedy_rules, languages, licenses, search_outcome, buckets, budget)
    return list(chain.from_iterable(look(facts, plan) for look in found))


def names(values: list[str]) -> str:
    rest = len(values) - _SHOWN
    return ", ".join(values[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


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
            # Not at ingest (records that are no pages), nor what the mixture leaves out: that is a choice.
            if share > _GREEDY and entry["stage"] not in (plan.source.label, "sample"):
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


def search_outcome(facts: Facts, plan: Plan) -> Iterator[Content]:
    weights = facts.weights or {}
    summary = weights.get("search") or {}
    verdict = str(weights.get("verdict") or summary.get("verdict"))
    if summary.get("found") is False:
        yield (tag("b", "The search changed nothing: "), verdict)
        return
    check = weights.get("confirm")
    if check and not check["better_than_natural"]:
        yield (tag("b", "The chosen mixture is not confirmed: "), verdict)
    elif check and any(c["baseline"] == "climb" and c["high"] >= 0 for c in check["comparisons"]):
        yield (tag("b", "The searched parameters are not confirmed to be better than mode climb: "), verdict)
    if summary.get("measured_objective") is not None:
        return  # a proxy without noise has measured what the lines below predict
    natural, chosen, sd = (summary.get(n) for n in ("natural_objective", "predicted_objective", "predicted_sd"))
    if isinstance(natural, float) and isinstance(chosen, float) and isinstance(sd, float) and 0 < natural - chosen < sd:
        yield (
            tag("b", "The gain is smaller than its uncertainty: "),
            f"{natural:.4f} to {chosen:.4f} nats per token is predicted, with a standard deviation of {sd:.4f}.",
        )
    best = min(facts.runs.scores) if facts.runs and len(set(facts.runs.proxies)) == 1 else None
    if best is not None and isinstance(chosen, float) and isinstance(sd, float) and best < chosen - sd:
        yield (
            tag("b", "A run was better than the choice is predicted to be: "),
            f"{best:.4f} was measured, {chosen:.4f} is predicted, with a standard deviation of {sd:.4f}.",
        )


def buckets(facts: Facts, plan: Plan) -> Iterator[Content]:
    rows = (facts.weights or {}).get("buckets", ())
    capped = [b for b in rows if b.get("capped")]
    if capped:
        shown = names([f"{b['bucket']} at {percent(b['weight'])} ({b['epochs']:.2f} epochs)" for b in capped])
        yield (
            tag("b", f"{len(capped)} of {plural(len(rows), 'bucket')} held by a cap"),
            f"; the others share what it cannot take: {shown}.",
        )
    empty = [b for b in rows if b["natural_share"] > 0 and b["achieved_tokens"] == 0]
    if empty:
        share = percent(sum(b["natural_share"] for b in empty))
        yield (
            tag("b", f"{len(empty)} of {plural(len(rows), 'bucket')} left out altogether"),
            f", {share} of the tokens that came this far: {names([b['bucket'] for b in empty])}.",
        )
    off = [b for b in rows if abs(b["achieved_share"] - b["weight"]) > OFF]
    if off:
        shown = names(
            [f"{b['bucket']} wanted {percent(b['weight'])}, holds {percent(b['achieved_share'])}" for b in off]
        )
        yield (
            tag("b", f"Not as weighted: {plural(len(off), 'bucket')}"),
            f" off by more than {percent(OFF)} of the tokens: {shown}.",
        )
    few = [b for b in rows if b["docs"] < _FEW_DOCS]
    if few and len(rows) > 1:
        shown = names([f"{b['bucket']} ({count(b['docs'])})" for b in few])
        yield (
            tag("b", f"Small: {plural(len(few), 'bucket')}"),
            f" of fewer than {_FEW_DOCS} documents, of which the search can know little: {shown}.",
        )


def budget(facts: Facts, plan: Plan) -> Iterator[Content]:
    if not facts.weights:
        return
    wanted, written = facts.weights["budget_tokens"], facts.weights["achieved_tokens"]
    if abs(written - wanted) > OFF * wanted:
        yield (tag("b", "The corpus misses its budget"), f": {count(written)} tokens written, {count(wanted)} wanted.")
