"""What benchmarks read: a folder (`--data FOLDER`, else ../shared/data beside the repository), frames as a corpus.

Our figures were measured on the latter, which is not part of the repository; each benchmark says which files it reads.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from gristmill.pipeline.contract.shapes import Grouping
from gristmill.pipeline.run.exchange import passes
from gristmill.pipeline.run.exchange.slices import KEYS, Slices
from gristmill.pipeline.run.exchange.sorter import Sorter
from gristmill.pipeline.run.view import MEMORY

OPTION = "--data"


def data_folder() -> Path:
    """Takes the option out of sys.argv, so that a benchmark's own parser does not meet it."""
    if OPTION in sys.argv[:-1]:
        at = sys.argv.index(OPTION)
        folder = Path(sys.argv[at + 1])
        del sys.argv[at : at + 2]
    else:
        folder = Path(os.environ.get("GRISTMILL_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    if not folder.is_dir():
        sys.exit(f"no folder {folder}; say {OPTION} FOLDER (the benchmark's first lines name its files)")
    return folder


class FrameCorpus:
    """Frames as the corpus that a reducer reads."""

    def __init__(self, frames: Sequence[pl.DataFrame], artifacts: Mapping[str, Path]) -> None:
        self.frames, self.artifacts = frames, artifacts

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        for frame in self.frames:
            chosen = frame if of is None else frame.filter(pl.col("doc_id").is_in(of.implode()))
            yield chosen if columns is None else chosen.select("doc_id", *columns)


def exchanged(stage: Grouping, batch: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """What a grouping writes for a corpus of one batch."""

    def sorter(*by: str) -> Sorter:
        return Sorter(folder / "spill", by, MEMORY)

    passes.sorted_by_key(stage, [(0, batch)], sorter("key", *stage.order, "node"), folder / "sorted")
    out = sorter("node")
    passes.gathered(stage, [Slices(folder / "sorted", "key")], 0, KEYS, MEMORY, out)
    out.write(folder / "gathered")
    if stage.merges:
        out = sorter("node")
        passes.merged(stage, [Slices(folder / "gathered", "node")], MEMORY, out)
        out.write(folder / "gathered")
    back = passes.come_back(stage, [Slices(folder / "gathered", "node")], *passes.nodes_of(0))
    return passes.settled(stage, batch, back, 0)
