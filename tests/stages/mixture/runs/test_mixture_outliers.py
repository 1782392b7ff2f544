"""One diverged run must not decide a fit, and a truly bad mixture is no divergence."""

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.predictors.average import Average
from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import fit_runs
from gristmill.stages.mixture.predictors.ridge import Ridge
from gristmill.stages.mixture.runs.diverged import diverged
from gristmill.stages.mixture.runs.import_tables import read_tables, table_runs
from gristmill.stages.mixture.runs.runs import Fidelity
from places import SHARED, needs_shared

RUNS = SHARED / "runs"


def mixtures(n: int, k: int = 5, strength: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, strength), n)


def losses(w: np.ndarray, noise: float = 0.01, seed: int = 1) -> np.ndarray:
    """A target per bucket: a power law of its share and a little of the others."""
    y = 2 + (w @ (0.9 * np.eye(w.shape[1]) + 0.1) + 0.02) ** -0.3
    return y + np.random.default_rng(seed).normal(0, noise, y.shape)


@pytest.mark.parametrize("value", [12.0, 1e3, 1e30])
@pytest.mark.parametrize("predictor", [Average(), GaussianProcess(), Ridge()])
def test_one_diverged_run_changes_nothing(predictor, value):
    w, test = mixtures(32), mixtures(100, seed=5)
    y = losses(w)
    y[5] = value
    runs = table_runs(w, y, tuple("abcde"), tuple("vwxyz"), tuple(map(str, range(32))), Fidelity())
    kept = np.arange(32) != 5
    fitted, clean = fit_runs(predictor, runs, y, 0), fit_runs(predictor, runs.take(kept), y[kept], 0)
    assert np.array_equal(fitted.mean(test), clean.mean(test))
    assert len(fitted.residuals) == 31
    assert np.mean([spearman(p, q) for p, q in zip(fitted.mean(test).T, losses(test).T, strict=True)]) > 0.9


def test_one_target_alone_diverges_only_where_no_mixture_could_be_so_bad():
    y = losses(mixtures(40))[:, :1]
    y[3] = 12.0
    assert not diverged(mixtures(40), y).any()
    y[3] = 1e3
    assert np.flatnonzero(diverged(mixtures(40), y)).tolist() == [3]


@pytest.mark.parametrize("k", [3, 8, 20])
@pytest.mark.parametrize("seed", range(5))
def test_designs_with_truly_bad_mixtures_keep_every_run(k, seed):
    """A bucket left out, single buckets beside narrow draws, what a sequential search leaves behind, many zeros."""
    rng, eye = np.random.default_rng(seed), np.eye(k)
    best = rng.dirichlet(np.ones(k))
    for w in (
        np.concatenate([np.full((4, k), 1 / k), (1 - eye) / (k - 1)]),
        np.concatenate([np.full((6, k), 1 / k), eye]),
        np.concatenate([rng.dirichlet(np.full(k, 20.0), 20), eye[:1]]),
        np.concatenate([rng.dirichlet(np.full(k, 0.7), 8), rng.dirichlet(300 * best + 1e-3, 40)]),
        rng.dirichlet(np.full(k, 0.1), 30),
    ):
        assert not diverged(w, losses(w)).any()


def test_perplexities_of_many_runs_far_apart_are_no_divergence():
    y = np.concatenate([10 + np.random.default_rng(0).random(30), np.full(12, 1e4)])[:, None]
    assert not diverged(mixtures(42), y).any()
    rare = np.zeros((24, 1))
    rare[3] = 0.1  # an accuracy that only one run has above 0
    assert not diverged(mixtures(24), rare).any()


def test_a_loss_that_is_no_number_is_named():
    y = losses(mixtures(12))
    y[7, 2] = np.nan
    with pytest.raises(DataError, match="row 7, target 2: the loss is nan"):
        Average().fit(mixtures(12), y, np.arange(12), 0)


@needs_shared
def test_no_published_run_diverged():
    folder, rng = RUNS / "regmix", np.random.default_rng(0)
    for split, size in (("train", "1m"), ("test", "60m"), ("test", "1B")):
        runs = read_tables(folder / f"{split}_mixture_{size}.csv", folder / f"{split}_pile_loss_{size}.csv")
        assert runs.notes == ()
        for n in (8, 16, 32, 64):
            for _ in range(20):
                part = runs.take(rng.permutation(len(runs))[:n])
                assert not diverged(part.weights, part.losses).any()
