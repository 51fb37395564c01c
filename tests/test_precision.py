from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.parameters import Parameters
from fastgmm.precision import CORRELATED, RANGE, REMAINS, REMOTE, arithmetic, resolved, told
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

SERIAL = Team(1, "serial")


def pair(correlation: float = 0.0, deviation: float = 0.1, mean: float = 0.5) -> Parameters:
    """One round component and one of these."""
    covariance = deviation**2 * np.array([[1.0, correlation], [correlation, 1.0]])
    return Parameters([0.5, 0.5], [[0.0, 0.0], [mean, 0.0]], [np.eye(2), covariance])


def test_round_components_nearby_are_resolved() -> None:
    assert resolved(pair())
    assert arithmetic(pair(), np.float32) is np.float32


def test_float64_rows_stay_float64() -> None:
    assert arithmetic(pair(), np.float64) is np.float64


@pytest.mark.parametrize(
    "mixture",
    [
        pair(correlation=1 - CORRELATED**-2 / 4),
        pair(deviation=0.5 / REMOTE / 1.1),
        pair(deviation=0.5 / RANGE, mean=0.0),
        pair(deviation=2 * RANGE, mean=0.0),
    ],
    ids=["correlated", "remote", "narrow", "wide"],
)
def test_one_component_that_is_not_makes_it_float64(mixture: Parameters) -> None:
    assert arithmetic(mixture, np.float32) is np.float64


@pytest.mark.parametrize("weight", [1e20, 1e-20])
def test_weights_beyond_float32_make_it_float64(weight: float) -> None:
    m = problems.mixture(2, 3)
    X = problems.drawn(m, 50).astype(np.float32)
    weights = np.ones(50)
    weights[3] = weight
    for w, real in ((None, np.float32), (np.ones(50), np.float32), (weights, np.float64)):
        rows = ArrayRows(X, w)
        assert rows.packed(rows.frame.enter(problems.parameters(m))).real is real


def test_rows_far_outside_a_given_frame_make_it_float64() -> None:
    m = problems.mixture(2, 3)
    rows = ArrayRows((1e9 * problems.drawn(m, 50)).astype(np.float32))
    p = problems.parameters(m)
    from fastgmm.frame import Frame

    assert rows.packed(Frame.of(p).enter(p), Frame.of(p)).real is np.float64


def whole_and_parts(distance: float) -> tuple[SufficientStatistics, SufficientStatistics]:
    """All rows as one component, and the pooled statistics of two clusters so many deviations apart."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2))
    X[200:, 0] += distance
    rows = ArrayRows(X)
    p = rows.frame.enter(Parameters([0.5, 0.5], [[0.0, 0.0], [distance, 0.0]], np.eye(2), "tied"))
    return rows.whole(rows.frame, SERIAL), rows.expectation(p, SERIAL, moments="tied")


def test_pooled_moments_are_told_from_all_rows_up_to_a_distance() -> None:
    whole, parts = whole_and_parts(100.0)
    assert told(parts, whole)
    whole, parts = whole_and_parts(2.0 / np.sqrt(REMAINS) * 1.5)
    assert not told(parts, whole)


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e6, 1e9])
def test_pooled_moments_are_right_at_any_distance(distance: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2)) @ np.array([[1.0, 0.9], [0.0, 0.3]])
    X[200:, 0] += distance
    means = np.stack([X[:200].mean(axis=0), X[200:].mean(axis=0)])
    rows = ArrayRows(X)
    p = rows.frame.enter(Parameters([0.5, 0.5], means, np.eye(2), "tied"))
    found = rows.frame.leave_statistics(rows.expectation(p, SERIAL, moments="tied"), means)
    halves = [X[:200] - means[0], X[200:] - means[1]]
    expected = sum(half.T @ half for half in halves)
    np.testing.assert_allclose(found.sum_xx, expected, rtol=max(1e-9, 1e-16 * distance))


def test_a_constant_column_is_not_told_by_a_difference() -> None:
    X = np.column_stack([np.random.default_rng(0).normal(size=50), np.ones(50)])
    rows = ArrayRows(X)
    p = rows.frame.enter(Parameters([1.0], X[:1], np.eye(2), "tied"))
    found = rows.expectation(p, SERIAL, moments="tied")
    assert found.scatters[1, 1] == 0.0
