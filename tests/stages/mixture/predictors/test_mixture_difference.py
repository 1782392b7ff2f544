"""The step from one rung to the next: closed forms equal brute force, no worse than its parts, misled by nobody."""

from dataclasses import dataclass

import numpy as np
import pytest

from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.fidelity_step import Difference, matern_of
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.hedged_step import Doubted, FittedDoubted
from gristmill.stages.mixture.predictors.protocol import Fitted

K, T = 10, 3


@dataclass(frozen=True, eq=False)
class Known:
    """A rung below that is known exactly."""

    function: object
    residuals: np.ndarray
    noise: np.ndarray

    def mean(self, weights: np.ndarray) -> np.ndarray:
        return self.function(weights)  # type: ignore[operator]

    def sd(self, weights: np.ndarray) -> np.ndarray:
        return np.zeros((len(weights), T))


def known(function) -> Fitted:
    return Known(function, np.zeros((1, T)), np.zeros(T))


def cheap(w: np.ndarray) -> np.ndarray:
    return np.stack([-np.log(w[:, i] + 0.5 * w[:, i + 1] + 0.03) for i in range(T)], axis=1)


def mixtures(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(K, 0.5), n)


def ranks(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([spearman(predicted[:, j], truth[:, j]) for j in range(T)]))


ONE_CELL = Difference(slopes=((1.0, 1.0),), none=1e-300, amplitudes=(0.4,), lengths=(1.0,), noises=(0.1,))


def covariances(fitted, w: np.ndarray, new: np.ndarray, j: int):
    def k(a, b):
        along = [(cheap(x)[:, j] - fitted.x_mean[j]) / fitted.scale[j] for x in (a, b)]
        return 0.16 * matern_of(fitted.standard(a), fitted.standard(b), K**0.5) + 100.0 + 0.09 * np.outer(*along)

    return k(w, w) + 0.01 * np.eye(len(w)), k(new, w), np.diag(k(new, new))


def test_one_cell_equals_a_gaussian_process_with_offset_and_slope_in_its_covariance():
    w, new = mixtures(12, 0), mixtures(40, 1)
    y = 1.2 * cheap(w) + 3 + np.random.default_rng(2).normal(0, 0.1, (12, T))
    fitted = ONE_CELL.fit(known(cheap), w, y, np.arange(12), 0)
    for j in range(T):
        c, across, own = covariances(fitted, w, new, j)
        standard = ((y - fitted.level - cheap(w) + fitted.x_mean) / fitted.scale)[:, j]
        mean = across @ np.linalg.solve(c, standard)
        sd = np.sqrt(own - np.einsum("ij,ji->i", across, np.linalg.solve(c, across.T)))
        expected = (cheap(new) - fitted.x_mean + fitted.level)[:, j] + fitted.scale[j] * mean
        assert np.allclose(fitted.mean(new)[:, j], expected, atol=1e-9)
        assert np.allclose(fitted.sd(new)[:, j], fitted.scale[j] * sd, atol=1e-9)
        precise = np.linalg.inv(c)
        left_out = fitted.scale[j] * (precise @ standard) / np.diag(precise)
        assert np.allclose(fitted.residuals[:, j], left_out, atol=1e-9)


