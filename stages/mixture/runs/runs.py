"""Proxy runs: what was asked, what was measured, at which fidelity, on which buckets.

Kept as columns (numpy) because every consumer fits or ranks; one row at a time where a run is made or read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.pipeline.contract.state import write_parquet

SUM_TOLERANCE = 0.05  # published tables are rounded: their rows sum to 0.996 (RegMix) to 1.02 (Data Mixing Laws)
ROUNDING = 1e-9  # of a sum of 1: far above what floating point leaves, far below a share that somebody means


class Proxy(Protocol):
    """Anything that turns mixtures into losses."""

    @property
    def kind(self) -> str:
        """One of ngram, gpt, command, table, or your own."""
        ...

    @property
    def buckets(self) -> tuple[str, ...]: ...

    @property
    def targets(self) -> tuple[str, ...]: ...

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) rows on the simplex, columns in the order of `buckets` -> (n, t) losses, nats/token."""
        ...


@runtime_checkable
class Differentiable(Proxy, Protocol):
    """A proxy that knows its slope."""

    def gradient(self, weights: np.ndarray, target_weights: np.ndarray) -> np.ndarray:
        """d(sum_t target_weights[:, t] * loss_t)/d weights at each mixture: (n, k), (n, t) -> (n, k)."""
        ...


@runtime_checkable
class Reseedable(Protocol):
    """A proxy whose runs have chance in them, and can be run again with other chance."""

    def reseeded(self, seed: int) -> Proxy: ...


@runtime_checkable
class Failing(Protocol):
    """A proxy whose runs may fail: their losses are NaN."""

    failures: list[str]  # one message per failed run


