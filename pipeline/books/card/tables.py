"""Tables of the dataset card: tokens of what is trained on by licence, language and source; where documents went."""

from collections.abc import Mapping, Sequence

import polars as pl

from gristmill.pipeline.books.sources import Funnel
from gristmill.pipeline.contract.shown import markdown
from gristmill.pipeline.run.shards import training_records
from gristmill.pipeline.run.store import Store, read_parquet

# From free to reserved (the column license_tier): what one may do with a text, in words for the card.
TIERS = {
    "permissive": "free to use, most with attribution",
    "site": "the site says that its texts are free",
    "government": "public domain, works of a government",
    "copyleft": "free, what is made from it under the same licence",
    "restricted": "not for every use: non-commercial, no derivatives, source available",
    "contested": "an open licence and all rights reserved on one page",
    "reserved": "all rights reserved, in words",
    "unknown": "nothing was found",
}


def counted(store: Store, columns: Sequence[str]) -> pl.DataFrame:
    """The columns' values with documents, rows and tokens of what is trained on, most tokens first."""
    sums = [pl.DataFrame()]
    for path in training_records(store):
        frame = read_parquet(path, [*columns, "epoch", "token_count"])
        one = pl.col("epoch") == 0  # every document has one first copy per phase
        sums.append(
            frame.group_by(*columns).agg(
                one.sum().cast(pl.Int64).alias("documents"),
                pl.len().cast(pl.Int64).alias("rows"),
                pl.col("token_count").sum(),
            )
        )
    whole = pl.concat([s for s in sums if s.width], how="vertical") if len(sums) > 1 else pl.DataFrame()
    if whole.is_empty():
        return whole
    whole = whole.group_by(*columns).agg(pl.col("documents", "rows", "token_count").sum())
    return whole.sort("token_count", *columns, descending=[True, *(False for _ in columns)], nulls_last=True)


def shares(head: str, found: pl.DataFrame, column: str, unnamed: str) -> list[str]:
    """A section with a row per value of a column."""
    total = max(1, int(found["token_count"].sum())) if found.width else 1
    lines = [f"## {head}", "", f"| {column} | documents | rows | tokens | share |", "|---|--:|--:|--:|--:|"]
    for value, documents, rows, tokens in found.iter_rows():
        name = markdown(str(value)) if value is not None else unnamed
        lines.append(f"| {name} | {documents:,} | {rows:,} | {tokens:,} | {tokens / total:.4f} |")
    return [*lines, ""]


def licence_table(found: pl.DataFrame) -> list[str]:
    """A row per tier and licence, from free to reserved. found: license_tier, license, documents, rows, tokens."""
    total = max(1, int(found["token_count"].sum())) if found.width else 1
    lines = ["| tier | licence | documents | tokens | share |", "|---|---|--:|--:|--:|"]
    by_tier: dict[str, list[tuple]] = {}
    for tier, license, documents, _, tokens in found.iter_rows():
        by_tier.setdefault(tier or "unknown", []).append((license, documents, tokens))
    for tier in sorted(by_tier, key=lambda t: [*TIERS].index(t) if t in TIERS else len(TIERS)):
        for license, documents, tokens in by_tier[tier]:
            name = markdown(license) if license else "none found"
            lines.append(f"| {markdown(tier)} | {name} | {documents:,} | {tokens:,} | {tokens / total:.4f} |")
    words = [f"{tier}: {TIERS[tier]}" for tier in TIERS if tier in by_tier]
    return [*lines, "", *([f"Tiers: {'; '.join(words)}."] if words else []), ""]


def source_table(found: list[Funnel]) -> list[str]:
    """The card's section on sources; none where they are not named."""
    if not found:
        return []
    total = max(1, sum(f.tokens for f in found))
    head = ["## Sources", "", "| source | records | documents | kept | tokens | share |", "|---|--:|--:|--:|--:|--:|"]
    rows = [
        f"| {markdown(f.source)} | {f.records:,} | {f.documents:,} | {[*f.after.values()][-1]:,} | {f.tokens:,} "
        f"| {f.tokens / total:.4f} |"
        for f in found
    ]
    return [*head, *rows, ""]


def way_table(entries: Sequence[Mapping]) -> list[str]:
    lines = ["## Where documents went", "", "| stage | in | out | dropped by rule |", "|---|--:|--:|---|"]
    for e in entries:
        rules = sorted(e["dropped"].items(), key=lambda item: (-item[1]["docs"], item[0]))
        gone = ", ".join(f"{rule} {t['docs']:,}" for rule, t in rules if t["docs"])
        lines.append(f"| {e['stage']} | {e['docs_in']:,} | {e['docs_out']:,} | {gone} |")
    return [*lines, ""]
