"""The report's section on repeated lines: those that were cut out of the most documents, to read."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import polars as pl

from gristmill.classifiers.hosts import hosts_of
from gristmill.pipeline.contract.drawing.html import tag
from gristmill.pipeline.contract.drawing.tables import cell, count, head, nothing, number, row, table
from gristmill.pipeline.contract.drawing.told import Finished, Section, Told
from gristmill.pipeline.kernels.page.line_keys import line_keys
from gristmill.pipeline.kernels.text.hashing import utf8

SHOWN = 10
DRAWN_DOCS = 20_000  # that are looked through
CHARS = 200  # of a line
Seeds = Callable[[pl.DataFrame], np.ndarray]


def told(run: Finished, step: str, seeds: Seeds) -> Told:
    """seeds: (n,) uint64 of a batch, as the lines' keys were made with."""
    frames = list(run.seen(step, DRAWN_DOCS))
    lists = (frame["repeated_lines"].explode().drop_nulls().cast(pl.UInt64) for frame in frames)
    keys = pl.concat([pl.Series(dtype=pl.UInt64), *lists]).rename("line")
    most = keys.value_counts(name="n").sort("n", "line", descending=[True, False]).head(SHOWN)
    if most.is_empty():
        return Told(sections=(Section("repeated-lines", "Repeated lines", nothing("No line was cut.")),))
    found = {key: (host, line) for key, host, line in texts_of(frames, seeds, most["line"])}
    rows = [
        row(found[key][0] or "–", number(count(n)), cell(tag("q", found[key][1])))
        for key, n in most.iter_rows()
        if key in found
    ]
    documents = sum(frame.height for frame in frames)
    caption = (
        tag("b", "Lines that were cut out of the most documents. "),
        f"Of {count(documents)} documents in parts that were drawn; a line ends after {CHARS} characters here.",
    )
    lines = table(caption, head("host", "documents:n", "line"), rows)
    return Told(sections=(Section("repeated-lines", "Repeated lines", lines),))


def texts_of(frames: Iterable[pl.DataFrame], seeds: Seeds, wanted: pl.Series) -> Iterator[tuple[int, str | None, str]]:
    """Key, host and text of each wanted line, by a document that holds it."""
    left = set(wanted)
    for frame in frames:
        held = frame.filter(pl.col("repeated_lines").list.set_intersection(wanted.to_list()).list.len() > 0)
        for document in held.iter_slices(1) if left else ():
            if not left & set(document["repeated_lines"][0]):
                continue
            host = hosts_of(document["url"])[0] if "url" in document.columns else None
            for line in document["text"][0].split("\n"):
                keys, _ = line_keys(*utf8(pl.Series([line])), seeds(document))
                if keys.size and int(keys[0]) in left:
                    left.remove(int(keys[0]))
                    yield int(keys[0]), host, line.strip()[:CHARS]
