"""A finished run folder made by hand: small, with every kind of file that the report reads, and hostile where asked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.books.ledger import LEDGER, books, fates
from gristmill.pipeline.books.sums import part_sums, sums_of, with_sums
from gristmill.pipeline.contract.columns import COLUMNS, REJECTED, Column
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.shapes import Annotator, Gate, Part, Reducer, Sink, Source
from gristmill.pipeline.contract.state import write_json, write_parquet
from gristmill.pipeline.plan.plan import Plan, make_plan
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store
from gristmill.stages.cluster.report import told as of_clusters
from gristmill.stages.mixture.report.told import told as of_mixture

HOSTILE = (
    '</script></style><script>document.title="ran"</script><img src=http://evil.test/x onerror=alert(1)>&"\'\x00\x1b‮'
)

_NEEDED = (
    Column("license", pa.string(), "", "made"),
    Column("license_tier", pa.string(), "", "made"),
)
EXTRA = tuple(c for c in _NEEDED if c.name not in COLUMNS)


@dataclass(frozen=True)
class Made:
    """A stage that is only looked at: the report asks a plan for names, columns and limits, never for work."""

    name: str = ""
    version: int = 1
    reads: ClassVar[dict[str, tuple[str, ...]]] = {}
    writes: tuple[str, ...] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    rows: str = "kept"
    rules: tuple[str, ...] = ()


class MadeSource(Made, Source):
    def parts(self) -> list[Part]:
        return []


class MadeAnnotator(Made, Annotator):
    def open(self, artifacts: object) -> None: ...


class MadeReducer(Made, Reducer):
    averaged: ClassVar = (("cluster_id", "q_"),)

    def run(self, corpus: object, out: Path) -> None: ...

    def tell(self, run: Finished) -> Told:
        return {"cluster": of_clusters, "mixture": of_mixture}[self.name](run)


class MadeSink(Made, Sink):
    def gather(self, slices: object) -> None: ...


@dataclass(frozen=True)
class MadeGate(Made, Gate):
    min_words: int | None = 50
    max_dup_lines_frac: float | None = 0.3
    reads: ClassVar = {"signals": ("words_n", "dup_lines_frac")}

    def decide(self, batch: object) -> None: ...

    def table(self) -> dict[str, pl.Expr]:
        few, dup = self.rules[:2]
        table = {}
        if self.min_words is not None:
            table[few] = pl.col("words_n") < self.min_words
        if self.max_dup_lines_frac is not None:
            table[dup] = pl.col("dup_lines_frac") > self.max_dup_lines_frac
        return table


class MadeSampleGate(Made, Gate):
    reads: ClassVar = {"sample": ("copies_n",)}
    chooses: ClassVar = True

    def decide(self, batch: object) -> None: ...


@dataclass(frozen=True)
class Look:
    """What is in the made run."""

    docs: int = 600
    parts: int = 3
    hostile: bool = False
    searched: bool = True
    clusters: int = 5
    seed: int = 7

    def name(self, word: str) -> str:
        return word + HOSTILE if self.hostile else word


def make_run(root: Path, look: Look = Look()) -> tuple[Store, Plan]:
    """Writes the folder; returns what `write_report` is given."""
    rules = (look.name("too_few_words"), "too_many_dup_lines", "never_broken")
    plan = make_plan(
        look.name("made"),
        "0123456789abcdef" * 2,
        [
            _with(MadeSource, "ingest", ("text", "url", "record_bytes", "text_bytes"), rules=("empty_page",)),
            _with(MadeAnnotator, "language", ("language", "language_score")),
            _with(MadeAnnotator, "license", ("license", "license_tier")),
            _with(MadeAnnotator, "signals", ("words_n", "dup_lines_frac")),
            MadeGate(name="gates", rules=rules),
            MadeAnnotator(name="ingest.tokens", writes=("token_count",), rows="all"),
            _with(MadeAnnotator, "quality", ("q_reference", "q_importance")),
            _with(MadeReducer, "cluster", ()),
            _with(MadeAnnotator, "cluster", ("cluster_id",)),
            _with(MadeAnnotator, "domain.bucket", ("bucket",)),
            _with(MadeReducer, "mixture", ()),
            _with(MadeAnnotator, "sample", ("copies_n",)),
            _with(MadeSampleGate, "sample.gate", (), rules=("not_sampled",)),
            _with(MadeSink, "corpus", ()),
        ],
        [Part(f"part-{i}", f"/in/{i}.warc.gz", f"{i}.warc.gz", 0, 1, "") for i in range(look.parts)],
    )
    store = Store(root)
    rng = np.random.default_rng(look.seed)
    frames = [_part(store, plan, part, look, rng, rules) for part in plan.parts]
    write_json(root / "ledger.json", books(store, plan, sums_of(store, plan)))
    (root / "config.yaml").write_text(f"# config\nname: {json.dumps(look.name('made'))}\n", encoding="utf-8")
    documents = pl.concat(frames)
    _clusters(store, documents, look, rng)
    _mixture(store, documents, look, rng)
    _corpus(store, documents)
    return store, plan


def _with(shape: type[Made], name: str, writes: tuple[str, ...], rules: tuple[str, ...] = ()) -> Made:
    made = shape(name=name, writes=writes, rules=rules)
    object.__setattr__(made, "columns", EXTRA)
    return made


def _part(
    store: Store, plan: Plan, part: Part, look: Look, rng: np.random.Generator, rules: Sequence[str]
) -> pl.DataFrame:
    n = look.docs // look.parts
    words = np.round(np.exp(rng.normal(5.2, 1.1, n))).astype(np.int64)
    kind = rng.integers(0, look.clusters, n)
    text = [
        look.name(f"Document {i} of {part.key}.\n") + "Of the mill and the grain. " * (w // 6 + 1)
        for i, w in enumerate(words)
    ]
    size = pl.Series([len(t.encode()) for t in text], dtype=pl.Int64)
    frame = pl.DataFrame(
        {
            "doc_id": [f"{part.key}-{i:04d}" for i in range(n)],
            "text": text,
            "url": [look.name(f"https://example.org/{part.key}/{i}") for i in range(n)],
            "record_bytes": size * 4,
            "text_bytes": size,
            "language": rng.choice([look.name("en"), "de", "sw", None], n, p=[0.7, 0.2, 0.08, 0.02]).tolist(),
            "language_score": rng.random(n),
            "license": rng.choice([look.name("CC-BY-4.0"), "CC0-1.0", None], n, p=[0.1, 0.05, 0.85]).tolist(),
            "license_tier": rng.choice(["permissive", "unknown"], n, p=[0.15, 0.85]).tolist(),
            "words_n": words,
            "dup_lines_frac": rng.beta(1, 8, n),
            "token_count": (words * 1.4).astype(np.int64),
            "q_reference": rng.beta(2, 3 + kind, n),
            "q_importance": rng.normal(0, 0.3, n) + kind * 0.1,
            "cluster_id": kind,
            "bucket": [bucket_name(look, int(k)) for k in kind],
            "copies_n": rng.integers(0, 4, n) * (kind % 2 + 1) // 2,
        }
    )
    rule = (
        pl.when(pl.col("words_n") < 50)
        .then(pl.lit(rules[0]))
        .when(pl.col("dup_lines_frac") > 0.3)
        .then(pl.lit(rules[1]))
    )
    frame = frame.with_columns(rule.alias("rule"))
    kept = frame.filter(pl.col("rule").is_null())
    sampled = kept.with_columns(pl.when(pl.col("copies_n") == 0).then(pl.lit("not_sampled")).alias("rule"))
    for step in plan.steps:
        if step.kind in ("reducer", "sink"):
            continue
        rows = frame if step.all_rows or plan.steps.index(step) <= 4 else kept
        decided = rows if step.name == "gates" else sampled
        out = decided["rule"].null_count() if step.kind == "gate" else rows.height
        docs_in = rows.height + (2 if step.kind == "source" else 0)
        written = (decided if step.kind == "gate" else rows).select("doc_id", *step.writes)
        store.write(step.name, part.key, written, step.writes, Receipt("", "", "", docs_in, out))
    rejected = pl.DataFrame(
        {"record": [900, 901], "record_id": None, "url": None, "rule": "empty_page", "record_bytes": 12},
        schema=pl.Schema(pl.from_arrow(REJECTED.empty_table()).schema),  # pyright: ignore
    )
    gates = [("gates", frame.select("doc_id", "rule")), ("sample", sampled.select("doc_id", "rule"))]
    head = frame.select("doc_id", "url", "record_bytes", "text_bytes")
    ended = fates(head, rejected, gates, frame, kept, "ingest").to_arrow().cast(LEDGER)
    sums = part_sums(store, plan, part.key, pl.DataFrame(ended))
    store.write_table("ledger", part.key, with_sums(ended, sums), Receipt("", "", "", n, n))
    return kept


def bucket_name(look: Look, kind: int) -> str:
    return look.name(f"b{kind}") if look.hostile else f"c{kind:02d}"


def _clusters(store: Store, documents: pl.DataFrame, look: Look, rng: np.random.Generator) -> None:
    sizes = {
        k: (d, t) for k, d, t in documents.group_by("cluster_id").agg(pl.len(), pl.col("token_count").sum()).iter_rows()
    }
    fine = [
        {"id": k, "docs": d, "tokens": t, "scores": {"q_reference": 0.4}, "cluster_id": k, "pruned": []}
        for k, (d, t) in sorted(sizes.items())
    ]
    fine.append(
        {
            "id": 99,
            "docs": 12,
            "tokens": 3400,
            "scores": {"q_reference": 0.05},
            "cluster_id": None,
            "pruned": [{"column": look.name("q_reference"), "mean": 0.05, "min": 0.1}],
        }
    )
    words = ["grain", "mill", "wheel", "water", "stone", "flour", "loaf", "oven", "crust", "salt", "yeast", "market"]
    merged = [
        {"id": k, "docs": d, "tokens": t, "fine": [k], "terms": [look.name(w) for w in rng.permutation(words)[:8]]}
        for k, (d, t) in sorted(sizes.items())
    ]
    centres = rng.normal(0, 1, (look.clusters, 2))
    at = rng.integers(0, look.clusters, 400)
    points = centres[at] + rng.normal(0, 0.25, (400, 2))
    write_json(store.artifact("cluster") / "clusters.json", {"fitted_docs": 500, "fine": fine, "clusters": merged})
    ids = [None if i % 29 == 0 else int(k) for i, k in enumerate(at)]
    write_json(
        store.artifact("cluster") / "map.json",
        {"x": points[:, 0].tolist(), "y": points[:, 1].tolist(), "cluster_id": ids},
    )


def _mixture(store: Store, documents: pl.DataFrame, look: Look, rng: np.random.Generator) -> None:
    times = pl.col("token_count") * pl.col("copies_n")
    sums = documents.group_by("bucket").agg(pl.len().alias("docs"), pl.col("token_count").sum(), times.sum().alias("x"))
    sums = sums.sort("bucket").rename({"x": "written"})
    available, written = int(sums["token_count"].sum()), int(sums["written"].sum())
    rows = [
        {
            "bucket": b,
            "docs": d,
            "available_tokens": t,
            "natural_share": t / available,
            "weight": w / written,
            "cap": 0.4 if i else w / written,
            "capped": i == 0,
            "quota": w,
            "achieved_tokens": w,
            "achieved_share": w / written + (0.01 if i == 1 else 0),
            "epochs": w / t,
            **({"near_equal": [0.0, 0.25], "halved_or_doubled": 0.0125} if look.searched else {}),
        }
        for i, (b, d, t, w) in enumerate(sums.iter_rows())
    ]
    verdict, check = "no search: the config asks for the natural mixture", None
    summary: dict[str, object] = {"method": "natural", "proxy": "none", "runs": 0, "targets": []}
    if look.searched:
        n = [32, 16, 8]
        scores = np.concatenate([rng.normal(6.2 - 0.15 * r, 0.12 / (r + 1), k) for r, k in enumerate(n)])
        ids = [f"ngram-{r:03d}-{i:04d}" for r, k in enumerate(n) for i in range(k)]
        table = pa.table(
            {
                "run_id": ids,
                "kind": ["ngram"] * len(ids),
                "size": [0.0] * len(ids),
                "loss/" + look.name("held"): scores,
                "loss/b": scores + 0.2,
            }
        )
        store.artifact("mixture").mkdir(parents=True)
        pq.write_table(table, store.artifact("mixture") / "runs.parquet")
        summary = {
            "method": "climb",
            "proxy": "ngram",
            "runs": len(ids),
            "targets": [look.name("held"), "b"],
            "found": True,
            "verdict": look.name("predicted better than natural"),
            "predicted_objective": 5.97,
            "predicted_sd": 0.04,
            "natural_objective": 6.31,
            "predictor": "lightgbm",
            "predictor_spearman": 0.91,
            "predictor_spearman_interval": [0.84, 0.95],
            "near_equal_mixtures": 7,
            "rounds": [{"round": 0}],
        }
        verdict = look.name("better than natural: difference -0.0300")
        check = {
            "proxy": "gpt",
            "size": 1_310_720.0,
            "verdict": verdict,
            "better_than_natural": True,
            "comparisons": [
                {
                    "baseline": name,
                    "difference": -0.03,
                    "low": -0.05,
                    "high": -0.01,
                    "better_in": 4,
                    "seeds": 5,
                    "targets": {look.name("held"): -0.07, "b": 0.01},
                }
                for name in ("natural", "uniform", "unimax")
            ],
        }
    write_json(
        store.root / "mixture" / "weights.json",
        {
            "budget_tokens": round(written * 1.02),
            "available_tokens": available,
            "max_epochs": 4.0,
            "verdict": verdict,
            "search": summary,
            "confirm": check,
            "buckets": rows,
            "achieved_tokens": written,
        },
    )


def _corpus(store: Store, documents: pl.DataFrame) -> None:
    rows = documents.filter(pl.col("copies_n") > 0).with_columns(quality_rank=pl.lit(0.25), domain=pl.lit("Food"))
    rows = rows.select(pl.all().repeat_by("copies_n").explode()).sample(fraction=1.0, shuffle=True, seed=3)
    folder = store.root / "corpus" / "data"
    folder.mkdir(parents=True)
    half = rows.height // 2
    for i, piece in enumerate((rows[:half], rows[half:])):
        write_parquet(folder / f"train-{i:05d}-of-00002.parquet", piece.drop("rule").to_arrow())
