"""Searches: planted optima found, nothing found where nothing is, constraints held to the last step."""

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import constraints_from, unconstrained
from gristmill.stages.mixture.objective import Objective, mean_of
from gristmill.stages.mixture.predictors.fidelities import STEP, fit_rungs
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.trees import CLIMB_TREES
from gristmill.stages.mixture.runs.import_tables import TableProxy, table_runs
from gristmill.stages.mixture.runs.runs import Fidelity
from gristmill.stages.mixture.search.bayes import Bayes, log_expected_improvement
from gristmill.stages.mixture.search.final_mixture import FinalRule
from gristmill.stages.mixture.search.gradient import Direct
from gristmill.stages.mixture.search.ladder import Ladder
from gristmill.stages.mixture.search.regmix_climb import Climb, OneShot
from gristmill.stages.mixture.search.search import METHODS, search, search_runs
from gristmill.stages.mixture.standalone.write_up import markdown


class Planted:
    """60 + 4 sum_i a_i log(w_i + 0.03) + noise, four a_i above 0; higher is better (specs 1.10)."""

    targets = ("utility",)

    def __init__(self, k: int = 21, seed: int = 0, noise: float = 0.15, size: float = 0.0, tilt: float = 0.0):
        rng = np.random.default_rng(seed)
        self.buckets = tuple(f"b{i:02d}" for i in range(k))
        self.a = np.zeros(k)
        self.a[rng.choice(k, 4, replace=False)] = rng.dirichlet(np.full(4, 2.0))
        self.natural = rng.dirichlet(np.full(k, 2.0))
        self.wrong = tilt * rng.normal(size=k)
        self.noise, self.rng, self.kind = noise, np.random.default_rng((seed, int(size))), "planted"
        self.fidelity, self.cost = Fidelity("planted", size), 1.0

    def true(self, w: np.ndarray) -> np.ndarray:
        w = np.atleast_2d(w)
        return 60.0 + 4.0 * (np.log(w + 0.03) @ self.a) + w @ self.wrong

    def losses(self, w: np.ndarray) -> np.ndarray:
        return (self.true(w) + self.rng.normal(0, self.noise, len(w)))[:, None]

    def realised(self, w: np.ndarray) -> np.ndarray:
        return w

    def optimum(self) -> float:
        from scipy.optimize import minimize

        found = minimize(
            lambda z: -float(self.true(np.exp(z) / np.exp(z).sum())[0]),
            np.log(self.a + 1e-3),
            method="L-BFGS-B",
        )
        return -float(found.fun)


class Slope:
    """Noise-free losses with a gradient: cross-entropy-like, two targets."""

    kind = "slope"
    buckets = tuple("abcd")
    targets = ("x", "y")

    def losses(self, w: np.ndarray) -> np.ndarray:
        return np.stack([-np.log(w[:, 0] + 0.5 * w[:, 1] + 0.01), -np.log(w[:, 2] + 0.01)], axis=1)

    def gradient(self, w: np.ndarray, target_weights: np.ndarray) -> np.ndarray:
        x, y = target_weights.T
        first, second = -x / (w[:, 0] + 0.5 * w[:, 1] + 0.01), -y / (w[:, 2] + 0.01)
        return np.stack([first, 0.5 * first, second, 0.0 * first], axis=1)


UTILITY = Objective((("utility", 1.0),), "accuracies")
QUICK = {
    "climb": Climb((24, 12, 6), pool=4000, min_top=32),
    "regmix": OneShot(40, predictor=CLIMB_TREES, final=FinalRule("mean_top", 50, pool=4000)),
    "bayes": Bayes(first=6, evaluations=18, pool=512, local_rounds=1),
}


def found(proxy, method, seed, constraints=None):
    return search(proxy, proxy.natural, constraints or unconstrained(proxy.buckets), UTILITY, method, seed)


def test_climb_rounds_rise_and_beat_natural():
    proxy = Planted()
    result = found(proxy, "climb", 0)
    means = [-r.mean_score for r in result.trace]
    assert means[0] < means[1] < means[2]
    assert [r.runs_n for r in result.trace] == [64, 32, 16]
    assert proxy.true(result.weights)[0] > proxy.true(proxy.natural)[0] + 2
    assert result.found
    assert len({row.tobytes() for row in result.runs.weights}) == 112


@pytest.mark.slow
def test_climb_beats_one_shot_in_nine_of_twelve_seeds():
    wins = 0
    for seed in range(12):
        proxy = Planted(seed=seed)
        rounds = found(proxy, "climb", seed)
        means = [-r.mean_score for r in rounds.trace]
        assert means[0] < means[1] < means[2]
        once = found(Planted(seed=seed), OneShot(112, predictor=CLIMB_TREES, final=FinalRule("argmin")), seed)
        wins += bool(proxy.true(rounds.weights)[0] > proxy.true(once.weights)[0])
    assert wins >= 9


