"""Copies per document: each bucket's token quota, met with QuaDMix's relative rates (design.md, "How CLIMB and QuaDMix compose").

v = min(k_b * S, cap); copies = floor(v + 1 - u) with u = uniform(doc_id): floor(v), and one more with probability frac(v).
For given draws the tokens written grow with k_b, so k_b is solved for the *written* tokens, not for their expectation;
documents too large for the last gap are passed over, so that a quota is met within the smallest document that is left.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from pipeline.draw import uniform
from pipeline.errors import InfeasibleError
from pipeline.stage import Artifacts, Corpus, Reads, first_broken

QUOTAS = "quotas.json"
ADJUSTED = "adjusted.parquet"
WEIGHTS = "weights.json"
CLOSE_ENOUGH = 0.001  # of a bucket's quota: a fifth of the 0.5% that the corpus promises


@dataclass(frozen=True)
class SamplePlan:
    """Solves k_b per bucket for the token quotas of the mixture."""

    max_copies: int = 4  # of one document; "To Repeat or Not To Repeat": up to about 4 epochs cost nothing
    name: ClassVar = "sample"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {
        "ingest": ("text_bytes",),
        "ingest.tokens": ("token_count",),
        "domain.bucket": ("bucket",),
        "quadmix": ("sampling_value",),
    }
    needs: ClassVar = ("mixture",)

    def run(self, corpus: Corpus, out: Path) -> None:
        weights = json.loads((corpus.artifacts["mixture"] / WEIGHTS).read_text(encoding="utf-8"))
        docs = pl.concat(list(corpus.batches())).sort("doc_id")
        docs = docs.with_columns(pl.Series("u", uniform(docs["doc_id"], "sample")))
        quotas, adjusted, total_bytes = {}, [], 0
        for row in weights["buckets"]:
            bucket = docs.filter(pl.col("bucket") == row["bucket"])
            quota = row["weight"] * weights["budget_tokens"]
            tokens = bucket["token_count"].to_numpy()
            k, copies, plain = solve(
                tokens, bucket["sampling_value"].to_numpy(), bucket["u"].to_numpy(), quota, self.max_copies
            )
            written = int(copies @ tokens)
            if not row.get("capped") and abs(written - quota) > 0.005 * weights["budget_tokens"]:
                raise InfeasibleError(
                    f"bucket {row['bucket']}: {quota:,.0f} tokens wanted, {written:,} can be written with at most "
                    f"{self.max_copies} copies of each of its {bucket.height} documents; raise sample.max_copies, or "
                    "lower mixture.max_epochs or the budget"
                )
            quotas[row["bucket"]] = {"k": k, "quota_tokens": quota, "written_tokens": written}
            total_bytes += int(copies @ bucket["text_bytes"].to_numpy())
            different = copies != plain
            adjusted.append(
                bucket.filter(pl.Series(different)).select("doc_id", pl.Series("copies_n", copies[different], pl.Int64))
            )
        (out / QUOTAS).write_text(
            json.dumps(
                {"buckets": quotas, "max_copies": self.max_copies, "corpus_bytes": total_bytes},
                indent=1,
                sort_keys=True,
            )
        )
        empty = pl.DataFrame(schema={"doc_id": pl.String, "copies_n": pl.Int64})
        pl.concat([empty, *adjusted]).sort("doc_id").write_parquet(out / ADJUSTED)


def solve(
    tokens: np.ndarray, rate: np.ndarray, u: np.ndarray, quota: float, cap: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """(k, copies (n,), copies by k alone (n,)) so that copies @ tokens comes closest to `quota` from below or within 0.1%.

    tokens (n,), rate (n,) > 0 relative rates, u (n,) in [0, 1). Copy j+1 of a document is written once k * rate > j + u:
    its turn. Copies are taken in order of their turns; one that would overshoot is passed over.
    """
    n = len(tokens)
    copies = np.zeros(n, np.int64)
    if n == 0 or quota <= 0:
        return 0.0, copies, copies.copy()
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
    skipped = set()
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
    return k, copies, plain


@dataclass(frozen=True)
class Sample:
    """copies_n of every document."""

    name: ClassVar = "sample"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"domain.bucket": ("bucket",), "quadmix": ("sampling_value",)}
    writes: ClassVar = ("copies_n",)
    needs: ClassVar = ("sample",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        quotas = json.loads((artifacts["sample"] / QUOTAS).read_text(encoding="utf-8"))
        adjusted = pl.read_parquet(artifacts["sample"] / ADJUSTED)
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
class SampleGate:
    """Drops documents that the mixture has no copy for."""

    name: ClassVar = "sample.gate"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"sample": ("copies_n",)}
    rules: ClassVar = ("not_sampled",)

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        return first_broken(batch, {"not_sampled": pl.col("copies_n") == 0})
