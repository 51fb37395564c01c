from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

from fastgmm.initialise import METHODS, start
from fastgmm.initialise.lloyd import assigned, kmeans
from fastgmm.initialise.random import RandomResponsibilities
from fastgmm.models import maximise
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

TEAM = Team(1, "serial")
X = problems.drawn(problems.mixture(3, 2), 600)


def started(method: str, rows: ArrayRows, team: Team = TEAM) -> SufficientStatistics:
    return start(rows, 3, method, np.random.RandomState(0), team)


@pytest.mark.parametrize("method", METHODS)
def test_every_start_can_be_maximised(method: str) -> None:
    rows = ArrayRows(X)
    s = started(method, rows)
    p = maximise(s, reg_covar=1e-9)
    assert s.sum_w.sum() == pytest.approx(600, rel=1e-13)
    assert p.whiteners.shape == (3, 2, 2)
    np.testing.assert_allclose(p.weights @ p.means, rows.frame.rows(X).mean(axis=0), atol=1e-13)


def test_kmeans_counts_each_row_for_its_nearest_centre() -> None:
    weights = problems.row_weights(600)
    rows = ArrayRows(X, weights)
    frame, centres = kmeans(rows, 3, np.random.RandomState(0), TEAM)
    labels = assigned(rows, frame, centres, TEAM)
    s = started("kmeans", rows)
    expected = reference.moments(rows.frame.rows(X), np.eye(3)[labels], s.origins, weights)
    problems.assert_moments(s, expected)
    assert s.weight == weights.sum()


def test_random_counts_each_row_for_all() -> None:
    rows = ArrayRows(X)
    s = started("random", rows)
    shares = RandomResponsibilities(3, np.random.RandomState(0))(0, 600)
    problems.assert_moments(s, reference.moments(rows.frame.rows(X), shares, s.origins))


@pytest.mark.parametrize("method", METHODS)
def test_threads_and_layout_change_no_bit(method: str) -> None:
    big = problems.drawn(problems.mixture(3, 2), 13_000)
    expected = started(method, ArrayRows(big)).to_bytes()
    assert started(method, ArrayRows(np.asfortranarray(big)), Team(2, "parallel")).to_bytes() == expected
    assert started(method, ArrayRows(big), Team(3, "serial")).to_bytes() == expected


@pytest.mark.parametrize("method", METHODS)
def test_features_of_very_different_size(method: str) -> None:
    rows = ArrayRows(X * [1e150, 1e-150])
    assert np.isfinite(started(method, rows).sum_xx).all()
