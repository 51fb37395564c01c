"""Frames: what they promise is exactness, so exact fractions judge them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import problems
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.frame import Frame
from fastgmm.statistics import SufficientStatistics

finite = st.floats(-1e300, 1e300, allow_subnormal=False)
near = st.floats(1.0, 2.0)


@given(near, near, near, st.integers(-900, 900), st.booleans())
def test_centring_is_exact(a: float, b: float, c: float, exponent: int, negative: bool) -> None:
    low, x, high = sorted(math.ldexp(-value if negative else value, exponent) for value in (a, b, c))
    frame = Frame.around(np.array([low]), np.array([high]))
    assert low <= frame.centre[0] <= high
    exact = (Fraction(x) - Fraction(frame.centre[0])) * Fraction(frame.scale[0])
    assert Fraction(frame.rows(np.array([[x]]))[0, 0]) == exact


@given(finite, finite)
def test_centred_only_within_a_factor_of_two(a: float, b: float) -> None:
    low, high = sorted((a, b))
    frame = Frame.around(np.array([low]), np.array([high]))
    within = (low > 0 or high < 0) and max(abs(a), abs(b)) <= 2 * min(abs(a), abs(b))
    assert (frame.centre[0] != 0) == within


@given(finite, finite)
def test_coordinates_reach_up_to_one(a: float, b: float) -> None:
    low, high = sorted((a, b))
    ends = Frame.around(np.array([low]), np.array([high])).rows(np.array([[low], [high]]))
    assert np.abs(ends).max() <= 1
    assert low == high or np.abs(ends).max() >= 0.25


@given(finite, finite, st.integers(-300, 300))
def test_powers_of_two_change_no_bit(a: float, b: float, exponent: int) -> None:
    low, high = sorted((math.ldexp(a, -600), math.ldexp(b, -600)))
    rows = np.array([[low], [high / 3], [low / 7], [high]])
    frame = Frame.around(rows.min(axis=0), rows.max(axis=0))
    scaled = np.ldexp(rows, exponent)
    if np.abs(scaled[scaled != 0]).min(initial=1.0) < 1e-290 or np.abs(rows[rows != 0]).min(initial=1.0) < 1e-290:
        return
    other = Frame.around(scaled.min(axis=0), scaled.max(axis=0))
    assert other.rows(scaled).tobytes() == frame.rows(rows).tobytes()


@pytest.mark.parametrize("value", [0.0, 5e-324, -1.5e-323, 1e308, -7.25])
def test_constant_features(value: float) -> None:
    frame = Frame.around(np.array([value]), np.array([value]))
    assert frame.rows(np.array([[value]]))[0, 0] == pytest.approx(0.0, abs=1e-15)
    assert np.isfinite(frame.scale).all()


@pytest.mark.parametrize(("low", "high"), [(-1.7e308, 1.7e308), (1e308, 1.7e308), (-5e-324, 5e-324), (0.0, 1e-310)])
def test_the_ends_of_the_numbers(low: float, high: float) -> None:
    ends = Frame.around(np.array([low]), np.array([high])).rows(np.array([[low], [high]]))
    assert np.isfinite(ends).all()
    assert ends[0, 0] < ends[1, 0]


def test_enter_and_leave_are_inverse() -> None:
    m = problems.mixture(3, 4)
    shift = np.array([0.0, 1.6e9, 0.0, -1e-30])
    scale = np.array([1.0, 1.0, 2.0**-400, 2.0**-140])
    means = np.round(m.means * 2**20) / 2**20 * scale + shift
    p = problems.parameters(m._replace(means=means, covariances=m.covariances * scale[:, None] * scale))
    frame = Frame.around(means.min(axis=0), means.max(axis=0))
    back = frame.leave(frame.enter(p))
    np.testing.assert_array_equal(back.weights, p.weights)
    np.testing.assert_array_equal(back.means, p.means)
    np.testing.assert_array_equal(back.covariances, p.covariances)


def test_the_frame_changes_densities_by_its_volume() -> None:
    m = problems.mixture(2, 3)
    X = problems.drawn(m, 50)
    frame = Frame.around(np.array([0.5, -9.0, 2.0**-9]), np.array([0.75, 5.0, 2.0**-8]))
    inside = frame.enter(problems.parameters(m))
    entered = reference.Mixture(inside.weights, inside.means, inside.covariances)
    np.testing.assert_allclose(
        reference.log_joint(frame.rows(X), entered) + frame.log_volume, reference.log_joint(X, m), rtol=1e-12
    )


def test_statistics_leave_exactly() -> None:
    rng = np.random.default_rng(0)
    frame = Frame(np.array([1.0, 2.0]), np.array([3, -5]))
    z, origins = rng.standard_normal((9, 2)), np.zeros((1, 2))
    inside = SufficientStatistics(origins, np.array([9.0]), z.sum(axis=0)[None], (z.T @ z)[None], -1.0, 9.0)
    outside = frame.leave_statistics(inside, origins + frame.centre)
    z = z / frame.scale
    np.testing.assert_array_equal(outside.origins, [[1.0, 2.0]])
    np.testing.assert_array_equal(outside.sum_x, z.sum(axis=0)[None])
    np.testing.assert_array_equal(outside.sum_xx, (z.T @ z)[None])


def test_identity_changes_nothing() -> None:
    X = np.random.default_rng(0).standard_normal((9, 3))
    np.testing.assert_array_equal(Frame.identity(3).rows(X), X)
    assert Frame.identity(3).log_volume == 0


def test_isotropic_keeps_distances() -> None:
    X = np.random.default_rng(0).standard_normal((9, 2)) * [1.0, 1e-3] + [0.0, 50.0]
    frame = Frame.around(X.min(axis=0), X.max(axis=0)).isotropic()
    assert len(set(frame.scale)) == 1
    gaps = frame.rows(X)[1:] - frame.rows(X)[:-1]
    np.testing.assert_allclose(gaps / frame.scale, X[1:] - X[:-1], rtol=1e-9)
