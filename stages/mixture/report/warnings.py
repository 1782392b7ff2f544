"""What to look at before a corpus of this mixture is used, in sentences with the numbers that matter."""

from collections.abc import Iterator

from gristmill.pipeline.contract.drawing.html import Content, tag
from gristmill.pipeline.contract.drawing.tables import count, names, percent, plural
from gristmill.stages.mixture.report.seen import OFF, Seen

_FEW_DOCS = 50  # in a bucket: its losses and its quality are guesses


def warnings(seen: Seen) -> Iterator[Content]:
    yield from search_outcome(seen)
    yield from buckets(seen)
    yield from budget(seen)


def search_outcome(seen: Seen) -> Iterator[Content]:
    weights = seen.weights
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
    best = min(seen.runs.scores) if seen.runs and len(set(seen.runs.proxies)) == 1 else None
    if best is not None and isinstance(chosen, float) and isinstance(sd, float) and best < chosen - sd:
        yield (
            tag("b", "A run was better than the choice is predicted to be: "),
            f"{best:.4f} was measured, {chosen:.4f} is predicted, with a standard deviation of {sd:.4f}.",
        )


def buckets(seen: Seen) -> Iterator[Content]:
    rows = seen.weights["buckets"]
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


def budget(seen: Seen) -> Iterator[Content]:
    wanted, written = seen.weights["budget_tokens"], seen.weights["achieved_tokens"]
    if abs(written - wanted) > OFF * wanted:
        yield (tag("b", "The corpus misses its budget"), f": {count(written)} tokens written, {count(wanted)} wanted.")
