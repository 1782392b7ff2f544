"""What a proxy's section in a config offers: how much it reads, and the proxy made from what a run has."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from gristmill.stages.mixture.material.readings import Material
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.runs.runs import Proxy


@dataclass(frozen=True, eq=False)
class Chance:
    """What one making of a proxy has beside its material. `seed` is of a training; counts have none."""

    threads: int
    seed: int
    scratch: Path  # finished runs are kept here over a kill
    like: NgramProxy | None = None  # counts on another draw, whose fitted constants may be taken over
    exact: np.ndarray | None = None  # (n, k) mixtures that an interpolating proxy must not interpolate


class ProxySection:
    """A proxy's settings: a frozen dataclass that derives from this; its fields are keys of the config.

    Built-in proxies have sections of their own under `mixture` (`mixture.ngram`); one of the user's is named
    `mixture.proxy: module:Class` and has its fields in `mixture.proxy_settings`.
    """

    default_method: ClassVar[str] = "bayes"  # what it is searched with where the config names no method
    exact: ClassVar[bool] = False  # counts without noise, so that it has a slope and tells single documents apart
    # Workers, of any node, that make the runs of a round of the search: for one whose runs take minutes. 1: one process
    # makes them. A field of this name is a setting.
    spread: int = 1

    @property
    def each(self) -> int:
        """Runs that one worker makes at once."""
        return 1

    @property
    def side_by_side(self) -> int:
        """Runs that all its workers make at once."""
        return self.each * self.spread

    @property
    def weighable(self) -> bool:
        """Whether the cost of a run is known beside that of n-gram counts (for the ladder search)."""
        return True

    def check(self) -> None:
        """Raises ConfigError where it could not run, before anything is read."""

    def preflight(self) -> None:
        """Looks for the packages and devices that it needs, before anything runs. Raises ConfigError."""

    def share(self, available: int, budget: int) -> float:
        """The fraction of every bucket that it reads, and of the corpus's budget that it spends: a bucket is repeated
        in the proxy as often as it would be in the corpus. Both arguments in tokens."""
        return 1.0

    def make(self, m: Material, chance: Chance) -> Proxy:
        raise NotImplementedError
