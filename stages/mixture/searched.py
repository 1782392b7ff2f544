"""The weights of a run: proxies made of its documents, the search, its pull to the prior, and the confirmation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import polars as pl

from gristmill.pipeline.kernels.threads import side_by_side
from gristmill.stages.mixture.constraints import Constraints, project, rounded
from gristmill.stages.mixture.languages import Languages
from gristmill.stages.mixture.material.drawn import Readings
from gristmill.stages.mixture.material.readings import (
    Material,
    Piece,
    Reading,
    Shelf,
    Tokens,
    divide,
    material,
    reordered,
    shelf_of,
    whole_texts,
)
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.proxies.protocol import Chance, ProxySection
from gristmill.stages.mixture.result import Found, found_by, kept_verdict, unsearched
from gristmill.stages.mixture.runs.runs import Proxy, write_runs
from gristmill.stages.mixture.runs.shared import Measurements, Shared, ask_together, measured
from gristmill.stages.mixture.search.confirm import Confirmation, baselines, confirm
from gristmill.stages.mixture.search.method import Method
from gristmill.stages.mixture.search.pull import (
    FEWEST_FOLDS,
    FOLDS,
    STEPS,
    Folds,
    Pull,
    cross_validated,
    pulled,
    segment,
    weighed,
)
from gristmill.stages.mixture.search.search import SearchResult, moved, search_in
from gristmill.stages.mixture.search.trials import Trials

Targets = dict[str, list[Piece]]
T = TypeVar("T")
SEARCH, CONFIRM = "search", "confirm"  # names of proxies whose runs are shared; a judge's has its seed behind it


@dataclass(frozen=True, eq=False)
class InRun:
    """What a search in a run is made of."""

    scratch: Path
    texts: Callable[[frozenset[str]], Mapping[str, str]]  # of documents
    readings: Readings
    identity: str  # of the buckets
    sizes: np.ndarray  # (k,) tokens
    natural: np.ndarray  # (k,) what stands where nothing is searched
    limits: Constraints
    budget: int
    epochs: float
    tokens: Tokens
    targets: Targets  # what the search sees
    held_back: list[Targets]  # what each seed of the confirmation sees; empty: none
    objective: Objective
    proxy: str
    sections: tuple[ProxySection, ...]  # cheaper ones first, the proxy's own last
    judge: ProxySection  # of the confirmation
    method: Method
    pull: float | None  # nats per nat of KL divergence; None: chosen by cross-validation
    present: np.ndarray | None  # (k,) the user's own mixture
    languages: Languages | None  # whose shares are pinned in `limits`; None: there is one, or they are free
    seed: int
    threads: int
    kept: dict[str, object] = field(default_factory=dict)  # what was made of all this

    @property
    def available(self) -> int:
        return int(self.sizes.sum())

    def found(self, out: Path, measurements: Measurements) -> Found:
        """Writes every proxy run to runs.parquet. `measurements`: what other workers have measured."""
        if self.languages is None:
            return self.search(out, measurements)
        searched = self.once("searched", partial(self.with_targets, self.languages))
        limits = self.languages.only(self.limits, self.natural, searched)
        told = self.languages.summary(searched)
        if not searched:
            alone = rounded(project(self.natural[None], limits)[0], limits)
            found = unsearched(
                alone, "no language that has several buckets has target text; languages keep their shares"
            )
            return replace(found, search={**found.search, **told})
        found = replace(self, limits=limits).search(out, measurements)
        inside = f"; searched inside {', '.join(searched)}, every language keeps its share"
        return replace(found, verdict=found.verdict + inside, search={**found.search, **told})

    def with_targets(self, languages: Languages) -> list[str]:
        """Languages in which there is something to search, by the tokens of the documents that the proxy reads."""
        m = self.material(self.sections[-1], self.readings.proxies[-1], self.targets, self.shelf)
        texts = [p.tokens for pieces in self.targets.values() for p in whole_texts(pieces, 1)]
        return languages.searched(m.streams, texts, self.tokens.vocab)

    def search(self, out: Path, measurements: Measurements) -> Found:
        read, left_out, unread = self.readings.proxies, self.readings.left_out, self.readings.unread
        shelf = self.shelf
        *cheaper, main = (*self.proxies[:-1], self.shared(self.proxies[-1], self.sections[-1], SEARCH, measurements))
        trials = Trials(main, self.limits, self.objective, self.natural, self.identity, tuple(cheaper))
        trials.memory = self.once("memory", dict)  # of this search, where it stopped for want of runs
        result = search_in(trials, self.method, self.seed)
        write_runs(result.runs, out / "runs.parquet")
        pull: Pull | None = None
        if result.found:
            result, pull = self.shrunk(
                result, main, None if left_out is None else self.folds(main, read[-1], left_out, shelf)
            )
        checked: Confirmation | None = None
        if self.held_back and result.found:
            plain = self.plain()
            like = next((p for p in (main, *cheaper) if isinstance(p, NgramProxy)), None)
            exact = np.stack([result.weights, *plain.values()])

            together, each = self.beside(self.judge)

            def judge(s: int) -> Proxy:
                if self.judge.spread > 1:
                    return self.shared(self.shared_judge(s), self.judge, f"{CONFIRM} {s}", measurements)
                m = self.material(self.judge, unread[s], self.held_back[s], shelf)
                return self.judge.make(m, self.chance(each, 1 + s, like, exact))

            fresh = side_by_side(judge, range(len(self.held_back)), together)
            ask_together((proxy, exact) for proxy in fresh)
            checked = confirm(fresh, result.weights, plain, self.objective, self.limits.guard)
        return found_by(result, self.proxy, self.objective, self.limits.guard, checked, pull)

    def shared(self, proxy: Proxy, section: ProxySection, name: str, measurements: Measurements) -> Proxy:
        return proxy if section.spread == 1 else Shared(proxy, name, section.each, measurements)

    def answer(self, asked: pl.DataFrame) -> pl.DataFrame:
        """Makes runs that a search with shared runs asked for."""
        name = str(asked["proxy"].item())
        proxy = self.proxies[-1] if name == SEARCH else self.shared_judge(int(name.removeprefix(f"{CONFIRM} ")))
        return measured(proxy, asked)

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """Of the search, the cheapest first."""
        pairs = zip(self.sections, self.readings.proxies, strict=True)
        return tuple(self.once(f"proxy {i}", partial(self.searching, s, r)) for i, (s, r) in enumerate(pairs))

    def searching(self, section: ProxySection, read: Reading) -> Proxy:
        return section.make(self.material(section, read, self.targets, self.shelf), self.chance(self.threads))

    def shared_judge(self, seed: int) -> Proxy:
        """The confirmation's proxy of a seed; of what was searched it knows nothing."""

        def make() -> Proxy:
            m = self.material(self.judge, self.readings.unread[seed], self.held_back[seed], self.shelf)
            return self.judge.make(m, self.chance(self.threads, 1 + seed))

        return self.once(f"judge {seed}", make)

    @property
    def shelf(self) -> Shelf:
        return self.once("shelf", lambda: shelf_of(self.texts(self.readings.ids), self.tokens.encode_all))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returned the first time; the same within other limits."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]  # pyright: ignore[reportReturnType]

    def material(self, section: ProxySection, read: Reading, on: Targets, shelf: Shelf) -> Material:
        spent = max(1, round(self.budget * section.share(self.available, self.budget)))
        return material(read, self.limits.buckets, on, spent, shelf, self.tokens)

    def chance(
        self, threads: int, further: int = 0, like: NgramProxy | None = None, exact: np.ndarray | None = None
    ) -> Chance:
        return Chance(threads, self.seed + further, self.scratch, like, exact)

    def beside(self, section: ProxySection) -> tuple[int, int]:
        """How many proxies of a section work side by side, and with how many threads each."""
        return (self.threads, 1) if section.exact else (1, self.threads)

    def prior(self) -> tuple[str, np.ndarray]:
        """Name and weights (k,) of the mixture that stands where no other can be shown to be better."""
        name, weights = ("natural", self.natural) if self.present is None else ("present", self.present)
        return name, project(weights[None], self.limits)[0]

    def plain(self) -> Mapping[str, np.ndarray]:
        """What the confirmation compares with."""
        plain = baselines(self.natural, self.limits, self.sizes, self.budget, self.epochs)
        return plain if self.present is None else {**plain, "present": self.prior()[1]}

    def folds(self, main: Proxy, read: Reading, left_out: Reading, shelf: Shelf) -> Folds:
        """Every target's texts in as many parts as the target with the fewest texts allows, FOLDS at most. Parts of one
        text are no evidence for each other, so a text is in one part, or in several only where there are hardly any."""
        used = [(name, w) for name, w in zip(main.targets, self.objective.over(main.targets), strict=True) if w > 0]
        texts = {name: whole_texts(self.targets[name], FEWEST_FOLDS) for name, _ in used}
        fewest = min(map(len, texts.values()))
        n = min(FOLDS, fewest)
        parts = {name: divide(texts[name], [1 / n] * n) for name, _ in used}
        like = main if isinstance(main, NgramProxy) else None
        section = self.sections[-1]
        together, each = self.beside(section)

        def unseen(fold: int, steps: np.ndarray) -> Proxy:
            own = {name: divided[fold] for name, divided in parts.items()}
            drawn = reordered(left_out, f"left out/{fold}")
            return section.make(self.material(section, drawn, own, shelf), self.chance(each, 0, like, steps))

        if like is None:
            on = {f"{name} {f}": part for name, divided in parts.items() for f, part in enumerate(divided)}
            seen = section.make(self.material(section, read, on, shelf), self.chance(self.threads))
        else:
            seen = cast(Proxy, like.on_stretches(stretches_of(parts)))
        tokens = np.array([[sum(len(p.tokens) for p in part) for part in parts[name]] for name, _ in used])
        names = tuple(tuple(f"{name} {f}" for f in range(n)) for name, _ in used)
        return Folds(seen, unseen, names, tokens, np.array([w for _, w in used]), fewest, together)

    def shrunk(self, result: SearchResult, main: Proxy, folds: Folds | None) -> tuple[SearchResult, Pull | None]:
        """The search's result as far from the prior as can be shown, or as the config's weight allows."""
        if self.pull == 0 or (self.pull is None and folds is None):
            return result, None
        name, prior = self.prior()
        if folds is not None:
            pull = cross_validated(folds, prior, self.natural, self.limits, name)
        elif self.pull is not None:
            pull = weighed(self.pull, self.losses(result, main, prior), prior, result.weights, name)
        pull = replace(pull, kept=self.guarded(pull.kept, main, prior, result.weights))
        if pull.kept == 1:
            return result, pull
        weights = rounded(pulled(pull.kept, prior, result.weights, self.limits), self.limits)
        return moved(result, weights, pull.kept > 0, kept_verdict(pull)), pull

    def guarded(self, kept: float, main: Proxy, prior: np.ndarray, found: np.ndarray) -> float:
        """The step, or the farthest before it at which no guarded target measures worse than under natural."""
        if not self.limits.guard or not self.sections[-1].exact:
            return kept
        steps = kept * STEPS[::-1]
        at = [main.targets.index(t) for t in self.limits.guard]
        rows = [project(self.natural[None], self.limits)[0], *(pulled(s, prior, found, self.limits) for s in steps)]
        losses = main.losses(np.stack(rows))[:, at]
        ok = (losses[1:] <= losses[0] + self.limits.guard_tolerance + 1e-9).all(axis=1)
        return round(float(steps[np.argmax(ok)]), 4) if ok.any() else 0.0

    def losses(self, result: SearchResult, main: Proxy, prior: np.ndarray) -> np.ndarray:
        """(len(STEPS),) the objective at each step. A proxy that trains is not run again: the gain that was predicted
        is taken to grow with the way, which convex losses exceed."""
        if self.sections[-1].exact:
            return self.objective.score(main.losses(segment(prior, result.weights)), main.targets)
        return -STEPS * (result.natural - result.predicted)


def stretches_of(parts: Mapping[str, Sequence[Sequence[Piece]]]) -> dict[str, tuple[str, int, int]]:
    """Each target's parts, in order, as stretches of its tokens: "target number" -> target, begin, end."""
    found: dict[str, tuple[str, int, int]] = {}
    for name, divided in parts.items():
        ends = np.cumsum([sum(len(p.tokens) for p in part) for part in divided]).tolist()
        found |= {f"{name} {f}": (name, a, b) for f, (a, b) in enumerate(pairwise([0, *ends]))}
    return found
