from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.kernels.turns import turns
from fastgmm.kernels.variants import compiler
from fastgmm.turned import products

Floats = NDArray[np.float64]

FEATURES = pytest.mark.parametrize("n_features", [1, 2, 7, 8, 9, 24, 25, 40])


def matrices(n_components: int, n_features: int, seed: int) -> Floats:
    return np.random.default_rng([seed, n_features]).standard_normal((n_components, n_features, n_features))


@FEATURES
@pytest.mark.parametrize(("lefts", "rights"), [(1, 3), (3, 1), (3, 3)])
def test_products_of_triangles(n_features: int, lefts: int, rights: int) -> None:
    a, b = np.tril(matrices(lefts, n_features, 0)), np.tril(matrices(rights, n_features, 1))
    found = products(a, b)
    np.testing.assert_allclose(found, a @ b, atol=1e-13 * n_features)
    np.testing.assert_array_equal(found, np.tril(found))
    np.testing.assert_array_equal(products(a + np.triu(matrices(lefts, n_features, 2), 1), b), found)


@FEATURES
def test_congruences_are_symmetric(n_features: int) -> None:
    lower, some = np.tril(matrices(1, n_features, 0)), matrices(3, n_features, 1)
    some = some + some.swapaxes(1, 2)
    found = products(lower, some, twice=True)
    np.testing.assert_allclose(found, lower @ some @ lower.swapaxes(1, 2), atol=1e-12 * n_features)
    np.testing.assert_array_equal(found, found.swapaxes(1, 2))


@pytest.mark.parametrize("twice", [0, 1])
def test_its_plain_text_says_the_same(twice: int) -> None:
    lower, some = np.tril(matrices(1, 11, 0)), np.tril(matrices(2, 11, 1))
    right = some + some.swapaxes(1, 2) if twice else some
    found = np.empty_like(right)
    compiler.build(turns, (), {}, "python")(1, lower, right, 1 - twice, twice, found)
    np.testing.assert_allclose(found, products(lower, right, twice=bool(twice)), atol=1e-12)
