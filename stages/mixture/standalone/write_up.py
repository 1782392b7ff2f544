"""What a search leaves behind: weights.json, the predictor's report (JSON and Markdown), the runs and the plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract import shown
from gristmill.stages.mixture.predictors.cross_validation import Across, Score
from gristmill.stages.mixture.predictors.fidelities import by_fidelity, label
from gristmill.stages.mixture.runs.runs import Runs, write_runs
from gristmill.stages.mixture.search.search import SearchResult
from gristmill.stages.mixture.standalone import plots

# Tables hold finished runs: nothing can be run again, and the predictor's word is all there is.
UNCONFIRMED = "Predicted, not trained. Train this mixture and the natural one once, with fresh seeds, to be sure."


def write_result(result: SearchResult, natural: np.ndarray, sign: float, scores: np.ndarray, out: Path) -> None:
    """Files under `out`, the same bytes for the same result. `scores` (n,) is the objective of the runs of the dearest
    fidelity in order, `sign` +1 for losses and -1 for accuracies (the objective is shown with lower better in either
    case)."""
    out.mkdir(parents=True, exist_ok=True)
    rungs = by_fidelity(result.runs)
    which = label(rungs[-1].fidelity[0]) if len(rungs) > 1 else ""
    weights = {
        "weights": dict(zip(result.buckets, result.weights.tolist(), strict=True)),
        "natural": dict(zip(result.buckets, np.round(natural, 6).tolist(), strict=True)),
        **result.summary(),
        "rungs": [{**asdict(r.fidelity[0]), "runs": len(r)} for r in rungs],
        "confirm": None,
        "confirm_note": UNCONFIRMED,
        "near_equal_range": {
            b: [float(lo), float(hi)]
            for b, lo, hi in zip(result.buckets, result.near_equal.low, result.near_equal.high, strict=True)
        },
        "effect_of_halving_or_doubling": dict(zip(result.buckets, result.near_equal.effect.tolist(), strict=True)),
    }
    write_json(out / "weights.json", weights)
    report = asdict(result.report)
    del report["points"]
    write_json(out / "predictor.json", report)
    (out / "report.md").write_text(markdown(result, natural, sign), encoding="utf-8")
    write_runs(result.runs, out / "runs.parquet")
    near = result.near_equal
    for name, picture in {
        "weights": plots.weights_plot(result.buckets, result.weights, natural, near.low, near.high),
        "predictor": plots.fit_plot(result.report.points, result.report.objective.spearman, which),
        "runs": plots.trace_plot(scores, result.natural, which),
    }.items():
        (out / f"{name}.svg").write_text(picture, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def markdown(result: SearchResult, natural: np.ndarray, sign: float) -> str:
    r, near = result.report, result.near_equal
    better = "lower" if sign > 0 else "higher"
    *below, top = by_fidelity(result.runs)
    whose = f" ({label(top.fidelity[0])})" if below else ""
    lines = [
        "# Mixture search",
        "",
        f"{result.verdict[0].upper()}{result.verdict[1:]}.",
        "",
        f"Objective: {sign * result.predicted:.4f} ± {result.predicted_sd:.4f} predicted, "
        f"{sign * result.natural:.4f} under the natural mixture ({better} is better), "
        f"from {of_rungs(top, below) if below else f'{len(top)} runs'} by {result.method}.",
        "",
        UNCONFIRMED,
        "",
        "## Weights",
        "",
        "| bucket | weight | natural | range among near-equal mixtures | rise of the objective if halved or doubled |",
        "|---|--:|--:|--:|--:|",
    ]
    for i in np.argsort(-result.weights, kind="stable"):
        lines.append(
            f"| {shown.markdown(result.buckets[i])} | {result.weights[i]:.4f} | {natural[i]:.4f} | "
            f"{near.low[i]:.3f} to {near.high[i]:.3f} | {near.effect[i]:+.4f} |"
        )
    lines += [
        "",
        f"Mixtures at least 0.1 apart (total variation) that the predictor cannot tell from this one: {near.mixtures}.",
        "",
        "## Predictor",
        "",
        f"{r.predictor}, {r.folds}-fold cross-validation by whole runs{whose}. Calibrated: 0.68 in 1 sd, 0.95 in 2.",
        "",
        "| target | mixtures | Spearman | 95% interval | RMSE | within 1 sd | within 2 sd |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(score_line(s) for s in (r.objective, *r.targets)),
        "",
        *(across_line(a) for a in r.fidelities),
        "![weights](weights.svg) ![predictor](predictor.svg) ![runs](runs.svg)",
        "",
    ]
    return "\n".join(lines)


def of_rungs(top: Runs, below: Sequence[Runs]) -> str:
    cheaper = " and ".join(f"{len(r)} ({label(r.fidelity[0])})" for r in below)
    return f"{len(top)} runs ({label(top.fidelity[0])}) with {cheaper} below them"


def score_line(s: Score) -> str:
    return (
        f"| {shown.markdown(s.target)} | {s.n} | {s.spearman:.3f} | {s.low:.3f} to {s.high:.3f} | {s.rmse:.4f} | "
        f"{s.within_1sd:.2f} | {s.within_2sd:.2f} |"
    )


def across_line(a: Across) -> str:
    paired = f"; {a.shared} mixtures run at both rank alike at {a.paired:.2f}" if a.shared >= 3 else ""
    return (
        f"Cheap runs ({label(a.cheap)}) predict the order of other mixtures' dear ones at {a.predicted:.2f} "
        f"(mean over targets {a.predicted_targets:.2f}){paired}.\n"
    )
