"""Solves the number of copies per document so that each bucket meets its token quota at QuaDMix's relative rates S.

v = min(k_b * S, cap); copies = floor(v + 1 - u), u = uniform(doc_id): floor(v), and one more with probability frac(v).
For given draws the tokens written grow with k_b, so k_b is solved for the *written* tokens, not for their expectation;
documents too large for the last gap are passed over, so that a quota is met within the smallest document that is left.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import DataError, InfeasibleError
from gristmill.pipeline.contract.notes import write_notes
from gristmill.pipeline.contract.ranges import Range
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Gate, Reads, Reducer, first_broken
from gristmill.pipeline.contract.state import read_state, write_parquet

QUOTAS = "quotas.json"
ADJUSTED = "adjusted.parquet"
WEIGHTS = "weights.json"
PROMISE = 0.005  # of the budget: how far a bucket's tokens, and all together, may be off
REPEATED = 2.0  # times that a document is written on average, from which a note says so
SHOWN = 5  # buckets named in a note
CLOSE_ENOUGH = 0.001  # of a bucket's quota: a fifth of that
SUBSET_SUM_BITS = (
    4e9  # copies x tokens for which a subset sum is worth it: 0.5 GB at most; larger buckets are fine-grained
)


@dataclass(frozen=True)
class SamplePlan(Reducer):
    """Solves k_b per bucket for the token quotas of the mixture."""

    max_copies: Annotated[int, Range(1, 1_000_000)] = (
        4  # of one document; "To Repeat or Not To Repeat": up to about 4 epochs cost nothing
    )
    name: ClassVar = "sample"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {
        "ingest": ("text_bytes",),
        "ingest.tokens": ("token_count",),
        "domain.bucket": ("bucket",),
        "quadmix": ("sampling_value",),
    }
    needs: ClassVar = ("mixture",)

    def papers(self, run: Finished) -> dict[str, object]:
        """mixture/weights.json: what the mixture wrote, with what the corpus holds of every bucket."""
        mixture = json.loads((run.artifact("mixture") / WEIGHTS).read_text(encoding="utf-8"))
        quotas = json.loads((run.artifact("sample") / QUOTAS).read_text(encoding="utf-8"))["buckets"]
        tokens = run.written("bucket")
        total = sum(tokens.values())
        rows = []
        for row in mixture["buckets"]:
            written = tokens.get(row["bucket"], 0)
            rows.append(
                {
                    **row,
                    # Too few or too large documents for the quota: the others share what it could not hold.
                    "limited": quotas.get(row["bucket"], {}).get("limited", False),
                    "achieved_tokens": written,
                    "achieved_share": round(written / total, 6) if total else 0.0,
                    "epochs": round(written / row["available_tokens"], 4) if row["available_tokens"] else 0.0,
                }
            )
        return {f"mixture/{WEIGHTS}": {**mixture, "buckets": rows, "achieved_tokens": total}}

    def complaints(self, run: Finished) -> list[str]:
        """Buckets whose share of the corpus is not the one in weights.json, or not the weight for no stated reason."""
        rows = read_state(run.root / "mixture" / WEIGHTS, "buckets")["buckets"]
        tokens = run.written("bucket")
        total = sum(tokens.values())
        found = []
        for row in rows:
            share = tokens.get(row["bucket"], 0) / total if total else 0.0
            if abs(share - row["achieved_share"]) > 1e-6:
                found.append(f"bucket {row['bucket']} holds {share:.4f} of the tokens, weights.json says otherwise")
            explained = row["capped"] or any(r["limited"] for r in rows)
            if abs(share - row["weight"]) > PROMISE and not explained:
                found.append(
                    f"bucket {row['bucket']} holds {share:.4f} of the tokens, its weight is {row['weight']:.4f}"
                )
        return found

    def run(self, corpus: Corpus, out: Path) -> None:
        weights = json.loads((corpus.artifacts["mixture"] / WEIGHTS).read_text(encoding="utf-8"))
        batches = [batch for batch in corpus.batches() if batch.height]
        if not batches:
            raise DataError("sample: no document has come this far; look at the ledger for what dropped them")
        docs = pl.concat(batches).sort("doc_id")
        docs = docs.with_columns(pl.Series("u", uniform(docs["doc_id"], "sample")))
        budget = weights["budget_tokens"]
        rows = [r for r in weights["buckets"] if r["weight"] > 0]
        buckets = {r["bucket"]: docs.filter(pl.col("bucket") == r["bucket"]) for r in rows}
        asked = {r["bucket"]: r["weight"] * budget for r in rows}
        solved, limited = meet(buckets, asked, budget, self.max_copies)
        written = {b: int(solved[b].copies @ buckets[b]["token_count"].to_numpy()) for b in solved}
        total = sum(written.values())
        room = self.max_copies * sum(int(frame["token_count"].sum()) for frame in buckets.values())
        if total < (1 - PROMISE) * budget and room < budget:
            raise InfeasibleError(
                f"the corpus would hold {total:,} of {budget:,} tokens with at most {self.max_copies} "
                "copies of each document; raise sample.max_copies, or lower mixture.max_epochs or the budget"
            )
        quotas = {
            b: {"k": s.k, "asked_tokens": asked[b], "written_tokens": written[b], "limited": b in limited}
            for b, s in solved.items()
        }
        total_bytes = sum(int(solved[b].copies @ buckets[b]["text_bytes"].to_numpy()) for b in solved)
        adjusted = []
        for b, s in solved.items():
            off = s.copies != s.plain
            adjusted.append(buckets[b].filter(off).select("doc_id", pl.Series("copies_n", s.copies[off], pl.Int64)))
        (out / QUOTAS).write_text(
            json.dumps(
                {"buckets": quotas, "max_copies": self.max_copies, "corpus_bytes": total_bytes},
                indent=1,
                sort_keys=True,
            )
        )
        if notes := [*missed(buckets, asked, written, budget), *repeated(buckets, solved, total)]:
            write_notes(out, *notes)
        empty = pl.DataFrame(schema={"doc_id": pl.String, "copies_n": pl.Int64})
        write_parquet(out / ADJUSTED, pl.concat([empty, *adjusted]).sort("doc_id").to_arrow())


def missed(
    buckets: Mapping[str, pl.DataFrame], asked: Mapping[str, float], written: Mapping[str, int], budget: float
) -> Iterator[str]:
    """Says so where documents are too large for what is asked, and the corpus is smaller (or larger) for it."""
    total = sum(written.values())
    if abs(total - budget) <= PROMISE * budget:
        return
    small = [b for b, frame in buckets.items() if int(frame["token_count"].min() or 0) > asked[b]]  # pyright: ignore
    few = f": {', '.join(small[:SHOWN])}{', ...' if len(small) > SHOWN else ''}" if small else ""
    yield (
        f"sample: the corpus holds {total:,} of {budget:,} tokens; {len(small)} of {len(buckets)} buckets are to give "
        f"fewer tokens than their shortest document has{few}"
    )


def repeated(buckets: Mapping[str, pl.DataFrame], solved: Mapping[str, "Solved"], total: int) -> Iterator[str]:
    """Says so where the budget is met by writing the same documents again and again."""
    chosen = [(solved[b].copies > 0, frame["token_count"].to_numpy()) for b, frame in buckets.items()]
    documents, distinct = sum(int(c.sum()) for c, _ in chosen), sum(int(t[c].sum()) for c, t in chosen)
    if distinct and total / distinct >= REPEATED:
        yield (
            f"sample: the budget is met by repetition: {documents:,} documents of {distinct:,} tokens are written "
            f"{total / distinct:.1f} times each on average; give more input, or lower mixture.budget_tokens"
        )


@dataclass(frozen=True, eq=False)
class Solved:
    """Copies (n,) of a bucket's documents, and those that its scale k alone would give."""

    k: float
    copies: np.ndarray
    plain: np.ndarray


