"""Predictors: closed forms against brute force, gradients against differences, and figures on real runs."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import check_grad

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.predictors import mixing_law as laws
from gristmill.stages.mixture.predictors.average import Average, stack
from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess, fit_hyper, negative_log_posterior
from gristmill.stages.mixture.predictors.mixing_law import Law
from gristmill.stages.mixture.predictors.protocol import correlation, features, fit_runs, group_folds, objective_sd
from gristmill.stages.mixture.predictors.ridge import Ridge
from gristmill.stages.mixture.predictors.trees import CLIMB_TREES, REGMIX_TREES
from gristmill.stages.mixture.runs.import_tables import read_tables, table_runs
from gristmill.stages.mixture.runs.runs import Fidelity
from places import SHARED, needs_shared

RUNS = SHARED / "runs"


def mixtures(n: int, k: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.6), n)


def made_losses(w: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """Two targets that see two buckets each."""
    rng = np.random.default_rng(1)
    y = np.stack([4 - 0.3 * np.log(w[:, 0] + 0.3 * w[:, 1] + 0.02), 3 + (w[:, 2] + 0.05) ** -0.4], axis=1)
    return y + rng.normal(0, noise, y.shape)


@pytest.mark.parametrize("lengths", [1, 4])
def test_gp_gradient_equals_differences(lengths):
    rng = np.random.default_rng(0)
    z, y, theta = rng.normal(size=(25, 4)), rng.normal(size=25), rng.normal(size=lengths + 2) * 0.3
    error = check_grad(
        lambda t: negative_log_posterior(t, z, y, 1.7)[0], lambda t: negative_log_posterior(t, z, y, 1.7)[1], theta
    )
    assert error < 1e-5


def test_gp_likelihood_equals_the_density_of_its_covariance():
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    theta = np.array([0.2, -0.1, 0.4, 0.1, -1.0])
    d = np.sqrt((((z[:, None] - z[None]) * np.exp(-theta[:3])) ** 2).sum(axis=2))
    k = np.exp(0.2) * (1 + 5**0.5 * d + 5 / 3 * d**2) * np.exp(-(5**0.5) * d) + (np.exp(-2.0) + 1e-8) * np.eye(12)
    prior = 0.5 * (((theta[:3] - 1.5) / 3**0.5) ** 2).sum() + 0.5 * (0.1 / 1.5) ** 2 + 0.5 * (2.0 / 2.0) ** 2
    assert negative_log_posterior(theta, z, y, 1.5)[0] == pytest.approx(
        -multivariate_normal(np.zeros(12), k).logpdf(y) + prior, abs=1e-6
    )


def test_gp_leaves_whole_groups_out_as_a_refit_would():
    w, groups = mixtures(30), np.repeat(np.arange(15), 2)
    y = made_losses(w, 0.05)
    gp = GaussianProcess()
    fitted = gp.fit(w, y, groups, 0)
    for g in (0, 7):
        kept = groups != g
        for j, part in enumerate(fitted.parts):
            from gristmill.stages.mixture.predictors.gaussian_process import matern_of_lengths, solved

            theta = np.concatenate([part.log_length, [part.log_signal, part.log_noise]])
            z, target = fitted.z, (y[:, j] - fitted.loss_mean[j]) / fitted.loss_sd[j]
            again = solved(z[kept], target[kept], theta)
            predicted = matern_of_lengths(z[~kept], z[kept], again) @ again.alpha
            assert np.allclose(target[~kept] - predicted, fitted.residuals[~kept, j] / fitted.loss_sd[j], atol=1e-7)


def test_gp_recovers_a_smooth_law_and_knows_where_it_does_not():
    w, far = mixtures(80), np.eye(6)
    gp = GaussianProcess().fit(w, made_losses(w), np.arange(80), 0)
    test = mixtures(200, seed=9)
    assert all(spearman(a, b) > 0.99 for a, b in zip(gp.mean(test).T, made_losses(test).T, strict=True))
    assert (gp.sd(far).mean(axis=0) > 2 * gp.sd(w).mean(axis=0)).all()


def test_gp_believing_keeps_the_mean_and_shrinks_the_sd():
    w = mixtures(20)
    gp = GaussianProcess().fit(w, made_losses(w, 0.05), np.arange(20), 0)
    new = mixtures(1, seed=5)
    more = gp.believing(new)
    other = mixtures(50, seed=6)
    assert np.allclose(more.mean(other), gp.mean(other), atol=1e-6)
    assert (more.sd(new) < gp.sd(new)).all()
    assert (more.sd(other) <= gp.sd(other) + 1e-9).all()


def test_gp_of_constant_losses_predicts_them():
    w = mixtures(12)
    gp = GaussianProcess().fit(w, np.full((12, 1), 3.5), np.arange(12), 0)
    assert np.allclose(gp.mean(mixtures(5, seed=3)), 3.5)


def test_gp_needs_two_runs():
    with pytest.raises(DataError, match="two runs"):
        GaussianProcess().fit(mixtures(1), np.zeros((1, 1)), np.zeros(1, int), 0)


def test_fit_hyper_is_isotropic_with_one_length():
    z = np.random.default_rng(0).normal(size=(20, 5))
    assert fit_hyper(z, z[:, 0], 1, 40).shape == (3,)
    assert fit_hyper(z, z[:, 0], 5, 40).shape == (7,)


@needs_shared
def test_a_length_per_bucket_ranks_better_from_the_first_runs_on():
    folder = RUNS / "regmix"
    train = read_tables(folder / "train_mixture_1m.csv", folder / "train_pile_loss_1m.csv")
    test = read_tables(folder / "test_mixture_1m.csv", folder / "test_pile_loss_1m.csv")
    rho = {0.0: [], 1e9: []}
    for s in range(4):
        part = train.take(np.random.default_rng(s).permutation(512)[:8])
        for ard_from, found in rho.items():
            p = fit_runs(GaussianProcess(ard_from=ard_from), part, part.losses, s).mean(test.weights)
            found.append(np.mean([spearman(a, b) for a, b in zip(p.T, test.losses.T, strict=True)]))
    assert GaussianProcess() == GaussianProcess(ard_from=0.0)
    assert np.mean(rho[0.0]) > 0.7
    assert np.mean(rho[0.0]) > np.mean(rho[1e9]) + 0.2


@pytest.mark.parametrize("curve", [laws.effective_share, laws.exponential])
def test_law_jacobian_equals_differences(curve):
    w = mixtures(9, 4)
    theta = np.random.default_rng(0).normal(size=4 + (4 if curve is laws.effective_share else 2)) * 0.4
    for i in range(len(w)):
        error = check_grad(
            lambda t, i=i: float(curve(w[i : i + 1], t)[0][0]), lambda t, i=i: curve(w[i : i + 1], t)[1][0], theta
        )
        assert error < 1e-5


def test_effective_share_law_finds_its_own_law():
    w = mixtures(60)
    fitted = Law().fit(w, made_losses(w), np.arange(60), 0)
    test = mixtures(200, seed=4)
    assert np.abs(fitted.mean(test) - made_losses(test)).mean() < 0.02


def test_exponential_law_finds_its_own_law():
    w, t = mixtures(80, 4), np.array([1.0, -2.0, 0.5, -1.0])
    y = (1.5 + np.exp(w @ t))[:, None]
    test = mixtures(100, 4, seed=2)
    fitted = Law("exponential").fit(w, y, np.arange(80), 0)
    assert np.abs(fitted.mean(test)[:, 0] - (1.5 + np.exp(test @ t))).max() < 0.02


@pytest.mark.parametrize("curve", ["effective", "exponential"])
def test_law_of_losses_that_follow_no_law_stays_near_what_was_measured(curve):
    """A prior of fixed strength let exponents grow to 30, and corners to 1e9 standard deviations."""
    w = mixtures(40, 7)
    y = np.random.default_rng(3).normal(size=(40, 6))
    fitted = Law(curve).fit(w, y, np.arange(40), 0)
    corners = np.concatenate([np.eye(7), np.random.default_rng(0).dirichlet(np.full(7, 0.1), 200)])
    width = np.ptp(y, axis=0)
    assert (fitted.mean(corners) <= y.max(axis=0) + width + 1e-9).all()
    assert (fitted.mean(corners) >= y.min(axis=0) - width - 1e-9).all()
    assert (fitted.sd(mixtures(200, 7, seed=5)) < 3 * width).all()


def test_ridge_leaves_runs_out_as_a_refit_would():
    w = mixtures(30)
    y = made_losses(w, 0.1)[:, :1]
    ridge = Ridge()
    fitted = ridge.fit(w, y, np.arange(30), 0)
    # The closed form keeps the columns' standardisation of all rows, so the refit does too.
    z = (features(w, "log") - fitted.centre) / fitted.scale
    for i in (0, 11):
        kept = np.arange(30) != i
        zk, yk = z[kept], y[kept, 0]
        augmented = np.concatenate([zk, np.ones((29, 1))], axis=1)
        penalty = np.diag([*np.full(z.shape[1], fitted.penalty[0]), 0.0])
        coef = np.linalg.solve(augmented.T @ augmented + penalty, augmented.T @ yk)
        assert y[i, 0] - np.append(z[i], 1.0) @ coef == pytest.approx(fitted.residuals[i, 0], abs=1e-6)


def test_trees_are_the_same_twice_and_constant_with_too_few_rows():
    w = mixtures(60)
    y = made_losses(w, 0.1)
    a, b = (CLIMB_TREES.fit(w, y, np.arange(60), 3).mean(w) for _ in range(2))
    assert np.array_equal(a, b)
    few = REGMIX_TREES.fit(w[:32], y[:32], np.arange(32), 0).mean(w)
    assert np.ptp(few[:, 0]) < 1e-9  # 20 rows per leaf: fewer than 40 rows cannot split


def test_stack_prefers_the_better_member_and_falls_back_to_equal_shares():
    rng = np.random.default_rng(0)
    errors = np.stack([rng.normal(0, 0.1, 500), rng.normal(0, 1.0, 500)])
    assert stack(errors, 32.0)[0] > 0.8
    assert np.allclose(stack(errors, 1e9), [0.5, 0.5], atol=1e-3)
    assert stack(errors, 0.0).sum() == pytest.approx(1.0)


def test_average_is_no_worse_than_its_worst_member_and_deterministic():
    w = mixtures(40)
    y = made_losses(w, 0.05)
    test = mixtures(200, seed=8)
    fitted = Average().fit(w, y, np.arange(40), 0)
    truth = made_losses(test)
    errors = [np.abs(m.mean(test) - truth).mean() for m in fitted.members]
    assert np.abs(fitted.mean(test) - truth).mean() <= max(errors)
    assert np.array_equal(fitted.mean(test), Average().fit(w, y, np.arange(40), 0).mean(test))


def test_objective_sd_counts_correlated_errors_together():
    class Two:
        noise = np.zeros(2)

        def __init__(self, residuals):
            self.residuals = residuals

        def mean(self, weights):
            return np.zeros((len(weights), 2))

        def sd(self, weights):
            return np.ones((len(weights), 2))

    r = np.random.default_rng(0).normal(size=(5000, 1))
    mix, w = np.array([0.5, 0.5]), np.ones((1, 3)) / 3
    assert objective_sd(Two(np.hstack([r, r])), w, mix)[0] == pytest.approx(1.0, abs=1e-3)
    assert objective_sd(Two(np.hstack([r, -r])), w, mix)[0] == pytest.approx(0.0, abs=0.03)
    assert np.allclose(correlation(np.zeros((2, 2))), np.eye(2))


def test_group_folds_never_part_a_group():
    groups = np.repeat(np.arange(10), 4)
    folds = group_folds(groups, 3, np.random.default_rng(0))
    assert np.array_equal(np.sum(folds, axis=0), np.ones(40))
    for test in folds:
        assert not set(groups[test]) & set(groups[~test])
    with pytest.raises(DataError, match="2 different runs cannot make 3 folds"):
        group_folds(np.array([0, 0, 1]), 3, np.random.default_rng(0))


def test_unknown_transform_is_named():
    with pytest.raises(DataError, match="'cube'"):
        features(mixtures(2), "cube")


@needs_shared
@pytest.mark.parametrize(("n", "per_target", "mean_loss"), [(32, 0.0, 0.87), (64, 0.977, 0.95)])
def test_default_predictor_on_regmix_ranks_unseen_mixtures(n, per_target, mean_loss):
    folder = RUNS / "regmix"
    train = read_tables(folder / "train_mixture_1m.csv", folder / "train_pile_loss_1m.csv")
    test = read_tables(folder / "test_mixture_1m.csv", folder / "test_pile_loss_1m.csv")
    rows = []
    for s in range(3):
        part = train.take(np.random.default_rng(s).permutation(512)[:n])
        p = Average().fit(part.weights, part.losses, part.groups(), s).mean(test.weights)
        each = [spearman(p[:, j], test.losses[:, j]) for j in range(13)]
        rows.append([np.mean(each), spearman(p.mean(axis=1), test.losses.mean(axis=1))])
    assert np.mean(rows, axis=0)[0] >= per_target
    assert np.mean(rows, axis=0)[1] >= mean_loss


@needs_shared
def test_default_predictor_on_few_runs_of_another_table_beats_trees_and_ridge():
    """42 runs, 22 targets; the weights of one mixture sum to 1.02."""
    frame = pl.read_csv(RUNS / "mixing_laws" / "RedPajama.csv.gz")
    frame = frame.filter((pl.col("model_size") == "70M") & (pl.col("step") == 30000))
    index = [c for c in frame.columns if c.startswith("weight_")]
    wide = frame.pivot(on="validation_domain", index=index, values="loss", aggregate_function="mean")
    targets = tuple(c for c in wide.columns if c not in index)
    w, y = wide.select(index).to_numpy().astype(float), wide.select(targets).to_numpy().astype(float)
    runs = table_runs(w, y, tuple(index), targets, tuple(map(str, range(len(w)))), Fidelity())
    assert (len(runs), len(targets)) == (42, 22)
    rho, error = {}, {}
    for predictor in (Average(), Ridge(), CLIMB_TREES):
        out = np.empty_like(y)
        for fold in group_folds(runs.groups(), 5, np.random.default_rng(0)):
            out[fold] = fit_runs(predictor, runs.take(~fold), y[~fold], 0).mean(runs.weights[fold])
        rho[predictor.name] = np.mean([spearman(out[:, j], y[:, j]) for j in range(22)])
        error[predictor.name] = np.sqrt(((out - y) ** 2).mean(axis=0) / y.var(axis=0))
    assert rho["average"] > max(rho["ridge"], rho["lightgbm_climb"]) + 0.03
    assert rho["average"] > 0.85
    assert error["average"].max() < 1
    assert error["average"].mean() < min(error["ridge"].mean(), error["lightgbm_climb"].mean())


@pytest.mark.slow
@needs_shared
def test_default_predictor_with_128_runs_reaches_the_bars_at_1m_and_1b():
    folder = RUNS / "regmix"
    train = read_tables(folder / "train_mixture_1m.csv", folder / "train_pile_loss_1m.csv")
    tests = [read_tables(folder / f"test_mixture_{s}.csv", folder / f"test_pile_loss_{s}.csv") for s in ("1m", "1B")]
    rows = []
    for s in range(5):
        part = train.take(np.random.default_rng(s).permutation(512)[:128])
        fitted = Average().fit(part.weights, part.losses, part.groups(), s)
        rows.append(
            [
                np.mean([spearman(p, y) for p, y in zip(fitted.mean(t.weights).T, t.losses.T, strict=True)])
                for t in tests
            ]
        )
    assert np.mean(rows, axis=0)[0] >= 0.988
    assert np.mean(rows, axis=0)[1] >= 0.945


@pytest.mark.parametrize(("n", "least"), [(16, 0.8), (64, 0.97)])
def test_default_predictor_on_made_runs_ranks_unseen_mixtures(n, least):
    """A law with thresholds and a pair of buckets that replace each other, with the noise of a seed."""
    train, test = mixtures(n, seed=3), mixtures(200, seed=4)
    p = Average().fit(train, made_losses(train, 0.01), np.arange(n), 0).mean(test)
    assert min(spearman(a, b) for a, b in zip(p.T, made_losses(test).T, strict=True)) > least


def test_a_length_per_bucket_ranks_better_where_two_of_ten_buckets_matter():
    rho = {0.0: [], 1e9: []}
    test = mixtures(200, 10, 99)
    for s in range(4):
        train = mixtures(12, 10, s)
        runs = table_runs(
            train, made_losses(train, 0.01), tuple("abcdefghij"), ("x", "y"), tuple(map(str, range(12))), Fidelity()
        )
        for ard_from, found in rho.items():
            p = fit_runs(GaussianProcess(ard_from=ard_from), runs, runs.losses, s).mean(test)
            found.append(np.mean([spearman(a, b) for a, b in zip(p.T, made_losses(test).T, strict=True)]))
    assert np.mean(rho[0.0]) > np.mean(rho[1e9])


def test_default_predictor_on_few_made_runs_beats_trees():
    train, test = mixtures(42, 7, 1), mixtures(200, 7, 2)
    y = made_losses(train, 0.01)
    rho = {}
    for predictor in (Average(), CLIMB_TREES):
        p = predictor.fit(train, y, np.arange(42), 0).mean(test)
        rho[predictor.name] = np.mean([spearman(a, b) for a, b in zip(p.T, made_losses(test).T, strict=True)])
    assert rho["average"] > rho["lightgbm_climb"] + 0.02
