from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm import GaussianMixture
from fastgmm.em.search.meter import Meter
from fastgmm.initialise import start
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

TEAM = Team(1, "serial")
X = problems.drawn(problems.mixture(2, 2), 200)


def mixture(k: int) -> Parameters:
    return Parameters(np.full(k, 1 / k), np.zeros((k, 2)), np.stack([np.eye(2)] * k))


def test_a_pass_is_all_rows_and_all_components() -> None:
    meter = Meter(200, 4)
    rows = meter.counted(ArrayRows(X))
    rows.expectation(mixture(4), TEAM)
    assert (meter.passes, meter.sweeps) == (1.0, 1.0)
    rows.expectation(mixture(1), TEAM)
    meter.counted(ArrayRows(X[:50])).expectation(mixture(4), TEAM)
    assert (meter.passes, meter.sweeps) == (1.5, 2.25)


def test_iterations_of_em_and_starts_are_counted() -> None:
    meter = Meter(200, 2)
    rows = meter.counted(ArrayRows(X))
    start(rows, 2, "kmeans", np.random.RandomState(0), TEAM, max_iterations=3)
    assert 0.5 + 2 <= meter.passes <= 0.5 + 3 + 2  # seeds are drawn from rows; Lloyd; labels and their moments
    before = meter.passes
    fitted = GaussianMixture(
        2, weights_init=[0.5, 0.5], means_init=X[:2], precisions_init=[np.eye(2)] * 2, tol=0, max_iter=7, n_threads=1
    )
    with pytest.warns(match="did not converge"):
        fitted.fit(rows)
    assert meter.passes == before + 7


def test_counted_rows_are_the_rows() -> None:
    rows = ArrayRows(X, np.linspace(0.5, 2, 200))
    counted = Meter(200, 2).counted(rows)
    problems.same_bits(rows.expectation(mixture(2), TEAM), counted.expectation(mixture(2), TEAM))
