"""The sink's two passes: each part is scattered into a slice per output shard, and each shard gathers its slices."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.state import write_json
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.exchange.slices import Pieces, write_slices
from gristmill.pipeline.run.phases.work import Opened, PartWork, Work
from gristmill.pipeline.run.receipts.receipt import Receipt, finish, proven
from gristmill.pipeline.run.shards import Index, corpus_folder, forget_shard, keep_shard, shard_receipt
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import Want, corpus_identity

SCATTER = "corpus.scatter"
PIECE = "piece"
PIECE_BYTES = 40 << 20  # of a shard's rows in memory at once; its sorted copy, Arrow table and token ids come on top
GATHER_RANKS = 32  # ranks of a queued engine that write output shards: how many there are, the mixture decides


def scattered_path(store: Store, unit: str) -> Path:
    return store.root / SCATTER / f"{unit}.slices"


def scattered_receipt_path(store: Store, unit: str) -> Path:
    return store.root / SCATTER / f"{unit}.slices.receipt.json"


def forget_scattered(store: Store, unit: str) -> None:
    scattered_receipt_path(store, unit).unlink(missing_ok=True)
    scattered_path(store, unit).unlink(missing_ok=True)


class Scatter(PartWork):
    """One slice file per part, a stretch of rows per output shard (and piece of it), so that gather reads only its own.

    The first piece of the file says which stretch each from the third on is; the second has the columns alone.
    """

    passing: ClassVar[bool] = True

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        paths = scattered_receipt_path(self.view, unit), scattered_path(self.view, unit)
        receipt = self.view.pass_receipt((SCATTER, unit), lambda: proven(*paths))
        yield receipt, self.of(unit).want(self.phase.steps[0])

    def settled(self) -> bool:
        """Its files go when the corpus is gathered."""
        return Gather(self.view, Phase("gather", self.phase.steps)).settled()

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        run, sink, view = self.of(unit), self.phase.steps[0], self.view
        want = run.want(sink)
        units = sink.sink.units({a: view.artifact(a) for a in sink.needs})
        ids = run.ids(sink)
        rows = sink.sink.scatter(run.batch(sink, ids), units)
        run.frames.clear()
        receipt = Receipt(want.identity, want.rows, want.rows, ids.len(), ids.len())
        path = scattered_path(view, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        scattered_receipt_path(view, unit).unlink(missing_ok=True)
        write_slices(path, stretches(rows))
        write_json(scattered_receipt_path(view, unit), asdict(finish(receipt, "", path.stat().st_size)))


def stretches(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A frame of (shard, piece) in order, one of no rows, then the rows of each."""
    place = rows.select("shard", pl.col(PIECE) if PIECE in rows.columns else pl.lit(0).alias(PIECE)).cast(pl.Int64)
    keys = place["shard"].to_numpy(), place[PIECE].to_numpy()
    order = np.lexsort(keys[::-1])  # stable
    rows = rows.drop("shard", PIECE, strict=False)
    if (np.diff(order) < 0).any():
        rows, place = rows[order], place[order]
        keys = keys[0][order], keys[1][order]
    changes = (np.diff(keys[0]) != 0) | (np.diff(keys[1]) != 0)
    begins = np.flatnonzero(np.concatenate([np.ones(min(1, len(rows)), bool), changes]))
    yield place[begins]
    yield rows.clear()
    ends = [*begins[1:], len(rows)][: len(begins)]  # of a part of which nothing was chosen there is none
    for begin, end in zip(begins, ends, strict=True):
        yield rows[int(begin) : int(end)]


class Gather(Work):
    vital: ClassVar[bool] = True

    def units(self) -> list[str]:
        sink = self.phase.steps[0]
        return sink.sink.units({a: self.view.artifact(a) for a in sink.needs})

    def most(self) -> int:
        return GATHER_RANKS

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        receipt = self.view.once(("shard", unit), lambda: shard_receipt(self.view, unit))
        yield receipt, Want(corpus_identity(self.view, self.phase.steps[0], unit))

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        view, sink = self.view, self.phase.steps[0]
        identity = corpus_identity(view, sink, unit)
        index = Index(text=not any(loaded.startswith("data/") for loaded in sink.sink.loads))
        files = [Pieces(scattered_path(view, part.key)) for part in view.usable]
        gathered = (sink.sink.gather(iter(frames)) for frames in pieces(files, self.units().index(unit)))
        forget_shard(view, unit)
        artifacts = {a: view.artifact(a) for a in sink.needs}
        written = sink.sink.write(index.through(gathered), corpus_folder(view), unit, artifacts)
        keep_shard(view, unit, identity, index, written)


def pieces(files: Sequence[Pieces], shard: int) -> Iterator[list[pl.DataFrame]]:
    """The rows of an output shard, by pieces of about PIECE_BYTES, each in the order of the files.

    A shard without rows is one piece. Raises DataError for a file that cannot be read.
    """
    places: dict[int, list[tuple[Pieces, int]]] = {}
    sizes: Counter[int] = Counter()
    for file in files:
        for number, piece in stretches_of(file, shard):
            places.setdefault(piece, []).append((file, number))
            sizes[piece] += int(file.index[number, 1])
    together: list[tuple[Pieces, int]] = []
    begun = 0
    for piece in sorted(places):
        if together and begun + sizes[piece] > PIECE_BYTES:
            yield read(together)
            together, begun = [], 0
        together += places[piece]
        begun += sizes[piece]
    yield read(together or [(file, 1) for file in files[:1]])


def stretches_of(file: Pieces, shard: int) -> Iterator[tuple[int, int]]:
    """(number of a piece of the file, piece of the shard) of the stretches of an output shard."""
    (labels,) = file.frames([0])
    for number, (shard_n, piece) in enumerate(labels.iter_rows(), 2):
        if shard_n == shard:
            yield number, piece


def read(places: Sequence[tuple[Pieces, int]]) -> list[pl.DataFrame]:
    return [frame for file, number in places for frame in file.frames([number])]
