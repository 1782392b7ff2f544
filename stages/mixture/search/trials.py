"""Runs mixtures on a proxy, records every run, and tells which candidates are still untried."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import GristmillError
from gristmill.stages.mixture.constraints import Constraints, rounded
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.runs.runs import Failing, Fidelity, Measured, Proxy, Run, Runs, runs_of
from gristmill.stages.mixture.search.candidates import pool

T = TypeVar("T")
MOST_FAILED = 0.5  # of the runs: as many again, and a predictor would have seen half of what it was to see


@runtime_checkable
class Tabled(Protocol):
    """A proxy that can only answer for mixtures that it holds."""

    mixtures: np.ndarray  # (m, k)


@dataclass(frozen=True)
class Round:
    """One line of a search's trace. Scores are the objective, lower is better."""

    number: int
    fidelity: Fidelity
    runs_n: int
    mean_score: float
    best_score: float
    best_so_far: float


@dataclass
class Trials:
    """All runs of one search. Scores are comparable within a fidelity only."""

    proxy: Proxy
    constraints: Constraints
    objective: Objective
    natural: np.ndarray
    buckets_digest: str = ""
    cheaper: tuple[Proxy, ...] = ()  # cheap to dear, all cheaper than `proxy`; for searches over several fidelities
    rows: list[Run] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    asked: dict[Fidelity, set[bytes]] = field(default_factory=dict)
    failed: int = 0  # runs that gave no finite loss; they are no rows
    memory: dict[object, object] = field(default_factory=dict)  # of a search that is begun again (`remembered`)

    def evaluate(self, weights: np.ndarray, number: int, proxy: Proxy | None = None, seed: int = 0) -> np.ndarray:
        """Runs (n, k) mixtures and returns their scores (n,), inf where a run failed. Weights are stored as asked: 6
        decimals. Raises GristmillError where more than MOST_FAILED of the runs so far have failed."""
        proxy = self.proxy if proxy is None else proxy
        if not isinstance(proxy, Tabled):
            weights = np.stack([rounded(w, self.constraints) for w in weights])
        fidelity = fidelity_of(proxy)
        measured = isinstance(proxy, Measured)
        watch.note(f"{len(self.rows):,} proxy runs done, {len(weights):,} under way ({fidelity.kind})")
        key = ("losses", fidelity, weights.tobytes())
        measure = partial(proxy.losses, weights)
        losses = np.asarray(measure() if proxy is self.proxy else self.remembered(key, measure), dtype=float)
        realised = proxy.realised(weights) if isinstance(proxy, Measured) else weights
        names = self.constraints.buckets
        good = np.array([bool(np.isfinite(row).all()) for row in losses])
        self.failed += int((~good).sum())
        for i in np.flatnonzero(good).tolist():
            self.rows.append(
                Run(
                    run_id=f"{fidelity.kind}-{number:03d}-{i:04d}",
                    weights=dict(zip(names, weights[i].tolist(), strict=True)),
                    losses=dict(zip(proxy.targets, losses[i].tolist(), strict=True)),
                    fidelity=fidelity,
                    realised=dict(zip(names, realised[i].tolist(), strict=True)),
                    tokens=int(fidelity.tokens),
                    seed=seed,
                    cost=proxy.cost if measured else 1.0,
                    buckets_digest=self.buckets_digest,
                )
            )
        self.asked.setdefault(fidelity, set()).update(keys(weights))
        self._refuse_failed(proxy)
        scores = np.where(good, self.objective.score(np.where(good[:, None], losses, 0.0), proxy.targets), np.inf)
        if not good.any():
            return scores
        before = [r.best_so_far for r in self.rounds if r.fidelity == fidelity]
        best = float(scores.min())
        self.rounds.append(
            Round(number, fidelity, int(good.sum()), float(scores[good].mean()), best, min([best, *before[-1:]]))
        )
        return scores

    def remembered(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returned for this key, in this search or in one that had the same memory."""
        if key not in self.memory:
            self.memory[key] = make()
        return self.memory[key]  # pyright: ignore[reportReturnType]

    def recalled(self, step: str, rng: np.random.Generator, make: Callable[[], T]) -> T:
        """What `make` makes of the runs so far and of `rng`. A search that stops for want of a run and is begun again
        takes it, and the generator's next state, from its memory."""
        losses = tuple(tuple(run.losses.values()) for run in self.rows)
        value, rng.bit_generator.state = self.remembered(
            (step, str(rng.bit_generator.state), losses, self.failed), lambda: (make(), rng.bit_generator.state)
        )
        return value

    def _refuse_failed(self, proxy: Proxy) -> None:
        """A search on a few lucky runs would be one of the trainer's faults, not of mixtures."""
        asked = len(self.rows) + self.failed
        if self.failed <= MOST_FAILED * asked:
            return
        how = proxy.failures[-1] if isinstance(proxy, Failing) and proxy.failures else "a loss is not finite"
        raise GristmillError(
            f"{self.failed} of {asked} proxy runs failed, too many to go on without them; the others are kept and are "
            f"not made again. The last: {how}"
        )

    def unseen(self, weights: np.ndarray, fidelity: Fidelity | None = None) -> np.ndarray:
        """The rows that have not been asked of this fidelity."""
        known = self.asked.get(fidelity_of(self.proxy) if fidelity is None else fidelity, set())
        return weights[[k not in known for k in keys(weights)]] if known else weights

    def candidates(self, n: int, rng: np.random.Generator, proxy: Proxy | None = None) -> np.ndarray:
        """(<= n, k) mixtures that may be asked next: draws around natural, or what is left of a table."""
        proxy = self.proxy if proxy is None else proxy
        if isinstance(proxy, Tabled):
            allowed = proxy.mixtures[self.constraints.holds(normal_rows(proxy.mixtures), 5e-3)]
            return self.unseen(allowed, fidelity_of(proxy))
        return pool(self.natural, n, self.constraints, rng)

    def runs(self, fidelity: Fidelity | None = None) -> Runs:
        wanted = fidelity_of(self.proxy) if fidelity is None else fidelity
        return runs_of([r for r in self.rows if r.fidelity == wanted])

    def all_runs(self) -> Runs:
        return runs_of(self.rows)


def fidelity_of(proxy: Proxy) -> Fidelity:
    return proxy.fidelity if isinstance(proxy, Measured) else Fidelity(proxy.kind)


def keys(weights: np.ndarray) -> list[bytes]:
    """Equal for mixtures that are stored equal."""
    return [row.tobytes() for row in np.round(weights, 6) + 0.0]  # + 0.0: no negative zero


def normal_rows(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=1, keepdims=True)


def best_rows(scores: np.ndarray, n: int) -> Sequence[int]:
    """Positions of the n lowest scores; ties and last-bit differences fall to the earlier row."""
    return np.argsort(np.round(scores, 9), kind="stable")[:n].tolist()
