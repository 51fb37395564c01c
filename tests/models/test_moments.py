from __future__ import annotations

import geometry
import numpy as np
import pytest

from fastgmm.models.moments import Moments


@pytest.mark.parametrize("form", ["full", "diag", "tied"])
def test_moments_are_those_of_the_rows(form: str) -> None:
    X, shares = geometry.drawn()
    m = Moments.of(geometry.of_shares(X, shares, X[:3]).reduced(form))
    counts = shares.sum(axis=0)
    covariances = np.array([np.cov(X.T, bias=True, aweights=share) for share in shares.T])
    np.testing.assert_allclose(m.sizes, counts, rtol=1e-13)
    np.testing.assert_allclose(m.means, (shares.T @ X) / counts[:, None], atol=1e-13)
    if form == "tied":
        np.testing.assert_allclose(m.counts, [200.0])
        np.testing.assert_allclose(m.covariances, np.tensordot(counts / 200, covariances, axes=1)[None], atol=1e-12)
    else:
        expected = covariances if form == "full" else np.diagonal(covariances, axis1=1, axis2=2)
        np.testing.assert_allclose(m.covariances, expected, atol=1e-12)
        np.testing.assert_allclose(m.scatters.T, expected.T * counts, atol=1e-10)


def test_pooled_moments_are_the_tied_ones() -> None:
    s = geometry.statistics()
    pooled, tied = Moments.of(s, pooled=True), Moments.of(s.reduced("tied"), pooled=True)
    np.testing.assert_allclose(pooled.covariances, tied.covariances, atol=1e-13)
    np.testing.assert_allclose(pooled.counts, tied.counts)
    diagonals = Moments.of(s.reduced("diag"), pooled=True)
    np.testing.assert_allclose(diagonals.covariances[0], np.diagonal(tied.covariances[0]), atol=1e-13)


@pytest.mark.parametrize("form", ["full", "diag"])
def test_rounding_is_no_scatter(form: str) -> None:
    X, shares = geometry.drawn()
    X[:, 1] = 0.1
    m = Moments.of(geometry.of_shares(X, shares, X[:3] + 5.0).reduced(form))
    assert m.covariances.any(axis=0)[1].any(), "there is rounding to be cleaned"
    cleaned = m.cleaned if form == "diag" else np.abs(m.cleaned).sum(axis=2)
    np.testing.assert_array_equal(cleaned[:, 1], 0.0)
    assert (cleaned[:, ::2] > 0.1).all()
