"""The diagonal pass, turned, spherical or neither, in all its modes against the oracle, and its bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import problems
import pytest
import reference
from numpy.typing import NDArray

from fastgmm.diagonal_task import DiagonalTask, SphericalTask
from fastgmm.frame import Frame
from fastgmm.initialise.random import RandomResponsibilities
from fastgmm.kernels import layout
from fastgmm.kernels.layout import STEP, block_rows
from fastgmm.kernels.variants import diagonal_kernel
from fastgmm.packed import PackedDiagonal
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import sweep
from fastgmm.threads import Team

Floats = NDArray[np.float64]

SERIAL, PARALLEL, POOL = Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")
FORMS = ["diag", "spherical", "tied"]


def mixture(form: str, n_components: int, n_features: int) -> Parameters:
    m = problems.mixture(n_components, n_features)
    variances = np.einsum("kdd->kd", m.covariances)
    stored = {"tied": m.covariances[0], "diag": variances, "spherical": variances[:, 0]}[form]
    return Parameters(m.weights, m.means, stored, form)


def rows_of(X: NDArray[Any], p: Parameters, weights: Floats | None = None) -> ArrayRows:
    rows = ArrayRows(X, weights)
    return rows.in_frame(rows.frame.isotropic()) if p.form == "spherical" else rows


def in_units_of_x(
    X: NDArray[Any], p: Parameters, team: Team = SERIAL, weights: Floats | None = None, **options: Any
) -> SufficientStatistics:
    rows = rows_of(X, p, weights)
    found = rows.expectation(rows.frame.enter(p), team, moments=p.form, **options)
    return rows.frame.leave_statistics(found.recentre(rows.frame.rows(p.means)), p.means)


def oracle(p: Parameters) -> reference.Mixture:
    return reference.Mixture(p.weights, p.means, np.array(p.matrices))


def squares(moments: reference.Moments, form: str) -> Floats:
    if form == "tied":
        return moments.sum_xx.sum(axis=0)
    diagonals = np.einsum("kdd->kd", moments.sum_xx)
    return diagonals.mean(axis=1) if form == "spherical" else diagonals


def assert_like_the_oracle(
    found: SufficientStatistics,
    X: NDArray[Any],
    p: Parameters,
    weights: Floats | None = None,
    shares: Floats | None = None,
    rtol: float = 1e-13,
) -> None:
    joint = reference.log_joint(X.astype(np.float64), oracle(p))
    shares = reference.responsibilities(joint) if shares is None else shares
    expected = reference.moments(X.astype(np.float64), shares, p.means, weights)
    spread = np.sqrt(np.einsum("kdd->kd", expected.sum_xx))
    total = expected.sum_w.sum()
    assert found.form == p.form
    np.testing.assert_allclose(found.sum_w, expected.sum_w, rtol=rtol, atol=rtol * total)
    problems.within(found.sum_x, expected.sum_x, 4 * rtol * (np.sqrt(expected.sum_w)[:, None] * spread + total))
    scale = np.abs(squares(expected, p.form)).max() + total
    np.testing.assert_allclose(found.sum_xx, squares(expected, p.form), rtol=0, atol=4 * rtol * scale)


# --- compiled ---


@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", [1, 2, 5, 16, 19])
@pytest.mark.parametrize("form", FORMS)
def test_serial_and_parallel_kernels(form: str, n_features: int, n_components: int) -> None:
    p = mixture(form, n_components, n_features)
    X = problems.drawn(oracle(p), 2 * block_rows(n_features) + 5)
    weights = problems.row_weights(len(X))
    serial = in_units_of_x(X, p, SERIAL, weights)
    assert_like_the_oracle(serial, X, p, weights)
    likelihoods = weights * reference.log_likelihoods(reference.log_joint(X, oracle(p)))
    assert abs(serial.log_likelihood - likelihoods.sum()) <= 1e-13 * np.abs(likelihoods).sum()
    problems.same_bits(serial, in_units_of_x(X, p, PARALLEL, weights))
    problems.same_bits(serial, in_units_of_x(X, p, POOL, weights))


@pytest.mark.parametrize("form", FORMS)
def test_numbers_of_rows_around_every_boundary(form: str) -> None:
    p = mixture(form, 2, 3)
    block = block_rows(3)
    X = problems.drawn(oracle(p), 3 * block + 1)
    for n in [1, 2, 23, 24, 25, STEP - 1, STEP + 1, block - 1, block, block + 1, 3 * block + 1]:
        found = in_units_of_x(X[:n], p)
        assert_like_the_oracle(found, X[:n], p)
        problems.same_bits(found, in_units_of_x(X[:n], p, PARALLEL))


@pytest.mark.parametrize("form", FORMS)
def test_given_shares_and_labels(form: str) -> None:
    p = mixture(form, 3, 2)
    start = p if form != "tied" else Parameters(p.weights, p.means, np.ones(3), "spherical")
    X = problems.drawn(oracle(p), 500)
    given = RandomResponsibilities(3, np.random.RandomState(0))
    labels = np.random.default_rng(0).integers(0, 3, len(X)).astype(np.int32)
    for options, shares in (({"given": given}, given(0, 500)), ({"labels": labels}, np.eye(3)[labels])):
        rows = rows_of(X, start)
        found = rows.expectation(rows.frame.enter(start), SERIAL, moments=form, **options)
        assert found.log_likelihood == 0.0
        found = rows.frame.leave_statistics(found, p.means)
        assert_like_the_oracle(found, X, p, shares=shares)


@pytest.mark.parametrize("form", FORMS)
def test_float32_rows(form: str) -> None:
    p = mixture(form, 4, 6)
    X = problems.drawn(oracle(p), 2 * block_rows(6) + 5).astype(np.float32)
    serial = in_units_of_x(X, p)
    assert_like_the_oracle(serial, X, p, rtol=1e-13 if form == "tied" else 4e-7)
    problems.same_bits(serial, in_units_of_x(X, p, PARALLEL))


def test_the_order_of_rows_is_kept_and_memory_layout_changes_no_bit() -> None:
    p = mixture("diag", 2, 5)
    X = problems.drawn(oracle(p), 700)
    expected = in_units_of_x(X, p)
    for other in (np.asfortranarray(X), X.astype(X.dtype.newbyteorder()), X[::-1].copy()[::-1]):
        problems.same_bits(in_units_of_x(other, p), expected)


def test_a_component_far_away_gets_no_share_and_no_nan() -> None:
    p = Parameters([0.5, 0.5], [[0.0, 0.0], [1e200, 0.0]], [[1.0, 1.0], [1e-200, 1.0]], "diag")
    found = in_units_of_x(np.random.default_rng(0).normal(size=(100, 2)), p)
    np.testing.assert_array_equal(found.sum_w, [100.0, 0.0])
    assert np.isfinite(found.sum_xx).all()


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e8])
def test_traces_far_from_the_origin_are_those_of_centred_rows(offset: float) -> None:
    p = mixture("spherical", 3, 5)
    X = np.round(problems.drawn(oracle(p), 500) * 2**20) / 2**20  # so that the shift is exact
    p = Parameters(p.weights, np.round(p.means * 2**20) / 2**20, p.covariances, "spherical")
    moved = Parameters(p.weights, p.means + offset, p.covariances, "spherical")
    here, there = in_units_of_x(X, p), in_units_of_x(X + offset, moved)
    np.testing.assert_allclose(there.sum_xx, here.sum_xx, rtol=1e-13)
    np.testing.assert_allclose(there.log_likelihood, here.log_likelihood, rtol=1e-13)


def test_spherical_rows_beyond_all_numbers_leave_no_nan() -> None:
    p = Parameters([0.5, 0.5], [[0.0, 0.0], [1e200, 0.0]], [1.0, 1.0], "spherical")
    X = np.random.default_rng(0).normal(size=(100, 2))
    found = ArrayRows(X).in_frame(Frame.identity(2)).expectation(p, SERIAL, moments="spherical")
    np.testing.assert_array_equal(found.sum_w, [100.0, 0.0])
    np.testing.assert_allclose(found.sum_xx, [(X**2).sum() / 2, 0.0], rtol=1e-13)


# --- without JIT ---


class InPython(DiagonalTask):
    """The pass as plain Python, on small blocks."""

    block = 2 * STEP

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        return diagonal_kernel(self._kind, dtype, self.mixture.real, "python")


class SphericalInPython(InPython, SphericalTask):
    """The same of spherical components."""


@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("form", FORMS)
def test_plain_python(form: str, n_features: int, real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "diagonal_strip_rows", lambda n_features, n_components: STEP)
    p = mixture(form, 3, n_features)
    X = problems.drawn(oracle(p), 2 * STEP + 25).astype(real)
    frame = Frame.around(X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64))
    frame = frame.isotropic() if form == "spherical" else frame
    kind = SphericalInPython if form == "spherical" else InPython
    task = kind(PackedDiagonal(frame, frame.enter(p), real))
    found = task.statistics(sweep([(0, X, np.empty(0))], len(X), task, SERIAL), float(len(X)))
    found = frame.leave_statistics(found.recentre(frame.rows(p.means)), p.means)
    joint = reference.log_joint(X.astype(np.float64), oracle(p))
    expected = reference.moments(X.astype(np.float64), reference.responsibilities(joint), p.means)
    rtol = 1e-13 if real is np.float64 else 1e-5
    np.testing.assert_allclose(found.sum_w, expected.sum_w, rtol=rtol)
    np.testing.assert_allclose(found.sum_x, expected.sum_x, rtol=rtol, atol=rtol * len(X))
    if form != "tied":
        np.testing.assert_allclose(found.sum_xx, squares(expected, form), rtol=rtol)
    assert found.log_likelihood == pytest.approx(reference.log_likelihoods(joint).sum(), rel=rtol)
