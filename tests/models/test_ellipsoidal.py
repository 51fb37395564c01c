from __future__ import annotations

import geometry
import numpy as np
import pytest

from fastgmm.models import maximise
from fastgmm.models.ellipsoidal import principal, vee
from fastgmm.models.moments import Moments


def moments(counts: np.ndarray, scatters: np.ndarray) -> Moments:
    k, d = scatters.shape[:2]
    return Moments(counts, np.zeros((k, d)), counts, scatters / counts[:, None, None], np.zeros((k, d)))


def test_common_covariance() -> None:
    X, shares = geometry.drawn()
    s = geometry.of_shares(X, shares)
    z = X[:, None] - s.origins
    pooled = np.einsum("nk,nkd,nke->de", shares, z, z) / 200
    np.testing.assert_allclose(maximise(s, "EEE", reg_covar=0.0).covariances, pooled, rtol=1e-11)


def test_common_shape_is_stationary() -> None:
    """tr(W_k Σ_k⁻¹) = n_k D, and Σ_k W_k Σ_k⁻¹ = n I."""
    m = Moments.of(geometry.statistics(4, 5))
    ratios = m.scatters @ np.linalg.inv(vee(m))
    np.testing.assert_allclose(np.trace(ratios, axis1=1, axis2=2), 5 * m.counts, rtol=1e-9)
    np.testing.assert_allclose(ratios.sum(axis=0), m.counts.sum() * np.eye(5), atol=1e-7)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_common_shape_of_low_rank(rank: int) -> None:
    m = Moments.of(geometry.statistics(3, rank))
    lift = np.random.default_rng(0).standard_normal((4, rank))
    found = vee(moments(m.counts, lift @ m.scatters @ lift.T))
    np.testing.assert_allclose(found, lift @ vee(m) @ lift.T, atol=1e-8)


def test_common_shape_where_the_likelihood_has_no_bound() -> None:
    """Most rows lie on a line."""
    line = np.outer([1.0, 2.0], [1.0, 2.0])
    found = vee(moments(np.array([30.0, 10.0]), np.array([line, np.eye(2)])))
    assert np.isfinite(found).all()
    values = np.linalg.eigvalsh(found)
    assert ((values[:, 0] > 0) & (values[:, 0] < 1e-3 * values[:, 1])).all()


def test_principal_axes_leave_out_what_nothing_spans() -> None:
    w = np.array([np.diag([1.0, 0.0, 4.0]), np.diag([9.0, 0.0, 1.0])])
    units, values, vectors = principal(np.ones(2), w)
    assert len(values) == 2
    assert units[1] == 1.0
    np.testing.assert_array_equal(vectors[1], 0.0)