def meet(
    buckets: dict[str, pl.DataFrame], asked: dict[str, float], budget: float, cap: int
) -> tuple[dict[str, Solved], set[str]]:
    """Solves every bucket; what some cannot hold (too few documents, or too large ones) is shared by the others.

    Returns the solutions and the buckets that fall short (or over) by more than a fifth of what the corpus promises.
    """
    quota, limited = dict(asked), set()
    solved: dict[str, Solved] = {}
    while True:
        for b, frame in buckets.items():
            if b not in limited:
                tokens, rate, u = (frame[c].to_numpy() for c in ("token_count", "sampling_value", "u"))
                solved[b] = solve(tokens, rate, u, quota[b], cap)
        written = {b: float(solved[b].copies @ buckets[b]["token_count"].to_numpy()) for b in buckets}
        short = {b for b in buckets if b not in limited and abs(written[b] - quota[b]) > PROMISE / 5 * budget}
        limited |= short
        free = [b for b in buckets if b not in limited]
        if not short or not free:
            return solved, limited
        rest = budget - sum(written[b] for b in limited)
        scale = max(0.0, rest / sum(quota[b] for b in free))
        quota = {b: q if b in limited else q * scale for b, q in quota.items()}


def solve(tokens: np.ndarray, rate: np.ndarray, u: np.ndarray, quota: float, cap: int) -> Solved:
    """Copies so that copies @ tokens comes close to `quota`.

    tokens (n,), rate (n,) > 0 relative rates, u (n,) in [0, 1). Copy j+1 of a document has its turn when k * rate
    reaches j + u. Copies are taken in order of their turns; one that would overshoot by more than 0.1% is passed over.
    Where that leaves a gap, the first copies that together come closest are found by subset sum.
    """
    n = len(tokens)
    copies = np.zeros(n, np.int64)
    if n == 0 or quota <= 0:
        return Solved(0.0, copies, copies.copy())
    # Turn of every possible copy; the sort is the whole cost, and a bucket's documents fit in memory.
    turns = (np.arange(cap)[None, :] + u[:, None]) / np.maximum(rate, 1e-12)[:, None]
    order = np.argsort(turns, axis=None, kind="stable")
    document = order // cap
    sizes = tokens[document]
    reach = np.cumsum(sizes)
    cut = int(np.searchsorted(reach, quota, side="right"))
    k = float(turns.flat[order[cut - 1]]) if cut else 0.0
    np.add.at(copies, document[:cut], 1)
    plain = copies.copy()
    left = quota - (reach[cut - 1] if cut else 0)
    slack = CLOSE_ENOUGH * quota
    skipped: set[int] = set()
    for i in range(cut, len(order)):
        if left <= slack:
            break
        d, size = int(document[i]), int(sizes[i])
        if d in skipped:
            continue  # a document's later copies never come without its earlier ones
        if size <= left + slack:
            copies[d] += 1
            left -= size
        else:
            skipped.add(d)
    if left > slack and len(order) * reach[-1] <= SUBSET_SUM_BITS:
        copies = np.bincount(document[closest_subset(sizes, quota)], minlength=n)
    return Solved(k, copies, plain)


