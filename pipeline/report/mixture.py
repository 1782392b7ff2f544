"""The report's sections on the mixture: the clusters, how much of each bucket, and how the search got there."""

from collections.abc import Mapping

from gristmill.pipeline.report import charts
from gristmill.pipeline.report.facts import Facts, Means, Runs
from gristmill.pipeline.report.html import Html, tag, tag_with, together
from gristmill.pipeline.report.parameters import parameters
from gristmill.pipeline.report.style import CLUSTER_COLOURS
from gristmill.pipeline.report.tables import (
    bar,
    cell,
    count,
    decimal,
    dot,
    folded,
    head,
    key,
    nothing,
    number,
    percent,
    plural,
    ratio,
    row,
    segment,
    short,
    table,
    written,
)

_ROUNDS_SHOWN = 10
_TERMS_SHOWN = 8
OFF = 0.005  # of the tokens: what the corpus promises per bucket


def swatch(cluster: int) -> Html:
    return tag_with("i.swatch", {"style": f"--k:var(--k{cluster % CLUSTER_COLOURS})"})


def terms_cell(terms: list[str]) -> Html:
    """Each term in its own direction, so that commas stay between terms of any script."""
    return tag("td.terms", [(", " if i else "", tag("bdi", term)) for i, term in enumerate(terms)] or "–")


def clusters(facts: Facts) -> Html:
    if not facts.clusters or not facts.clusters.get("clusters"):
        return nothing("This run made no clusters.")
    merged, fine = facts.clusters["clusters"], facts.clusters["fine"]
    total = sum(c["tokens"] for c in fine)
    scores = [c for c in facts.scores if any(m.sums.get(c, (0, 0))[1] for m in facts.quality.values())]
    ends = {c: extent(facts.quality, c) for c in scores}
    rows = []
    for c in merged:
        means = facts.quality.get(c["id"], Means())
        rows.append(
            row(
                (swatch(c["id"]), f" {c['id']}"),
                terms_cell(c["terms"][:_TERMS_SHOWN]),
                number(count(c["docs"])),
                number(percent(ratio(c["tokens"], total))),
                tag("td.n.minor", count(len(c["fine"]))),
                *(score_cell(means.mean(s), ends[s]) for s in scores),
            )
        )
    caption = (
        tag("b", f"{plural(len(merged), 'cluster')} "),
        f"merged from {sum(len(c['fine']) for c in merged)} fine ones, named by the terms that set them apart. "
        "Share is of the tokens before sampling; quality is the mean over documents, larger is "
        "better, its bar from the worst cluster to the best.",
    )
    heads = head("cluster", "terms", "docs:n", "share:n", "fine:n.minor", *(f"{s}:n" for s in scores))
    listed = table(caption, heads, rows)
    body = [tag("figure.stay", figure_map(facts)), listed] if facts.plane and facts.plane["x"] else [listed]
    return together(tag("div.two" if len(body) > 1 else "div.fits", body), pruned(fine, total))


def extent(quality: Mapping[int | None, Means], column: str) -> tuple[float, float]:
    means = [m for q in quality.values() if (m := q.mean(column)) is not None]
    return (min(means), max(means)) if means else (0.0, 0.0)


def score_cell(mean: float | None, ends: tuple[float, float]) -> Html:
    if mean is None:
        return number("–")
    return number((decimal(mean), bar(segment("second", ratio(mean - ends[0], ends[1] - ends[0])), look=".thin")))


def figure_map(facts: Facts) -> Html:
    assert facts.plane is not None
    n = len(facts.plane["x"])
    title = f"Map of {n} documents in the plane of the embedding's first two directions, coloured by cluster"
    caption = (
        tag("b", "A map of the documents. "),
        f"{count(n)} of them, drawn, in the plane in which their embeddings spread most; numbers are clusters. ",
        key("f-other", "pruned", ".round") if None in facts.plane["cluster_id"] else None,
    )
    return together(
        tag("figcaption", caption),
        charts.plane(facts.plane["x"], facts.plane["y"], facts.plane["cluster_id"], title),
    )


def pruned(fine: list[dict], total: int) -> Html:
    gone = [c for c in fine if c.get("pruned")]
    if not gone:
        return tag("p.calm", "No cluster was pruned.")
    rows = [
        row(
            str(c["id"]),
            number(count(c["docs"])),
            number(percent(ratio(c["tokens"], total))),
            cell("; ".join(f"mean {r['column']} {decimal(r['mean'])} is below {r['min']:g}" for r in c["pruned"])),
        )
        for c in gone
    ]
    caption = (tag("b", f"{plural(len(gone), 'fine cluster')} pruned, "), "with all their documents.")
    return tag("div.fits.snug", table(caption, head("fine cluster", "docs:n", "share:n", "reason"), rows))


