"""Turns per-document sampling rates into bucket weights that a proxy can run: a bucket per document for n-grams, groups
of similar documents otherwise.

The n-gram proxy reads so little that each of its documents can be a bucket of its own, copied as often as the run would
copy it: floor(v + 1 - u) times, u drawn by doc_id. (Whole cells at fractional rates would not do: a quarter of every
text's counts looks better than the counts of a quarter of the texts.) Other proxies read the beginning of each cell,
that is whole documents too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.shapes import Corpus
from gristmill.pipeline.kernels.numbers.criteria import fit_scale, scaled
from gristmill.stages.mixture.constraints import Constraints
from gristmill.stages.mixture.material.readings import (
    Material,
    Piece,
    Reading,
    Shelf,
    Tokens,
    fetch,
    material,
    reading,
    shelf_of,
)
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.proxies.protocol import Chance, ProxySection
from gristmill.stages.mixture.rates.cells import cells, misplaced, names_of, shares
from gristmill.stages.mixture.rates.rule import Copying, Documents, ParameterSection, Rule, copies, emerging, relative
from gristmill.stages.mixture.result import Found
from gristmill.stages.mixture.runs.runs import Fidelity, Proxy
from gristmill.stages.mixture.search.trials import fidelity_of

Targets = dict[str, list[Piece]]

PROBED = 1000  # documents per bucket by which a parameter vector's cells are measured; fewer are taken whole
MOST_UNITS = 20_000  # documents that the n-gram proxy tells apart; of more, like ones are copied together


@dataclass(frozen=True, eq=False)
class Task:
    """What the run knows when climb's weights are found. docs: doc_id, bucket, token_count and the criteria's columns,
    sorted by doc_id; targets: what the search sees; held_back: what each seed of the confirmation sees."""

    mode: str
    settings: ParameterSection
    copying: Copying
    corpus: Corpus
    docs: pl.DataFrame
    climb: Found
    limits: Constraints
    budget: int
    targets: Targets
    held_back: list[Targets]
    tokens: Tokens
    objective: Objective
    section: ProxySection
    judge: ProxySection
    seed: int
    threads: int

    @property
    def available(self) -> int:
        return int(self.docs["token_count"].sum())

    def documents(self) -> Documents:
        """All documents, each bucket one cell."""
        owner = {b: i for i, b in enumerate(self.limits.buckets)}
        bucket = self.docs["bucket"].replace_strict(owner, return_dtype=pl.Int64).to_numpy()
        tokens = self.docs["token_count"].to_numpy().astype(np.float64)
        columns = [self.docs[c.column] for c in self.copying.criteria]
        points = scaled(columns, [fit_scale(c, tokens, self.copying.normalise) for c in columns])
        return Documents(bucket, tokens, points, bucket)

    def weights(self, docs: Documents, rate: np.ndarray) -> np.ndarray:
        """(k,) shares of the buckets under S = rate (n,)."""
        return emerging(docs, rate, self.limits) if self.mode == "quadmix" else self.climb.weights

    def copies(self, docs: Documents, rule: Rule, weights: np.ndarray | None = None) -> np.ndarray:
        """(n,) expected copies; `weights` (k,) instead of the rule's own shares."""
        rate = relative(docs, rule, self.copying.eta_mode)
        weights = self.weights(docs, rate) if weights is None else weights
        budget = self.budget * docs.tokens.sum() / self.available
        return copies(docs, rate, weights * budget, self.copying.max_copies)

    def even(self, docs: Documents, weights: np.ndarray) -> np.ndarray:
        """(n,) copies that take every document of a bucket alike."""
        size = np.bincount(docs.bucket, weights=docs.tokens)
        return (weights * self.budget * docs.tokens.sum() / self.available / size)[docs.bucket]


@dataclass(frozen=True, eq=False)
class View:
    """docs: by which copies become shares of cells; draws (cells,): those cells are copied whole times; reading: what
    the proxy reads of each cell."""

    docs: Documents
    names: tuple[str, ...]
    reading: Reading
    draws: np.ndarray | None

    def shares(self, copies: np.ndarray) -> np.ndarray:
        """(n,) expected copies -> (cells,) shares of the tokens that are read."""
        expected = shares(copies, self.docs.tokens, self.docs.cell)
        if self.draws is None:
            return expected
        size = np.bincount(self.docs.cell, weights=self.docs.tokens + 1)  # and the end, which the proxy reads, too
        mass = np.bincount(self.docs.cell, weights=copies * (self.docs.tokens + 1))
        whole = np.floor(mass / size + 1 - self.draws) * size
        return whole / whole.sum() if whole.sum() > 0 else expected

    def misplaced(self, copies: np.ndarray) -> float:
        return misplaced(copies, self.docs.tokens, self.docs.cell)


