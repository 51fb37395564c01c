from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.parameters import Parameters
from fastgmm.precision import CORRELATED, RANGE, REMOTE, arithmetic, resolved
from fastgmm.rows.memory import ArrayRows


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
