"""The statistics of all rows as one component, from a point that some of them tell."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

SERIAL = Team(1, "serial")
X = np.random.default_rng(0).normal(size=(9000, 2))
SCATTER = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0))


def scatter(rows: ArrayRows) -> np.ndarray:
    found = rows.whole(rows.frame, SERIAL)
    return rows.frame.leave_statistics(found, found.origins).scatters[0]


@pytest.mark.parametrize("where", [0, 4500, 9000])
def test_a_row_without_weight_says_nothing_however_far(where: int) -> None:
    weights = np.insert(np.ones(len(X)), where, 0.0)
    rows = ArrayRows(np.insert(X, where, [1e8, -1e8], axis=0), weights)
    np.testing.assert_allclose(scatter(rows), SCATTER, rtol=1e-12, atol=1e-12 * SCATTER.max())
    assert rows.swept == 1


def test_a_light_row_far_away_takes_a_second_pass() -> None:
    """Only the rows that are looked at have almost no weight, and lie far from the others."""
    seen = np.linspace(0, len(X) - 1, 4096).astype(np.intp)
    weights, Y = np.ones(len(X)), X.copy()
    weights[seen], Y[seen] = 1e-30, Y[seen] + 1e6
    rows = ArrayRows(Y, weights)
    others = np.delete(X, seen, axis=0) - np.delete(X, seen, axis=0).mean(axis=0)
    np.testing.assert_allclose(scatter(rows), others.T @ others, rtol=1e-12, atol=1e-11 * SCATTER.max())
    assert rows.swept == 2
