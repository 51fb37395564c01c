"""How far roundings grow, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels.variants import grown_kernel


@pytest.mark.parametrize("n_features", [1, 2, 7, 8, 9, 16, 33])
def test_growth_of_roundings(n_features: int) -> None:
    rng = np.random.default_rng(n_features)
    whiteners = np.tril(rng.standard_normal((5, n_features, n_features)))
    sizes, found = rng.random((5, n_features)), np.empty(5)
    sizes[3] = 0.0
    for parts in (1, 2):
        for part in range(parts):
            grown_kernel().one_part(part, parts, whiteners, sizes, found)
        np.testing.assert_allclose(found, np.einsum("kij,kj->ki", np.abs(whiteners), sizes).max(axis=1), rtol=1e-14)


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 9])
def test_what_is_no_number_grows_without_end(wrong: float, place: int) -> None:
    whiteners, sizes, found = np.tile(np.tri(10), (3, 1, 1)), np.ones((3, 10)), np.empty(3)
    sizes[1, place] = wrong
    grown_kernel()(1, whiteners, sizes, found)
    np.testing.assert_array_equal(found, [10, np.inf, 10])