@pytest.mark.slow
def test_one_shot_regmix_with_512_runs_comes_close_to_the_optimum():
    """Specs 4.7: K = 8, noise 0.05; better than the best sampled, gap at most 30% of prior to oracle."""
    for seed in range(5):
        proxy = Planted(8, seed, noise=0.05)
        result = found(proxy, "regmix", seed)
        best, home, reached = proxy.optimum(), proxy.true(proxy.natural)[0], proxy.true(result.weights)[0]
        assert result.report.objective.spearman >= 0.98
        assert reached > proxy.true(result.runs.weights).max()
        assert best - reached <= 0.3 * (best - home)


def test_bayes_needs_fewer_runs_than_climb():
    for seed in range(2):
        proxy = Planted(seed=seed)
        result = found(proxy, Bayes(evaluations=32), seed)
        best, home = proxy.optimum(), proxy.true(proxy.natural)[0]
        assert proxy.true(result.weights)[0] > home + 0.8 * (best - home)


@pytest.mark.parametrize("name", list(QUICK))
def test_search_is_the_same_twice(name):
    a, b = (found(Planted(8, 3), QUICK[name], 5) for _ in range(2))
    assert np.array_equal(a.weights, b.weights)
    assert list(a.runs.rows()) == list(b.runs.rows())
    assert a.summary() == b.summary()


@pytest.mark.parametrize("name", list(QUICK))
def test_every_mixture_ever_asked_obeys_the_constraints(name):
    proxy = Planted(8, 1)
    c = constraints_from(
        proxy.buckets,
        maximum=dict.fromkeys(proxy.buckets, 0.3),
        minimum={"b01": 0.05},
        fixed={"b07": 0.1},
        groups=[("g", ("b02", "b03"), 0.25, 0.25)],
    )
    result = found(proxy, QUICK[name], 0, c)
    assert c.holds(result.runs.weights, 2e-6).all()
    assert c.holds(result.weights[None], 2e-6).all()


@pytest.mark.parametrize("name", list(QUICK))
def test_shuffled_losses_find_nothing_and_natural_stands(name):
    class Shuffled(Planted):
        def losses(self, w):
            return super().losses(w)[self.rng.permutation(len(w))] * 0 + self.rng.normal(size=(len(w), 1))

    proxy = Shuffled(8, 2)
    result = found(proxy, QUICK[name], 0)
    assert not result.found
    assert np.allclose(result.weights, proxy.natural, atol=1e-6)
    assert "nothing found" in result.verdict or "natural mixture stands" in result.verdict


def test_finished_runs_with_shuffled_losses_find_nothing():
    proxy = Planted(8, 0)
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(8), 120)
    losses = proxy.losses(w)
    ids = tuple(map(str, range(120)))
    for y, expected in ((losses, True), (losses[rng.permutation(120)], False)):
        runs = table_runs(w, y, proxy.buckets, proxy.targets, ids, Fidelity())
        rule = FinalRule("argmin", pool=2000)
        c = unconstrained(proxy.buckets)
        result = search_runs(runs, proxy.natural, c, UTILITY, GaussianProcess(), rule, 0)
        assert result.found is expected


def test_guard_keeps_every_guarded_target_at_natural_or_better():
    """Without the guard all weight would go where target x is best; y must not pay for it."""
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(4), 80)
    runs = table_runs(w, Slope().losses(w), Slope.buckets, Slope.targets, tuple(map(str, range(80))), Fidelity())
    natural, goal = np.full(4, 0.25), Objective((("x", 10.0), ("y", 0.01)), "losses")
    free, guarded = (
        search_runs(runs, natural, c, goal, GaussianProcess("log"), FinalRule("argmin", pool=5000, local_rounds=2), 0)
        for c in (unconstrained(Slope.buckets), constraints_from(Slope.buckets, guard=("y",)))
    )
    home = Slope().losses(natural[None])[0]
    assert Slope().losses(free.weights[None])[0, 1] > home[1] + 0.1
    assert Slope().losses(guarded.weights[None])[0, 1] <= home[1] + 0.02
    assert Slope().losses(guarded.weights[None])[0, 0] < home[0] - 0.1


