"""What `SamplePlan` does with phases, with all documents in memory: the plain twin of its passes."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from gristmill.pipeline.contract.corpus.splits import VALIDATION
from gristmill.pipeline.contract.draws import uniform
from gristmill.stages.sample.filling import wanted
from gristmill.stages.sample.schedule import PhaseSection
from gristmill.stages.sample.solving import Solved, shared, solve


def meet(
    buckets: Mapping[str, pl.DataFrame], asked: Mapping[str, float], budget: float, cap: int
) -> tuple[dict[str, Solved], set[str]]:
    """Solves every bucket (token_count, sampling_value, u); what some cannot hold is shared by the others."""
    solved: dict[str, Solved] = {}

    def written(b: str, quota: float) -> float:
        tokens, rate, u = (buckets[b][c].to_numpy() for c in ("token_count", "sampling_value", "u"))
        solved[b] = solve(tokens, rate, u, quota, cap)
        return float(solved[b].copies @ tokens)

    _, limited = shared(written, asked, budget)
    return solved, limited


def members(
    docs: pl.DataFrame, phases: Sequence[PhaseSection], weights: Mapping[str, Mapping[str, float]], held: np.ndarray
) -> dict[str, np.ndarray]:
    """(n,) bool per phase: inside each bucket (and source) the phases' parts stand as the tokens that they ask for."""
    of = {p.name: np.isin(docs["source"].to_numpy(), p.sources) if p.sources else np.ones(docs.height, bool)
          for p in phases}  # fmt: skip
    bound = [p for p in phases if not p.reuse]
    if len(bound) < 2:
        return of
    docs = docs.with_columns(pl.Series("u", uniform(docs["doc_id"], "phase")), pl.Series("held", held))
    named = any(p.sources for p in phases)
    docs = docs.with_columns(cell=pl.col("source") if named else pl.lit("")).with_row_index("row")
    sizes = docs.filter(~pl.col("held")).group_by("bucket", "cell").agg(pl.col("token_count").sum())
    for bucket, cell, tokens in sizes.iter_rows():
        asked = []
        for p in bound:
            mine = sizes.filter((pl.col("bucket") == bucket) & (pl.col("cell").is_in(p.sources) if p.sources else True))
            here = not p.sources or cell in p.sources
            total = mine["token_count"].sum()
            asked.append(weights[p.name].get(bucket, 0.0) * p.budget_tokens * tokens / total if here else 0.0)
        rows = docs.filter((pl.col("bucket") == bucket) & (pl.col("cell") == cell))
        free = rows.filter(~pl.col("held")).sort("u", "doc_id")
        reach, low = np.cumsum(free["token_count"].to_numpy()), 0.0
        last = max((i for i, a in enumerate(asked) if a > 0), default=-1)
        for i, p in enumerate(bound):
            upper = np.cumsum(asked)[i] / np.sum(asked) if sum(asked) else 0.0
            at = int(np.searchsorted(reach, upper * reach[-1] - 0.5)) + 1
            high = float(free["u"][at]) if at < free.height else 1.0
            high = 0.0 if upper <= 0 else 1.0 if i >= last else high
            u = rows["u"].to_numpy()
            of[p.name][rows["row"].to_numpy()] &= (u >= low) & (u < high)
            low = high
    return of


def phased(
    docs: pl.DataFrame,
    phases: Sequence[PhaseSection],
    weights: Mapping[str, Mapping[str, float]],
    share: float,
    cap: int,
) -> dict[str, object]:
    """Phase -> (copies of the documents that have any, scales by bucket); validation -> its documents."""
    docs = docs.sort("doc_id")
    held = uniform(docs["doc_id"], VALIDATION) < share
    mine = members(docs, phases, weights, held)
    found: dict[str, object] = {}
    taken = np.zeros(docs.height, bool)
    for phase in phases:
        draws = uniform(docs["doc_id"], f"sample/{phase.name}")
        drawn = docs.with_columns(pl.Series("u", draws)).filter(pl.Series(mine[phase.name] & ~held))
        asked = {b: w * phase.budget_tokens for b, w in weights[phase.name].items() if w > 0}
        buckets = {b: drawn.filter(pl.col("bucket") == b) for b in asked}
        solved, limited = meet(buckets, asked, phase.budget_tokens, cap)
        copies = {
            i: n for b in asked for i, n in zip(buckets[b]["doc_id"], solved[b].copies.tolist(), strict=True) if n
        }
        scales = {b: solved[b].k for b in asked}
        found[phase.name] = copies, scales, limited
        taken |= held & mine[phase.name] & wanted(docs, scales, draws)
    found[VALIDATION] = set(docs["doc_id"].filter(pl.Series(taken)))
    return found
