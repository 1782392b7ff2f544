"""Counts, per objective target and per benchmark, what was looked for and which documents held it, with samples."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from gristmill.pipeline.contract.samples import drawn, smallest
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of

SAMPLED = 10  # documents per target or benchmark
MIN_HITS = 3  # n-grams that a document must share with an item to be one of them
# Step -> the columns that name the set and its item, and the prefix of the measured ones.
STEPS = {
    "dedup.objective": ("objective_target", None, "objective"),
    "contamination": ("benchmark", "benchmark_item", "benchmark"),
}


@dataclass
class Sought:
    """One target or benchmark. items: its texts; found: those that some document holds enough of."""

    kind: str  # the step
    name: str
    items: int = 0
    ngrams: int = 0
    short: int = 0  # items of fewer n-grams than a hit needs
    found: set[str] = field(default_factory=set)
    touched: int = 0  # documents that hold any rare n-gram of it
    dropped: int = 0
    samples: list[dict] = field(default_factory=list)


def read_sought(store: Store, plan: Plan) -> list[Sought]:
    """[] for a run that has neither step. Samples are drawn by the documents' ids among those dropped, else marked."""
    steps = [step for step in plan.steps if step.kind == "annotator"]
    return view_of(store, plan).once("sought", lambda: [s for step in steps for s in _of_step(store, plan, step)])


def _of_step(store: Store, plan: Plan, step: Step) -> Iterator[Sought]:
    folder = store.artifact(step.name)
    if step.name not in STEPS or not (folder / "items.parquet").is_file():
        return
    by_name: dict[str, Sought] = {}
    items = pl.read_parquet(folder / "items.parquet")
    previews = {(s, n): p for s, n, p in items.select("set", "name", "preview").iter_rows()}
    for name, of in items.group_by("set", maintain_order=True):
        n = of["name"].n_unique()
        shortest = of.group_by("name").agg(pl.col("ngrams_n").max())["ngrams_n"]
        short = int((shortest < MIN_HITS).sum())
        by_name[str(name[0])] = Sought(step.name, str(name[0]), n, int(of["ngrams_n"].sum()), short)
    column, item, prefix = STEPS[step.name]
    gates = {s.name for s in plan.steps if s.kind == "gate" and s.label == step.name}

    def held() -> Iterator[pl.DataFrame]:
        """Of each part the documents that hold enough of an item, with the rule that dropped them."""
        for part in plan.parts:
            if store.receipt(step.name, part.key) is None:
                continue
            ids = store.read(step.name, part.key, (column,)).drop_nulls(column)["doc_id"].to_list()
            if not ids:
                continue
            rows = store.read(step.name, part.key, step.writes, ids)
            for value, n in rows.group_by(column).len().sort(column).iter_rows():
                by_name[value].touched += n
            decided = [store.read(g, part.key, ("rule",), ids) for g in gates if store.receipt(g, part.key) is not None]
            decided = decided or [pl.DataFrame(schema={"doc_id": pl.String, "rule": pl.String})]
            for more in (*decided, store.read(plan.source.name, part.key, ("url",), ids)):
                rows = rows.join(more, on="doc_id", how="left", maintain_order="left")
            rows = rows.filter((pl.col(f"{prefix}_hits_n") >= MIN_HITS) | pl.col("rule").is_not_null())
            for value, n in rows.drop_nulls("rule").group_by(column).len().iter_rows():
                by_name[value].dropped += n
            if item is not None:
                for label in rows["benchmark_items"].explode().drop_nulls().unique():
                    name, _, one = label.partition("/")
                    by_name[name].found.add(one)
            if rows.height:
                yield drawn(rows.with_columns(gone=pl.col("rule").is_not_null()), "sought.samples")

    read = smallest(held(), SAMPLED, by=(column, "gone"))
    for row in (read.filter(pl.col("gone") == pl.col("gone").any()) if read.width else read).iter_rows(named=True):
        by_name[row[column]].samples.append(
            {
                "doc_id": row["doc_id"],
                "url": row["url"],
                "item": row[item] if item else None,
                "preview": previews.get((row[column], row[item])) if item else None,
                "hits": row[f"{prefix}_hits_n"],
                "item_frac": row[f"{prefix}_item_frac"],
                "text": row[f"{prefix}_text"],
            }
        )
    yield from by_name.values()


def card_lines(sought: list[Sought]) -> list[str]:
    """Of the dataset card: what the corpus was kept free of."""
    if not sought:
        return []
    names = {"dedup.objective": "objective", "contamination": "benchmark"}
    totals = Counter[str]()
    for s in sought:
        totals[s.kind] += s.dropped
    return [
        "## Held out",
        "",
        "Documents that hold words of a text which the mixture is measured on, or an item of a benchmark, are dropped "
        "(word 13-grams; at least three rare ones of one text).",
        "",
        "| text | kind | texts | documents dropped |",
        "|---|---|--:|--:|",
        *(f"| {s.name} | {names[s.kind]} | {s.items:,} | {s.dropped:,} |" for s in sought),
        "",
    ]


def memory_line(store: Store, kind: str) -> str:
    report = json.loads((store.artifact(kind) / "report.json").read_text(encoding="utf-8"))
    return (
        f"{report['ngrams']:,} word {report['n']}-grams ({report['memory_bytes'] / 1e6:,.0f} MB in each worker), "
        f"{report['templates']:,} of them in too many items and {report['common']:,} in too many documents to count"
    )
