"""The report's section on the search: its verdict, the confirmation, every proxy run, predicted against measured."""

from collections.abc import Mapping

from gristmill.pipeline.contract.drawing.html import Html, tag, together
from gristmill.pipeline.contract.drawing.tables import (
    cell,
    count,
    decimal,
    folded,
    head,
    key,
    nothing,
    number,
    plural,
    row,
    signed,
    table,
    written,
)
from gristmill.stages.mixture.report.charts import Mark, against, progress
from gristmill.stages.mixture.report.parameters import parameters
from gristmill.stages.mixture.report.seen import Runs, Seen

_ROUNDS_SHOWN = 10
# What a figure of the search's summary says, in a sentence.
MEANINGS = {
    "found": "Whether the search found a mixture that it holds for better than the natural one.",
    "method": "What spent the proxy runs and chose from them.",
    "proxy": "What a mixture is tried on.",
    "runs": "Mixtures that the proxy tried.",
    "failed_runs": "Runs that gave no finite loss and are left out.",
    "targets": "Texts on which a mixture is measured.",
    "guarded": "Targets that may not get worse than under the natural mixture.",
    "measured_objective": "Loss of the chosen mixture, measured by the proxy.",
    "natural_measured": "Loss of the natural mixture, measured by the proxy.",
    "predicted_objective": "Loss of the chosen mixture, as the predictor guesses it.",
    "predicted_sd": "How far that guess may be off (one standard deviation).",
    "natural_objective": "Loss of the natural mixture, as the predictor guesses it.",
    "predictor": "What guesses a mixture's loss from the runs.",
    "predictor_spearman": "How well it orders runs that it has not seen: 1 as measured, 0 by chance.",
    "predictor_spearman_interval": "95% interval of that.",
    "near_equal_mixtures": "Mixtures as good as the chosen one, at least 0.1 of all tokens apart from each other: with "
    "1 it stands alone, with many the exact weights matter little.",
    "near_equal_within": "How much more loss still counts as as good, in nats per token.",
}


def search(seen: Seen) -> Html:
    summary = seen.weights.get("search") or {}
    if seen.runs is None:
        natural = summary.get("method") == "natural"
        why = (
            "the config takes shares as they came, within the caps"
            if natural
            else "there was nothing to choose between"
        )
        unsearched = nothing(f"No mixture was searched: {why}.")
        alone = parameters(summary)
        if alone is None:
            return unsearched
        return together(unsearched, confirmation(seen.weights.get("confirm")), alone)
    verdict = seen.weights.get("verdict") or summary.get("verdict")
    lead = tag("p.lead", upper(str(verdict))) if verdict else None
    check = confirmation(seen.weights.get("confirm"))
    numbers = table(
        tag("b", "What the search says of itself."), head("what", "value", "which says"), summary_rows(summary)
    )
    chart, rounds, measured = search_chart(seen.runs, summary), search_rounds(seen.runs), measured_chart(summary)
    if measured is None:
        return together(lead, check, parameters(summary), tag("div.two", tag("div.rest", chart, rounds), numbers))
    return together(lead, check, parameters(summary), tag("div.two", chart, measured), tag("div.two", rounds, numbers))


def confirmation(check: Mapping | None) -> Html | None:
    """The chosen mixture minus each baseline, with the interval over seeds, all targets together and each alone."""
    if not check or not check.get("comparisons"):
        return tag("p.calm", "The mixture was not confirmed: no fresh runs were made.")
    rows = check["comparisons"]
    targets = list(rows[0]["targets"]) if len(rows[0]["targets"]) > 1 else []
    size = f" of {count(round(check['size']))} parameters" if check.get("size") else ""
    caption = (
        tag("b", "Confirmed with fresh chance. "),
        f"The chosen mixture minus each plain one, in nats per token of the {check['proxy']} proxy{size}: below 0 is "
        "better. Every seed has its own draw of documents and its own piece of target text that the search never saw.",
    )
    heads = head("against", "difference:n", "95% interval:n", "better in:n.minor", *(f"{t}:n.minor" for t in targets))
    body = [
        row(
            r["baseline"],
            number(tag("b", signed(r["difference"]))),
            number(f"{signed(r['low'])} to {signed(r['high'])}" if r["seeds"] > 1 else "none: one run"),
            tag("td.n.minor", f"{r['better_in']} of {r['seeds']}"),
            *(tag("td.n.minor", signed(r["targets"][t])) for t in targets),
        )
        for r in rows
    ]
    return tag("div.fits", table(caption, heads, body))


