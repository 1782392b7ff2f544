"""The runs of a search as work for several workers: it is opened where runs are asked for and where they are made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from gristmill.pipeline.contract import watch
from gristmill.stages.mixture.constraints import Constraints
from gristmill.stages.mixture.result import Found, write_weights
from gristmill.stages.mixture.runs.shared import NOTHING, Measurements, Unmeasured
from gristmill.stages.mixture.searched import InRun
from gristmill.stages.mixture.shares import reachable


@dataclass(frozen=True, eq=False)
class Opened:
    """A run's mixture before it is written. found: the weights, or the search that finds them."""

    found: Found | InRun
    table: pl.DataFrame  # bucket, token_count, docs
    limits: Constraints
    asked: int  # tokens
    budget: int
    epochs: float
    copies: Callable[[Found, Path], Found] | None  # searches how often documents are written inside the weights

    def ask(self, answers: pl.DataFrame) -> pl.DataFrame:
        """The runs that the search needs next."""
        if isinstance(self.found, Found):
            return NOTHING
        with TemporaryDirectory() as out:
            try:
                self.found.found(Path(out), Measurements(asks=True).add(answers))
            except Unmeasured as more:
                return more.asked
        return NOTHING

    def answer(self, asked: pl.DataFrame) -> pl.DataFrame:
        assert isinstance(self.found, InRun)
        watch.note(f"proxy runs ({asked['proxy'].item()}): {asked['weights'].list.len().item()}")
        return self.found.answer(asked)

    def finish(self, answers: pl.DataFrame, out: Path) -> None:
        """Writes the artifact; runs that are not among the answers are made here."""
        if self.asked != self.budget:
            reachable(self.asked, int(self.table["token_count"].sum()), self.epochs, out)
        found = self.found
        if isinstance(found, InRun):
            search, found = found, found.found(out, Measurements().add(answers))
            search.kept.clear()  # its proxies and texts
        found = found if self.copies is None else self.copies(found, out)
        write_weights(out, self.table, found, self.limits, self.budget, self.epochs)
