from __future__ import annotations

import numpy as np
import pytest

from fastgmm.triangles import BATCH, BLOCK, KERNEL, ROWS, factored, inverses


def lower(count: int, d: int, seed: int = 0) -> np.ndarray:
    A = np.random.default_rng(seed).standard_normal((count, d, 2 * d))
    return np.linalg.cholesky(A @ A.swapaxes(1, 2))


SIZES = [1, 2, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 3]


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("count", [1, 3])
def test_inverses(d: int, count: int) -> None:
    L = lower(count, d)
    W = inverses(L)
    eye = np.broadcast_to(np.eye(d), L.shape)
    np.testing.assert_allclose(W @ L, eye, rtol=0, atol=1e-13)
    np.testing.assert_allclose(L @ W, eye, rtol=0, atol=1e-12)
    assert not np.triu(W, 1).any()


def test_a_matrix_has_the_same_inverse_in_any_company() -> None:
    count = 3 * BATCH // 40**2 + 1
    L = lower(count, 40)
    np.testing.assert_array_equal(inverses(L)[-1], inverses(L[-1:])[0])


def test_scales_do_not_matter() -> None:
    L = lower(2, 20)
    scale = np.logspace(-60, 60, 20)
    W = inverses(L * scale[:, None])
    np.testing.assert_allclose(W * scale, inverses(L), rtol=1e-12, atol=0)


def test_a_zero_on_the_diagonal_is_not_finite() -> None:
    L = lower(2, 20)
    L[1, 7, 7] = 0.0
    W = inverses(L)
    assert np.isfinite(W[0]).all()
    assert not np.isfinite(W[1]).all()


@pytest.mark.parametrize("d", [1, 7, 33, KERNEL + 1])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0, 0.0])
def test_what_is_not_positive_definite_is_refused(d: int, wrong: float) -> None:
    A = np.stack([np.eye(d)] * 2)
    A[1, -1, -1] = wrong
    with pytest.raises(np.linalg.LinAlgError):
        factored(A)


@pytest.mark.parametrize("d", [40, KERNEL + 1])
def test_an_inverse_that_is_not_finite_is_refused(d: int) -> None:
    L = np.eye(d)
    L[range(1, 40), range(1, 40)] = 1e-7
    L[range(1, 40), range(39)] = 1.0
    L[0, 0] = 1e-140
    with pytest.raises(np.linalg.LinAlgError):
        factored((L @ L.T)[None])
