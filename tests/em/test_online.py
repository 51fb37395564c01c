from __future__ import annotations

from typing import Any

import numpy as np
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.em.convergence import Status
from fastgmm.em.online import EXPONENT, Stepwise, batch_size, begin, blended, implied, scaled, stepwise, widened
from fastgmm.em.run import Settings, run
from fastgmm.errors import DegenerateComponentError
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

TEAM = Team(1, "serial")
MIXTURE = problems.mixture(3, 2)
X = problems.drawn(MIXTURE, 3000)
ROWS = ArrayRows(X)
START = ROWS.frame.enter(Parameters(*MIXTURE))
SETTINGS = Settings(ridge=0.0)


def statistics(rows: Any = ROWS, parameters: Parameters = START, moments: str = "full") -> Any:
    return rows.in_frame(ROWS.frame).expectation(parameters, TEAM, moments=moments)


def close(a: Parameters, b: Parameters, rtol: float = 1e-12) -> None:
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=rtol)


# --- statistics ---


@given(st.floats(1e-6, 1), st.integers(1, 2999))
def test_blending_is_counting_rows_by_weights(rate: float, cut: int) -> None:
    """(1 − η) of the mean of some rows and η of others': the statistics of all, each weighted by its share."""
    moved = Parameters(START.weights, START.means + 0.1, START.covariances)
    old = scaled(statistics(ArrayRows(X[:cut])), 1 / cut)
    new = scaled(statistics(ArrayRows(X[cut:]), moved), 1 / (3000 - cut))
    found = blended(old, new, rate)
    assert found.weight == pytest.approx(1)
    np.testing.assert_array_equal(found.origins, moved.means)
    np.testing.assert_allclose(found.sum_w, (1 - rate) * old.sum_w + rate * new.sum_w, rtol=1e-12)
    raw = [s.recentre(np.zeros((3, 2))) for s in (found, old, new)]
    np.testing.assert_allclose(raw[0].sum_xx, (1 - rate) * raw[1].sum_xx + rate * raw[2].sum_xx, rtol=1e-9, atol=1e-12)


def test_blending_far_from_the_origin_loses_nothing() -> None:
    far = ArrayRows(X + 2.0**30)
    start = far.frame.enter(Parameters(MIXTURE.weights, MIXTURE.means + 2.0**30, MIXTURE.covariances))
    near, away = (Stepwise(p, implied(p, "full"), 0.0, 0.0) for p in (START, start))
    for first, last in ((0, 1000), (1000, 2000), (2000, 3000)):
        near = near.after(statistics(ArrayRows(X[first:last]), near.parameters), SETTINGS)
        batch = ArrayRows(far._array[first:last]).in_frame(far.frame)
        away = away.after(batch.expectation(away.parameters, TEAM), SETTINGS)
    back = far.frame.leave(away.parameters)
    np.testing.assert_allclose(back.means - 2.0**30, ROWS.frame.leave(near.parameters).means, atol=1e-5)
    np.testing.assert_allclose(back.covariances, ROWS.frame.leave(near.parameters).covariances, atol=1e-5)


@pytest.mark.parametrize("model", list(MODELS))
def test_implied_statistics_have_the_parameters_for_their_m_step(model: str) -> None:
    settings = Settings(ridge=0.0, model=model)
    parameters = settings.maximise(statistics(moments=settings.moments))
    close(settings.maximise(implied(parameters, settings.moments), parameters), parameters, 1e-6)


def test_widened_components_of_one_row_are_as_wide_as_all_rows() -> None:
    rows = ArrayRows(X[:3]).in_frame(ROWS.frame)
    one = rows.expectation(
        Parameters(np.full(3, 1 / 3), ROWS.frame.rows(X[:3]), np.ones(3), "spherical"),
        TEAM,
        labels=np.arange(3, dtype=np.int32),
    )
    found = SETTINGS.maximise(widened(one))
    np.testing.assert_allclose(found.means, ROWS.frame.rows(X[:3]), rtol=1e-14)
    variances = ROWS.frame.rows(X[:3]).var(axis=0)
    np.testing.assert_allclose(
        found.covariances, np.repeat(np.diag(variances * 3 / 4)[None], 3, axis=0), rtol=1e-9, atol=1e-12
    )


# --- steps ---