@runtime_checkable
class Measured(Protocol):
    """A proxy that knows its own size and what its sampler really delivered."""

    @property
    def fidelity(self) -> "Fidelity": ...

    @property
    def cost(self) -> float:
        """Of one run; any unit, the same for all proxies of a search."""
        ...

    def realised(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) asked -> (n, k) shares of the tokens that the runs see."""
        ...


@dataclass(frozen=True, order=True)
class Fidelity:
    """How true a run is: the kind of proxy, its parameters and its training tokens."""

    kind: str = "table"
    size: float = 0.0  # parameters; 0: not a neural model
    tokens: float = 0.0  # training tokens asked


@dataclass(frozen=True)
class Run:
    """One checkpoint of one proxy run. All checkpoints of a run share its run_id."""

    run_id: str
    weights: Mapping[str, float]  # asked, share of tokens
    losses: Mapping[str, float]  # per target: nats/token, or an accuracy (the objective says which)
    fidelity: Fidelity = Fidelity()
    realised: Mapping[str, float] | None = None  # what the sampler delivered; None: as asked
    tokens: int = 0  # realised
    seed: int = 0
    step: int = -1  # checkpoint; -1: the run's end
    cost: float = 1.0
    buckets_digest: str = ""  # content of the buckets, so that a changed clustering cannot misuse old runs


@dataclass(frozen=True, eq=False)
class Runs:
    """n runs on the same buckets and targets. weights and realised (n, k), losses (n, t), the rest (n,)."""

    buckets: tuple[str, ...]
    targets: tuple[str, ...]
    buckets_digest: str
    weights: np.ndarray
    losses: np.ndarray
    realised: np.ndarray
    run_id: tuple[str, ...]
    fidelity: tuple[Fidelity, ...]
    tokens: np.ndarray
    seed: np.ndarray
    step: np.ndarray
    cost: np.ndarray
    notes: tuple[str, ...] = ()  # what was made of the tables that they were read from, for the user

    def __post_init__(self) -> None:
        n, k, t = len(self.run_id), len(self.buckets), len(self.targets)
        for name, shape in (("weights", (n, k)), ("realised", (n, k)), ("losses", (n, t))):
            if getattr(self, name).shape != shape:
                raise DataError(f"runs.{name} has shape {getattr(self, name).shape}, expected {shape}")
        for name in ("tokens", "seed", "step", "cost"):
            if getattr(self, name).shape != (n,):
                raise DataError(f"runs.{name} has shape {getattr(self, name).shape}, expected {(n,)}")
        if len(self.fidelity) != n:
            raise DataError(f"runs.fidelity has {len(self.fidelity)} entries for {n} runs")
        bad = ~np.isfinite(self.losses).all(axis=1)
        if bad.any():
            i = int(np.argmax(bad))
            target = self.targets[int(np.argmin(np.isfinite(self.losses[i])))]
            raise DataError(
                f"run {self.run_id[i]!r} has a loss that is not a number ({target}), and so have "
                f"{int(bad.sum()) - 1} other runs; drop them, train them again, or leave the target out"
            )
        for name in ("weights", "realised"):
            object.__setattr__(self, name, unrounded(getattr(self, name)))
        for what, w in (("weights", self.weights), ("realised weights", self.realised)):
            # Written so that a weight that is not a number is refused too.
            good = (np.abs(w.sum(axis=1) - 1) <= SUM_TOLERANCE) & (w >= 0).all(axis=1)
            if not good.all():
                i = int(np.argmin(good))
                raise DataError(
                    f"run {self.run_id[i]!r}: {what} must be >= 0 and sum to 1, they sum to {w[i].sum():.4f}; give "
                    "shares of the tokens, no percentages"
                )

    def __len__(self) -> int:
        return len(self.run_id)

    def rows(self) -> Iterator[Run]:
        for i in range(len(self)):
            yield Run(
                run_id=self.run_id[i],
                weights=dict(zip(self.buckets, self.weights[i].tolist(), strict=True)),
                losses=dict(zip(self.targets, self.losses[i].tolist(), strict=True)),
                fidelity=self.fidelity[i],
                realised=dict(zip(self.buckets, self.realised[i].tolist(), strict=True)),
                tokens=int(self.tokens[i]),
                seed=int(self.seed[i]),
                step=int(self.step[i]),
                cost=float(self.cost[i]),
                buckets_digest=self.buckets_digest,
            )

    def take(self, rows: Sequence[int] | np.ndarray) -> "Runs":
        """The runs at these positions (or where the mask is true), in that order."""
        at = np.asarray(rows)
        at = np.flatnonzero(at) if at.dtype == bool else at.astype(np.int64)
        return replace(
            self,
            run_id=tuple(self.run_id[i] for i in at),
            fidelity=tuple(self.fidelity[i] for i in at),
            **{
                name: getattr(self, name)[at]
                for name in ("weights", "losses", "realised", "tokens", "seed", "step", "cost")
            },
        )

    def groups(self) -> np.ndarray:
        """(n,) int: runs with the same run_id or the same mixture share a number, so no split may part them."""
        parent = list(range(len(self)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        seen: dict[object, int] = {}
        for i, (run_id, row) in enumerate(zip(self.run_id, np.round(self.weights, 6).tolist(), strict=True)):
            for key in (run_id, tuple(row)):
                j = seen.setdefault(key, i)
                parent[root(i)] = root(j)
        return np.unique([root(i) for i in range(len(self))], return_inverse=True)[1]


def unrounded(weights: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """(n, k) with what a subtraction left below 0 (1 minus the other shares: -1.1e-16) set to 0."""
    return np.where((weights < 0) & (weights > -ROUNDING * unit), 0.0, weights)


def runs_of(rows: Sequence[Run]) -> Runs:
    """Columns from rows. Raises DataError if they disagree on buckets, targets or the buckets' content."""
    if not rows:
        raise DataError("no runs: nothing to fit or choose from")
    first = rows[0]
    buckets, targets = tuple(first.weights), tuple(first.losses)
    for r in rows:
        if set(r.weights) != set(buckets) or set(r.losses) != set(targets):
            raise DataError(f"run {r.run_id!r} has other buckets or targets than run {first.run_id!r}")
        if r.buckets_digest != first.buckets_digest:
            raise DataError(
                f"run {r.run_id!r} was measured on other buckets ({r.buckets_digest or 'no digest'}) than "
                f"run {first.run_id!r} ({first.buckets_digest or 'no digest'}); keep clusterings apart"
            )
    asked = np.array([[r.weights[b] for b in buckets] for r in rows], dtype=float)
    given = [r.weights if r.realised is None else r.realised for r in rows]
    return Runs(
        buckets=buckets,
        targets=targets,
        buckets_digest=first.buckets_digest,
        weights=asked,
        losses=np.array([[r.losses[t] for t in targets] for r in rows], dtype=float),
        realised=np.array([[w[b] for b in buckets] for w in given], dtype=float),
        run_id=tuple(r.run_id for r in rows),
        fidelity=tuple(r.fidelity for r in rows),
        tokens=np.array([r.tokens for r in rows], dtype=np.int64),
        seed=np.array([r.seed for r in rows], dtype=np.int64),
        step=np.array([r.step for r in rows], dtype=np.int64),
        cost=np.array([r.cost for r in rows], dtype=float),
    )


