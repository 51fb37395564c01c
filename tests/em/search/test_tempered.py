from __future__ import annotations

import numpy as np
import problems
import pytest
import reference
from search_cases import TEAM

from fastgmm.em.search.pieces import formed
from fastgmm.em.search.tempered import tempered
from fastgmm.forms import FORMS
from fastgmm.rows.memory import ArrayRows

M = problems.mixture(3, 2)
X = problems.drawn(M, 200)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("beta", [0.3, 0.7, 1.0])
def test_responsibilities_are_of_the_densities_to_a_power(form: str, beta: float) -> None:
    rows = ArrayRows(X)
    p = formed(M.weights, M.means, M.covariances, form)
    inside = rows.frame.enter(p) if form != "spherical" else rows.in_frame(rows.frame.isotropic()).frame.enter(p)
    rows = rows if form != "spherical" else rows.in_frame(rows.frame.isotropic())
    statistics = rows.expectation(tempered(inside, beta), TEAM)
    logs = beta * reference.log_joint(X, reference.Mixture(p.weights, p.means, p.matrices))
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(statistics.sum_w, shares.sum(axis=0), rtol=1e-10)
