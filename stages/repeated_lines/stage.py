"""Cuts lines out of texts that stand in many documents of a host, or of the corpus: menus, notices, signatures.

Off unless `clean.repeated_lines.more_than` is set. A grouping counts the documents of each line; what comes back to a
document are the lines to cut, and later steps read the text without them (`replaces`), as after `clean`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.classifiers.hosts import hosts_of
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.ranges import Count
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Grouping, Reads
from gristmill.pipeline.kernels.page.line_keys import line_keys, without_lines
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.stages.repeated_lines.report import told

LINES = "clean.repeated_lines"
By = Literal["host", "corpus"]


def seeds_of(batch: pl.DataFrame, by: By) -> np.ndarray:
    """(n,) uint64 that is the same for documents whose lines are counted together."""
    if by == "corpus":
        return np.zeros(batch.height, np.uint64)
    return key64(hosts_of(batch["url"].cast(pl.String)).fill_null(""), LINES)


@dataclass(frozen=True)
class RepeatedLines(Grouping):
    """The lines of each document that stand in more documents of its host, or of the corpus, than are allowed.

    Documents with one text count once, so a page that was captured often keeps its lines. 24 bytes per different line
    of a document travel; the rows of one line have to fit into memory.
    """

    more_than: Count | None = None  # lines that stand in more documents than this are cut; null: no line is
    by: By = "host"  # documents of one host are counted together, or all of the corpus
    name: ClassVar = LINES
    version: ClassVar = 1
    rows: ClassVar = "all"  # as the step that replaces the text
    writes: ClassVar = ("repeated_lines",)
    scatters: ClassVar = {"text_key": pl.UInt64}
    order: ClassVar = ("text_key",)
    returns: ClassVar = {"line": pl.UInt64}
    several: ClassVar = True

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.more_than is not None

    @property
    def reads(self) -> Reads:
        return {"ingest": ("text", "text_hash", *(("url",) if self.by == "host" else ()))}

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        if self.by == "host":
            batch = batch.filter(hosts_of(batch["url"].cast(pl.String)).is_not_null())
        keys, of = line_keys(*utf8(batch["text"]), seeds_of(batch, self.by))
        rows = pl.DataFrame(
            {"key": keys, "node": batch["node"].gather(of), "text_key": _halves(batch["text_hash"])[of]}
        )
        return rows.unique(["key", "node"])

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        texts = pl.col("text_key").n_unique().over("key")
        return rows.filter(texts > (self.more_than or 0)).select("node", line="key")

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", repeated_lines="line")


def _halves(hashes: pl.Series) -> np.ndarray:
    """(n,) uint64: the first half of each text_hash; 0 for null."""
    raw = hashes.str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    return raw.fill_null(0).to_numpy()


@dataclass(frozen=True)
class CutLines(Annotator):
    """The text without its repeated lines, and how many lines and bytes were cut."""

    more_than: Count | None = None
    by: By = "host"
    name: ClassVar = "clean.lines"
    version: ClassVar = 1
    replaces: ClassVar[Reads] = {"ingest": ("text", "text_bytes", "text_hash")}
    writes: ClassVar = ("text", "text_bytes", "text_hash", "cut_repeated_lines_n", "cut_repeated_bytes")
    rows: ClassVar = "all"

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.more_than is not None

    @property
    def reads(self) -> Reads:
        return {"ingest": ("text", *(("url",) if self.by == "host" else ())), LINES: ("repeated_lines",)}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            lists = batch["repeated_lines"].list.sort()
            sizes = lists.list.len().fill_null(0).to_numpy()
            bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            cut = lists.explode().drop_nulls().cast(pl.UInt64).to_numpy()
            octets, ends, counts = without_lines(*utf8(batch["text"]), seeds_of(batch, self.by), cut, bounds)
            made = pa.LargeStringArray.from_buffers(batch.height, pa.py_buffer(ends), pa.py_buffer(octets))
            text = pl.Series("text", made, dtype=pl.String)
            hashes = [blake2b(t.encode(), digest_size=16).hexdigest() for t in text]
            return batch.select("doc_id").with_columns(
                text,
                text.str.len_bytes().cast(pl.Int64).alias("text_bytes"),
                pl.Series("text_hash", hashes, dtype=pl.String),
                pl.Series("cut_repeated_lines_n", counts[:, 0], pl.Int64),
                pl.Series("cut_repeated_bytes", counts[:, 1], pl.Int64),
            )

        return annotate

    def tell(self, run: Finished) -> Told:
        return told(run, self.name, partial(seeds_of, by=self.by))


@dataclass(frozen=True)
class CutLinesGate(Gate):
    """Drops texts of which no line is left."""

    more_than: Count | None = None  # as in the grouping
    name: ClassVar = "clean.lines.gate"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"clean.lines": ("text_bytes", "cut_repeated_lines_n")}
    rules: ClassVar = ("only_repeated_lines",)

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.more_than is not None

    def table(self) -> dict[str, pl.Expr]:
        return {"only_repeated_lines": (pl.col("text_bytes") == 0) & (pl.col("cut_repeated_lines_n") > 0)}
