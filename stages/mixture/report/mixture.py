"""The report's section on the mixture: how much of each bucket there was, was wanted, and is in the corpus."""

from collections.abc import Mapping

from gristmill.pipeline.contract.drawing.html import Html, tag, tag_with
from gristmill.pipeline.contract.drawing.tables import (
    count,
    decimal,
    dot,
    head,
    key,
    nothing,
    number,
    percent,
    row,
    short,
    signed,
    table,
    terms_cell,
)
from gristmill.stages.mixture.report.seen import OFF, Seen


def mixture(seen: Seen) -> Html:
    if not seen.weights["buckets"]:
        return nothing("This run has no mixture.")
    buckets = sorted(seen.weights["buckets"], key=lambda b: (-b["weight"], b["bucket"]))
    names = seen.terms
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
                tag("td.n.minor", percent(natural)),
                number(tag("b", percent(weight))),
                number((percent(achieved), flags)),
                tag("td.n.minor", decimal(b["epochs"], 2)),
                *matter_cells(b, matters),
            )
        )
    caption = (
        tag("b", "Natural, searched and achieved shares of tokens. "),
        f"Axis from 0 to {percent(end)}. Epochs: how often the bucket's tokens are read at the budget, at most "
        f"{seen.weights.get('max_epochs', 0):g}. ",
        key("f-open", "natural", ".round"),
        key("f-kept", "searched weight", ".round"),
        key("f-gone", "achieved", ".stroke"),
        key("f-dotted", "cap", ".stroke"),
        " As good from, to: other mixtures whose loss is as low as this one's give the bucket a weight in this range; "
        "where it is narrow, the weight matters. Twice or half: so many nats per token are lost if the weight is "
        "doubled or halved, whichever loses more; near 0, the weight matters little."
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
        "natural:n.minor",
        "weight:n",
        "achieved:n",
        "epochs:n.minor",
        *(["as good from, to:n.minor", "twice or half:n.minor"] if matters else []),
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
