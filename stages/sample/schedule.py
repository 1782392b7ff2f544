"""Divides the documents among the phases of training and validation, so that no document is in two of them.

Validation holds the documents whose draw lies below its share. Among phases a document's draw decides: inside every
bucket (and source, where phases name sources) the phases' parts stand to each other as the tokens that they ask for. A
phase with `reuse` draws from all documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from gristmill.pipeline.contract.corpus.shares import read_shares
from gristmill.pipeline.contract.corpus.splits import PHASE_NAME, TRAIN, VALIDATION
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Amount, Count

TAKEN = (
    TRAIN, VALIDATION, "data", "jsonl", "webdataset", "megatron", "mds", "ds", "npy", "packed",
)  # fmt: skip

Cell = tuple[str, str]  # a bucket, and a source or "" where no phase names sources


@dataclass(frozen=True)
class PhaseSection:
    """A stretch of training with shares and a number of tokens of its own."""

    name: str  # of its folder, corpus/<name>
    budget_tokens: Count  # of this phase; mixture.budget_tokens is their sum
    # {bucket: share}, or a file that holds it, as mixture.weights; null: what `mixture` says
    weights: dict[str, Amount] | None = None
    mixture: Literal["searched", "natural"] = "searched"  # the run's mixture, or the shares of the tokens there are
    sources: tuple[str, ...] = ()  # only documents of these sources; empty: all
    reuse: bool = False  # may hold documents that other phases hold


def check_names(phases: Sequence[PhaseSection]) -> None:
    """Raises ConfigError for a phase that cannot be called so."""
    for i, phase in enumerate(phases):
        if not PHASE_NAME.fullmatch(phase.name) or phase.name in TAKEN:
            raise ConfigError(
                f"phases: a phase cannot be called {phase.name!r}: small letters, digits, - and _, and none of "
                f"{', '.join(TAKEN)}"
            )
        if phase.name in (p.name for p in phases[:i]):
            raise ConfigError(f"phases: two are called {phase.name}")
        if phase.weights is not None:
            read_shares(phase.weights, f"phase {phase.name}: weights")


def given_buckets(phase: PhaseSection) -> list[str]:
    """Buckets that the phase's own weights name."""
    return [] if phase.weights is None else list(read_shares(phase.weights, f"phase {phase.name}: weights"))


