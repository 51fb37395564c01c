from __future__ import annotations

import geometry
import numpy as np
import pytest

from fastgmm.errors import DegenerateComponentError
from fastgmm.models import maximise
from fastgmm.models.diagonal import equal_shapes, equal_volumes, volumes
from fastgmm.parameters import Parameters


def test_free_and_common_variances() -> None:
    X, shares = geometry.drawn()
    s = geometry.of_shares(X, shares)
    squared = np.einsum("nk,nkd->kd", shares, (X[:, None] - s.origins) ** 2)
    np.testing.assert_allclose(maximise(s, "VVI", reg_covar=0.0).covariances, squared / s.sum_w[:, None], rtol=1e-12)
    pooled = np.broadcast_to(squared.sum(axis=0) / 200, (3, 3))
    np.testing.assert_allclose(maximise(s, "EEI", reg_covar=0.0).covariances, pooled, rtol=1e-12)


def test_equal_volumes_by_hand() -> None:
    """g = 2 and 6, λ = 8 / 4, shapes (1/2, 2) and (3/2, 2/3)."""
    found = equal_volumes(np.array([1.0, 3.0]), np.array([[1.0, 4.0], [9.0, 4.0]]))
    np.testing.assert_allclose(found, [[1.0, 4.0], [3.0, 4 / 3]])


def test_equal_shapes_are_found_from_any_volumes() -> None:
    n, w = np.array([3.0, 5.0, 2.0]), np.random.default_rng(0).gamma(1.0, size=(3, 4)) * [[1e-8], [1.0], [1e6]]
    found = equal_shapes(n, w)
    for start in ([1.0, 1.0, 1.0], [1e9, 1.0, 1e-9]):
        np.testing.assert_allclose(equal_shapes(n, w, np.array(start)), found, rtol=1e-8)
    shapes = found / found[:, :1]
    np.testing.assert_allclose(shapes, np.broadcast_to(shapes[0], (3, 4)), rtol=1e-12)
    np.testing.assert_allclose((w / found).sum(axis=1), 4 * n, rtol=1e-9)
    np.testing.assert_allclose((w / found).sum(axis=0), np.full(4, n.sum()), rtol=1e-9)


def test_equal_shapes_where_the_likelihood_has_no_bound() -> None:
    """Most rows lie on a line along the first axis: the best shape is flat, and the alternation stops on the way."""
    found = equal_shapes(np.array([30.0, 10.0]), np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert (found[:, 1] < 1e-3 * found[:, 0]).all()


def test_a_component_without_volume_is_named() -> None:
    with pytest.raises(DegenerateComponentError, match="Component 1"):
        equal_volumes(np.ones(3), np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0]]))


def test_volumes() -> None:
    p = Parameters([0.5, 0.5], np.zeros((2, 2)), [np.diag([1.0, 4.0]), np.diag([9.0, 1.0])])
    np.testing.assert_allclose(volumes(p), [2 / 3, 1.0])
    assert volumes(None) is None
    assert volumes(Parameters([1.0], np.zeros((1, 2)), np.zeros((1, 2)), "diag")) is None
