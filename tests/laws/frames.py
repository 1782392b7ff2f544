"""Frames, corpora and shared files for the tests of stages."""

import io
import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

import polars as pl
import zstandard

from gristmill.pipeline.contract.shapes import Grouping
from gristmill.pipeline.run.exchange import passes
from gristmill.pipeline.run.exchange.slices import Slices, ranges
from gristmill.pipeline.run.exchange.sorter import Sorter

HOSTILE = [
    "",
    " \n\t ",
    "a",
    "\x00",
    "a\x00b",
    "!?.,",
    "_",
    "__label__reference spam",
    "é e\u0301 \u0301",
    "שָׁלוֹם עולם",
    "مرحبا بالعالم",
    "中文没有空格",
    "ภาษาไทยไม่มีช่องว่าง",
    "İstanbul ǅ ß ﬁ Ⱥ",
    "👩\u200d👩\u200d👧 \U000e0001 \U0010ffff 𠀀𪛖",
    "line\u2028separator\x85next\x0cpage",
    "\ufeffbom \u00adsoft\u00adhyphen",
    "x" * 1_000_000,
    "ab " * 350_000,
]


@dataclass
class FakeCorpus:
    """Batches as a reducer sees them."""

    frames: Sequence[pl.DataFrame]
    artifacts: dict[str, Path] = field(default_factory=dict)
    scratch: Path = Path("no-scratch")

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        for frame in self.frames:
            chosen = frame if of is None else frame.filter(pl.col("doc_id").is_in(of.implode()))
            if of is None or chosen.height:
                yield chosen if columns is None else chosen.select("doc_id", *columns)


@dataclass
class CountingCorpus(FakeCorpus):
    """A corpus that notices how many of its batches are alive at once (`most`)."""

    alive: int = 0
    most: int = 0

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        for frame in super().batches(columns, of):
            batch = frame.clone()
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(batch, self._gone)
            yield batch

    def _gone(self) -> None:
        self.alive -= 1


def doc_id(name: str) -> str:
    return blake2b(name.encode(), digest_size=16).hexdigest()


def text_hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def splits(frame: pl.DataFrame) -> list[list[pl.DataFrame]]:
    """The frame in pieces of 1, 2, 7 and all rows."""
    return [[frame[i : i + n] for i in range(0, frame.height, n)] for n in (1, 2, 7, max(1, frame.height))]


def records(path: Path) -> list[dict]:
    """Records of a .jsonl.zst file."""
    with zstandard.open(io.BytesIO(path.read_bytes()), "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines.read().split("\n") if line]


def exchanged(
    stage: Grouping,
    bundles: Sequence[Sequence[pl.DataFrame]],
    folder: Path,
    extra: pl.DataFrame | None = None,
    partitions: int = 1,
    memory: int = 1 << 30,
) -> tuple[list[pl.DataFrame], pl.DataFrame | None]:
    """A grouping over bundles of batches, pass by pass: what it writes for every batch, and what came back to `extra`
    beside its doc_id."""
    sources = [list(bundle) for bundle in bundles]
    placed = list(enumerate(sources)) + ([(passes.EXTRA, [extra])] if extra is not None else [])
    starts: dict[int, list[int]] = {}
    sorted_files = []
    for number, batches in placed:
        first = passes.nodes_of(number)[0]
        starts[number] = list(accumulate([b.height for b in batches], initial=first))
        sorter = Sorter(folder / "spill", ("key", *stage.order, "node"), memory)
        path = folder / f"{number}.slices"
        passes.sorted_by_key(stage, zip(starts[number], batches, strict=False), sorter, path)
        sorted_files.append(Slices(path, "key"))
    files = []
    for i, (low, high) in enumerate(ranges(partitions)):
        sorter = Sorter(folder / "spill", ("node",), memory)
        passes.gathered(stage, sorted_files, low, high, memory, sorter)
        sorter.write(folder / f"gathered-{i}.slices")
        files.append(Slices(folder / f"gathered-{i}.slices", "node"))
    if stage.merges:
        sorter = Sorter(folder / "spill", ("node",), memory)
        passes.merged(stage, files, memory, sorter)
        sorter.write(folder / "merged.slices")
        files = [Slices(folder / "merged.slices", "node")]
    assert not (folder / "spill").exists()
    written = []
    for number, batches in enumerate(sources):
        back = passes.come_back(stage, files, *passes.nodes_of(number))
        for start, batch in zip(starts[number], batches, strict=False):
            written.append(passes.settled(stage, batch, back, start))
    if extra is None:
        return written, None
    first, last = passes.nodes_of(passes.EXTRA)
    return written, passes.beside(extra.select("doc_id"), passes.come_back(stage, files, first, last), first)
