"""A row is asked for without being read: any place will do, and what is no row is refused when a kernel is compiled."""

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from gristmill.pipeline.kernels.prefetch import prefetch_row


@njit
def summed(table, ahead):
    total = 0
    for i in range(len(table)):
        prefetch_row(table, np.intp(i + ahead))
        total += table[i].sum()
    return total


@pytest.mark.parametrize("ahead", [0, 1, 1 << 20, -(1 << 20)])
def test_rows_outside_the_array_may_be_asked_for(ahead):
    assert summed(np.arange(300, dtype=np.int16).reshape(3, 100), ahead) == 44850


def test_an_array_without_whole_rows_is_refused():
    with pytest.raises(TypingError, match="two dimensions in C order"):
        summed(np.zeros((100, 3), np.int16).T, 0)
