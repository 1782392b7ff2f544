"""Constraints: the nearest allowed mixture, and an error that names what cannot hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError
from gristmill.stages.mixture.constraints import constraints_from, project, rounded, unconstrained, unimax

NAMES = tuple("abcdefgh")


def everything():
    return constraints_from(
        NAMES,
        minimum={"a": 0.1},
        maximum={"b": 0.05, "c": 0.3, "d": 0.2},
        fixed={"e": 0.07},
        groups=[("pinned", ("f", "h"), 0.2, 0.2)],
    )


def test_projection_keeps_what_is_allowed():
    w = np.random.default_rng(0).dirichlet(np.ones(8), 50)
    assert np.allclose(project(w, unconstrained(NAMES)), w)


def test_projection_obeys_every_bound_for_sparse_and_dense_rows():
    c = everything()
    for strength in (0.02, 0.3, 5.0):
        w = np.random.default_rng(1).dirichlet(np.full(8, strength), 5000)
        p = project(w, c)
        assert c.holds(p, 1e-9).all()
        assert np.abs(p.sum(axis=1) - 1).max() < 1e-12


def test_projection_is_the_nearest_in_kl():
    c = everything()
    w = np.random.default_rng(2).dirichlet(np.ones(8), 4)
    for row, near in zip(w, project(w, c), strict=True):

        def divergence(x, row=row):
            return float((x * np.log(np.maximum(x, 1e-300) / row)).sum())

        found = minimize(
            divergence,
            0.9 * near + 0.1 * project(np.ones((1, 8)), c)[0],
            bounds=list(zip(c.lower, c.upper, strict=True)),
            constraints=[
                {"type": "eq", "fun": lambda x: x.sum() - 1},
                {"type": "eq", "fun": lambda x: x[5] + x[7] - 0.2},
            ],
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        assert divergence(np.maximum(near, 1e-300)) <= found.fun + 1e-8


def test_projection_of_a_corner_fills_the_others_when_the_cap_bites():
    c = constraints_from("abc", maximum={"a": 0.4, "b": 0.5})
    assert np.allclose(project(np.array([[1.0, 0.0, 0.0]]), c), [[0.4, 0.2, 0.4]], atol=1e-6)


def test_water_filling_keeps_the_proportions_of_the_rest():
    c = constraints_from("abc", maximum={"a": 0.5})
    assert np.allclose(project(np.array([[0.8, 0.15, 0.05]]), c), [[0.5, 0.375, 0.125]])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_projection_of_any_feasible_bounds_holds_them(data):
    k = data.draw(st.integers(2, 7))
    bound = st.floats(0, 1, allow_nan=False, width=32)
    low = np.array(data.draw(st.lists(bound, min_size=k, max_size=k))) / k
    high = np.minimum(1.0, low + np.array(data.draw(st.lists(bound, min_size=k, max_size=k))))
    names = tuple(f"b{i}" for i in range(k))
    both = {
        "minimum": dict(zip(names, low.tolist(), strict=True)),
        "maximum": dict(zip(names, high.tolist(), strict=True)),
    }
    if high.sum() < 1 or low.sum() > 1:
        with pytest.raises(InfeasibleError):
            constraints_from(names, **both)
        return
    c = constraints_from(names, **both)
    w = np.array([data.draw(st.lists(bound, min_size=k, max_size=k))]) + np.eye(k)[:1]
    p = project(w, c)
    assert c.holds(p, 1e-7).all()
    assert c.holds(rounded(w[0], c)[None], 2e-6).all()


def test_rounded_sums_to_one_in_six_decimals():
    c = constraints_from(NAMES, maximum={"a": 1 / 3})
    for w in np.random.default_rng(3).dirichlet(np.ones(8), 200):
        r = rounded(w, c)
        assert round(float(r.sum()), 9) == 1.0
        assert np.array_equal(r, np.round(r, 6))


def test_rounded_keeps_the_totals_of_pinned_groups():
    names = tuple(f"b{i}" for i in range(24))
    groups = [("left", names[:11], 0.3, 0.3), ("right", names[11:20], 0.45, 0.45)]
    c = constraints_from(names, groups=groups)
    for w in np.random.default_rng(3).dirichlet(np.ones(24), 100):
        r = rounded(w, c)
        assert np.round([r.sum(), r[:11].sum(), r[11:20].sum()], 9).tolist() == [1.0, 0.3, 0.45]


def test_cap_from_budget_is_tokens_times_epochs_over_budget():
    c = constraints_from("ab", tokens={"a": 100.0, "b": 900.0}, budget=1000.0, max_epochs=4.0)
    assert c.upper == (0.4, 1.0)


def test_budget_that_nothing_can_fill_names_every_bucket_and_the_way_out():
    with pytest.raises(
        InfeasibleError, match=r"caps sum to 0\.8.*a 0\.4 \(100 tokens x 4 epochs.*b 0\.4.*lower the budget"
    ):
        constraints_from("ab", tokens={"a": 100.0, "b": 100.0}, budget=1000.0)


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"minimum": {"a": 0.7, "b": 0.6}}, r"minimum weights sum to 1\.3.*a 0\.7, b 0\.6"),
        ({"maximum": {"a": 0.2}, "minimum": {"a": 0.3}}, "a: minimum 0.3 is above its maximum"),
        ({"maximum": {"a": 0.2}, "fixed": {"a": 0.3}}, "a is fixed at 0.3, above its cap 0.2"),
        ({"maximum": {"a": 0.2, "b": 0.2}, "groups": [("g", "ab", 0.5, 0.5)]}, "group g must have 0.5.*a 0.2.*b 0.2"),
        ({"minimum": {"a": 0.4, "b": 0.4}, "groups": [("g", "ab", 0.5, 0.5)]}, "group g may have 0.5 at most"),
    ],
)
def test_infeasible_bounds_name_the_binding_ones(given_, says):
    with pytest.raises(InfeasibleError, match=says):
        constraints_from("abc", **given_)


def test_unknown_bucket_and_overlapping_groups_are_config_errors():
    with pytest.raises(ConfigError, match="no bucket z; there are"):
        constraints_from("abc", maximum={"z": 0.1})
    with pytest.raises(ConfigError, match="b stand in more than one group"):
        constraints_from("abc", groups=[("g", "ab", 0, 1), ("h", "bc", 0, 1)])
    with pytest.raises(ConfigError, match="both the tokens"):
        constraints_from("abc", budget=1.0)


def test_unimax_is_uniform_until_epochs_bind():
    assert np.allclose(unimax(np.array([10.0, 1000.0, 1000.0]), 120.0, 1.0), [10 / 120, 55 / 120, 55 / 120])
    assert np.allclose(unimax(np.array([500.0, 500.0]), 100.0, 1.0), [0.5, 0.5])
