from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.em.search.drift import drifted, far, highest
from fastgmm.parameters import Parameters


def mixture(rng: np.random.RandomState, k: int, d: int, form: str) -> Parameters:
    factors = rng.standard_normal((k, d, d)) + 2 * np.eye(d)
    matrices = factors @ factors.transpose(0, 2, 1)
    covariances = matrices if form == "full" else np.einsum("kdd->kd", matrices)
    weights = rng.dirichlet(np.ones(k))
    return Parameters(weights, rng.standard_normal((k, d)), covariances, form)


def distances(X: np.ndarray, parameters: Parameters) -> np.ndarray:
    away = X[:, None] - parameters.means
    return np.linalg.norm(np.einsum("kde,nke->nkd", parameters.whiteners, away), axis=2)


@given(st.integers(0, 2**31 - 1), st.integers(1, 5), st.sampled_from(["full", "diag"]))
def test_no_row_is_nearer_than_its_bound(seed: int, d: int, form: str) -> None:
    rng = np.random.RandomState(seed)
    X = 3 * rng.standard_normal((20, d))
    before, after = mixture(rng, 3, d, form), mixture(rng, 3, d, form)
    bounds = drifted(distances(X, before), before, after)
    assert (bounds <= distances(X, after) * (1 + 1e-9) + 1e-9).all()
    assert (bounds >= 0).all()


def test_nothing_is_lost_where_nothing_moves() -> None:
    rng = np.random.RandomState(1)
    parameters = mixture(rng, 4, 3, "full")
    X = rng.standard_normal((50, 3))
    found = distances(X, parameters)
    np.testing.assert_allclose(drifted(found, parameters, parameters), found, rtol=1e-9)


def test_distances_and_densities_are_each_other_s() -> None:
    rng = np.random.RandomState(2)
    parameters = mixture(rng, 4, 3, "full")
    found = distances(rng.standard_normal((50, 3)), parameters)
    logs = highest(found, parameters)
    for k in range(4):
        np.testing.assert_allclose(far(logs[:, k], parameters, k), found[:, k], rtol=1e-7)
