"""The mixture in the dataset card and at the end of a run: shares of every bucket, the verdict, what moved."""

from collections.abc import Mapping

from gristmill.pipeline.contract.shown import markdown
from gristmill.stages.mixture.report.search import upper
from gristmill.stages.mixture.report.seen import Seen

TERMS_SHOWN = 5


def card(seen: Seen) -> list[str]:
    weights, terms = seen.weights, seen.terms
    words = {b: f" ({markdown(', '.join(t[:TERMS_SHOWN]))})" if t else "" for b, t in terms.items()}
    return [
        "## Mixture",
        "",
        f"{weights['achieved_tokens']:,} tokens of a budget of {weights['budget_tokens']:,}.",
        "",
        "| bucket | natural share | weight | achieved share | epochs |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {markdown(r['bucket'])}{words.get(r['bucket'], '')} | {r['natural_share']:.4f} | {r['weight']:.4f} "
            f"| {r['achieved_share']:.4f} | {r['epochs']:.2f} |"
            for r in weights["buckets"]
        ),
        "",
        *confirmed(weights),
    ]


def lines(seen: Seen) -> list[tuple[str, str]]:
    """What stands at the end of a run."""
    weights = seen.weights
    moved = sorted(weights["buckets"], key=lambda r: -abs(r["weight"] - r["natural_share"]))[:3]
    search = weights["search"]
    said = [
        ("budget", f"{weights['achieved_tokens']:,} of {weights['budget_tokens']:,} tokens"),
        ("buckets", f"{len(weights['buckets'])}, {searched(search)}"),
        ("mixture", weights["verdict"]),
    ]
    if any(abs(r["weight"] - r["natural_share"]) > 0.0005 for r in moved):
        steps = (f"{r['bucket']} {r['natural_share']:.3f} -> {r['weight']:.3f}" for r in moved)
        said.append(("moved", "; ".join(steps)))
    return said


def searched(search: Mapping) -> str:
    runs = search["runs"]
    return f"shares searched with {runs:,} runs of the {search['proxy']} proxy" if runs else "shares not searched"


def confirmed(weights: Mapping) -> list[str]:
    """The verdict on the mixture and, where it was confirmed, the differences to the plain mixtures."""
    lines = [upper(weights["verdict"])] if weights.get("verdict") else []
    check = weights.get("confirm")
    if check:
        lines += [
            "",
            f"Loss of the chosen mixture minus that of the plain ones ({check['proxy']} proxy, nats per token, below 0 "
            "is better; fresh draws of documents, target text that the search never saw):",
            "",
            "| against | target | difference | 95% interval | better in |",
            "|---|---|--:|--:|--:|",
        ]
        for r in check["comparisons"]:
            span = f"{r['low']:+.4f} to {r['high']:+.4f}" if r["seeds"] > 1 else ""
            rows = [("all", r["difference"], span, f"{r['better_in']} of {r['seeds']}")]
            if len(r["targets"]) > 1:
                rows += [(name, value, "", "") for name, value in r["targets"].items()]
            lines += [f"| {r['baseline']} | {markdown(n)} | {d:+.4f} | {s} | {k} |" for n, d, s, k in rows]
    return [*lines, ""] if lines else []
