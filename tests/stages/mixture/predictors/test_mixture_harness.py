"""The harness: leaks refused, calibration counted, fidelities compared by ranks."""

from dataclasses import replace

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.objective import Objective, mean_of
from gristmill.stages.mixture.predictors.cross_validation import (
    across,
    best_predictor,
    cross_validate,
    evaluate_split,
    spearman,
    spearman_interval,
)
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import group_folds, refuse_leak
from gristmill.stages.mixture.predictors.ridge import Ridge
from gristmill.stages.mixture.runs.import_tables import table_runs
from gristmill.stages.mixture.runs.runs import Fidelity, Runs


def runs(n: int, seed: int = 0, noise: float = 0.05, name: str = "r", repeat: int = 1) -> Runs:
    rng = np.random.default_rng(seed)
    w = np.repeat(rng.dirichlet(np.ones(5), n), repeat, axis=0)
    y = np.stack([3 - np.log(w[:, 0] + 0.1), 2 - np.log(w[:, 1] + w[:, 2] + 0.1)], axis=1)
    y = y + rng.normal(0, noise, y.shape)
    ids = tuple(f"{name}{i // repeat}" for i in range(n * repeat))
    return table_runs(w, y, tuple("abcde"), ("x", "y"), ids, Fidelity())


def test_spearman_is_rank_correlation_with_ties():
    from scipy.stats import spearmanr

    a, b = np.array([1, 2, 2, 3, 9.0]), np.array([2, 1, 5, 5, 7.0])
    assert spearman(a, b) == pytest.approx(spearmanr(a, b)[0])
    assert spearman(np.ones(5), b) == 0.0


def test_spearman_interval_covers_and_narrows():
    low, high = spearman_interval(0.9, 50)
    assert -1 < low < 0.9 < high < 1
    wide = spearman_interval(0.9, 10)
    assert wide[0] < low
    assert high < wide[1]


def test_damo_split_by_rows_is_refused():
    """DaMo's released code repeats each run once per checkpoint and cuts the list 90/10: every test row leaks."""
    table = runs(50, repeat=4)
    groups = table.groups()
    order = np.random.default_rng(0).permutation(200)
    train, test = order[:180], order[180:]
    assert np.isin(groups[test], groups[train]).mean() > 0.99
    with pytest.raises(DataError, match="leaking split"):
        refuse_leak(groups[train], groups[test])
    with pytest.raises(DataError, match="leaking split"):
        evaluate_split(Ridge(), table.take(train), table.take(test), mean_of(("x", "y"), "losses"), 0)


def test_split_with_the_same_mixture_under_another_name_is_refused():
    a, b = runs(30, 0), runs(30, 0, name="other")
    with pytest.raises(DataError, match="leaking split"):
        evaluate_split(Ridge(), a, b, mean_of(("x", "y"), "losses"), 0)


def test_row_split_flatters_what_whole_runs_reveal():
    """With noise per run, a predictor that memorises runs looks good on leaking rows only."""
    rng = np.random.default_rng(0)
    table = runs(40, repeat=4, noise=0.0)
    noisy = table.losses + np.repeat(rng.normal(0, 1.0, (40, 2)), 4, axis=0)
    gp, w = GaussianProcess("raw"), table.weights

    def score(folds):
        out = np.empty(len(w))
        for fold in folds:
            fitted = gp.fit(w[~fold], noisy[~fold], np.arange((~fold).sum()), 0)
            out[fold] = fitted.mean(w[fold])[:, 0]
        return spearman(out, noisy[:, 0])

    rows = group_folds(np.arange(160), 5, np.random.default_rng(1))
    whole = group_folds(table.groups(), 5, np.random.default_rng(1))
    assert score(rows) > score(whole) + 0.2


def test_cross_validation_of_a_good_predictor_is_high_and_calibrated():
    report = cross_validate(GaussianProcess("log"), runs(80), mean_of(("x", "y"), "losses"), 5, 0)
    assert report.objective.spearman > 0.95
    assert report.found_signal
    for score in report.targets:
        assert 0.5 <= score.within_1sd <= 0.85
        assert score.within_2sd >= 0.85
    assert [s.target for s in report.targets] == ["x", "y"]


