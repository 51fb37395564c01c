"""The order of rows: each once, in groups that are small in space."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.selection.neighbours import neighbours


@pytest.mark.parametrize("n", [1, 7, 24, 25, 100, 272])
def test_every_row_comes_once(n):
    rows = np.random.default_rng(n).standard_normal((n, 3))
    np.testing.assert_array_equal(np.sort(neighbours(rows, 24)), np.arange(n))


def test_groups_are_small():
    rows = np.random.default_rng(0).random((240, 2)) * [1.0, 1000.0]
    order = neighbours(rows, 24)
    groups = rows[order].reshape(10, 24, 2) / [1.0, 1000.0]
    areas = np.prod(groups.max(axis=1) - groups.min(axis=1), axis=1)
    assert areas.sum() < 1.0  # they do not overlap
    assert areas.max() < 0.25


def test_rows_that_are_all_equal_stay_in_order():
    np.testing.assert_array_equal(neighbours(np.ones((50, 2)), 24), np.arange(50))
