from __future__ import annotations

import numpy as np
import problems

from fastgmm.em.search.guard import Guard
from fastgmm.parameters import Parameters

COVARIANCE = np.array([[4.0, 1.0], [1.0, 2.0]])
GUARD = Guard.of(COVARIANCE, 100.0)


def mixture(weight: float, flat: float) -> Parameters:
    return Parameters([1 - weight, weight], np.zeros((2, 2)), [COVARIANCE, flat * COVARIANCE])


def test_small_and_flat_components_are_refused() -> None:
    assert GUARD.passes(mixture(0.5, 0.5))
    assert not GUARD.passes(mixture(0.03, 0.5))  # three rows in two dimensions
    assert not GUARD.passes(mixture(0.5, 1e-4))
    np.testing.assert_allclose(GUARD.flatness(mixture(0.5, 0.25)), 0.25)
    np.testing.assert_allclose(GUARD.counts(mixture(0.25, 1.0)), 25.0)


def test_units_and_axes_do_not_matter() -> None:
    m = problems.mixture(3, 2)
    p = Parameters(*m)
    turn = np.array([[1e-6, 3e-6], [0.0, 1e5]])
    other = Parameters(m.weights, m.means @ turn.T, turn @ m.covariances @ turn.T)
    moved = Guard.of(turn @ COVARIANCE @ turn.T, 100.0)
    np.testing.assert_allclose(moved.flatness(other), GUARD.flatness(p), rtol=1e-6)


def test_a_loosened_guard_passes_what_it_was_loosened_for() -> None:
    wild = mixture(0.01, 1e-7)
    assert not GUARD.passes(wild)
    assert GUARD.loosened(wild).passes(wild)
    assert not GUARD.loosened(wild).passes(mixture(0.01, 1e-8))
    tame = GUARD.loosened(mixture(0.5, 0.5))
    assert (tame.smallest, tame.flattest) == (GUARD.smallest, GUARD.flattest)


def test_constant_features_do_no_harm() -> None:
    guard = Guard.of(np.diag([1.0, 0.0]), 100.0)
    assert guard.passes(Parameters([0.5, 0.5], np.zeros((2, 2)), [np.diag([1.0, 1e-6])] * 2))
