from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from fastgmm.bayes.special import digamma, log_beta, log_gamma

ARGUMENTS = np.concatenate(
    [np.geomspace(1e-300, 1e-3, 200), np.linspace(1e-3, 12, 5000), np.arange(1, 40) / 2, np.geomspace(12, 1e15, 500)]
)
"""Small, around the root 1.4616 and the switch to the series, halves, large."""


def test_digamma():
    found, expected = digamma(ARGUMENTS), special.digamma(ARGUMENTS)
    assert (np.abs(found - expected) / np.maximum(1, np.abs(expected))).max() < 2e-15


def test_digamma_of_whole_numbers_is_harmonic():
    harmonic = np.cumsum(1 / np.arange(1.0, 60.0))
    np.testing.assert_allclose(digamma(np.arange(2.0, 61.0)) - digamma(1.0), harmonic, rtol=1e-15, atol=1e-15)
    assert float(digamma(1.0)) == pytest.approx(-np.euler_gamma, abs=1e-15)


def test_log_gamma():
    found, expected = log_gamma(ARGUMENTS), special.gammaln(ARGUMENTS)
    assert (np.abs(found - expected) / np.maximum(1, np.abs(expected))).max() < 3e-15


def test_log_beta():
    a, b = ARGUMENTS[::7], ARGUMENTS[::-7][: len(ARGUMENTS[::7])]
    expected = special.betaln(a, b)
    size = np.maximum(1, np.abs(special.gammaln(a + b)))
    assert (np.abs(log_beta(a, b) - expected) / size).max() < 1e-14


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
@pytest.mark.parametrize("function", [digamma, log_gamma])
def test_shapes_are_kept(function, shape):
    assert function(np.ones(shape)).shape == shape
