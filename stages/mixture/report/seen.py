"""What the report on the mixture reads: weights.json of the finished run, the proxy runs, the buckets' terms."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from gristmill.pipeline.contract.drawing.told import Finished

OFF = 0.005  # of the tokens: what the corpus promises per bucket


@dataclass(frozen=True)
class Runs:
    """Proxy runs in the order in which they were made. scores: the objective, in nats per token; they compare within a
    proxy only."""

    scores: list[float]
    proxies: list[str]  # kind, and size where there are several
    rounds: list[int]
    targets: list[str]


@dataclass(frozen=True)
class Seen:
    """weights: weights.json with what the corpus holds; terms: bucket -> words that set it apart."""

    weights: dict
    runs: Runs | None
    terms: Mapping[str, list[str]]


def read(run: Finished) -> Seen | None:
    """None for a run that wrote no corpus."""
    path = run.root / "mixture" / "weights.json"
    if not path.is_file():
        return None
    weights = json.loads(path.read_text(encoding="utf-8"))
    objective = (weights.get("search") or {}).get("objective")
    runs = read_runs(run.artifact("mixture") / "runs.parquet", objective)
    return Seen(weights, runs, terms_of_buckets(run, {b["bucket"] for b in weights["buckets"]}))


def terms_of_buckets(run: Finished, buckets: set[str]) -> dict[str, list[str]]:
    """Terms of the buckets that are clusters: c03 is cluster 3."""
    path = run.artifact("cluster") / "clusters.json"
    if not path.is_file():
        return {}
    clusters = json.loads(path.read_text(encoding="utf-8"))["clusters"]
    found = {c.get("name", f"c{c['id']:02d}"): c["terms"] for c in clusters}
    return found if buckets and buckets <= {*found, "unknown"} else {}


def read_runs(path: Path, objective: Mapping[str, float] | None) -> Runs | None:
    """Columns run_id, kind, size and loss/<target> of the search's runs. objective: target -> weight; none: equal."""
    if not path.is_file():
        return None
    table = pl.DataFrame(pq.read_table(path))
    losses = [c for c in table.columns if c.startswith("loss/")]
    if table.is_empty() or not losses:
        return None
    a = {c: (objective or {}).get(c.removeprefix("loss/"), 0.0 if objective else 1.0) for c in losses}
    weighed = [pl.col(c) * (weight / sum(a.values())) for c, weight in a.items()]
    kinds, sizes = table["kind"].to_list(), table["size"].to_list()
    several = len(set(zip(kinds, sizes, strict=True))) > len(set(kinds))
    return Runs(
        scores=table.select(pl.sum_horizontal(weighed)).to_series().to_list(),
        proxies=[f"{kind} {size:g}" if several else kind for kind, size in zip(kinds, sizes, strict=True)],
        rounds=[round_of(i) for i in table["run_id"]],
        targets=[c.removeprefix("loss/") for c in losses],
    )


def round_of(run_id: str) -> int:
    """ "ngram-002-0013" is of round 2; an id of another form is of round 0."""
    parts = run_id.rsplit("-", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0