def test_direct_follows_the_slope_along_a_guard_to_the_best_that_it_allows():
    """0.9 x + 0.1 y is lowest at (0.91, 0, 0.09, 0); with y kept as under natural, at (0.75, 0, 0.25, 0)."""
    goal = Objective((("x", 0.9), ("y", 0.1)), "losses")
    home = Slope().losses(np.full((1, 4), 0.25))[0]
    free, kept = (
        search(Slope(), np.full(4, 0.25), constraints_from(Slope.buckets, guard=guard), goal, "direct", 0)
        for guard in ((), ("y",))
    )
    assert free.weights[2] < 0.12
    assert kept.weights == pytest.approx([0.75, 0, 0.25, 0], abs=1e-3)
    assert Slope().losses(kept.weights[None])[0, 1] <= home[1] + 1e-9
    assert kept.found


def test_direct_stays_at_natural_where_guards_allow_nothing_better():
    goal = mean_of(("x", "y"), "losses")
    pinned = constraints_from(Slope.buckets, guard=("x", "y"), maximum={"d": 0.0, "b": 0.0})
    result = search(Slope(), np.array([0.5, 0.0, 0.5, 0.0]), pinned, goal, "direct", 0)
    assert result.weights.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert not result.found


def test_guard_on_an_unfitted_target_is_an_error():
    c = constraints_from(Slope.buckets, guard=("y",))
    with pytest.raises(ConfigError, match="must be targets of the objective"):
        search(Slope(), np.full(4, 0.25), c, Objective((("x", 1.0),), "losses"), QUICK["climb"], 0)


def test_direct_descends_to_the_exact_optimum():
    result = search(Slope(), np.full(4, 0.25), unconstrained(Slope.buckets), mean_of(("x", "y"), "losses"), Direct(), 0)
    # -log(a + .01) - log(c + .01) on a + c = 1: halves.
    assert np.allclose(result.weights, [0.5, 0.0, 0.5, 0.0], atol=0.01)


def test_direct_stops_at_the_caps():
    c = constraints_from(Slope.buckets, maximum={"a": 0.3})
    result = search(Slope(), np.full(4, 0.25), c, mean_of(("x", "y"), "losses"), Direct(), 0)
    best = min(float(Slope().losses(np.array([[0.3, b, 0.7 - b, 0.0]])).sum()) for b in np.linspace(0, 0.7, 701))
    assert float(Slope().losses(result.weights[None]).sum()) == pytest.approx(best, abs=1e-3)


def test_direct_without_a_gradient_says_what_to_use():
    with pytest.raises(ConfigError, match="has no gradient; use climb"):
        found(Planted(4), "direct", 0)


def test_bayes_batches_ask_different_mixtures():
    proxy = Planted(8, 4)
    result = found(proxy, Bayes(first=6, evaluations=18, batch=4, pool=512, local_rounds=1), 0)
    assert [r.runs_n for r in result.trace] == [6, 4, 4, 4]
    assert len({row.tobytes() for row in result.runs.weights}) == 18


def test_bayes_on_a_table_asks_only_what_it_holds_and_finds_its_best():
    proxy = Planted(6, 0, noise=0.01)
    w = np.random.default_rng(1).dirichlet(np.ones(6), 120)
    y = proxy.losses(w)
    table = TableProxy(table_runs(w, y, proxy.buckets, proxy.targets, tuple(map(str, range(120))), Fidelity()))
    c = unconstrained(proxy.buckets)
    result = search(table, proxy.natural, c, UTILITY, Bayes(first=6, evaluations=24), 0)
    assert result.runs.losses.max() == y.max()
    assert len({row.tobytes() for row in result.runs.weights}) == 24


def test_log_expected_improvement_equals_the_integral_and_stays_finite():
    from scipy.integrate import quad
    from scipy.stats import norm

    for mean, sd in ((0.3, 0.5), (2.0, 0.4), (-1.0, 1.0)):
        value = quad(lambda f, m=mean, s=sd: -f * norm.pdf(f, m, s), -20, 0)[0]
        got = log_expected_improvement(np.array([mean]), np.array([sd]), 0.0)[0]
        assert got == pytest.approx(np.log(value), abs=1e-6)
    far = log_expected_improvement(np.array([5.0, 50.0, 500.0]), np.ones(3), 0.0)
    assert np.isfinite(far).all()
    assert far[0] > far[1] > far[2]


def test_rungs_correct_a_cheap_proxy_that_misleads():
    errors = []
    for seed in range(4):
        cheap, dear = Planted(12, seed, size=1.0, tilt=2.0), Planted(12, seed, size=9.0)
        rng = np.random.default_rng(seed)
        low, high, test = (rng.dirichlet(np.full(12, 0.5), n) for n in (80, 12, 200))

        def runs(proxy, w):
            ids = tuple(f"{proxy.fidelity.size}-{i}" for i in range(len(w)))
            return table_runs(w, -proxy.losses(w), proxy.buckets, proxy.targets, ids, proxy.fidelity)

        a, b = runs(cheap, low), runs(dear, high)
        each = ([(r, r.losses) for r in rungs] for rungs in ((a, b), (a,), (b,)))
        fitted = [fit_rungs(GaussianProcess(), STEP, rungs, 0) for rungs in each]
        errors.append([float(np.sqrt(((f.mean(test)[:, 0] + dear.true(test)) ** 2).mean())) for f in fitted])
    both, cheap_only, dear_only = np.mean(errors, axis=0)
    assert both < min(cheap_only, dear_only)


