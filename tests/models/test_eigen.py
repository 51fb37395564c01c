from __future__ import annotations

import geometry
import numpy as np

from fastgmm.models import maximise
from fastgmm.models.eigen import along, eigen


def test_equal_ellipsoids_have_the_mean_eigenvalues() -> None:
    X, shares = geometry.drawn()
    p = maximise(geometry.of_shares(X, shares), "EEV", reg_covar=0.0)
    q = maximise(geometry.of_shares(X, shares), "VVV", reg_covar=0.0)
    values, vectors = np.linalg.eigh(q.covariances)
    np.testing.assert_allclose(np.linalg.eigvalsh(p.covariances), np.tile(p.weights @ values, (3, 1)), rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.einsum("kdi,kdi->ki", np.linalg.eigh(p.covariances)[1], vectors)), 1.0)


def test_similar_ellipsoids_have_proportional_eigenvalues() -> None:
    values = np.linalg.eigvalsh(maximise(geometry.statistics(), "VEV", reg_covar=0.0).covariances)
    shapes = values / values[:, :1]
    np.testing.assert_allclose(shapes, np.tile(shapes[0], (3, 1)), rtol=1e-9)
    assert np.ptp(values[:, 0]) > 0.05


def test_eigenvalues_that_are_only_rounding_are_zero() -> None:
    line = np.array([1.0, 2.0, 3.0]) / 7.0
    values, vectors = eigen(np.outer(line, line)[None])
    np.testing.assert_array_equal(values[0, :2], 0.0)
    np.testing.assert_allclose(along(vectors, values)[0], np.outer(line, line), atol=1e-16)
