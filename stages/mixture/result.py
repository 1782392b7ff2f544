"""weights.json of a run: the weights, how they were found, whether they were confirmed, and the one verdict on them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.stages.mixture.constraints import Constraints
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.search.confirm import LEVEL, Confirmation, checked_on, judged
from gristmill.stages.mixture.search.pull import FEWEST_FOLDS, Pull
from gristmill.stages.mixture.search.search import SearchResult
from gristmill.stages.mixture.search.verdict import NearEqual

SIZE_UNIT = 1e-6  # weights are stored with 6 decimals


@dataclass(frozen=True, eq=False)
class Found:
    """The weights (k,) and the evidence for them."""

    weights: np.ndarray
    verdict: str
    search: dict[str, object]
    near_equal: NearEqual | None = None
    confirmation: Confirmation | None = None


def unsearched(weights: np.ndarray, why: str, method: str = "natural") -> Found:
    return Found(weights, f"no search: {why}", {"method": method, "proxy": "none", "runs": 0, "targets": []})


def way(pull: Pull) -> str:
    return f"{pull.kept:.0%} of the way from {pull.prior} to the mixture that measures best"


def kept_verdict(pull: Pull) -> str:
    """What is said of a mixture that stands where the pull ends."""
    if pull.kept > 0:
        gained = "" if pull.gain is None else f", {pull.gain:.4f} nats/token better on left-out target text"
        return f"{way(pull)}{gained}"
    if pull.weight is not None:
        return f"the {pull.prior} shares are kept: no other is worth mixture.pull = {pull.weight:g}"
    if pull.folds < FEWEST_FOLDS:
        why = f"the target text falls into {pull.folds} pieces, too few to show that others are better"
        return f"the {pull.prior} shares are kept: {why}; give more of it"
    return (
        f"the {pull.prior} shares are kept: on target text left out of the search no others are surely better (more "
        "target text tells finer: dedup.references, mixture.validation)"
    )


def found_by(
    result: SearchResult,
    proxy: str,
    objective: Objective,
    guard: tuple[str, ...],
    checked: Confirmation | None,
    pull: Pull | None = None,
) -> Found:
    """The verdict is the confirmation's where there is one: what was chosen as best on some text and some runs looks
    better there than it is."""
    search = {
        **result.summary(),
        "method": result.method,
        "proxy": proxy,
        "runs": len(result.runs),
        "targets": list(result.runs.targets),
        "objective": dict(objective.weights),
        "guarded": list(guard),
        **({} if pull is None else {"pull": pull.summary()}),
        "cross_validated": {
            "measured": [m for m, _ in result.report.points],
            "predicted": [p for _, p in result.report.points],
        },
    }
    if not result.found:
        verdict = result.verdict if pull is not None else f"not better than natural: {result.verdict}"
    elif checked is None:
        verdict = f"{result.verdict}; not confirmed"
    else:
        now = [judged(c, LEVEL)[1] for c in checked.comparisons if c.baseline == "present"]
        part = [] if pull is None or pull.kept == 1 else [way(pull)]
        verdict = "; ".join((checked.verdict, *now, checked_on(checked.proxy), *part))
    if result.failed:
        verdict += f"; {result.failed} of {result.failed + len(result.runs)} proxy runs failed and are left out"
    return Found(result.weights, verdict, search, result.near_equal, checked)


def write_weights(
    out: Path, sizes: pl.DataFrame, found: Found, limits: Constraints, budget: int, max_epochs: float
) -> None:
    """sizes: bucket, token_count, docs, in the order of the weights."""
    available = int(sizes["token_count"].sum())
    rows = []
    for i, (bucket, tokens, docs) in enumerate(sizes.select("bucket", "token_count", "docs").iter_rows()):
        weight, cap = float(found.weights[i]), limits.upper[i]
        row = {
            "bucket": bucket,
            "docs": docs,
            "available_tokens": tokens,
            "natural_share": round(tokens / available, 6),
            "weight": weight,
            "cap": round(cap, 6),
            "capped": bool(weight >= cap - SIZE_UNIT and cap < 1),
            "quota": round(weight * budget),
        }
        if found.near_equal is not None:
            near = found.near_equal
            row |= {
                "near_equal": [float(near.low[i]), float(near.high[i])],
                "halved_or_doubled": float(near.effect[i]),
            }
        rows.append(row)
    document = {
        "verdict": found.verdict,
        "budget_tokens": budget,
        "available_tokens": available,
        "max_epochs": max_epochs,
        "search": found.search,
        "confirm": found.confirmation and found.confirmation.summary(),
        "buckets": rows,
    }
    (out / "weights.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
