"""Confirmation: fresh seeds, an interval, and a plain no where it is a no."""

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import constraints_from, unconstrained
from gristmill.stages.mixture.objective import Objective, mean_of
from gristmill.stages.mixture.search.confirm import baselines, confirm, fresh


class Noisy:
    """Loss of target x falls with bucket a; every seed shifts all mixtures together and each a little."""

    kind, buckets, targets = "noisy", ("a", "b", "c"), ("x", "y")

    def __init__(self, seed: int = 0, noise: float = 0.05):
        self.seed, self.noise = seed, noise

    def reseeded(self, seed: int) -> "Noisy":
        return Noisy(seed, self.noise)

    def losses(self, w: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        y = np.stack([3 - np.log(w[:, 0] + 0.1), np.full(len(w), 2.0)], axis=1)
        return y + rng.normal(0, 1.0) + rng.normal(0, self.noise, (len(w), 2))


class Exact:
    kind, buckets, targets = "exact", ("a", "b", "c"), ("x",)

    def losses(self, w: np.ndarray) -> np.ndarray:
        return 1 - w[:, :1]


NATURAL = np.array([0.2, 0.4, 0.4])
PLAIN = baselines(NATURAL, unconstrained("abc"), None, None)


def test_a_better_mixture_is_better_with_an_interval_below_zero():
    result = confirm(fresh(Noisy(), range(5)), np.array([0.6, 0.2, 0.2]), PLAIN, mean_of(("x", "y"), "losses"))
    assert result.better_than_natural
    assert result.verdict.startswith("better than natural")
    against = result.comparisons[0]
    assert against.baseline == "natural"
    assert against.low < against.difference < against.high < 0
    assert against.better_in == 5
    assert [c.baseline for c in result.comparisons] == ["natural", "uniform"]


def test_the_same_mixture_is_not_better_than_natural():
    result = confirm(fresh(Noisy(), range(5)), NATURAL, PLAIN, mean_of(("x", "y"), "losses"))
    assert not result.better_than_natural
    assert result.verdict.startswith("no measurable gain over natural")
    assert result.comparisons[0].low < 0 < result.comparisons[0].high


def test_pairs_cancel_what_a_seed_does_to_all_mixtures():
    """The common shift has sd 1.0, the paired noise 0.05: unpaired, nothing could be told from 5 seeds."""
    result = confirm(fresh(Noisy(), range(5)), np.array([0.35, 0.35, 0.3]), PLAIN, mean_of(("x", "y"), "losses"))
    assert result.comparisons[0].high - result.comparisons[0].low < 0.3
    assert result.better_than_natural


class Traded(Noisy):
    """What x gains, y pays a part of."""

    def reseeded(self, seed: int) -> "Traded":
        return Traded(seed, self.noise)

    def losses(self, w: np.ndarray) -> np.ndarray:
        return super().losses(w) + np.stack([np.zeros(len(w)), w[:, 0]], axis=1)


def test_a_guarded_target_that_pays_for_the_others_makes_it_no_better():
    goal, chosen = mean_of(("x", "y"), "losses"), np.array([0.6, 0.2, 0.2])
    assert confirm(fresh(Traded(), range(5)), chosen, PLAIN, goal).better_than_natural
    guarded = confirm(fresh(Traded(), range(5)), chosen, PLAIN, goal, guard=("y",))
    assert not guarded.better_than_natural
    assert guarded.verdict.startswith("not better than natural: guarded y is worse by 0.4")
    assert confirm(fresh(Noisy(), range(5)), chosen, PLAIN, goal, guard=("y",)).better_than_natural


def test_accuracies_turn_the_sign():
    goal = Objective((("x", 1.0),), "accuracies")
    result = confirm(fresh(Noisy(), range(5)), np.array([0.05, 0.5, 0.45]), PLAIN, goal)
    assert result.better_than_natural  # x rises as bucket a falls, and here higher is better


def test_a_proxy_without_chance_has_no_interval_and_says_so():
    result = confirm(fresh(Exact(), range(5)), np.array([0.5, 0.25, 0.25]), PLAIN, mean_of(("x",), "losses"))
    assert result.better_than_natural
    assert "no interval" in result.verdict
    assert result.comparisons[0].seeds == 1
    assert result.comparisons[0].difference == pytest.approx(-0.3)


def test_one_seed_or_no_natural_is_refused():
    with pytest.raises(ConfigError, match="two fresh seeds"):
        confirm(fresh(Noisy(), [0]), NATURAL, PLAIN, mean_of(("x", "y"), "losses"))
    with pytest.raises(ConfigError, match="natural"):
        confirm(fresh(Noisy(), [0, 1]), NATURAL, {"uniform": NATURAL}, mean_of(("x", "y"), "losses"))


def test_baselines_are_what_could_be_built():
    c = constraints_from("abc", maximum={"b": 0.3})
    plain = baselines(NATURAL, c, np.array([10.0, 1000.0, 1000.0]), 100.0, 1.0)
    assert set(plain) == {"natural", "uniform", "unimax"}
    assert all(c.holds(w[None]).all() for w in plain.values())
    assert plain["unimax"][0] == pytest.approx(0.1 / 0.85 * 0.7, abs=0.05)
