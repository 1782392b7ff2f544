"""Gates that drop what a grouping found to repeat another document, but what sources keep whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.ranges import Share
from gristmill.pipeline.contract.shapes import Gate, Part, Reads
from gristmill.stages.dedup.audit import removal_told
from gristmill.stages.dedup.index.segments import NO_INDEX, Across, older_segments
from gristmill.stages.dedup.sources import SourceDedup, judged


@dataclass(frozen=True)
class RepeatGate(Gate):
    """Drops a document whose first column of `instead` names another one; the last of `rules` books it."""

    sources: tuple[SourceDedup, ...] = ()  # of the list `sources`
    warn_share: Share = 0.5  # the report warns where more of one source's documents leave
    borrowed: ClassVar = {"sources": ("sources",)}
    outside_identity: ClassVar = ("warn_share",)

    @property
    def grouping(self) -> str:
        return self.name.removesuffix(".gate")

    @property
    def reads(self) -> Reads:
        return {self.grouping: self.instead, **({"ingest": ("source",)} if self.sources else {})}

    def table(self) -> dict[str, pl.Expr]:
        return {self.rules[-1]: pl.col(self.instead[0]).is_not_null() & judged(self.sources)}

    def tell(self, run: Finished) -> Told:
        return removal_told(run, self.grouping, self.warn_share)


@dataclass(frozen=True)
class IndexedGate(RepeatGate):
    """Books by the first of `rules` what repeats a document of an older run of the index, as `older_column` says."""

    across: Across = NO_INDEX  # where the index lies
    older: tuple[str, ...] = ()  # segments of the index that the documents are compared with
    borrowed: ClassVar = {"sources": ("sources",), "across": ("dedup",), "older": ()}
    outside_identity: ClassVar = ("warn_share", "across")
    older_column: ClassVar[str]

    @property
    def reads(self) -> Reads:
        reads = super().reads
        return {**reads, self.grouping: (*self.instead, *((self.older_column,) if self.older else ()))}

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> Self:
        return replace(self, older=older_segments(self.across.index, parts, before, earlier))

    def table(self) -> dict[str, pl.Expr]:
        repeats = super().table()
        older = {self.rules[0]: repeats[self.rules[-1]] & pl.col(self.older_column)} if self.older else {}
        return {**older, **repeats}
