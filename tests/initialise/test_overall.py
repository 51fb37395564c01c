from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.initialise.overall import overall
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

X = problems.drawn(problems.mixture(2, 2), 500)


@pytest.mark.parametrize("weights", [None, problems.row_weights(500)], ids=["plain", "weighted"])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_mean_and_covariance_of_all_rows(weights: np.ndarray | None, offset: float) -> None:
    rows = ArrayRows(X + offset, weights)
    mean, covariance = overall(rows, Team(1, "serial"))
    inside = rows.frame.rows(X + offset)
    np.testing.assert_allclose(mean, np.average(inside, axis=0, weights=weights), rtol=1e-11)
    np.testing.assert_allclose(covariance, np.cov(inside.T, aweights=weights, bias=True), rtol=1e-11)
    assert covariance.tobytes() == covariance.T.copy().tobytes()