def search_chart(runs: Runs, summary: Mapping[str, object]) -> Html:
    weights = summary.get("objective")
    weights = weights if isinstance(weights, dict) else dict.fromkeys(runs.targets, 1.0)
    weighted = "weighted " if len(set(weights.values())) > 1 else ""
    caption = (
        tag("b", "How the search went. "),
        f"{plural(len(runs.scores), 'proxy run')}; the score is the {weighted}mean loss over "
        f"{plural(len(weights), 'target')} in nats per token, lower is better. ",
        key("f-run", "a run, measured", ".round"),
        key("f-kept", "best so far", ".dash"),
        key("f-dashed", "predicted", ".dash"),
    )
    natural, chosen = summary.get("natural_objective"), summary.get("predicted_objective")
    sd = summary.get("predicted_sd")
    if summary.get("measured_objective") is not None:
        natural, chosen, sd = summary.get("natural_measured"), summary["measured_objective"], 0.0
    marks = []
    if isinstance(natural, float):
        marks.append(Mark(natural, "natural mixture"))
    if isinstance(chosen, float):
        marks.append(Mark(chosen, "chosen mixture", sd if isinstance(sd, float) else 0.0))
    title = f"Score of {len(runs.scores)} proxy runs in their order; the best is {min(runs.scores):.4f}"
    drawn = progress(runs.scores, runs.rounds, runs.proxies, marks, title)
    return tag("figure", tag("figcaption", caption), drawn)


def measured_chart(summary: Mapping[str, object]) -> Html | None:
    pairs = predictions(summary)
    if pairs is None:
        return None
    caption = (
        tag("b", "Predicted against measured. "),
        f"{plural(len(pairs[0]), 'run')} that the predictor had not seen; on the dashed line they agree.",
    )
    return tag("figure", tag("figcaption", caption), against(*pairs, "Predicted over measured scores"))


def search_rounds(runs: Runs) -> Html:
    heads, rows = head("round", "proxy", "runs:n", "mean:n", "best:n", "best so far:n"), round_rows(runs)
    if len(rows) > _ROUNDS_SHOWN:
        return folded(plural(len(rows), "round"), table("", heads, rows))
    return table(tag("b", "Rounds."), heads, rows)


def upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else ".")


def round_rows(runs: Runs) -> list[Html]:
    rows: list[Html] = []
    best: dict[str, float] = {}
    for turn, proxy in dict.fromkeys(zip(runs.rounds, runs.proxies, strict=True)):
        mine = [s for s, r, p in zip(runs.scores, runs.rounds, runs.proxies, strict=True) if (r, p) == (turn, proxy)]
        best[proxy] = min(best.get(proxy, mine[0]), *mine)
        values = (sum(mine) / len(mine), min(mine), best[proxy])
        rows.append(row(str(turn), cell(proxy), number(count(len(mine))), *(number(decimal(v, 4)) for v in values)))
    return rows


def predictions(summary: Mapping[str, object]) -> tuple[list[float], list[float]] | None:
    """Lists `predicted` and `measured` of equal length in the summary's `cross_validated`, where it has them."""
    pairs = summary.get("cross_validated")
    if not isinstance(pairs, dict):
        return None
    predicted, measured = pairs.get("predicted"), pairs.get("measured")
    if isinstance(predicted, list) and isinstance(measured, list) and len(predicted) == len(measured) > 1:
        return [float(v) for v in predicted], [float(v) for v in measured]
    return None


def summary_rows(summary: Mapping[str, object]) -> list[Html]:
    """The search's summary as it stands in weights.json, names spelled out; tables and the verdict stand elsewhere."""
    rows = []
    for name, value in summary.items():
        if (
            name == "verdict"
            or value == []
            or isinstance(value, dict)
            or (isinstance(value, list) and value and isinstance(value[0], dict))
        ):
            continue
        rows.append(row(name.replace("_", " "), cell(written(value)), tag("td.dim", MEANINGS.get(name, ""))))
    return rows