def mixture(facts: Facts) -> Html:
    if facts.weights is None or not facts.weights["buckets"]:
        return nothing("This run has no mixture.")
    buckets = sorted(facts.weights["buckets"], key=lambda b: (-b["weight"], b["bucket"]))
    names = terms_of_buckets(facts)
    top = max(max(b["natural_share"], b["weight"], b["achieved_share"]) for b in buckets)
    # The axis ends a little beyond the largest share: its dot must not be cut.
    end = min(1.0, top * 1.04) or 1.0
    rows = []
    matters = any("near_equal" in b for b in buckets)
    for b in buckets:
        natural, weight, achieved = b["natural_share"], b["weight"], b["achieved_share"]
        low, high = min(natural, weight), max(natural, weight)
        way = tag_with("i.way", {"style": f"--at:{100 * low / end:.2f}%;--w:{100 * (high - low) / end:.2f}%"})
        dots = [way, dot("natural", natural / end), dot("weight", weight / end), dot("achieved", achieved / end)]
        cap = b.get("cap")
        if cap is not None and cap <= end:
            dots.insert(0, dot("cap", cap / end))
        flags = [tag("span.flag", "cap")] if b.get("capped") else []
        if abs(achieved - weight) > OFF:
            flags.append(tag("span.flag", "short" if achieved < weight else "over"))
        rows.append(
            row(
                b["bucket"],
                *([terms_cell(names.get(b["bucket"], [])[:5])] if names else []),
                tag("td.n.minor", count(b["docs"])),
                tag("td.n.minor", short(b["available_tokens"])),
                tag("td.wide", tag_with("div.dots", {"aria-hidden": "true"}, dots)),
                number(percent(natural)),
                number(tag("b", percent(weight))),
                number(percent(achieved)),
                number((decimal(b["epochs"], 2), flags)),
                *matter_cells(b, matters),
            )
        )
    caption = (
        tag("b", "Natural, searched and achieved shares of tokens. "),
        f"Axis from 0 to {percent(end)}. Epochs: how often the bucket's tokens are read at the budget, at most "
        f"{facts.weights.get('max_epochs', 0):g}. ",
        key("f-open", "natural", ".round"),
        key("f-kept", "searched weight", ".round"),
        key("f-gone", "achieved", ".stroke"),
        key("f-dotted", "cap", ".stroke"),
        " As good: the least and greatest weight among mixtures that are as good as this one; a narrow range matters. "
        "Twice or half: how many nats per token are lost when the weight is doubled or halved, the worse."
        if matters
        else None,
    )
    terms = ["terms"] if names else []
    heads = head(
        "bucket",
        *terms,
        "docs:n.minor",
        "tokens:n.minor",
        "share:wide",
        "natural:n",
        "weight:n",
        "achieved:n",
        "epochs:n",
        *(["as good:n.minor", "twice or half:n.minor"] if matters else []),
    )
    return tag("div.fits", table(caption, heads, rows))


def matter_cells(bucket: Mapping, matters: bool) -> list[Html]:
    if not matters:
        return []
    if "near_equal" not in bucket:
        return [tag("td.n.minor", "–"), tag("td.n.minor", "–")]
    low, high = bucket["near_equal"]
    return [
        tag("td.n.minor", f"{percent(low)} to {percent(high)}"),
        tag("td.n.minor", signed(bucket["halved_or_doubled"])),
    ]


def terms_of_buckets(facts: Facts) -> dict[str, list[str]]:
    """Terms of the buckets that are clusters: c03 is cluster 3."""
    found = {f"c{c['id']:02d}": c["terms"] for c in (facts.clusters or {}).get("clusters", ())}
    names = {b["bucket"] for b in (facts.weights or {"buckets": ()})["buckets"]}
    return found if names and names <= {*found, "unknown"} else {}


def search(facts: Facts) -> Html:
    summary = (facts.weights or {}).get("search") or {}
    if facts.runs is None:
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
        return together(unsearched, confirmation((facts.weights or {}).get("confirm")), alone)
    verdict = (facts.weights or {}).get("verdict") or summary.get("verdict")
    lead = tag("p.lead", upper(str(verdict))) if verdict else None
    check = confirmation((facts.weights or {}).get("confirm"))
    numbers = table(tag("b", "What the search says of itself."), head("what", "value"), summary_rows(summary))
    chart, rounds, measured = search_chart(facts.runs, summary), search_rounds(facts.runs), measured_chart(summary)
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
    heads = head("against", "difference:n", "95% interval:n", "better in:n", *(f"{t}:n" for t in targets))
    body = [
        row(
            r["baseline"],
            number(tag("b", signed(r["difference"]))),
            number(f"{signed(r['low'])} to {signed(r['high'])}" if r["seeds"] > 1 else "none: one run"),
            number(f"{r['better_in']} of {r['seeds']}"),
            *(number(signed(r["targets"][t])) for t in targets),
        )
        for r in rows
    ]
    return tag("div.fits", table(caption, heads, body))


def signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


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
        marks.append(charts.Mark(natural, "natural mixture"))
    if isinstance(chosen, float):
        marks.append(charts.Mark(chosen, "chosen mixture", sd if isinstance(sd, float) else 0.0))
    title = f"Score of {len(runs.scores)} proxy runs in their order; the best is {min(runs.scores):.4f}"
    drawn = charts.progress(runs.scores, runs.rounds, runs.proxies, marks, title)
    return tag("figure", tag("figcaption", caption), drawn)


def measured_chart(summary: Mapping[str, object]) -> Html | None:
    pairs = predictions(summary)
    if pairs is None:
        return None
    caption = (
        tag("b", "Predicted against measured. "),
        f"{plural(len(pairs[0]), 'run')} that the predictor had not seen; on the dashed line they agree.",
    )
    return tag("figure", tag("figcaption", caption), charts.against(*pairs, "Predicted over measured scores"))


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
        rows.append(row(name.replace("_", " "), cell(written(value))))
    return rows
