"""Swarms: RegMix's sampler to the letter, designs that fill space, caps everywhere."""

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError
from gristmill.stages.mixture.constraints import constraints_from, unconstrained
from gristmill.stages.mixture.search.candidates import RegMixSampler, cover, dirichlet, pool, swarm

# Token shares of RegMix's 17 Pile domains, as its configuration sampler has them.
PILE = np.array(
    [0.113285273, 0.079608651, 0.003913491, 0.185375901, 0.051081359, 0.015962925, 0.101750772, 0.003707518,
     0.066529351, 0.001750772, 0.027085479, 0.236869207, 0.01184346, 0.007929969, 0.008032956, 0.038825953,
     0.046446962]
)  # fmt: skip
NAMES = tuple(f"b{i}" for i in range(17))


def drawn(seed: int = 42) -> np.ndarray:
    return RegMixSampler().draw(PILE, 512, np.random.default_rng(seed))


def test_regmix_sampler_gives_512_rows_on_the_grid():
    w = drawn()
    assert w.shape == (512, 17)
    assert np.abs(w.sum(axis=1) - 1).max() <= 1e-3
    assert np.allclose(w / 2e-4, np.round(w / 2e-4))
    assert not ((w > 0) & (w < 2e-4 - 1e-12)).any()


def test_regmix_sampler_caps_at_15_times_the_prior():
    assert (drawn() <= np.minimum(15 * PILE / PILE.sum(), 1.0) + 2e-3).all()


def test_regmix_sampler_covers_corners_and_the_middle():
    top = drawn().max(axis=1)
    assert top.max() > 0.98
    assert top.min() < 0.25


def test_regmix_sampler_centres_on_the_tempered_prior():
    tempered = PILE**0.5 / (PILE**0.5).sum()
    free = RegMixSampler(max_usage=1e9).draw(PILE, 4000, np.random.default_rng(0))
    assert np.abs(free.mean(axis=0) - tempered).max() < 0.02


def test_regmix_sampler_repeats_nothing_and_repeats_itself():
    w = drawn()
    assert len({row.tobytes() for row in w}) == 512
    assert np.array_equal(w, drawn())
    assert not np.array_equal(w, drawn(43))


def test_regmix_sampler_that_starves_says_so():
    with pytest.raises(InfeasibleError, match="raise max_usage"):
        RegMixSampler(max_usage=1.0).draw(PILE, 64, np.random.default_rng(0))


def test_prior_without_mass_is_refused():
    with pytest.raises(ConfigError, match="sum above 0"):
        RegMixSampler().draw(np.zeros(3), 4, np.random.default_rng(0))


def test_dirichlet_of_tiny_shapes_stays_on_the_simplex():
    w = dirichlet(np.array([1e-12, 0.5, 0.5 - 1e-12]), np.full(1000, 0.01), np.random.default_rng(0))
    assert np.isfinite(w).all()
    assert np.abs(w.sum(axis=1) - 1).max() < 1e-12


def test_dirichlet_has_the_right_mean_and_variance():
    prior, strength = np.array([0.5, 0.3, 0.2]), 3.0
    w = dirichlet(prior, np.full(200_000, strength), np.random.default_rng(0))
    assert np.abs(w.mean(axis=0) - prior).max() < 0.003
    assert np.abs(w.var(axis=0) - prior * (1 - prior) / (strength + 1)).max() < 0.003


def test_bucket_without_tokens_is_never_drawn():
    w = dirichlet(np.array([0.0, 0.4, 0.6]), np.full(500, 1.0), np.random.default_rng(0))
    assert (w[:, 0] == 0).all()


@pytest.mark.parametrize("cap", [0.9, 0.15, 0.062])
def test_swarm_pool_and_cover_obey_caps_however_tight(cap):
    c = constraints_from(NAMES, maximum=dict.fromkeys(NAMES, cap), minimum={"b3": 0.01})
    rng = np.random.default_rng(0)
    for w in (swarm(RegMixSampler(), PILE, 40, c, rng), pool(PILE, 500, c, rng), cover(PILE, 20, c, rng)):
        assert c.holds(w, 1e-9).all()


def test_cover_is_farther_apart_than_chance():
    c = unconstrained(NAMES)

    def closest(w: np.ndarray) -> float:
        x = np.log(w + 1e-3)
        d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
        return float(d[~np.eye(len(w), dtype=bool)].min())

    rng = np.random.default_rng(0)
    assert closest(cover(PILE, 32, c, rng)) > 1.5 * closest(RegMixSampler().draw(PILE, 32, rng))
