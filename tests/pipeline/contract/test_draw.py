"""Draws depend on the document and the salt alone."""

import numpy as np

from gristmill.pipeline.contract.draws import key64, uniform


def test_uniform_is_pinned():
    assert uniform(["a", "b"], "x").tolist() == [0.03784205069595803, 0.7198355276610744]


def test_uniform_is_uniform_and_salts_are_independent():
    ids = [str(i) for i in range(100_000)]
    u, v = uniform(ids, "one"), uniform(ids, "two")
    assert abs(u.mean() - 0.5) < 3 / np.sqrt(12 * len(ids))
    assert abs(np.corrcoef(u, v)[0, 1]) < 3 / np.sqrt(len(ids))
    counts = np.bincount((u * 100).astype(int), minlength=100)
    assert ((counts - 1000) ** 2 / 1000).sum() < 148  # chi-squared, 99 degrees of freedom, p = 0.001


def test_uniform_order_and_company_do_not_matter():
    assert uniform(["a", "b", "c"], "x")[::-1].tolist() == uniform(["c", "b", "a"], "x").tolist()
    assert key64([], "x").tolist() == []