def view(
    task: Task, docs: Documents, section: ProxySection, salt: str, coordinates: np.ndarray, seen: frozenset[str]
) -> View:
    """docs: all documents; coordinates (n, d): documents that are near in them may share a cell."""
    share = section.share(task.available, task.budget)
    if section.exact:
        read = reading(task.docs, share, salt, known=seen)
        rows = task.docs["doc_id"].is_in(pl.Series(sorted(read.ids)).implode()).to_numpy()
        kept = Documents(docs.bucket[rows], docs.tokens[rows], docs.scaled[rows], docs.bucket[rows])
        ids = task.docs["doc_id"].filter(pl.Series(rows))
        unit = np.argsort(np.argsort(kept.bucket, kind="stable"), kind="stable")
        if len(unit) > MOST_UNITS:
            unit = cells(coordinates[rows], kept.tokens, kept.bucket, MOST_UNITS)
        kept = replace(kept, cell=unit)
        names = names_of(unit, kept.bucket, task.limits.buckets)
        members: dict[str, list[str]] = {n: [] for n in names}
        for doc, u in zip(ids, unit.tolist(), strict=True):
            members[names[u]].append(doc)
        whole = Reading({n: tuple(m) for n, m in members.items()}, dict.fromkeys(names, 2**62))
        return View(kept, tuple(names), whole, uniform([members[n][0] for n in names], salt))
    cell = cells(coordinates, docs.tokens, docs.bucket, task.settings.cells)
    docs = replace(docs, cell=cell)
    names = names_of(cell, docs.bucket, task.limits.buckets)
    frame = task.docs.select("doc_id", "token_count").with_columns(
        pl.Series("bucket", np.array(names, dtype=object)[cell].tolist(), dtype=pl.String)
    )
    probe = docs.drawn(uniform(task.docs["doc_id"], "parameters"), PROBED)
    return View(probe, tuple(names), reading(frame, share, salt, known=seen), None)


def given(task: Task, seen: View, section: ProxySection, on: Targets, shelf: Shelf) -> Material:
    spent = task.budget * section.share(task.available, task.budget)
    if seen.draws is not None:  # all of these documents at the rate of the corpus
        spent = task.budget / task.available * (seen.docs.tokens + 1).sum()
    return material(seen.reading, seen.names, on, max(1, round(spent)), shelf, task.tokens)


def proxy_of(task: Task, seen: View, section: ProxySection, m: Material, seed: int, like: NgramProxy | None) -> Proxy:
    """Documents are read whole or not at all, so they need no slices."""
    whole = np.empty((0, len(seen.names)))
    return section.make(m, Chance(task.threads, seed, task.corpus.scratch, like, whole))


def tuned(task: Task, seen: View, section: ProxySection, m: Material) -> NgramProxy | None:
    """Counts of whole buckets, whose discounts those of their documents take over."""
    if not section.exact:
        return None
    owner = np.zeros(len(seen.names), np.int64)
    owner[seen.docs.cell] = seen.docs.bucket
    streams: list[list[np.ndarray]] = [[] for _ in task.limits.buckets]
    for stream, b in zip(m.streams, owner.tolist(), strict=True):
        streams[b].append(stream)
    whole = replace(m, buckets=task.limits.buckets, streams=tuple(np.concatenate(s) for s in streams))
    made = section.make(whole, Chance(task.threads, task.seed, task.corpus.scratch))
    return made if isinstance(made, NgramProxy) else None


def shelf_of_views(task: Task, views: Sequence[View]) -> Shelf:
    ids = frozenset[str]().union(*(v.reading.ids for v in views))
    return shelf_of(fetch(task.corpus, ids), task.tokens.encode_all)


@dataclass(frozen=True, eq=False)
class Corpora:
    """A proxy whose buckets are whole corpora: shares (corpora, cells) of what `proxy` reads."""

    proxy: Proxy
    buckets: tuple[str, ...]
    shares: np.ndarray

    @property
    def kind(self) -> str:
        return self.proxy.kind

    @property
    def targets(self) -> tuple[str, ...]:
        return self.proxy.targets

    @property
    def fidelity(self) -> Fidelity:
        return fidelity_of(self.proxy)

    @property
    def cost(self) -> float:
        return 1.0

    def realised(self, weights: np.ndarray) -> np.ndarray:
        return weights

    def losses(self, weights: np.ndarray) -> np.ndarray:
        return self.proxy.losses(weights @ self.shares)
