"""What must hold of whole fits, whatever the data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import problems
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastgmm import GaussianMixture
from fastgmm.errors import NOT_CONVERGED

Floats = NDArray[np.float64]

seeds = st.integers(0, 10_000)
shapes = st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 3]))
"""K and D."""


def fit(X: Any, n_components: int, sample_weight: Floats | None = None, **options: Any) -> GaussianMixture:
    """Fit without a ridge, ten iterations unless told otherwise."""
    options = {"reg_covar": 0.0, "tol": 0.0, "max_iter": 10, "n_threads": 1, "random_state": 0} | options
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NOT_CONVERGED)
        return GaussianMixture(n_components, **options).fit(X, sample_weight=sample_weight)


def given_start(m: reference.Mixture) -> dict[str, Any]:
    return {"weights_init": m.weights, "means_init": m.means, "precisions_init": np.linalg.inv(m.covariances)}


def result(gm: GaussianMixture) -> reference.Mixture:
    return reference.Mixture(gm.weights_, gm.means_, gm.covariances_)


def assert_close(a: reference.Mixture, b: reference.Mixture, rtol: float = 1e-9) -> None:
    for left, right in zip(a, b, strict=True):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol)


def bits(gm: GaussianMixture) -> list[bytes]:
    return [
        np.asarray(a).tobytes() for a in (gm.weights_, gm.means_, gm.covariances_, gm.lower_bound_, gm.lower_bounds_)
    ]


def problem(shape: tuple[int, int], seed: int, rows_each: int = 80) -> tuple[Floats, reference.Mixture]:
    m = problems.mixture(*shape, seed)
    return problems.drawn(m, rows_each * shape[0], seed), m


@given(shapes, seeds)
def test_a_fit_is_the_oracles(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    gm = fit(X, shape[0], **given_start(m))
    expected, history = reference.em(X, m, 10)
    np.testing.assert_allclose(gm.lower_bounds_, history, rtol=1e-12)
    assert_close(result(gm), expected)


@given(shapes, seeds)
def test_a_weighted_fit_with_a_ridge_is_the_oracles(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    weights = problems.row_weights(len(X), seed)
    gm = fit(X, shape[0], weights, reg_covar=0.1, **given_start(m))
    expected, history = reference.em(X, m, 10, 0.1, weights)
    np.testing.assert_allclose(gm.lower_bounds_, history, rtol=1e-12)
    assert_close(result(gm), expected)


@pytest.mark.parametrize("n_features", [8, 9, 16, 24])
def test_fits_of_many_features_are_the_oracles(n_features: int) -> None:
    X, m = problem((2, n_features), 0, 400)
    gm = fit(X, 2, **given_start(m))
    expected, history = reference.em(X, m, 10)
    np.testing.assert_allclose(gm.lower_bounds_, history, rtol=1e-12)
    assert_close(result(gm), expected)


@given(shapes, seeds)
def test_the_likelihood_never_decreases(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    start = given_start(m._replace(weights=np.full(shape[0], 1 / shape[0]), covariances=4 * m.covariances))
    bounds = np.array(fit(X, shape[0], max_iter=40, **start).lower_bounds_)
    assert (np.diff(bounds) >= -1e-13 * np.abs(bounds[1:])).all()


@given(shapes, seeds)
def test_responsibilities_are_shares(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    gm = fit(X, shape[0], max_iter=3, **given_start(m))
    shares = gm.predict_proba(X)
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-15 * shape[0])
    np.testing.assert_array_equal(gm.predict(X), shares.argmax(axis=1))


# --- symmetries ---


@given(shapes, seeds)
def test_the_order_of_rows_does_not_matter(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    order = np.random.default_rng(seed).permutation(len(X))
    assert_close(result(fit(X[order], shape[0], **given_start(m))), result(fit(X, shape[0], **given_start(m))))


@given(shapes, seeds)
def test_the_order_of_components_does_not_matter(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    order = np.random.default_rng(seed).permutation(shape[0])
    swapped = fit(X, shape[0], **given_start(reference.Mixture(*(a[order] for a in m))))
    plain = fit(X, shape[0], **given_start(m))
    assert_close(result(swapped), reference.Mixture(*(a[order] for a in result(plain))))


@given(shapes, seeds)
def test_the_order_of_features_does_not_matter(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    order = np.random.default_rng(seed).permutation(shape[1])

    def reordered(a: reference.Mixture) -> reference.Mixture:
        return a._replace(means=a.means[:, order], covariances=a.covariances[:, order[:, None], order])

    swapped = fit(X[:, order], shape[0], **given_start(reordered(m)))
    assert_close(result(swapped), reordered(result(fit(X, shape[0], **given_start(m)))))


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("shift", [1.6e9, -1.6e9])
def test_a_distant_origin_loses_nothing(init: str, shift: float) -> None:
    """Timestamps: the shift itself is exact because the numbers are multiples of 2⁻²⁰."""
    X, m = problem((3, 2), 0, 300)
    X = np.round(X * 2**20) / 2**20
    moved = X + shift
    np.testing.assert_array_equal(moved - shift, X)
    near, far = fit(X, 3, init_params=init), fit(moved, 3, init_params=init)
    np.testing.assert_allclose(far.lower_bounds_, near.lower_bounds_, rtol=1e-12)
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(far.means_ - shift, near.means_, atol=1e-6)
    start = given_start(m._replace(means=np.round(m.means * 2**20) / 2**20))
    near, far = fit(X, 3, **start), fit(moved, 3, **start | {"means_init": start["means_init"] + shift})
    np.testing.assert_allclose(far.lower_bounds_, near.lower_bounds_, rtol=1e-12)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1e150])
def test_units_do_not_matter(init: str, scale: float) -> None:
    X, m = problem((3, 2), 0, 300)
    volume = 2 * np.log(scale)
    plain, scaled = fit(X, 3, init_params=init), fit(X * scale, 3, init_params=init)
    np.testing.assert_allclose(np.add(scaled.lower_bounds_, volume), plain.lower_bounds_, rtol=1e-12)
    np.testing.assert_allclose(scaled.means_ / scale, plain.means_, rtol=1e-9)
    assert scaled.score(X * scale) + volume == pytest.approx(plain.score(X), rel=1e-12)
    mine = given_start(m) | {"means_init": m.means * scale}
    mine["precisions_init"] = mine["precisions_init"] / scale / scale
    _, history = reference.em(X, m, 10)
    np.testing.assert_allclose(np.add(fit(X * scale, 3, **mine).lower_bounds_, volume), history, rtol=1e-12)


@pytest.mark.parametrize("exponent", [-400, -1, 3, 400])
def test_powers_of_two_as_units_change_no_bit(exponent: int) -> None:
    X, _ = problem((3, 2), 0, 300)
    for init in ("kmeans", "k-means++", "random", "random_from_data"):
        plain, scaled = fit(X, 3, init_params=init), fit(np.ldexp(X, exponent), 3, init_params=init)
        assert scaled.weights_.tobytes() == plain.weights_.tobytes()
        assert np.ldexp(scaled.means_, -exponent).tobytes() == plain.means_.tobytes()
        assert np.ldexp(scaled.covariances_, -2 * exponent).tobytes() == plain.covariances_.tobytes()


@pytest.mark.parametrize("init", ["kmeans", "k-means++"])
def test_one_distant_row_does_not_make_the_others_equal(init: str) -> None:
    X, _ = problem((3, 2), 0, 300)
    X[0] = 1e10
    with pytest.warns(UserWarning, match="in 1 of 3 components"):  # the row's own has nothing but the ridge
        found = fit(X, 3, init_params=init, reg_covar=1e-6)
    assert np.isfinite(found.lower_bound_)


# --- weights of rows ---


@given(shapes, seeds)
def test_whole_weights_are_repeated_rows(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    counts = np.random.default_rng(seed).integers(1, 4, len(X))
    weighted = fit(X, shape[0], counts.astype(float), **given_start(m))
    repeated = fit(np.repeat(X, counts, axis=0), shape[0], **given_start(m))
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-12)
    assert_close(result(weighted), result(repeated))


@given(shapes, seeds)
def test_rows_without_weight_are_absent(shape: tuple[int, int], seed: int) -> None:
    X, m = problem(shape, seed)
    weights = np.random.default_rng(seed).integers(0, 2, len(X)).astype(float)
    weights[: 10 * shape[0]] = 1.0
    weighted = fit(X, shape[0], weights, **given_start(m))
    absent = fit(X[weights > 0], shape[0], **given_start(m))
    np.testing.assert_allclose(weighted.lower_bounds_, absent.lower_bounds_, rtol=1e-12)
    assert_close(result(weighted), result(absent))


@pytest.mark.parametrize("init", ["kmeans", "k-means++"])
def test_distant_rows_without_weight_are_absent(init: str) -> None:
    X, _ = problem((3, 2), 0, 300)
    weights = np.ones(len(X))
    X[-5:], weights[-5:] = 1e3, 0.0
    weighted = fit(X, 3, weights, init_params=init)
    absent = fit(X[:-5], 3, init_params=init)
    np.testing.assert_allclose(weighted.lower_bounds_, absent.lower_bounds_, rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-20, 1e-6, 1e20])
def test_the_unit_of_weights_does_not_matter(unit: float) -> None:
    X, _ = problem((3, 2), 0, 300)
    weighted, plain = fit(X, 3, np.full(len(X), unit)), fit(X, 3)
    np.testing.assert_allclose(weighted.lower_bounds_, plain.lower_bounds_, rtol=1e-12)


# --- the same bits ---


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("n_features", [3, 16])
def test_threads_change_no_bit(init: str, n_features: int) -> None:
    X, _ = problem((3, n_features), 0, 4000)
    weights = problems.row_weights(len(X))
    fits = [fit(X, 3, weights, init_params=init, max_iter=4, n_threads=n) for n in (1, 1, 2, 3, 2)]
    assert all(bits(gm) == bits(fits[0]) for gm in fits)


@pytest.mark.parametrize("n_features", [3, 16])
def test_float32_rows_are_fitted_as_float32_resolves_them(n_features: int) -> None:
    X, _ = problem((3, n_features), 0, 1500)
    X = X.astype(np.float32)
    narrow, wide = fit(X, 3, max_iter=4), fit(X.astype(np.float64), 3, max_iter=4)
    np.testing.assert_allclose(narrow.lower_bounds_, wide.lower_bounds_, rtol=1e-7)
    assert narrow.means_.dtype == np.float32
    spread = np.sqrt(np.diagonal(wide.covariances_, axis1=1, axis2=2))
    assert (np.abs(narrow.mixture_.parameters.means - wide.means_) <= 1e-5 * spread).all()
    size = spread[:, :, None] * spread[:, None]
    assert (np.abs(narrow.mixture_.parameters.covariances - wide.covariances_) <= 1e-5 * size).all()


@pytest.mark.parametrize("n_features", [3, 16])
def test_what_float32_does_not_resolve_is_computed_in_float64(n_features: int) -> None:
    X, _ = problem((3, n_features), 0, 1500)
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]  # correlation 1 - 1e-8
    X = X.astype(np.float32)
    narrow, wide = fit(X, 3, max_iter=4), fit(X.astype(np.float64), 3, max_iter=4)
    assert narrow.lower_bounds_ == wide.lower_bounds_
    np.testing.assert_array_equal(narrow.mixture_.parameters.means, wide.means_)
