"""From losses per target to the one number that a search minimises; kept apart from runs and from optimisers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError


@dataclass(frozen=True)
class Objective:
    """A weighted mean over targets; lower is better after the direction is applied.

    `fit` says what predictors learn: "per_target" fits every target and averages the predictions (better on losses:
    Spearman 0.95 against 0.87 at 64 of RegMix's runs); "average" fits the mean itself (for targets that are mostly
    noise alone, like PIQA in CLIMB's runs).
    """

    weights: tuple[tuple[str, float], ...]  # target -> weight > 0, in any scale
    direction: Literal["losses", "accuracies"]  # lower is better, or higher is better
    fit: Literal["per_target", "average"] = "per_target"

    def __post_init__(self) -> None:
        names = [name for name, _ in self.weights]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"an objective needs targets, each once; got {names}")
        for name, weight in self.weights:
            if not (np.isfinite(weight) and weight > 0):
                raise ConfigError(f"objective: weight of target {name!r} must be a number above 0, not {weight}")
        if self.direction not in ("losses", "accuracies"):
            raise ConfigError(f"objective: direction is 'losses' or 'accuracies', not {self.direction!r}")
        if self.fit not in ("per_target", "average"):
            raise ConfigError(f"objective: fit is 'per_target' or 'average', not {self.fit!r}")

    def over(self, targets: Sequence[str]) -> np.ndarray:
        """(t,) weights in the order of `targets`, sum 1, 0 where unused. ConfigError names a target nobody measures."""
        given = dict(self.weights)
        missing = sorted(set(given) - set(targets))
        if missing:
            raise ConfigError(f"objective: no run measures {', '.join(missing)}; there are {', '.join(targets)}")
        a = np.array([given.get(name, 0.0) for name in targets])
        return a / a.sum()

    @property
    def sign(self) -> float:
        return 1.0 if self.direction == "losses" else -1.0

    def score(self, losses: np.ndarray, targets: Sequence[str]) -> np.ndarray:
        """(n, t) -> (n,), lower is better."""
        return self.sign * (losses @ self.over(targets))


def mean_of(targets: Sequence[str], direction: Literal["losses", "accuracies"]) -> Objective:
    """Every target counts the same."""
    return Objective(tuple((name, 1.0) for name in targets), direction)


def objective_of(given: Sequence[tuple[str, float]], targets: Sequence[str]) -> Objective:
    """Of losses: the weights that are given, or else the mean. ConfigError for a target that nobody measures."""
    objective = Objective(tuple(given), "losses") if given else mean_of(targets, "losses")
    objective.over(targets)
    return objective


def fit_table(objective: Objective, losses: np.ndarray, targets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What a predictor learns and how its outputs combine: (n, m) columns, signed so that lower is better, and (m,)
    weights that sum to 1. m is the number of targets with a weight, or 1 where the mean is fitted."""
    a = objective.over(targets)
    used = np.flatnonzero(a)
    columns = objective.sign * losses[:, used]
    if objective.fit == "average":
        return columns @ a[used][:, None], np.ones(1)
    return columns, a[used]


def weights_of(values: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
    """(k,) in the order of `names`; ConfigError on a name that is not there."""
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"unknown {', '.join(unknown)}; there are {', '.join(names)}")
    return np.array([values.get(name, 0.0) for name in names], dtype=float)
