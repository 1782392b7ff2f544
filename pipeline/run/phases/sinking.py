"""The sink's two passes: each part is scattered into a slice per output shard, and each shard gathers its slices."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.state import replaced, write_json
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.phases.work import Opened, PartWork, Work
from gristmill.pipeline.run.shards import Index, corpus_folder, forget_shard, keep_shard, shard_receipt
from gristmill.pipeline.run.store import Receipt, finish
from gristmill.pipeline.run.view import Want, corpus_identity

SCATTER = "corpus.scatter"
PIECE = "piece"
PIECE_BYTES = 64 << 20  # of a shard's rows in memory at once; its sorted copy, Arrow table and token ids come on top
GATHER_RANKS = 32  # ranks of a queued engine that write output shards: how many there are, the mixture decides


class Scatter(PartWork):
    """One file per part, sorted by output shard, a row group (or more) per shard, so that gather reads only its own."""

    passing: ClassVar[bool] = True

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.view.receipt(SCATTER, unit), self.of(unit).want(self.phase.steps[0])

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
        receipt = Receipt(want.identity, want.rows, want.rows, ids.len(), ids.len())
        path = view.data(SCATTER, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        view.unprove(SCATTER, unit)
        order = [PIECE] if PIECE in rows.columns else []
        rows = rows.sort("shard", *order, maintain_order=True)
        schema = rows.head(0).to_arrow().schema
        with replaced(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for _, group in rows.group_by("shard", *order, maintain_order=True):
                writer.write_table(group.to_arrow().cast(schema))
        write_json(view.receipt_path(SCATTER, unit), asdict(finish(receipt, "", path.stat().st_size)))


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
        paths = [view.data(SCATTER, part.key) for part in view.usable]
        gathered = (sink.sink.gather(iter(frames)) for frames in pieces(paths, self.units().index(unit)))
        forget_shard(view, unit)
        artifacts = {a: view.artifact(a) for a in sink.needs}
        written = sink.sink.write(index.through(gathered), corpus_folder(view), unit, artifacts)
        keep_shard(view, unit, identity, index, written)


def pieces(paths: Sequence[Path], shard: int) -> Iterator[list[pl.DataFrame]]:
    """The slices of an output shard, by pieces of about PIECE_BYTES: one per file and piece, in the order of the files.

    A shard without rows is one piece. Raises DataError for a file that cannot be read.
    """
    places: dict[int, dict[Path, list[int]]] = {}
    sizes: Counter[int] = Counter()
    for path in paths:
        for group, piece, size in groups_of(path, shard):
            places.setdefault(piece, {}).setdefault(path, []).append(group)
            sizes[piece] += size
    together: list[dict[Path, list[int]]] = []
    begun = 0
    for piece in sorted(places):
        if together and begun + sizes[piece] > PIECE_BYTES:
            yield [frame for some in together for frame in read_groups(some)]
            together, begun = [], 0
        together.append(places[piece])
        begun += sizes[piece]
    yield [frame for some in together or [{path: [] for path in paths[:1]}] for frame in read_groups(some)]


def groups_of(path: Path, shard: int) -> Iterator[tuple[int, int, int]]:
    """(row group, piece, uncompressed bytes) of a shard's row groups in a scattered file, by their statistics."""
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}; delete it and run again to recompute it") from error
    names = metadata.schema.names
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        shard_n, piece = (
            group.column(names.index(name)).statistics.min if name in names else 0 for name in ("shard", PIECE)
        )
        if shard_n == shard:
            yield i, piece, group.total_byte_size


def read_groups(places: Mapping[Path, Sequence[int]]) -> Iterator[pl.DataFrame]:
    for path, groups in places.items():
        try:
            with pq.ParquetFile(path) as file:
                table = file.read_row_groups(list(groups), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"cannot read {path}: {error}; delete it and run again to recompute it") from error
        frame = pl.DataFrame(table)
        yield frame.drop("shard", *([PIECE] if PIECE in frame.columns else []))
