"""QuaDMix: quality criteria merged per bucket, ranked in tokens inside the bucket, and turned into a sampling rate.

arXiv:2504.16511, eq. 1-3. What the paper leaves open is a setting (docs/decisions/quadmix.md).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import ConfigError, DataError, PlanError
from gristmill.pipeline.contract.ranges import Count
from gristmill.pipeline.contract.samples import compact, drawn_sample, smallest, summed
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Reads, Reducer, Tables
from gristmill.pipeline.kernels.numbers.criteria import (
    BucketParameters,
    Criterion,
    Normalise,
    Scale,
    fit_scale,
    merged_quality,
    scaled,
)
from gristmill.pipeline.kernels.numbers.sampling_curve import (
    DEFAULT_SHAPE,
    SEARCHED,
    UNKNOWN_RANK,
    EtaMode,
    Shape,
    kept_ratio,
    rank_table,
    ranks_in,
    sampling_value,
)

OWN_CRITERIA = ("q_reference", "q_importance")  # null in a run without a quality model; its notes say why
UNKNOWN_SCALE = Scale(np.empty(0), np.empty(0), 0.0, 1.0)  # of a criterion that no document has


@dataclass(frozen=True)
class QuadmixTables(Reducer):
    """Scale of each criterion over the corpus, and the table from merged quality to rank of each bucket.

    Weights of criteria and shapes per bucket are those that the mixture has searched, where it has, else the config's.
    Files: quadmix.json (criteria, scales, parameters and sizes per bucket, slices of the tables);
    scale_values.npy, scale_below.npy (criteria's tables one after another); rank_values.npy, rank_at_least.npy.
    """

    # Columns that are merged into one quality, and their weights.
    criteria: tuple[Criterion, ...] = (Criterion("q_reference"), Criterion("q_importance"))
    normalise: Normalise = "rank"  # sigma; paper: not said. rank is free of scale
    sample_docs: Count | None = 10_000  # per bucket, drawn (paper: 10,000); fewer are taken whole; None: all
    shape: Shape = DEFAULT_SHAPE  # S of every bucket without parameters of its own
    buckets: tuple[BucketParameters, ...] = ()  # those with weights or a shape of their own
    eta_mode: EtaMode = "power"  # of S: gain is an exponent, or a factor; the paper's typesetting leaves it open

    name: ClassVar[str] = "quadmix"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("mixture",)
    passes: ClassVar[tuple[str, ...]] = ("sample",)

    def __post_init__(self) -> None:
        columns = [c.column for c in self.criteria]
        if not columns or len(set(columns)) < len(columns):
            raise ConfigError(f"quadmix.criteria: name at least one column, each once; got {columns}")
        if min(c.weight for c in self.criteria) < 0 or not sum(c.weight for c in self.criteria) > 0:
            raise ConfigError("quadmix.criteria: weights are at least 0, and one is above 0")
        for b in self.buckets:
            if b.weights and (len(b.weights) != len(columns) or min(b.weights) < 0 or not sum(b.weights) > 0):
                raise ConfigError(
                    f"quadmix.buckets: {b.bucket} gives weights {b.weights} for criteria {columns}; give one weight "
                    "of at least 0 for each, and one above 0"
                )
        for s in (self.shape, *(b.shape for b in self.buckets)):
            if not s.floor > 0 or s.slope < 0 or s.gain < 0:
                raise ConfigError(f"quadmix: {s} needs floor > 0 (or some quotas cannot be met), slope and gain >= 0")

    def mentions(self) -> Mapping[str, tuple[str, Sequence[str]]]:
        return {f"quadmix.buckets.{i}.bucket": ("bucket", (b.bucket,)) for i, b in enumerate(self.buckets)}

    @property
    def reads(self) -> Reads:
        return {
            "quality": tuple(c.column for c in self.criteria),
            "ingest.tokens": ("token_count",),
            "domain.bucket": ("bucket",),
        }

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """The sample, and documents and tokens per bucket."""
        totals: list[pl.DataFrame] = []

        def counted() -> Iterator[pl.DataFrame]:
            for batch in corpus.batches():
                totals.append(compact(_totals(batch)))
                yield batch

        sample = drawn_sample(counted(), self.sample_docs, "quadmix", by="bucket")
        return {"sample": sample, "totals": summed(totals, "bucket")}

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        totals: list[pl.DataFrame] = []

        def sampled() -> Iterator[pl.DataFrame]:
            """One bundle's sample at a time: together they may be as large as the corpus."""
            for tables in taken:
                totals.append(tables["totals"])
                yield tables["sample"]

        sample = smallest(sampled(), self.sample_docs, by="bucket")
        return {"sample": sample, "totals": summed(totals, "bucket")}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """Raises DataError for an empty corpus or a bucket in the parameters that no document belongs to."""
        sample = known["sample"]
        totals = {bucket: (docs, tokens) for bucket, docs, tokens in known["totals"].iter_rows()}
        if sample.is_empty():
            raise DataError("quadmix: no document has come this far; look at the ledger for what dropped them")
        unknown = sorted({b.bucket for b in self.buckets} - set(totals))
        if unknown:
            raise DataError(f"quadmix.buckets names {unknown}, but the buckets are {sorted(totals)}")

        tokens = sample["token_count"].fill_null(0).to_numpy().astype(np.float64)
        names = sorted(totals)
        bucket = np.searchsorted(np.array(names), sample["bucket"].to_numpy().astype(str))
        drawn = np.zeros(len(names))
        np.add.at(drawn, bucket, tokens)
        share = np.array([totals[n][1] for n in names]) / np.where(drawn > 0, drawn, 1)
        scales = [
            UNKNOWN_SCALE
            if c.column in OWN_CRITERIA and sample[c.column].null_count() == sample.height
            else fit_scale(sample[c.column], tokens * share[bucket], self.normalise)
            for c in self.criteria
        ]
        searched = self._searched(corpus.artifacts["mixture"])
        settings = {b.bucket: b for b in (self.buckets if searched is None else searched)}
        rank_values, rank_at_least, facts = [np.empty(0, np.float32)], [np.empty(0)], {}
        for i, name in enumerate(names):
            chosen = settings.get(name, BucketParameters(name, self.shape))
            weights = chosen.weights or tuple(c.weight for c in self.criteria)
            rows = sample.filter(bucket == i)
            merged = merged_quality(scaled([rows[c.column] for c in self.criteria], scales), weights)
            scored = ~np.isnan(merged)
            start = sum(map(len, rank_values))
            if scored.any():
                values, at_least = rank_table(merged[scored], tokens[bucket == i][scored])
                rank_values.append(values)
                rank_at_least.append(at_least)
            facts[name] = {
                "docs": totals[name][0],
                "tokens": totals[name][1],
                "sampled_docs": rows.height,
                "unknown_docs": int((~scored).sum()),
                "weights": weights,
                "shape": vars(chosen.shape),
                "kept_ratio": round(kept_ratio(chosen.shape, self.eta_mode), 6),
                "table": [start, sum(map(len, rank_values))],
            }
        np.save(out / "rank_values.npy", np.concatenate(rank_values))
        np.save(out / "rank_at_least.npy", np.concatenate(rank_at_least))
        _save_scales(scales, out)
        summary = {
            "criteria": [c.column for c in self.criteria],
            "eta_mode": self.eta_mode,
            "scales": [s.facts() for s in scales],
            "buckets": facts,
        }
        (out / "quadmix.json").write_text(json.dumps(summary, ensure_ascii=False, sort_keys=True), encoding="utf-8")

    def _searched(self, mixture: Path) -> list[BucketParameters] | None:
        """What the mixture's modes quadmix and both have found, or None. Raises ConfigError where it would not fit."""
        path = mixture / SEARCHED
        if not path.is_file():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if self.buckets or found["criteria"] != [c.column for c in self.criteria]:
            raise ConfigError(
                f"quadmix: the mixture searched the parameters of {found['criteria']}; leave quadmix.buckets out and "
                "give the same quadmix.criteria, or set mixture.mode: climb"
            )
        return [
            BucketParameters(name, Shape(**b["shape"]), tuple(b["weights"])) for name, b in found["buckets"].items()
        ]


@dataclass(frozen=True)
class Quadmix(Annotator):
    """Merged quality, its rank inside the bucket, and the sampling value (relative rate, > 0).

    Without any score a document has neither quality nor rank and is taken as often as the middle of its bucket.
    """

    # Those of the tables.
    criteria: tuple[Criterion, ...] = (Criterion("q_reference"), Criterion("q_importance"))

    name: ClassVar[str] = "quadmix"
    version: ClassVar[int] = 1
    writes: ClassVar[tuple[str, ...]] = ("quality", "quality_rank", "sampling_value")
    needs: ClassVar[tuple[str, ...]] = ("quadmix",)
    rows: ClassVar = "kept"

    @property
    def reads(self) -> Reads:
        return {"quality": tuple(c.column for c in self.criteria), "domain.bucket": ("bucket",)}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Raises PlanError if the tables were made for other criteria."""
        folder = artifacts["quadmix"]
        facts = json.loads((folder / "quadmix.json").read_text(encoding="utf-8"))
        columns = [c.column for c in self.criteria]
        if facts["criteria"] != columns:
            raise PlanError(f"quadmix: criteria {columns}, but the tables hold {facts['criteria']}; make them equal")
        scales = _load_scales(facts["scales"], folder)
        values, at_least = np.load(folder / "rank_values.npy"), np.load(folder / "rank_at_least.npy")

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            quality, rank = np.full(batch.height, np.nan, np.float32), np.full(batch.height, np.nan)
            rate = np.zeros(batch.height)
            for (name,), rows in batch.with_row_index("row").group_by("bucket", maintain_order=True):
                if name not in facts["buckets"]:
                    raise DataError(f"quadmix: bucket {name!r} is not in the tables; recompute quadmix")
                bucket, at = facts["buckets"][name], rows["row"].to_numpy()
                merged = merged_quality(scaled([rows[c] for c in columns], scales), bucket["weights"])
                known = ~np.isnan(merged)
                table = slice(*bucket["table"])
                quality[at] = merged
                rank[at[known]] = ranks_in(values[table], at_least[table], merged[known])
                ranks = np.where(known, rank[at], UNKNOWN_RANK)
                rate[at] = sampling_value(ranks, Shape(**bucket["shape"]), facts["eta_mode"])
            return batch.select(
                "doc_id",
                pl.Series("quality", quality, dtype=pl.Float32).fill_nan(None),
                pl.Series("quality_rank", rank, dtype=pl.Float64).fill_nan(None),
                pl.Series("sampling_value", rate, dtype=pl.Float64),
            )

        return annotate


def _totals(batch: pl.DataFrame) -> pl.DataFrame:
    """The batch's documents and tokens per bucket."""
    if batch["bucket"].null_count():
        raise DataError("quadmix: domain.bucket.bucket holds nulls; recompute domain.bucket")
    return batch.group_by("bucket").agg(docs=pl.len().cast(pl.Int64), tokens=pl.col("token_count").sum().cast(pl.Int64))


def _save_scales(scales: list[Scale], folder: Path) -> None:
    np.save(folder / "scale_values.npy", np.concatenate([s.values for s in scales]))
    np.save(folder / "scale_below.npy", np.concatenate([s.below for s in scales]))


def _load_scales(facts: list[dict], folder: Path) -> list[Scale]:
    values, below = np.load(folder / "scale_values.npy"), np.load(folder / "scale_below.npy")
    ends = np.cumsum([f["entries"] for f in facts])
    return [
        Scale(values[e - f["entries"] : e], below[e - f["entries"] : e], f["centre"], f["width"])
        for f, e in zip(facts, ends, strict=True)
    ]