def weights_of(phase: PhaseSection, mixture: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Bucket -> share of a phase; mixture: bucket -> row of weights.json. Raises ConfigError for an unknown bucket."""
    if phase.weights is None:
        key = "weight" if phase.mixture == "searched" else "natural_share"
        return {bucket: row[key] for bucket, row in mixture.items()}
    shares = read_shares(phase.weights, f"phase {phase.name}: weights")
    unknown = sorted(b for b, share in shares.items() if share > 0 and b not in mixture)
    if unknown:
        known = sorted(mixture)
        more = f" and {len(known) - 20} more" if len(known) > 20 else ""
        raise ConfigError(
            f"phase {phase.name}: no document is in bucket {unknown[0]}; there are {', '.join(known[:20])}{more}"
        )
    return shares


@dataclass(frozen=True, eq=False)
class Division:
    """Which documents each split may draw from."""

    names: tuple[str, ...]  # of training's splits
    validation: float
    sources: Mapping[str, tuple[str, ...]]  # phase -> its sources, where it names any
    free: frozenset[str]  # phases that draw from all documents
    # upper ends of the phases' draws, in the order of `names`
    ends: Mapping[Cell, tuple[float, ...]]

    def held_out(self, doc_ids: pl.Series) -> np.ndarray:
        """(n,) bool: the documents of validation."""
        return uniform(doc_ids, VALIDATION) < self.validation if self.validation else np.zeros(len(doc_ids), bool)

    def draws(self, doc_ids: pl.Series, split: str) -> np.ndarray:
        """(n,) in [0, 1): the order in which the split takes documents of one rate."""
        return uniform(doc_ids, "sample" if split == TRAIN else f"sample/{split}")

    def members(self, docs: pl.DataFrame, split: str) -> np.ndarray:
        """(n,) bool: documents, by bucket and source, that the split may draw from; those of validation with them."""
        mine = np.ones(docs.height, bool)
        if split in self.sources:
            mine = docs["source"].is_in(list(self.sources[split])).fill_null(False).to_numpy()
        if not self.ends or split in self.free:
            return mine
        place = self.names.index(split)
        cells = self.cells(docs)
        ends = [self.ends.get(cell, (0.0,) * len(self.names)) for cell in cells]
        low = np.array([e[place - 1] if place else 0.0 for e in ends])
        high = np.array([e[place] for e in ends])
        u = uniform(docs["doc_id"], "phase")
        return mine & (u >= low) & (u < high)

    def cells(self, docs: pl.DataFrame) -> list[Cell]:
        if not self.sources:
            return [(bucket, "") for bucket in docs["bucket"]]
        return list(zip(docs["bucket"], docs["source"].fill_null(""), strict=True))

    def as_json(self) -> dict[str, object]:
        return {
            "names": list(self.names),
            "validation": self.validation,
            "sources": {name: list(sources) for name, sources in self.sources.items()},
            "free": sorted(self.free),
            "ends": [[*cell, list(ends)] for cell, ends in sorted(self.ends.items())],
        }

    @staticmethod
    def from_json(value: Mapping) -> "Division":
        ends = {(bucket, source): tuple(upper) for bucket, source, upper in value["ends"]}
        sources = {name: tuple(names) for name, names in value["sources"].items()}
        return Division(tuple(value["names"]), value["validation"], sources, frozenset(value["free"]), ends)


def divided(
    phases: Sequence[PhaseSection], docs: Mapping[str, int] | None, ends: Mapping[Cell, tuple[float, ...]],
    validation: float,
) -> Division:  # fmt: skip
    """docs: documents by source, None where no phase names sources; ends: of the cells that phases ask of.

    Raises DataError for a phase whose sources have no document.
    """
    sources = {p.name: p.sources for p in phases if p.sources}
    free = frozenset(p.name for p in phases if p.reuse)
    for phase in phases:
        if docs is not None and phase.sources and not any(docs.get(source) for source in phase.sources):
            raise DataError(f"phase {phase.name}: no document of its sources {', '.join(phase.sources)} came this far")
    names = tuple(p.name for p in phases) or (TRAIN,)
    return Division(names, validation, sources, free, ends)


def asked_of(
    phases: Sequence[PhaseSection], weights: Mapping[str, Mapping[str, float]], sizes: Mapping[Cell, int]
) -> dict[Cell, np.ndarray]:
    """Cell -> upper ends (phases,) of the shares of its tokens that the phases have; {} where none has to leave any to
    another. weights: phase -> bucket -> share; sizes: tokens of the cells, without those of validation."""
    bound = [p for p in phases if not p.reuse]
    if len(bound) < 2:
        return {}
    asked = {p.name: _asked(p, weights[p.name], sizes) for p in bound}
    found = {}
    for cell in sizes:
        tokens = np.array([asked.get(p.name, {}).get(cell, 0.0) for p in phases])
        if tokens.sum() > 0:
            found[cell] = np.cumsum(tokens) / tokens.sum()
    return found


def _asked(phase: PhaseSection, weights: Mapping[str, float], sizes: Mapping[Cell, int]) -> dict[Cell, float]:
    """Cell -> tokens that the phase asks of it: a bucket's quota over its cells, by their size."""
    asked: dict[Cell, float] = {}
    for bucket, weight in weights.items():
        cells = {c: n for c, n in sizes.items() if c[0] == bucket and (not phase.sources or c[1] in phase.sources)}
        total = sum(cells.values())
        asked |= {c: weight * phase.budget_tokens * n / total for c, n in cells.items() if total}
    return asked


def ends_of(tokens: np.ndarray, draws: np.ndarray, shares: np.ndarray) -> tuple[float, ...]:
    """Draws at which the documents before hold these cumulative shares (p,) of the tokens. tokens, draws (n,): of
    documents in the order of their draws; of some that are far from every end their tokens may be in one row."""
    reach = np.cumsum(tokens)
    draws = np.append(draws, 1.0)
    at = np.searchsorted(reach, shares * reach[-1] - 0.5)  # the first document that reaches the share belongs to it
    found = draws[np.minimum(at + 1, len(draws) - 1)]
    found[shares <= 0] = 0.0  # first phases that ask for nothing
    last = np.flatnonzero(np.diff(shares, prepend=0.0) > 0)[-1]
    found[last:] = 1.0
    return tuple(float(f) for f in found)
