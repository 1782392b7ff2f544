"""`gristmill contamination`: benchmark items in the documents of a finished run, counted and shown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.contamination.benchmarks import FIELDS, BenchmarkSet, files_of
from gristmill.stages.contamination.sampled import counted, drawn_of, share_of
from gristmill.stages.contamination.stage import (
    Contamination,
    ContaminationGate,
    ContaminationIndex,
    benchmark_columns,
    fewest_hits,
)


def benchmark_of(argument: str) -> BenchmarkSet:
    """FILE[:question=FIELD,FIELD][:answer=FIELD][:passage=FIELD][:train=FILE] as a benchmark named by its file."""
    path, *settings = argument.split(":")
    given: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or key not in (*FIELDS, "train"):
            raise ConfigError(
                f"{argument}: {setting!r} is none of {', '.join(f'{f}=FIELD' for f in FIELDS)}, train=FILE"
            )
        given[key] = tuple(value.split(","))
    return BenchmarkSet(Path(files_of([path])[0]).name.split(".")[0], (path,), **given)


def search_documents(arguments: Sequence[str], read: Callable[[], Iterator[pl.DataFrame]], shown: int) -> list[str]:
    """What to print: a table per benchmark, then `shown` documents of each to read. read: batches of doc_id, text."""
    found, sets = flagged(arguments, read)
    lines = [f"{'benchmark':20} {'items':>8} {'found':>8} {'share':>8} {'documents':>10}"]
    for name, items in sets.items():
        mine = found.filter(pl.col("benchmark") == name)
        labels = found["benchmark_items"].explode().drop_nulls().unique()
        hit = labels.str.starts_with(f"{name}/").sum()
        lines.append(f"{name:20} {items:8,} {hit:8,} {hit / max(items, 1):8.4%} {mine.height:10,}")
    for name in sets:
        mine = found.filter(pl.col("benchmark") == name)
        drawn = mine[np.argsort(key64(mine["doc_id"], "contamination.shown"), kind="stable")[:shown]]
        for row in drawn.iter_rows(named=True):
            of_item, of_document = row["benchmark_item_frac"], row["benchmark_doc_frac"]
            lines += [
                "",
                f"{row['doc_id']}  holds {name}/{row['benchmark_item']} ({row['benchmark_field']}): "
                f"{row['benchmark_hits_n']} n-grams, {of_item:.0%} of the item, {of_document:.1%} of the document",
                f"  {row['benchmark_text']!r}",
            ]
    return lines


def flagged(
    arguments: Sequence[str], read: Callable[[], Iterator[pl.DataFrame]]
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Documents that hold an item, with Contamination's columns; and the number of items of each benchmark."""
    sets = tuple(benchmark_of(a) for a in arguments)
    names = [b.name for b in sets]
    sets = tuple(replace(b, name=b.paths[0]) if names.count(b.name) > 1 else b for b in sets)
    maker, marker, gate = ContaminationIndex(sets), Contamination(sets), ContaminationGate(sets)
    share = share_of(maker.sample_docs, sum(batch.height for batch in read()))
    index = counted(maker.index(), (drawn_of(batch, share)["text"] for batch in read()))
    items = dict(index.items.group_by("set", maintain_order=True).agg(pl.col("name").n_unique()).iter_rows())
    fewest = fewest_hits(marker.max_hits)

    def marked(batch: pl.DataFrame) -> pl.DataFrame:
        columns = benchmark_columns(index, index.match(batch["text"], fewest, marker.counted))
        frame = batch.select("doc_id").hstack(columns)
        return frame.filter(gate.decide(frame).is_not_null())

    none = pl.DataFrame(schema={"doc_id": pl.String, "text": pl.String})
    found = [marked(batch) for batch in (none, *read())]
    return pl.concat(found), {b.name: items.get(b.name, 0) for b in sets}