def closest_subset(sizes: np.ndarray, quota: float) -> np.ndarray:
    """Positions whose sizes sum as closely as possible to `quota` (the lower sum on a tie), earliest ones preferred."""
    # Bit s of reachable[i]: some of sizes[i:] sum to s.
    reachable = [1]
    for size in reversed(sizes.tolist()):
        reachable.append(reachable[-1] | reachable[-1] << size)
    reachable.reverse()
    target = round(quota)
    everything = reachable[0]
    below = everything & ((1 << (target + 1)) - 1)
    low = below.bit_length() - 1
    above = everything >> (target + 1)
    high = target + (above & -above).bit_length() if above else None
    goal = low if high is None or quota - low <= high - quota else high
    taken = []
    for i, size in enumerate(sizes.tolist()):
        if size <= goal and reachable[i + 1] >> (goal - size) & 1:
            taken.append(i)
            goal -= size
    return np.array(taken, np.int64)


@dataclass(frozen=True)
class Sample(Annotator):
    """copies_n of every document."""

    name: ClassVar = "sample"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"domain.bucket": ("bucket",), "quadmix": ("sampling_value",)}
    writes: ClassVar = ("copies_n",)
    needs: ClassVar = ("sample",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        quotas = json.loads((artifacts["sample"] / QUOTAS).read_text(encoding="utf-8"))
        adjusted = pl.read_parquet(artifacts["sample"] / ADJUSTED, glob=False)
        cap = quotas["max_copies"]
        k = {name: row["k"] for name, row in quotas["buckets"].items()}

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            scale = np.array([k.get(b, 0.0) for b in batch["bucket"]])
            copies = copies_for(scale, batch["sampling_value"].to_numpy(), uniform(batch["doc_id"], "sample"), cap)
            frame = pl.DataFrame({"doc_id": batch["doc_id"], "copies_n": copies})
            return frame.update(adjusted, on="doc_id", how="left").select("doc_id", "copies_n")

        return annotate


def copies_for(k: np.ndarray, rate: np.ndarray, u: np.ndarray, cap: int) -> np.ndarray:
    """Copies (n,) written at scale k: how many j < cap have their turn (j + u) / rate at or before k."""
    rate = np.maximum(rate, 1e-12)
    count = np.zeros(len(u), np.int64)
    for j in range(cap):
        # The same expression as in `solve`, so that the document at the cut falls on the same side.
        count += (j + u) / rate <= k
    return count * (k > 0)


@dataclass(frozen=True)
class SampleGate(Gate):
    """Drops documents that the mixture has no copy for."""

    name: ClassVar = "sample.gate"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"sample": ("copies_n",)}
    rules: ClassVar = ("not_sampled",)
    chooses: ClassVar = True

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        return first_broken(batch, {"not_sampled": pl.col("copies_n") == 0})