def test_ladder_spends_its_budget_mostly_below_and_beats_natural():
    top, below = Planted(8, 0, size=9.0), Planted(8, 0, size=1.0, tilt=1.0)
    below.cost = 0.05
    c = unconstrained(top.buckets)
    settings = Ladder(budget=8.0, first=16, pool=256)
    result = search(top, top.natural, c, UTILITY, settings, 0, cheaper=(below,))
    sizes = [f.size for f in result.runs.fidelity]
    assert result.runs.cost.sum() <= 8.0 + 1e-9
    assert sizes.count(1.0) >= 16
    assert sizes.count(9.0) <= 8
    assert top.true(result.weights)[0] > top.true(top.natural)[0] + 2


def test_ladder_asks_a_rung_that_costs_nothing_once_for_all():
    """An n-gram run costs 1e-5 of a trained one: asked one by one until the budget is spent, it would never end."""
    top, below = Planted(6, 0, size=9.0), Planted(6, 0, size=1.0, tilt=0.5)
    below.cost = 1e-7
    settings = Ladder(budget=8.0, first_free=60, pool=128)
    result = search(top, top.natural, unconstrained(top.buckets), UTILITY, settings, 0, cheaper=(below,))
    assert [r.runs_n for r in result.trace if r.fidelity.size == 1.0] == [60]
    ranks = result.report.fidelities[0]
    assert (ranks.cheap.size, ranks.dear.size) == (1.0, 9.0)
    assert ranks.predicted > 0.5
    says = "Cheap runs (planted, 1 parameters) predict the order of other mixtures' dear ones at"
    assert says in markdown(result, top.natural, -1.0)
    assert sum(r.runs_n for r in result.trace if r.fidelity.size == 9.0) == 8


def test_ladder_asks_the_dear_proxy_as_many_at_once_as_it_makes():
    top, below = Planted(6, 0, size=9.0), Planted(6, 0, size=1.0, tilt=0.5)
    below.cost = 1e-7
    settings = Ladder(budget=14.0, first_free=16, pool=128, batch=5)
    result = search(top, top.natural, unconstrained(top.buckets), UTILITY, settings, 0, cheaper=(below,))
    assert [r.runs_n for r in result.trace if r.fidelity.size == 9.0] == [5, 5, 4]
    asked = result.runs.weights[[f.size == 9.0 for f in result.runs.fidelity]]
    assert len({row.tobytes() for row in asked}) == 14
    assert np.allclose(asked[0], top.natural, atol=1e-6)


def test_near_equal_tells_weights_that_matter():
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(4), 100)
    y = 3.0 + 4 * (w[:, :1] - 0.4) ** 2 + 0.01 * rng.normal(size=(100, 1))
    runs = table_runs(w, y, tuple("abcd"), ("x",), tuple(map(str, range(100))), Fidelity())
    c, rule = unconstrained("abcd"), FinalRule("argmin", pool=3000)
    result = search_runs(runs, np.full(4, 0.25), c, mean_of(("x",), "losses"), GaussianProcess(), rule, 0)
    spread = result.near_equal.high - result.near_equal.low
    assert spread[0] < 0.5 * spread[1:].min()
    assert result.near_equal.effect[0] > result.near_equal.effect[1:].max()
    assert result.near_equal.mixtures > 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "magic"}, "mixture.method: 'magic'; there are bayes, climb"),
        ({"objective": Objective((("missing", 1.0),), "losses")}, "no run measures missing"),
        ({"natural": np.full(3, 1 / 3)}, "natural weights must be 4 numbers"),
        ({"constraints": unconstrained("wxyz")}, "constraints are about w, x, y, z"),
    ],
)
def test_parts_that_do_not_fit_are_named(change, says):
    parts = {
        "proxy": Slope(),
        "natural": np.full(4, 0.25),
        "constraints": unconstrained(Slope.buckets),
        "objective": mean_of(("x", "y"), "losses"),
        "method": "climb",
        "seed": 0,
    }
    with pytest.raises(ConfigError, match=says):
        search(**{**parts, **change})


def test_climb_n_rule_is_m_squared_or_128():
    assert {m: max(m * m, Climb().min_top) for m in (32, 16, 8)} == {32: 1024, 16: 256, 8: 128}
    assert METHODS["climb"].rounds == (64, 32, 16)  # type: ignore[attr-defined]
