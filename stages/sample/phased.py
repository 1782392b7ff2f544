"""Passes that fill the phases: which draws each phase has of a bucket, then the buckets of every phase as those of
training (`filling`), named "phase/bucket".

The documents at which one phase ends and the next begins are found as the cut of a bucket is: sums per bin of the
draws say in which bins they lie, and these are read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.samples import summed, tables_of, together
from gristmill.pipeline.contract.shapes import Tables
from gristmill.stages.sample import filling
from gristmill.stages.sample.filling import Filled, wanted
from gristmill.stages.sample.schedule import Cell, Division, PhaseSection, asked_of, divided, ends_of

BINS = 4096  # of the draws that divide a bucket among phases
COLUMNS = ("source", *filling.COLUMNS)
CELLS = ("bucket", "source", "held", "bin")


@dataclass(frozen=True)
class Phased:
    """weights: phase -> bucket -> share; validation: the share of documents that it holds; cap: copies of one."""

    phases: tuple[PhaseSection, ...]
    weights: Mapping[str, Mapping[str, float]]
    validation: float
    cap: int

    def take(self, name: str, batches: Iterable[pl.DataFrame], known: Tables) -> Tables:
        if name == "cells":
            return {"cells": summed(map(self._binned, batches), CELLS)}
        if name == "ends":
            return {"ends": together(self._near_ends(batch, known) for batch in batches)}
        division = self.division(known)
        if name == "validation":
            return {"validation": sums_of(self._taken(batch, division, known) for batch in batches)}
        return filling.take(name, (self._of_phases(batch, division) for batch in batches), known, self.cap)

    def join(self, name: str, taken: Sequence[Tables], known: Tables) -> dict[str, pl.DataFrame]:
        """Raises DataError for a phase whose sources have no document."""
        if name == "cells":
            cells = summed(tables_of("cells", taken), CELLS)
            return {"cells": cells, "bins": self._bins_of_ends(cells) if cells.width else cells}
        if name == "ends":
            near = together(tables_of("ends", taken))
            division = self._divided(known["cells"], near)
            return {"division": pl.DataFrame({"json": [json.dumps(division.as_json())]})}
        if name == "validation":
            return {"validation": sums_of(tables_of("validation", taken))}
        joined = filling.join(name, taken)
        both = {**known, **joined}
        if name == "turns":
            asked = [(self.asked(p), p.budget_tokens) for p in self.phases]
            return {**joined, "windows": pl.concat([filling.windows(a, n, both, self.cap) for a, n in asked])}
        if name == "near":
            rows = [(b, f.k) for p in self.phases for b, f in self.filled(p, both)[0].items()]
            joined["scales"] = pl.DataFrame(rows, schema={"bucket": pl.String, "k": pl.Float64}, orient="row")
        return joined

    def asked(self, phase: PhaseSection) -> dict[str, float]:
        """Tokens that it asks of its buckets."""
        shares = self.weights[phase.name].items()
        return {f"{phase.name}/{bucket}": w * phase.budget_tokens for bucket, w in shares if w > 0}

    def filled(self, phase: PhaseSection, known: Tables) -> tuple[dict[str, Filled], set[str]]:
        return filling.filled(self.asked(phase), phase.budget_tokens, known, self.cap)

    def division(self, known: Tables) -> Division:
        return Division.from_json(json.loads(known["division"]["json"][0]))

    @property
    def _names_sources(self) -> bool:
        return any(p.sources for p in self.phases)

    def _held(self, batch: pl.DataFrame) -> pl.Series:
        """Which documents are validation's: no phase has a say in that."""
        return pl.Series(Division((), self.validation, {}, frozenset(), {}).held_out(batch["doc_id"]), dtype=pl.Boolean)

    def _placed(self, batch: pl.DataFrame) -> pl.DataFrame:
        """With the cell's source ("" where no phase names any), the draw among phases and its bin."""
        u = uniform(batch["doc_id"], "phase")
        source = pl.col("source").fill_null("") if self._names_sources else pl.lit("")
        return batch.with_columns(source.alias("source"), pl.Series("u", u), pl.Series("bin", bins_of_draws(u)))

    def _binned(self, batch: pl.DataFrame) -> pl.DataFrame:
        rows = self._placed(batch).with_columns(held=self._held(batch))
        tokens = pl.col("token_count").cast(pl.Int64).alias("tokens")
        return rows.select(*CELLS, tokens, pl.lit(1, pl.Int64).alias("docs")).group_by(CELLS).sum()

    def _bins_of_ends(self, cells: pl.DataFrame) -> pl.DataFrame:
        """bucket, source and the bins in which the phases' ends lie, and the next ones that hold a document."""
        found: list[pl.DataFrame] = [cells.select("bucket", "source", "bin").clear()]
        free = cells.filter(~pl.col("held"))
        shares = asked_of(self.phases, self.weights, tokens_of_cells(free))
        for (bucket, source), rows in free.group_by("bucket", "source"):
            upper = shares.get((str(bucket), str(source)))
            if upper is None:
                continue
            rows = rows.sort("bin")
            reach = np.cumsum(rows["tokens"].to_numpy())
            at = np.searchsorted(reach, upper * reach[-1] - 0.5)
            near = np.unique(np.minimum(np.concatenate([at, at + 1]), rows.height - 1))
            found.append(rows[near].select("bucket", "source", "bin"))
        return pl.concat(found)

    def _near_ends(self, batch: pl.DataFrame, known: Tables) -> pl.DataFrame:
        rows = self._placed(batch.filter(~self._held(batch)))
        rows = rows.select("doc_id", "bucket", "source", "bin", "u", pl.col("token_count").cast(pl.Int64))
        return rows.join(known["bins"], on=("bucket", "source", "bin"), how="semi")

    def _divided(self, cells: pl.DataFrame, near: pl.DataFrame) -> Division:
        free = cells.filter(~pl.col("held"))
        docs = {source: int(n) for source, n in cells.group_by("source").agg(pl.col("docs").sum()).iter_rows()}
        upper = asked_of(self.phases, self.weights, tokens_of_cells(free))
        ends: dict[Cell, tuple[float, ...]] = {}
        of_cell = near.partition_by("bucket", "source", as_dict=True)
        for (bucket, source), rows in free.group_by("bucket", "source"):
            cell = str(bucket), str(source)
            if cell in upper:
                mine = of_cell.get(cell, near.clear())
                far = rows.filter(~pl.col("bin").is_in(mine["bin"].implode()))
                both = pl.concat([
                    mine.select("bin", "u", "doc_id", tokens="token_count"),
                    far.select("bin", pl.lit(0.0).alias("u"), pl.lit("").alias("doc_id"), "tokens"),
                ]).sort("bin", "u", "doc_id")  # fmt: skip
                ends[cell] = ends_of(both["tokens"].to_numpy(), both["u"].to_numpy(), upper[cell])
        return divided(self.phases, docs if self._names_sources else None, ends, self.validation)

    def _of_phases(self, batch: pl.DataFrame, division: Division) -> pl.DataFrame:
        """The documents of each phase's buckets, with their draws in it."""
        held = pl.Series("held", division.held_out(batch["doc_id"]), dtype=pl.Boolean)
        rows = batch.with_columns(held)
        found = [batch.clear().with_columns(u=pl.lit(0.0), held=pl.lit(False))]
        for phase in self.phases:
            buckets = [b for b, w in self.weights[phase.name].items() if w > 0]
            mine = rows.filter(pl.Series(division.members(batch, phase.name)) & rows["bucket"].is_in(buckets))
            draws = pl.Series("u", division.draws(mine["doc_id"], phase.name), dtype=pl.Float64)
            named = mine.with_columns(draws, bucket=pl.lit(f"{phase.name}/") + pl.col("bucket"))
            found.append(named.select(found[0].columns))
        return pl.concat(found).drop("source")

    def _taken(self, batch: pl.DataFrame, division: Division, known: Tables) -> pl.DataFrame:
        """Of validation: held documents that some phase would have taken, each once."""
        scales = dict(known["scales"].iter_rows())
        rows = batch.filter(pl.Series(division.held_out(batch["doc_id"]), dtype=pl.Boolean))
        taken = np.zeros(rows.height, bool)
        for phase in self.phases:
            of_phase = {
                b.removeprefix(f"{phase.name}/"): k for b, k in scales.items() if b.startswith(f"{phase.name}/")
            }
            draws = division.draws(rows["doc_id"], phase.name)
            taken |= division.members(rows, phase.name) & wanted(rows, of_phase, draws)
        chosen = rows.filter(pl.Series(taken, dtype=pl.Boolean))
        return chosen.select(
            rows=pl.len().cast(pl.Int64),
            tokens=pl.col("token_count").cast(pl.Int64).sum(),
            bytes=pl.col("text_bytes").cast(pl.Int64).sum(),
        )


def bins_of_draws(u: np.ndarray) -> np.ndarray:
    """(n,) uint32, ordered as the draws."""
    return (u * BINS).astype(np.uint32)


def tokens_of_cells(cells: pl.DataFrame) -> dict[Cell, int]:
    rows = cells.group_by("bucket", "source").agg(pl.col("tokens").sum()).iter_rows()
    return {(bucket, source): tokens for bucket, source, tokens in rows}


def sums_of(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
    return together(frames).sum()
