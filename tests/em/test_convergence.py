from __future__ import annotations

import math

import numpy as np
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm import GaussianMixture
from fastgmm.em.convergence import CONVERGENCE, Aitken, Change, left


@given(st.floats(0.01, 0.99), st.floats(1e-3, 10.0), st.integers(0, 5))
def test_what_is_left_of_a_geometric_series(rate: float, first: float, terms: int) -> None:
    earlier, change = first * rate**terms, first * rate ** (terms + 1)
    assert left(earlier, change, 1.0) == pytest.approx(change * rate / (1 - rate), rel=1e-6)


@pytest.mark.parametrize(
    ("earlier", "change", "expected"),
    [(1.0, 2.0, math.inf), (1.0, 1.0, math.inf), (1.0, -0.5, math.inf), (math.inf, 1.0, math.inf), (1.0, 0.0, 0.0)],
)
def test_nothing_is_estimated_where_changes_do_not_shrink(earlier: float, change: float, expected: float) -> None:
    assert left(earlier, change, -3.0) == expected


def test_rounding_is_at_rest() -> None:
    assert left(1e-16, 2e-16, -3.0) == 2e-16


def geometric(rate: float, n: int) -> list[float]:
    return [-(rate**i) for i in range(n)]


def test_aitken_stops_when_little_is_left_and_not_when_little_changes() -> None:
    bounds = geometric(0.99, 2000)
    stops = {}
    for name, kind in CONVERGENCE.items():
        test = kind(1e-3, -math.inf)
        stops[name] = next(i for i, bound in enumerate(bounds) if test.rests(bound, False))
    assert -bounds[stops["aitken"]] == pytest.approx(1e-3, rel=0.02)
    assert -bounds[stops["change"]] > 0.09


def test_aitken_takes_two_steps_after_a_jump() -> None:
    test = Aitken(1.0, -math.inf)
    answers = [test.rests(bound, jumped) for bound, jumped in zip(geometric(0.5, 6), [0, 0, 1, 0, 0, 0], strict=True)]
    assert answers == [False, False, False, False, True, True]


def test_a_jump_that_gains_nothing_is_doubted() -> None:
    test = Change(1e-3, -1.0)
    assert not test.rests(-0.5, True)
    assert not test.doubts
    assert not test.rests(-0.4999, True)
    assert test.doubts
    assert test.rests(-0.4998, False)
    assert not test.doubts


@pytest.mark.parametrize("acceleration", [None, "squarem", "anderson"])
def test_aitken_ends_fits_nearer_to_the_optimum(acceleration: str | None) -> None:
    X = problems.drawn(problems.mixture(3, 2), 500)
    options = {"random_state": 0, "max_iter": 5000, "acceleration": acceleration}
    best = GaussianMixture(3, tol=1e-11, **options).fit(X).lower_bound_
    by_aitken = GaussianMixture(3, tol=1e-5, convergence="aitken", **options).fit(X)
    assert by_aitken.converged_
    assert abs(by_aitken.lower_bound_ - best) < 1e-4
    if acceleration is None:
        by_change = GaussianMixture(3, tol=1e-5, **options).fit(X)
        assert best - by_aitken.lower_bound_ < best - by_change.lower_bound_


def test_history_is_of_equal_length_and_true() -> None:
    X = problems.drawn(problems.mixture(3, 2), 500)
    found = GaussianMixture(3, random_state=0, max_iter=4, tol=0.0, n_init=2, init_params="random")
    with pytest.warns(UserWarning, match="did not converge"):
        found.fit(X)
    history = found.history_
    assert list(history) == ["lower_bound", "seconds", "passes", "evaluated"]
    assert {len(column) for column in history.values()} == {found.n_iter_}
    np.testing.assert_array_equal(history["lower_bound"], found.lower_bounds_)
    np.testing.assert_array_equal(history["passes"], [2, 3, 4, 5])  # one to sum up the random responsibilities
    assert (np.diff(history["seconds"]) > 0).all()
    np.testing.assert_array_equal(history["evaluated"], 1.0)
