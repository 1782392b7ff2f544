"""QuaDMix's parameters: Algorithm 1's laws, and a planted optimum (specs 2.3, 2.7)."""

import numpy as np
import pytest

from gristmill.pipeline.kernels.numbers.sampling_curve import Shape, kept_ratio, sampling_value, token_ranks
from gristmill.stages.mixture.objective import Objective
from gristmill.stages.mixture.rates.searchers import QuadmixSpace, ThetaSearch, TrustRegion

DOMAINS, CRITERIA, DOCS = 4, 3, 400
NEED = np.array([0.5, 0.3, 0.15, 0.05])
LOSS = Objective((("loss", 1.0),), "losses")


def thetas(space: QuadmixSpace, n: int = 4000) -> np.ndarray:
    return space.theta(np.random.default_rng(0).random((n, space.inputs)))


def test_space_of_the_paper_has_182_parameters():
    space = QuadmixSpace(3, 26)
    assert space.inputs == 3 + 182
    assert thetas(space, 2).shape == (2, 182)


def test_alpha_sums_to_one_and_follows_the_global_weight():
    space = QuadmixSpace(3, 26)
    u = np.random.default_rng(0).random((300, space.inputs))
    alpha = space.theta(u)[:, : 26 * 3].reshape(-1, 26, 3)
    assert np.allclose(alpha.sum(axis=2), 1.0)
    overall = u[:, :3] / u[:, :3].sum(axis=1, keepdims=True)
    assert np.corrcoef(alpha.mean(axis=1)[:, 0], overall[:, 0])[0, 1] > 0.9
    assert alpha.mean(axis=1)[:, 0].std() > 0.1  # without the global weight it would be 1/3 every time


@pytest.mark.parametrize(("scale", "median"), [("log10", 10**1.5), ("linear", 500.0)])
def test_ranges_are_the_papers(scale, median):
    space = QuadmixSpace(2, 3, lambda_scale=scale)
    parts = [space.unpack(t) for t in thetas(space)]
    steep = np.array([p["lambda"] for p in parts])
    assert np.median(steep) == pytest.approx(median, rel=0.1)
    assert max(p["omega"].max() for p in parts) <= 0.1
    assert max(p["epsilon"].max() for p in parts) <= 1e-3
    assert (0 if scale == "linear" else 1) <= steep.min() <= steep.max() <= 1000
    assert all((p[name] >= 0).all() for p in parts for name in ("omega", "eta", "epsilon"))
    assert max(p["eta"].max() for p in parts) <= 1


@pytest.mark.parametrize(("scale", "expected"), [("log10", 0.061), ("linear", 0.070)])
def test_drawn_shapes_keep_the_share_of_the_specification(scale, expected):
    space = QuadmixSpace(1, 8_000, lambda_scale=scale)
    p = space.unpack(thetas(space, 1)[0])
    shapes = zip(p["lambda"], p["omega"], p["eta"], p["epsilon"], strict=True)
    assert np.mean([kept_ratio(Shape(*map(float, s))) for s in shapes]) == pytest.approx(expected, abs=0.001)


