"""Frames, corpora and shared files for the tests of stages."""

import io
import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import polars as pl
import zstandard

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

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for frame in self.frames:
            yield frame if columns is None else frame.select("doc_id", *columns)


@dataclass
class CountingCorpus(FakeCorpus):
    """A corpus that notices how many of its batches are alive at once (`most`)."""

    alive: int = 0
    most: int = 0

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for frame in super().batches(columns):
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