def test_runs_that_a_good_search_made_near_the_optimum_are_a_signal():
    """Six runs of a design and 42 near the optimum, where noise is all that orders them."""
    rng = np.random.default_rng(0)
    w = np.concatenate([rng.dirichlet(np.ones(5), 6), rng.dirichlet([900, 20, 40, 20, 20], 42)])
    y = 3 - 4 * np.log(w[:, :1] + 0.03) + rng.normal(0, 0.3, (48, 1))
    table = table_runs(w, y, tuple("abcde"), ("x",), tuple(map(str, range(48))), Fidelity())
    report = cross_validate(GaussianProcess(), table, mean_of(("x",), "losses"), 5, 0)
    assert spearman_interval(report.objective.spearman, 48, 0.99)[0] <= 0
    assert report.correlation > 0.95
    assert report.found_signal


def test_cross_validation_of_shuffled_losses_finds_no_signal():
    table, found = runs(60), 0
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(60)
        shuffled = replace(table, losses=table.losses[order])
        for predictor in (GaussianProcess("log"), Ridge()):
            found += cross_validate(predictor, shuffled, mean_of(("x", "y"), "losses"), 5, seed).found_signal
    assert found == 0


@pytest.mark.parametrize(("mixtures", "repeat"), [(1, 1), (1, 20), (2, 1), (2, 5)])
def test_too_few_mixtures_are_refused_in_so_many_words(mixtures, repeat):
    few = runs(mixtures, repeat=repeat)
    says = f"{mixtures * repeat} runs of {mixtures} different mixtures say nothing about weights; three mixtures"
    with pytest.raises(DataError, match=says):
        cross_validate(GaussianProcess(), few, mean_of(("x", "y"), "losses"), 5, 0)


def test_averaging_first_fits_one_column():
    goal = Objective((("x", 1.0), ("y", 3.0)), "losses", "average")
    report = cross_validate(Ridge(), runs(40), goal, 5, 0)
    assert [s.target for s in report.targets] == ["mean"]
    assert report.targets[0].spearman == pytest.approx(report.objective.spearman)


def test_accuracies_rank_as_well_as_their_negatives_as_losses():
    table = runs(40)
    turned = replace(table, losses=-table.losses)
    a = cross_validate(Ridge(), table, mean_of(("x", "y"), "losses"), 5, 0)
    b = cross_validate(Ridge(), turned, mean_of(("x", "y"), "accuracies"), 5, 0)
    assert a.objective == b.objective


def test_best_predictor_is_chosen_on_training_runs():
    table = runs(60)
    steep = replace(table, losses=-np.log(table.weights[:, :2] + 1e-3))
    raw, log = Ridge(transform="raw", name="raw"), Ridge(name="log")
    best, reports = best_predictor((raw, log), steep, mean_of(("x", "y"), "losses"), 5, 0)
    assert best is log
    assert [r.predictor for r in reports] == ["raw", "log"]


def test_other_tables_are_refused():
    other = table_runs(np.ones((5, 2)) / 2, np.ones((5, 1)), ("p", "q"), ("x",), tuple("vwxyz"), Fidelity())
    with pytest.raises(DataError, match="other buckets or targets"):
        evaluate_split(Ridge(), runs(10), other, mean_of(("x",), "losses"), 0)


def test_ranks_across_fidelities_are_paired_by_mixture_and_predicted_without_it():
    """The dear table stands in another order; half of its mixtures were run cheap too."""
    cheap, dear = runs(60, 0), runs(60, 0, name="dear")
    other = runs(30, 5, name="fresh")
    dear = replace(dear, losses=2 * dear.losses - 3, fidelity=(Fidelity("gpt", 1e9),) * 60)
    order = np.random.default_rng(0).permutation(60)[:30]
    mixed = table_runs(
        np.concatenate([dear.weights[order], other.weights]),
        np.concatenate([dear.losses[order], 2 * other.losses - 3]),
        dear.buckets, dear.targets, tuple(map(str, range(60))), Fidelity("gpt", 1e9),
    )  # fmt: skip
    found = across(GaussianProcess(), cheap, mixed, mean_of(("x", "y"), "losses"), 0)
    assert (found.cheap, found.dear, found.shared) == (Fidelity(), Fidelity("gpt", 1e9), 30)
    assert found.paired == found.paired_targets == 1.0
    assert 0.9 < found.predicted < 1.0
    assert 0.9 < found.predicted_targets < 1.0


def test_ranks_across_fidelities_that_share_no_mixture_go_through_the_predictor():
    found = across(GaussianProcess(), runs(60, 0), runs(20, 9, name="dear"), mean_of(("x", "y"), "losses"), 0)
    assert (found.shared, found.paired) == (0, 0.0)
    assert found.predicted > 0.9
