"""The report's sections on the mixture: the clusters, how much of each bucket, and how the search got there."""

from collections.abc import Mapping

from pipeline import charts
from pipeline.hypertext import Content, Html, tag, tag_with, together
from pipeline.report_facts import Facts, Means, Runs
from pipeline.report_style import CLUSTER_COLOURS
from pipeline.report_tables import (
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
    ratio,
    row,
    segment,
    short,
    table,
)

OFF = 0.005  # of the tokens: what the corpus promises per bucket


def swatch(cluster: int) -> Html:
    style = f"display:inline-block;width:.62rem;height:.62rem;border-radius:50%;background:var(--k{cluster % CLUSTER_COLOURS})"
    return tag_with("i", {"style": style})


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
                tag("td.terms", ", ".join(c["terms"]) or "–"),
                number(count(c["docs"])),
                number(percent(ratio(c["tokens"], total))),
                number(count(len(c["fine"]))),
                *(score_cell(means.mean(s), ends[s]) for s in scores),
            )
        )
    caption = (
        tag("b", f"{len(merged)} clusters "),
        f"merged from {sum(len(c['fine']) for c in merged)} fine ones, named by the terms that set them apart. "
        "Share is of the tokens before sampling; quality is the mean over documents, larger is better.",
    )
    heads = head("cluster", "terms", "docs:n", "share:n", "fine:n", *(f"{s}:n" for s in scores))
    listed = table(caption, heads, rows)
    body = [tag("figure", figure_map(facts)), listed] if facts.plane and facts.plane["x"] else [listed]
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
    caption = (tag("b", f"{len(gone)} fine clusters pruned, "), "with all their documents.")
    return tag("div.fits", table(caption, head("fine cluster", "docs:n", "share:n", "reason"), rows))


def mixture(facts: Facts) -> Html:
    if facts.weights is None or not facts.weights["buckets"]:
        return nothing("This run has no mixture.")
    buckets = sorted(facts.weights["buckets"], key=lambda b: (-b["weight"], b["bucket"]))
    names = terms_of_buckets(facts)
    top = max(max(b["natural_share"], b["weight"], b["achieved_share"]) for b in buckets)
    # The axis ends a little beyond the largest share: its dot must not be cut.
    end = min(1.0, top * 1.04) or 1.0
    rows = []
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
                *([tag("td.terms", ", ".join(names.get(b["bucket"], ())[:5]))] if names else []),
                number(count(b["docs"])),
                number(short(b["available_tokens"])),
                tag("td.wide", tag_with("div.dots", {"aria-hidden": "true"}, dots)),
                number(percent(natural)),
                number(tag("b", percent(weight))),
                number(percent(achieved)),
                number((decimal(b["epochs"], 2), flags)),
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
    )
    terms = ["terms"] if names else []
    heads = head("bucket", *terms, "docs:n", "tokens:n", "share:wide", "natural:n", "weight:n", "achieved:n", "epochs:n")  # fmt: skip
    return tag("div.fits", table(caption, heads, rows))


def terms_of_buckets(facts: Facts) -> dict[str, list[str]]:
    """Terms of the buckets that are clusters: c03 is cluster 3."""
    found = {f"c{c['id']:02d}": c["terms"] for c in (facts.clusters or {}).get("clusters", ())}
    names = {b["bucket"] for b in (facts.weights or {"buckets": ()})["buckets"]}
    return found if names and names <= {*found, "unknown"} else {}


def search(facts: Facts) -> Html:
    summary = (facts.weights or {}).get("search") or {}
    if facts.runs is None:
        method = summary.get("method")
        why = "its method is natural: shares as they came, within the caps" if method == "natural" else "there was nothing to choose between"  # fmt: skip
        return nothing(f"No mixture was searched: {why}.")
    runs = facts.runs
    natural = number_in(summary, "natural_score", "score_natural", "natural")
    caption = (
        tag("b", "How the search went. "),
        f"Mean loss over {len(runs.targets)} target{'s' * (len(runs.targets) != 1)}, nats per token, lower is better. ",
        key("f-soft", "a proxy run", ".round"),
        key("f-kept", "best so far", ".dash"),
    )
    title = f"Score of {len(runs.scores)} proxy runs; best {min(runs.scores):.4f}"
    figures: list[Content] = [
        tag("figure", tag("figcaption", caption), charts.progress(runs.scores, runs.rounds, natural, title))
    ]
    pairs = predictions(summary, runs)
    if pairs:
        figures.append(
            tag("figure", tag("figcaption", tag("b", "Predicted against measured. "),
                f"{len(pairs[0])} runs that the predictor had not seen; on the dashed line they agree."),
                charts.against(pairs[0], pairs[1], "Predicted over measured scores"))
        )  # fmt: skip
    else:
        figures.append(table((tag("b", "The search in numbers.")), head("what", "value"), facts_rows(summary)))
    rounds = round_rows(runs)
    heads = head("round", "proxy", "runs:n", "mean:n", "best:n", "best so far:n")
    extra = facts_rows(summary) if pairs else []
    return together(
        tag("div.two", figures),
        tag("div.two", tag("div", table(tag("b", "Rounds."), heads, rounds)),
            tag("div", table(tag("b", "The search in numbers."), head("what", "value"), extra)) if extra else None),
    )  # fmt: skip


def round_rows(runs: Runs) -> list[Html]:
    rows, best = [], float("inf")
    for number_of, kind in dict.fromkeys(zip(runs.rounds, runs.kinds, strict=True)):
        mine = [s for s, r, k in zip(runs.scores, runs.rounds, runs.kinds, strict=True) if (r, k) == (number_of, kind)]
        best = min(best, *mine)
        values = (sum(mine) / len(mine), min(mine), best)
        rows.append(row(str(number_of), cell(kind), number(count(len(mine))), *(number(decimal(v, 4)) for v in values)))
    return rows


def number_in(summary: Mapping[str, object], *names: str) -> float | None:
    for name in names:
        value = summary.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return None


def predictions(summary: Mapping[str, object], runs: Runs) -> tuple[list[float], list[float]] | None:
    """Equal lists `predicted` and `measured` of the search's summary, where it has them."""
    predicted, measured = summary.get("predicted"), summary.get("measured")
    if isinstance(predicted, list) and isinstance(measured, list) and len(predicted) == len(measured) > 1:
        return [float(v) for v in predicted], [float(v) for v in measured]
    return None


def facts_rows(summary: Mapping[str, object], above: str = "") -> list[Html]:
    """Single values of the summary, nested ones by dotted names; lists of text in one line."""
    rows = []
    for name, value in summary.items():
        if isinstance(value, dict):
            rows += facts_rows(value, f"{above}{name}.")
        elif isinstance(value, list):
            if value and all(isinstance(v, str) for v in value):
                rows.append(row(f"{above}{name}", cell(", ".join(value))))
        elif isinstance(value, float):
            rows.append(row(f"{above}{name}", cell(f"{value:.6g}")))
        elif value is not None:
            rows.append(row(f"{above}{name}", cell(str(value))))
    return rows


__all__ = ["OFF", "clusters", "folded", "mixture", "search", "terms_of_buckets"]