def test_repeats_of_a_mixture_are_left_out_together():
    w = np.repeat(mixtures(8, 0), 2, axis=0)
    y = cheap(w) + np.random.default_rng(2).normal(0, 0.1, (16, T))
    groups = np.repeat(np.arange(8), 2)
    fitted = ONE_CELL.fit(known(cheap), w, y, groups, 0)
    c = covariances(fitted, w, w, 0)[0]
    standard = ((y - fitted.level - cheap(w) + fitted.x_mean) / fitted.scale)[:, 0]
    precise, at = np.linalg.inv(c), np.array([4, 5])
    left_out = fitted.scale[0] * np.linalg.solve(precise[np.ix_(at, at)], (precise @ standard)[at])
    assert np.allclose(fitted.residuals[at, 0], left_out, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
def test_dear_runs_that_only_add_noise_leave_the_order_of_the_rung_below(n):
    """What adds nothing must cost nothing: noise of a third of the spread, no difference."""
    truth = mixtures(300, 99)
    kept = []
    for seed in range(10):
        w, rng = mixtures(n, seed), np.random.default_rng(seed)
        y = 0.8 * cheap(w) + 1 + rng.normal(0, 0.3 * cheap(truth).std(), (n, T))
        kept.append(ranks(Doubted().fit(known(cheap), w, y, np.arange(n), 0).mean(truth), cheap(truth)))
    assert np.mean(kept) > 0.98


@pytest.mark.parametrize("slope", [0.25, 1.0, 5.0])
def test_a_rung_of_other_spread_is_scaled(slope):
    """An early checkpoint's losses differ less between mixtures than the last one's."""
    truth, w = mixtures(300, 99), mixtures(8, 0)
    y = slope * cheap(w) + np.random.default_rng(0).normal(0, 0.02 * slope, (8, T))
    fitted = Doubted().fit(known(cheap), w, y, np.arange(8), 0)
    error = (fitted.mean(truth) - slope * cheap(truth)).std(axis=0) / (slope * cheap(truth)).std(axis=0)
    assert error.max() < 0.1


def test_a_difference_that_is_there_is_learned():
    def dear(w):
        return cheap(w) + 1.5 * w[:, 5:6]

    new, rng, errors = mixtures(300, 99), np.random.default_rng(0), []
    for n in (8, 64):
        w = mixtures(n, 1)
        y = dear(w) + rng.normal(0, 0.01, (n, T))
        fitted = Doubted().fit(known(cheap), w, y, np.arange(n), 0)
        errors.append(float(np.sqrt(((fitted.mean(new) - dear(new)) ** 2).mean())))
    nothing = float((dear(new) - cheap(new)).std())
    assert errors[1] < 0.4 * errors[0] < 0.8 * nothing


def test_a_rung_that_says_nothing_is_left_aside():
    """The rung below belongs to other buckets; ours alone would do."""
    new, gains = mixtures(300, 99), []
    for seed in range(4):
        w, rng = mixtures(24, seed), np.random.default_rng(seed)
        y = cheap(w) + rng.normal(0, 0.02, (24, T))
        wrong = known(lambda v: cheap(v[:, ::-1]))
        fitted = Doubted().fit(wrong, w, y, np.arange(24), 0)
        assert isinstance(fitted, FittedDoubted)
        alone = GaussianProcess().fit(w, y, np.arange(24), 0)
        gains.append(ranks(fitted.mean(new), cheap(new)) - ranks(alone.mean(new), cheap(new)))
    assert np.mean(gains) > -0.01


def test_sd_covers_what_is_measured():
    def dear(w):
        return 0.7 * cheap(w) + 0.6 * w[:, 5:6]

    w, new, rng = mixtures(20, 3), mixtures(300, 99), np.random.default_rng(0)
    fitted = Doubted().fit(known(cheap), w, dear(w) + rng.normal(0, 0.03, (20, T)), np.arange(20), 0)
    z = np.abs(fitted.mean(new) - dear(new)) / fitted.sd(new)
    assert (z < 1).mean() > 0.5
    assert (z < 2).mean() > 0.85
    assert np.allclose(fitted.known_below(new), 0.0)


def test_the_same_fit_twice_is_the_same():
    w = mixtures(12, 0)
    y = cheap(w) + np.random.default_rng(0).normal(0, 0.1, (12, T))
    a, b = (Doubted().fit(known(cheap), w, y, np.arange(12), 0) for _ in range(2))
    assert np.array_equal(a.mean(mixtures(50, 1)), b.mean(mixtures(50, 1)))
    assert np.array_equal(a.sd(mixtures(50, 1)), b.sd(mixtures(50, 1)))