def world(seed: int, scale: str = "log10"):
    """Three criteria see a latent quality through noise 0.3, 1 and 3; the loss wants NEED's shares and good texts."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=(DOMAINS, DOCS))
    seen = np.stack([quality + rng.normal(size=quality.shape) * sd for sd in (0.3, 1.0, 3.0)], axis=2)
    ranks = (-seen).argsort(axis=1).argsort(axis=1) / DOCS
    space = QuadmixSpace(CRITERIA, DOMAINS, lambda_scale=scale)

    def evaluate(batch: np.ndarray) -> np.ndarray:
        out = np.empty((len(batch), 1))
        for i, theta in enumerate(batch):
            p, kept, good = space.unpack(theta), np.zeros(DOMAINS), 0.0
            for m in range(DOMAINS):
                merged = ranks[m] @ p["alpha"][m]
                rank = (merged.argsort().argsort() + 1) / DOCS
                s = sampling_value(rank, Shape(p["lambda"][m], p["omega"][m], p["eta"][m], p["epsilon"][m]))
                kept[m] = s.sum()
                good += NEED[m] * (s * quality[m]).sum() / s.sum()
            share = kept / kept.sum()
            out[i] = (NEED * np.log(NEED / share)).sum() + 0.5 * (2.2 - good)
        return out

    return space, evaluate


@pytest.mark.parametrize("scale", ["log10", "linear"])
def test_planted_parameters_are_recovered(scale):
    space, evaluate = world(0, scale)
    found = ThetaSearch(600, 20_000).run(space, evaluate, LOSS, ("loss",), 0)
    loss, ran = float(evaluate(found.theta[None])[0, 0]), found.losses[:, 0]
    assert loss < 0.4 * np.median(ran)
    assert loss < ran.min() + 0.2
    alpha = space.unpack(found.theta)["alpha"].mean(axis=0)
    assert alpha[0] > 0.5 > alpha[1] > alpha[2]


@pytest.mark.parametrize("scale", ["log10", "linear"])
def test_planted_needs_and_criterion_are_recovered(scale):
    """4 domains, 3 criteria (noise .3, 1, 3 on a latent quality), 600 proxies with an analytic loss, 20,000 draws.

    The loss is the divergence of the domains' token shares from the need, and a reward for latent quality.
    """
    import lightgbm
    from scipy.stats import spearmanr

    rng, n = np.random.default_rng(7), 1500
    latent = rng.normal(size=(4, n))
    criteria = latent[..., None] + rng.normal(size=(4, n, 3)) * np.array([0.3, 1.0, 3.0])
    scaled = criteria.argsort(axis=1).argsort(axis=1) / n  # one document, one token: ranks are counts
    space = QuadmixSpace(3, 4, lambda_scale=scale)

    def loss(theta: np.ndarray) -> float:
        p, mass, good = space.unpack(theta), np.zeros(4), np.zeros(4)
        for m in range(4):
            merged = scaled[m] @ p["alpha"][m]
            shape = Shape(p["lambda"][m], p["omega"][m], p["eta"][m], p["epsilon"][m])
            rate = sampling_value(token_ranks(merged, np.ones(n)), shape)
            mass[m], good[m] = rate.sum(), (rate * latent[m]).sum() / rate.sum()
        share = mass / mass.sum()
        return float(NEED @ np.log(NEED / share) + 0.5 * np.mean((2.0 - np.minimum(good, 2.0)) ** 2))

    x = space.theta(rng.random((600, space.inputs)))
    y = np.array([loss(t) for t in x])
    settings = {"n_estimators": 600, "learning_rate": 0.03, "num_leaves": 15, "n_jobs": 1, "verbose": -1, "seed": 1}
    model = lightgbm.LGBMRegressor(**settings).fit(x[:500], y[:500])
    assert spearmanr(model.predict(x[500:]), y[500:])[0] > 0.85

    pool = space.theta(rng.random((20_000, space.inputs)))
    star = pool[np.argsort(model.predict(pool))[:10]].mean(axis=0)
    assert loss(star) < 0.4 * np.median(y)
    assert loss(star) < 1.5 * y.min()
    alpha = space.unpack(star)["alpha"].mean(axis=0)
    assert alpha[0] > 0.5
    assert alpha[2] < 0.15


def test_trust_region_beats_random_draws_with_the_same_runs():
    for seed in (0, 1):
        space, evaluate = world(seed)
        plain = ThetaSearch(600, 20_000).run(space, evaluate, LOSS, ("loss",), seed)
        near = TrustRegion(200, 20, 20).run(space, evaluate, LOSS, ("loss",), seed)
        assert len(near.losses) == len(plain.losses) == 600
        assert evaluate(near.theta[None])[0, 0] < evaluate(plain.theta[None])[0, 0]


def test_parameter_search_is_the_same_twice():
    for settings in (ThetaSearch(80, 2000), TrustRegion(40, 3, 8, pool=200)):
        a, b = (settings.run(*world(3), LOSS, ("loss",), 7) for _ in range(2))
        assert np.array_equal(a.theta, b.theta)