def test_a_rate_of_one_is_em() -> None:
    expected = run(ROWS, START, Settings(ridge=0.0, tol=0.0, max_iter=4), TEAM)
    now = Stepwise(START, implied(START, "full"), 0.0, 0.0)
    for bound in expected.lower_bounds:
        now = now.after(statistics(ROWS, now.parameters), SETTINGS, rate=1.0)
        assert now.objective == pytest.approx(bound, rel=1e-13)
    close(now.parameters, expected.parameters)


def test_rates_fall_as_published_and_weights_add_up() -> None:
    now = Stepwise(START, implied(START, "full"), 0.0, 0.0)
    for t in range(4):
        assert now.rate == (t + 2) ** -EXPONENT
        now = now.after(statistics(ROWS, now.parameters), SETTINGS)
    assert (now.steps, now.weight) == (4, 12000)
    for _ in range(60):
        now = now.after(statistics(ROWS, now.parameters), SETTINGS, rate=0.25)
    assert now.weight == pytest.approx(3000 / 0.25, rel=1e-6)


def test_a_fixed_point_of_em_is_one_of_stepwise_em() -> None:
    settings = Settings(ridge=0.0, tol=1e-13, max_iter=5000)
    optimum = run(ROWS, START, settings, TEAM)
    assert optimum.status is Status.CONVERGED
    now = Stepwise(optimum.parameters, implied(optimum.parameters, "full"), 0.0, 0.0)
    for _ in range(20):
        now = now.after(statistics(ROWS, now.parameters), SETTINGS)
    close(now.parameters, optimum.parameters, 1e-4)


def test_the_order_of_sorted_rows_does_not_matter() -> None:
    """Two passes over rows sorted by component come as near to the optimum as they should."""
    rows = ArrayRows(X[np.argsort(X[:, 0])])
    settings = Settings(ridge=0.0, tol=1e-9, max_iter=1000)
    begun = begin(ArrayRows(X[:500]).in_frame(rows.frame), 3, settings, "kmeans", np.random.RandomState(0), TEAM)
    found = stepwise(rows, settings, TEAM, begun, np.random.RandomState(0), passes=2, batch_rows=100)
    optimum = run(rows, found.parameters, settings, TEAM)
    reached = rows.expectation(found.parameters, TEAM).log_likelihood / 3000
    assert optimum.lower_bound - 0.01 <= reached <= optimum.lower_bound
    assert (found.steps, found.weight) == (60, 500 + 6000)


def test_weights_of_zero_do_not_count() -> None:
    weights = np.r_[np.ones(1000), np.zeros(2000)]
    begun = Stepwise(START, implied(START, "full"), 0.0, 0.0)
    found = stepwise(ArrayRows(X, weights), SETTINGS, TEAM, begun, np.random.RandomState(0), batch_rows=3000)
    alone = stepwise(ArrayRows(X[:1000]).in_frame(ROWS.frame), SETTINGS, TEAM, begun, np.random.RandomState(0))
    close(found.parameters, alone.parameters, 1e-10)


def test_a_seed_is_a_result() -> None:
    def once() -> Parameters:
        rng = np.random.RandomState(3)
        begun = begin(ROWS, 3, SETTINGS, "kmeans", rng, TEAM)
        return stepwise(ROWS, SETTINGS, TEAM, begun, rng, batch_rows=500).parameters

    assert once().covariances.tobytes() == once().covariances.tobytes()


def test_components_that_collapse() -> None:
    heap = np.repeat(X[:1], 50, axis=0)
    point = ROWS.frame.rows(X[:1])
    tiny = Parameters(
        np.full(2, 0.5), np.concatenate([START.means[:1], point]), np.stack([np.eye(2), 1e-13 * np.eye(2)])
    )
    begun = Stepwise(tiny, implied(tiny, "full"), 0.0, 0.0)
    rows = ArrayRows(np.concatenate([X[:200], heap])).in_frame(ROWS.frame)
    batch = rows.expectation(tiny, TEAM)
    with pytest.raises(DegenerateComponentError):
        begun.after(batch, SETTINGS, rate=1.0)
    removed = begun.after(batch, Settings(ridge=0.0, on_degenerate="remove"), rate=1.0)
    assert removed.parameters.n_components == removed.statistics.n_components == 1
    assert removed.degenerate[0].action == "removed"
    removed.after(rows.expectation(removed.parameters, TEAM), SETTINGS)


def test_batches_grow_with_the_parameters() -> None:
    assert batch_size(1, 2) == 4096
    assert batch_size(32, 16) == 4 * 32 * 153
