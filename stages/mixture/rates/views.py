"""Turns per-document sampling rates into bucket weights that a proxy can run: a bucket per document for n-grams, groups
of similar documents otherwise.

What a proxy reads of every bucket is a draw that no parameters change, so that texts are read before anything is
searched. The n-gram proxy reads so little that each document can be a bucket of its own, copied as often as the run
would copy it: floor(v + 1 - u) times, u drawn by doc_id. (Whole cells at fractional rates would not do: a quarter of
every text's counts looks better than the counts of a quarter of the texts.) Other proxies read the beginning of each
cell, that is whole documents too; a sample of all documents' scores says how much of the corpus is in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.kernels.numbers.criteria import Scale, fit_scale, scaled
from gristmill.stages.mixture.constraints import Constraints
from gristmill.stages.mixture.material.drawn import Readings
from gristmill.stages.mixture.material.readings import Material, Piece, Reading, Shelf, Tokens, material, shelf_of
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.proxies.protocol import Chance, ProxySection
from gristmill.stages.mixture.rates.cells import cells, misplaced, names_of, shares
from gristmill.stages.mixture.rates.rule import Copying, Documents, ParameterSection, Rule, copies, emerging, relative
from gristmill.stages.mixture.result import Found
from gristmill.stages.mixture.runs.runs import Fidelity, Proxy
from gristmill.stages.mixture.search.trials import fidelity_of

Targets = dict[str, list[Piece]]

UNCUT = 2**62  # tokens of a cell whose documents are read whole
FEWEST_READ = 3  # documents of a cell: of fewer, what stands in one is chance
MOST_UNITS = 20_000  # documents that the n-gram proxy tells apart; of more, like ones are copied together


@dataclass(frozen=True, eq=False)
class Task:
    """What the run knows when climb's weights are found. docs and sample, sorted by doc_id: doc_id, bucket, token_count
    and the criteria's columns of what the readings name, and of those drawn whose scores stand for all; targets: what
    the search sees; held_back: what each seed of the confirmation sees."""

    mode: str
    settings: ParameterSection
    copying: Copying
    scratch: Path
    texts: Callable[[frozenset[str]], Mapping[str, str]]
    docs: pl.DataFrame
    sample: pl.DataFrame
    readings: Readings
    sizes: np.ndarray  # (k,) tokens of all documents
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
        return int(self.sizes.sum())

    def owners(self, docs: pl.DataFrame) -> np.ndarray:
        """(n,) the documents' buckets, by number."""
        number = {b: i for i, b in enumerate(self.limits.buckets)}
        return docs["bucket"].replace_strict(number, return_dtype=pl.Int64).to_numpy()

    @cached_property
    def standing(self) -> np.ndarray:
        """(n,) tokens that each document of the sample stands for."""
        bucket, tokens = self.owners(self.sample), self.sample["token_count"].to_numpy().astype(np.float64)
        drawn = np.bincount(bucket, weights=tokens, minlength=len(self.sizes))
        return tokens * (self.sizes / np.where(drawn > 0, drawn, 1.0))[bucket]

    @cached_property
    def scales(self) -> list[Scale]:
        return [fit_scale(self.sample[c.column], self.standing, self.copying.normalise) for c in self.copying.criteria]

    @cached_property
    def drawn(self) -> Documents:
        return self.documents(self.sample, self.standing)

    def documents(self, docs: pl.DataFrame, tokens: np.ndarray) -> Documents:
        """tokens (n,) of each; each bucket one cell."""
        bucket = self.owners(docs)
        return Documents(bucket, tokens, scaled([docs[c.column] for c in self.copying.criteria], self.scales), bucket)

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
    """docs: by which copies become shares of the cells, which are called names; draws (cells,): those cells are copied
    whole times; reading: what the proxy reads of each cell."""

    docs: Documents
    names: tuple[str, ...]
    reading: Reading
    draws: np.ndarray | None

    def shares(self, copies: np.ndarray) -> np.ndarray:
        """(n,) expected copies -> (cells,) shares of the tokens that are read."""
        expected = shares(copies, self.docs.tokens, self.docs.cell, len(self.names))
        if self.draws is None:
            return expected
        size = np.bincount(self.docs.cell, weights=self.docs.tokens + 1)  # and the end, which the proxy reads, too
        mass = np.bincount(self.docs.cell, weights=copies * (self.docs.tokens + 1))
        whole = np.floor(mass / size + 1 - self.draws) * size
        return whole / whole.sum() if whole.sum() > 0 else expected

    def misplaced(self, copies: np.ndarray) -> float:
        return misplaced(copies, self.docs.tokens, self.docs.cell)


