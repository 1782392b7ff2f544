"""The sink's two passes: each part is scattered into a slice per output shard, and each shard gathers its slices."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import ClassVar

import polars as pl
import pyarrow.parquet as pq

from gristmill.pipeline.contract.state import replaced, write_json
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.phases.work import Opened, PartWork, Work
from gristmill.pipeline.run.shards import corpus_folder, forget_shard, keep_shard, shard_receipt
from gristmill.pipeline.run.store import Receipt, finish, read_parquet
from gristmill.pipeline.run.view import Want, corpus_identity

SCATTER = "corpus.scatter"
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
        table = rows.sort("shard", maintain_order=True).to_arrow()
        with replaced(path) as file, pq.ParquetWriter(file, table.schema, compression="zstd") as writer:
            for _, group in pl.DataFrame(table).group_by("shard", maintain_order=True):
                writer.write_table(group.to_arrow().cast(table.schema))
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
        number = self.units().index(unit)

        def slices() -> Iterator[pl.DataFrame]:
            for part in view.usable:
                yield read_parquet(view.data(SCATTER, part.key), shard=number).drop("shard")

        rows = sink.sink.gather(slices())
        forget_shard(view, unit)
        written = sink.sink.write(rows, corpus_folder(view), unit, {a: view.artifact(a) for a in sink.needs})
        keep_shard(view, unit, identity, rows, written)
