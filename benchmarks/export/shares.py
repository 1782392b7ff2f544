"""How far shares and total of the corpus are from what random mixtures and budgets ask for, over 100,000 documents.

    PYTHONPATH=.src python benchmarks/export/shares.py [--documents 100000] [--mixtures 20] [--buckets 24]

Documents have log-normal lengths (median 500 tokens) and uneven buckets; weights are Dirichlet draws, budgets 2 to 150%
of the tokens that there are. Copies are those of the stages `sample`. The bar: both within 0.001.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import FrameCorpus

from gristmill.stages.sample import Sample, SamplePlan

BAR = 0.001


def documents(n: int, buckets: int, rng: np.random.Generator) -> pl.DataFrame:
    sizes = rng.dirichlet(np.full(buckets, 2.0))
    tokens = np.clip(rng.lognormal(np.log(500), 1.1, n), 20, 200_000).astype(np.int64)
    return pl.DataFrame(
        {
            "doc_id": [f"{i:032x}" for i in range(n)],
            "text_bytes": tokens * 4,
            "token_count": tokens,
            "bucket": [f"b{b:02d}" for b in rng.choice(buckets, n, p=sizes)],
            "sampling_value": rng.uniform(0.01, 1.0, n),
            "source": pl.Series([None] * n, dtype=pl.String),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--buckets", type=int, default=24)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    docs = documents(given.documents, given.buckets, rng)
    available = dict(docs.group_by("bucket").agg(pl.col("token_count").sum()).sort("bucket").iter_rows())
    worst_share = worst_total = seconds = 0.0
    print(f"{'budget':>12} {'total off':>10} {'share off':>10}")
    for _ in range(given.mixtures):
        weights = rng.dirichlet(np.full(len(available), rng.uniform(0.3, 3)))
        most = min(4 * n / w for n, w in zip(available.values(), weights, strict=True) if w > 0)
        budget = int(min(rng.uniform(0.02, 1.5) * sum(available.values()), 0.95 * most))
        started = time.perf_counter()
        share, total = measured(docs, dict(zip(available, weights, strict=True)), budget)
        seconds += time.perf_counter() - started
        worst_share, worst_total = max(worst_share, share), max(worst_total, total)
        print(f"{budget:12,} {total:10.6f} {share:10.6f}")
    print(f"worst: total {worst_total:.6f}, share {worst_share:.6f}; the bar is {BAR}; {seconds:.1f} s in all")
    sys.exit(max(worst_share, worst_total) > BAR)


def measured(docs: pl.DataFrame, weights: dict[str, float], budget: int) -> tuple[float, float]:
    """(largest difference of a share to its weight, difference of the total to the budget as a part of it)."""
    with tempfile.TemporaryDirectory() as folder:
        mixture, out = Path(folder) / "mixture", Path(folder) / "sample"
        mixture.mkdir()
        out.mkdir()
        rows = [{"bucket": b, "weight": float(w)} for b, w in weights.items()]
        (mixture / "weights.json").write_text(json.dumps({"budget_tokens": budget, "buckets": rows}))
        SamplePlan().run(FrameCorpus([docs], {"mixture": mixture}), out)  # pyright: ignore[reportArgumentType]
        copies = Sample().open({"sample": out})(docs)["copies_n"]
    written = docs.select("bucket", tokens=pl.col("token_count") * copies).group_by("bucket").sum()
    total = int(written["tokens"].sum())
    shares = dict(written.iter_rows())
    return max(abs(shares.get(b, 0) / total - w) for b, w in weights.items()), abs(total - budget) / budget


if __name__ == "__main__":
    main()
