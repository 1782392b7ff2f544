"""Runs that workers share: a proxy that answers with what others have measured, and says what is still to be run.

A search that stops for want of a measurement is begun again when it is there; it is deterministic, so it comes as far
without asking anybody, and goes on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from gristmill.stages.mixture.runs.runs import Failing, Fidelity, Measured, Proxy

ASKED = {"proxy": pl.String, "weights": pl.List(pl.List(pl.Float64))}  # weights: (n, k), of runs that are made together
NOTHING = pl.DataFrame(schema=ASKED)


class Unmeasured(Exception):
    """Raised inside a search. `asked`: the runs that it cannot go on without, as ASKED."""

    def __init__(self, asked: pl.DataFrame):
        super().__init__(f"{asked['weights'].list.len().sum()} runs are to be made")
        self.asked = asked


@dataclass(frozen=True)
class Measurement:
    """A run: losses (t,), shares of the tokens that it saw (k,), and why it failed; None: it did not."""

    losses: list[float]
    realised: list[float]
    failure: str | None


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured, by the proxy's name and the mixture. `asks`: what is lacking raises Unmeasured."""

    asks: bool = False
    known: dict[tuple[str, bytes], Measurement] = field(default_factory=dict)

    def add(self, answers: pl.DataFrame) -> "Measurements":
        for row in answers.iter_rows(named=True):
            measurement = Measurement(row["losses"], row["realised"], row["failure"])
            self.known[row["proxy"], key_of(np.array(row["weights"]))] = measurement
        return self


@dataclass(frozen=True, eq=False)
class Shared:
    """A proxy whose runs are made by any worker, `together` of them at once; the same losses as the proxy's own."""

    proxy: Proxy
    name: str  # among the proxies of a search and its confirmation
    together: int
    measurements: Measurements
    failures: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.proxy.kind

    @property
    def buckets(self) -> tuple[str, ...]:
        return self.proxy.buckets

    @property
    def targets(self) -> tuple[str, ...]:
        return self.proxy.targets

    @property
    def fidelity(self) -> Fidelity:
        return self.proxy.fidelity if isinstance(self.proxy, Measured) else Fidelity(self.proxy.kind)

    @property
    def cost(self) -> float:
        return self.proxy.cost if isinstance(self.proxy, Measured) else 1.0

    def lacking(self, weights: np.ndarray) -> pl.DataFrame:
        """Of mixtures (n, k) those that were not run, each once, as ASKED."""
        rows = {key: row for row in weights if (self.name, key := key_of(row)) not in self.measurements.known}
        left = [row.tolist() for row in rows.values()]
        groups = [left[i : i + self.together] for i in range(0, len(left), self.together)]
        return pl.DataFrame({"proxy": [self.name] * len(groups), "weights": groups}, schema=ASKED)

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) -> (n, t), NaN where a run failed. Raises Unmeasured."""
        lacking = self.lacking(weights)
        if lacking.height and self.measurements.asks:
            raise Unmeasured(lacking)
        for asked in lacking.iter_slices(1):
            self.measurements.add(measured(self.proxy, asked))
        found = self._found(weights)
        self.failures.extend(m.failure for m in found if m.failure is not None)
        return np.array([m.losses for m in found], dtype=np.float64).reshape(len(weights), len(self.targets))

    def realised(self, weights: np.ndarray) -> np.ndarray:
        return np.array([m.realised for m in self._found(weights)], dtype=np.float64).reshape(weights.shape)

    def _found(self, weights: np.ndarray) -> list[Measurement]:
        return [self.measurements.known[self.name, key_of(row)] for row in weights]


def key_of(mixture: np.ndarray) -> bytes:
    """The same for mixtures that proxies take for the same: to 9 decimals."""
    return (np.round(mixture, 9) + 0.0).tobytes()  # + 0.0: no negative zero


def measured(proxy: Proxy, asked: pl.DataFrame) -> pl.DataFrame:
    """Makes the runs of a row of ASKED: a row each with weights, losses and realised as lists, failure and failed."""
    weights = np.array(asked["weights"].item().to_list(), dtype=np.float64)
    before = len(proxy.failures) if isinstance(proxy, Failing) else 0
    losses = np.asarray(proxy.losses(weights), dtype=np.float64)
    realised = proxy.realised(weights) if isinstance(proxy, Measured) else weights
    failed = [not np.isfinite(row).all() for row in losses]
    said = iter(proxy.failures[before:] if isinstance(proxy, Failing) else ())
    return pl.DataFrame(
        {
            "proxy": [asked["proxy"].item()] * len(weights),
            "weights": weights.tolist(),
            "losses": losses.tolist(),
            "realised": realised.tolist(),
            "failure": [next(said, "a loss is not finite") if lost else None for lost in failed],
            "failed": failed,
        },
        schema_overrides={"failure": pl.String},
    )


def ask_together(asked: Iterable[tuple[Proxy, np.ndarray]]) -> None:
    """Asks for runs on several proxies at once, so that no worker waits for those of the first. Raises Unmeasured."""
    lacking = [p.lacking(weights) for p, weights in asked if isinstance(p, Shared) and p.measurements.asks]
    if lacking and (more := pl.concat(lacking)).height:
        raise Unmeasured(more)