def join(*parts: Runs) -> Runs:
    """One table from several, in the order given; the same run in two of them counts once. Raises DataError where they
    do not fit together."""
    rows = {
        (r.run_id, r.seed, r.step, r.fidelity, *sorted(r.weights.items()), *sorted(r.losses.items())): r
        for part in parts
        for r in part.rows()
    }
    lost = sum(map(len, parts)) - len(rows)
    notes = (f"{lost} runs stand in more than one file and count once",) if lost else ()
    return replace(runs_of(list(rows.values())), notes=(*(n for p in parts for n in p.notes), *notes))


def last_checkpoints(runs: Runs) -> Runs:
    """Of every run's checkpoints one, at the latest step that most runs have: losses of other steps have another
    level. Runs that do not have that step are left out. Runs with one step each stay as they are."""
    groups = np.unique(runs.run_id, return_inverse=True)[1]
    kept, notes = np.ones(len(runs), dtype=bool), []
    for fidelity in sorted(set(runs.fidelity)):
        here = np.array([f == fidelity for f in runs.fidelity])
        pairs = np.unique(np.stack([runs.step[here], groups[here]], axis=1), axis=0)
        if len(np.unique(pairs[:, 1])) == len(pairs):
            continue
        steps, having = np.unique(pairs[:, 0], return_counts=True)
        last = int(steps[having == having.max()].max())
        kept[here] = runs.step[here] == last
        lost = len(np.unique(pairs[:, 1])) - int(having.max())
        notes.append(
            f"of {int(here.sum())} checkpoints those of step {last} count, the latest that most runs have"
            + (f"; {lost} runs without it are left out" if lost else "")
        )
    return replace(runs.take(kept), notes=(*runs.notes, *notes)) if notes else runs


OWN = ("run_id", "kind", "size", "asked_tokens", "tokens", "seed", "step", "cost")  # columns beside weights and losses


def write_runs(runs: Runs, path: Path) -> None:
    """One row per run; columns weight/<bucket>, realised/<bucket>, loss/<target>. The same runs give the same bytes."""
    columns: dict[str, pa.Array] = {
        "run_id": pa.array(runs.run_id, pa.string()),
        "kind": pa.array([f.kind for f in runs.fidelity], pa.string()),
        "size": pa.array([f.size for f in runs.fidelity], pa.float64()),
        "asked_tokens": pa.array([f.tokens for f in runs.fidelity], pa.float64()),
        "tokens": pa.array(runs.tokens, pa.int64()),
        "seed": pa.array(runs.seed, pa.int64()),
        "step": pa.array(runs.step, pa.int64()),
        "cost": pa.array(runs.cost, pa.float64()),
    }
    for prefix, names, values in (
        ("weight/", runs.buckets, runs.weights),
        ("realised/", runs.buckets, runs.realised),
        ("loss/", runs.targets, runs.losses),
    ):
        columns |= {prefix + name: pa.array(values[:, j], pa.float64()) for j, name in enumerate(names)}
    table = pa.table(columns).replace_schema_metadata({"buckets_digest": runs.buckets_digest})
    write_parquet(path, table)


def read_runs(path: Path) -> Runs:
    """Raises InputError if the file is missing or was not written by `write_runs`."""
    if not path.is_file():
        raise InputError(f"{path}: no such runs file")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is no Parquet file: {error}") from error
    metadata = table.schema.metadata or {}
    lacking = sorted(set(OWN) - set(table.column_names))
    if lacking:
        raise InputError(f"{path}: no column {', '.join(lacking)}; this is not a table of proxy runs")

    def block(prefix: str) -> tuple[tuple[str, ...], np.ndarray]:
        names = tuple(n.removeprefix(prefix) for n in table.column_names if n.startswith(prefix))
        if not names:
            raise InputError(f"{path}: no column {prefix}<name>; this is not a table of proxy runs")
        return names, np.stack([table[prefix + n].to_numpy() for n in names], axis=1)

    buckets, weights = block("weight/")
    targets, losses = block("loss/")
    fidelity = zip(table["kind"].to_pylist(), table["size"].to_pylist(), table["asked_tokens"].to_pylist(), strict=True)
    return Runs(
        buckets=buckets,
        targets=targets,
        buckets_digest=metadata.get(b"buckets_digest", b"").decode(),
        weights=weights,
        losses=losses,
        realised=block("realised/")[1],
        run_id=tuple(table["run_id"].to_pylist()),
        fidelity=tuple(Fidelity(*f) for f in fidelity),
        **{name: table[name].to_numpy() for name in ("tokens", "seed", "step", "cost")},
    )


def write_jsonl(runs: Runs, path: Path) -> None:
    """A line per run; what a user's own trainer can write by hand."""
    lines = []
    for run in runs.rows():
        record = {**run.__dict__, "fidelity": run.fidelity.__dict__}
        lines.append(json.dumps(record, ensure_ascii=False))
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
