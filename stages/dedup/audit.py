"""What deduplication removed, looked at again: sampled pairs with their exact similarity, and what each source lost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.html import breakable, tag, together
from gristmill.pipeline.contract.drawing.tables import count, decimal, folded, head, number, percent, row, table
from gristmill.pipeline.contract.drawing.told import Finished, Section, Told
from gristmill.pipeline.contract.state import read_state

AUDIT = "dedup/audit.json"
PAIRS, SHOWN = 200, 10  # pairs that are compared, and those that the report shows
CHARS = 400  # of a text that the report shows
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)


def audited(run: Finished, stage: str, jaccard: Callable[[pl.Series, pl.Series], np.ndarray]) -> dict[str, object]:
    """Drawn pairs of a dropped document and the one that stays for it, with the exact similarity of their texts.

    {"pairs": how many, "precision": {level: share of pairs of at least this similarity}, "shown": ten of them}
    """
    pairs = run.pairs(stage, PAIRS)
    exact = jaccard(pairs["text"], pairs["stays_text"])
    heads = {name: pl.col(name).str.slice(0, CHARS) for name in ("text", "stays_text")}
    shown = pairs.with_columns(jaccard=pl.Series(exact, dtype=pl.Float64).round(4), **heads).head(SHOWN)
    return {
        "stage": stage,
        "pairs": pairs.height,
        "precision": {str(level): round(float((exact >= level).mean()), 4) for level in LEVELS if exact.size},
        "mean_jaccard": round(float(exact.mean()), 4) if exact.size else None,
        "mean_error_of_estimate": round(float((pairs["similarity"].to_numpy() - exact).mean()), 4)
        if exact.size
        else None,
        "shown": shown.to_dicts(),
    }


def audit_told(run: Finished, stage: str) -> Told:
    """The section of the report; nothing where there was no pair."""
    path = Path(run.root) / AUDIT
    if not path.is_file():
        return Told()
    found = read_state(path, "pairs", "precision", "shown")
    if not found["pairs"]:
        return Told()
    levels = [row(f"J at least {level}", number(percent(share))) for level, share in found["precision"].items()]
    caption = (
        tag("b", "Were they duplicates? "),
        f"{count(found['pairs'])} drawn pairs of a document that {stage} dropped and the one that stays for it: exact "
        f"Jaccard similarity of their shingles, {decimal(found['mean_jaccard'])} on average.",
    )
    rows = [
        row(
            p["url"] or p["doc_id"],
            tag("td.long.minor", breakable(p["stays_url"] or p["stays_doc_id"])),
            number(decimal(p["jaccard"])),
            tag("td.n.minor", decimal(p["similarity"])),
            tag("td.long", tag("q", p["text"])),
            tag("td.long.minor", tag("q", p["stays_text"])),
        )
        for p in found["shown"]
    ]
    heads = head("dropped", "stays:minor", "exact:n", "estimate:n.minor", "text", "text that stays:minor")
    read = folded(f"{len(rows)} pairs to read", table("", heads, rows))
    content = together(table(caption, head("similarity", "share of pairs:n"), levels), read)
    return Told(sections=(Section("duplicates", "Near-duplicates, looked at again", content),))


def removal_told(run: Finished, stage: str, warn_share: float) -> Told:
    """A warning per source of which a stage dropped more than `warn_share`; a line of one of which it left none."""
    found, emptied = [], []
    for source, (seen, gone) in sorted(run.dropped(stage).items()):
        if source and seen and gone == seen:
            emptied.append(("duplicates", f"{stage} left no document of source {source}: {count(seen)} documents in"))
        if seen and gone / seen > warn_share:
            of = f"source {source}" if source else "the documents"
            found.append(
                f"{stage} dropped {percent(gone / seen)} of {of} ({count(gone)} of {count(seen)}), more than "
                f"{stage}.warn_share = {warn_share}: are they copies? The audit and gristmill inspect show them; "
                "dedup: off in the list `sources` keeps a source whole"
            )
    return Told(summary=tuple(emptied), warnings=tuple(found))