def view(task: Task, read: Reading, section: ProxySection, salt: str) -> View:
    docs = task.docs.filter(pl.col("doc_id").is_in(pl.Series(sorted(read.ids), dtype=pl.String).implode()))
    return whole_documents(task, docs, salt) if section.exact else like_documents(task, docs, read)


def whole_documents(task: Task, docs: pl.DataFrame, salt: str) -> View:
    """docs: what is read, which stands for all."""
    kept = task.documents(docs, docs["token_count"].to_numpy().astype(np.float64))
    unit = np.argsort(np.argsort(kept.bucket, kind="stable"), kind="stable")
    if len(unit) > MOST_UNITS:
        unit = cells(kept.scaled, kept.tokens, kept.bucket, MOST_UNITS)
    names = names_of(unit, kept.bucket, task.limits.buckets)
    members = members_of(names, unit, docs["doc_id"])
    whole = Reading(members, dict.fromkeys(names, UNCUT))
    return View(replace(kept, cell=unit), tuple(names), whole, uniform([members[n][0] for n in names], salt))


def like_documents(task: Task, docs: pl.DataFrame, read: Reading) -> View:
    """The sample in cells that hold some of the documents that are read (docs): it says what a cell weighs, they say
    what is in it."""
    cut = last_of(read, docs)
    docs = docs.sort(pl.col("doc_id").is_in(list(cut)), maintain_order=True)  # the end of a cell is the reading's
    tokens = np.array([cut.get(i, n) for i, n in docs.select("doc_id", "token_count").iter_rows()], np.float64)
    few, n = task.documents(docs, tokens), len(task.drawn.tokens)
    points, bucket = np.concatenate([task.drawn.scaled, few.scaled]), np.concatenate([task.drawn.bucket, few.bucket])
    # Halved by how many are read: by their tokens, long ones would lie at the ends of cells. Documents that do not
    # differ are in the order of a draw, so that those that are read lie among the others.
    is_read = np.concatenate([np.zeros(n), np.ones(len(tokens))])
    order = np.argsort(uniform([*task.sample["doc_id"], *docs["doc_id"]], "cells"), kind="stable")
    cell = np.empty(len(order), np.int64)
    cell[order] = cells(points[order], is_read[order], bucket[order], task.settings.cells, FEWEST_READ)
    names = names_of(cell, bucket, task.limits.buckets)
    ends = np.bincount(cell[n:], weights=tokens + ~docs["doc_id"].is_in(list(cut)).to_numpy(), minlength=len(names))
    lengths = dict(zip(names, ends.astype(int).tolist(), strict=True))
    whole = Reading(members_of(names, cell[n:], docs["doc_id"]), lengths)
    return View(replace(task.drawn, cell=cell[:n]), tuple(names), whole, None)


def members_of(names: list[str], unit: np.ndarray, ids: pl.Series) -> dict[str, tuple[str, ...]]:
    members: dict[str, list[str]] = {n: [] for n in names}
    for doc, u in zip(ids, unit.tolist(), strict=True):
        members[names[u]].append(doc)
    return {name: tuple(docs) for name, docs in members.items()}


def last_of(read: Reading, docs: pl.DataFrame) -> dict[str, int]:
    """doc_id -> tokens of the documents of which a reading has but the beginning: the last of a bucket."""
    size = dict(docs.select("doc_id", pl.col("token_count") + 1).iter_rows())
    beyond = {ids[-1]: sum(size[i] for i in ids) - read.lengths[b] for b, ids in read.documents.items()}
    return {i: max(1, size[i] - over) for i, over in beyond.items() if over > 0}


def given(task: Task, seen: View, section: ProxySection, on: Targets, shelf: Shelf) -> Material:
    spent = task.budget * section.share(task.available, task.budget)
    if seen.draws is not None:  # all of these documents at the rate of the corpus
        spent = task.budget / task.available * (seen.docs.tokens + 1).sum()
    return material(seen.reading, seen.names, on, max(1, round(spent)), shelf, task.tokens)


def proxy_of(task: Task, seen: View, section: ProxySection, m: Material, seed: int, like: NgramProxy | None) -> Proxy:
    """Documents are read whole or not at all, so they need no slices."""
    whole = np.empty((0, len(seen.names)))
    return section.make(m, Chance(task.threads, seed, task.scratch, like, whole))


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
    made = section.make(whole, Chance(task.threads, task.seed, task.scratch))
    return made if isinstance(made, NgramProxy) else None


def shelf_of_views(task: Task, views: Sequence[View]) -> Shelf:
    ids = frozenset[str]().union(*(v.reading.ids for v in views))
    return shelf_of(task.texts(ids), task.tokens.encode_all)


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
