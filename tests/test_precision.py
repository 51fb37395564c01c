from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.parameters import Parameters
from fastgmm.precision import CORRELATED, RANGE, REMAINS, REMOTE, arithmetic, planned, told, unresolved, untold
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team

SERIAL = Team(1, "serial")


def pair(correlation: float = 0.0, deviation: float = 0.1, mean: float = 0.5) -> Parameters:
    """One round component and one of these."""
    covariance = deviation**2 * np.array([[1.0, correlation], [correlation, 1.0]])
    return Parameters([0.5, 0.5], [[0.0, 0.0], [mean, 0.0]], [np.eye(2), covariance])


def test_round_components_nearby_are_resolved() -> None:
    assert not unresolved(pair()).any()
    assert not planned(pair()).promoted.any()
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
def test_one_component_that_is_not_is_named(mixture: Parameters) -> None:
    assert arithmetic(mixture, np.float32) is np.float64
    np.testing.assert_array_equal(unresolved(mixture), [False, True])
    assert planned(mixture).wide  # of two components: more would pay


def many(n_components: int, *others: Parameters) -> Parameters:
    """Round components, and the second ones of pairs."""
    k = n_components + len(others)
    means = [*np.random.default_rng(0).normal(size=(n_components, 2)), *(other.means[1] for other in others)]
    covariances = [np.eye(2)] * n_components + [other.covariances[1] for other in others]
    return Parameters(np.full(k, 1 / k), np.array(means), np.array(covariances))


def test_few_that_are_not_are_promoted_by_themselves() -> None:
    thin = pair(correlation=1 - CORRELATED**-2 / 4)
    plan = planned(many(8, thin))
    np.testing.assert_array_equal(plan.promoted, [False] * 8 + [True])
    assert plan.turned is None
    plan = planned(many(8), doubtful=np.arange(8) == 3)
    np.testing.assert_array_equal(plan.promoted, np.arange(8) == 3)


def test_what_is_correlated_alike_is_turned() -> None:
    p = many(8)
    squeeze = np.array([[1.0, 0.0], [1.0, 1e-3]])
    p = Parameters(p.weights, p.means @ squeeze.T, squeeze @ p.covariances @ squeeze.T)
    assert unresolved(p).all()
    plan = planned(p)
    assert plan.turned is not None
    assert not plan.promoted.any()


def test_what_nothing_helps_is_float64() -> None:
    thin = [pair(1 - CORRELATED**-2 / 4), pair(-1 + CORRELATED**-2 / 4)] * 3
    assert planned(many(1, *thin)).wide


def test_shapes_of_sums_are_told_by_component() -> None:
    z = np.random.default_rng(0).standard_normal((3, 50, 2))
    z[1, :, 1] = z[1, :, 0] + 1e-3 * z[1, :, 1]
    sums = z.swapaxes(1, 2) @ z
    found = SufficientStatistics(np.zeros((3, 2)), np.full(3, 50.0), z.sum(axis=1), sums, 0.0, 150.0)
    np.testing.assert_array_equal(untold(found), [False, True, False])
    np.testing.assert_array_equal(untold(found.reduced("diag")), [False] * 3)


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
