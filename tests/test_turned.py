"""Turned mixtures: where float32 resolves what all components have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import problems
import pytest
from numpy.typing import NDArray

from fastgmm.expectation_task import ExpectationTask
from fastgmm.kernels.layout import STEP, block_rows
from fastgmm.kernels.variants import expectation_kernel
from fastgmm.packed import PackedMixture
from fastgmm.parameters import Parameters
from fastgmm.precision import planned, unresolved
from fastgmm.rows.base import Trust
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.sweep import sweep
from fastgmm.threads import Team
from fastgmm.turned import Turned

Floats = NDArray[np.float64]

SERIAL, PARALLEL, POOL = Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")


def squeezed(n_features: int, least: float = 1e-4) -> Floats:
    """A matrix that brings features together: what they differ by is `least` of what they share."""
    rng = np.random.default_rng(n_features)
    turn = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    return turn * np.geomspace(1.0, least, n_features) @ turn.T


def problem(n_features: int, n_rows: int, offset: float = 0.0) -> tuple[ArrayRows, Parameters]:
    """float32 rows of components that are all thin in the same directions, and the mixture in their frame."""
    m, shape = problems.mixture(6, n_features), squeezed(n_features)
    X = (problems.drawn(m, n_rows) @ shape.T + offset).astype(np.float32)
    rows = ArrayRows(X)
    p = Parameters(m.weights, m.means @ shape.T + offset, shape @ m.covariances @ shape.T)
    return rows, rows.frame.enter(p)


def in_float64(rows: ArrayRows, p: Parameters) -> SufficientStatistics:
    X = np.concatenate([X for _, X, _ in rows.spans(STEP, 1)]).astype(np.float64)
    return ArrayRows(X).in_frame(rows.frame).expectation(p, SERIAL)


def assert_close(found: SufficientStatistics, expected: SufficientStatistics, p: Parameters, rtol: float) -> None:
    """Compare sums in the coordinates in which each component is round: nothing is small there."""
    found, counts = found.recentre(expected.origins), expected.sum_w
    assert abs(found.log_likelihood - expected.log_likelihood) < 1e-6 * expected.weight
    np.testing.assert_allclose(found.sum_w, counts, rtol=rtol)
    first = np.einsum("kde,ke->kd", p.whiteners, found.sum_x - expected.sum_x)
    assert (np.abs(first).max(axis=1) / counts).max() < rtol
    second = p.whiteners @ (found.sum_xx - expected.sum_xx) @ p.whiteners.swapaxes(1, 2)
    assert (np.abs(second).max(axis=(1, 2)) / counts).max() < rtol


def test_coordinates_are_those_in_which_the_mixture_is_round_on_average() -> None:
    _, p = problem(5, 100)
    turned = Turned.of(p)
    inside = turned.inverse @ p.covariances @ turned.inverse.T
    np.testing.assert_allclose(np.einsum("k,kde->de", p.weights, inside), np.eye(5), atol=1e-6)
    np.testing.assert_allclose(p.weights @ turned.means, 0.0, atol=1e-6)
    np.testing.assert_allclose(turned.variances, np.einsum("kdd->kd", inside), rtol=1e-6)
    np.testing.assert_allclose(turned.whiteners @ inside @ turned.whiteners.swapaxes(1, 2), [np.eye(5)] * 6, atol=1e-5)


def test_sums_come_back() -> None:
    rng = np.random.default_rng(0)
    _, p = problem(4, 100)
    turned, X, shares = Turned.of(p), rng.standard_normal((50, 4)), rng.uniform(size=(50, 6))

    def sums(Y: Floats, origins: Floats) -> SufficientStatistics:
        z = Y[:, None] - origins
        return SufficientStatistics(
            origins, shares.sum(axis=0), np.einsum("nk,nkd->kd", shares, z), np.einsum("nk,nkd,nke->kde", shares, z, z),
            1.0, 50.0,
        )  # fmt: skip

    found = turned.leave(sums((X - turned.centre) @ turned.inverse.T, turned.means))
    expected = sums(X, p.means)
    np.testing.assert_allclose(found.origins, p.means, atol=1e-12)
    np.testing.assert_allclose(found.sum_x, expected.sum_x, atol=1e-8)
    np.testing.assert_allclose(found.sum_xx, expected.sum_xx, atol=1e-8)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("n_features", [2, 16])
def test_float32_resolves_what_is_thin_in_the_same_directions(n_features: int, offset: float) -> None:
    rows, p = problem(n_features, 2 * block_rows(n_features) + 29, offset)
    assert unresolved(p).all()
    plan = planned(p)
    assert plan.turned is not None
    assert not plan.promoted.any()
    found = rows.expectation(p, SERIAL)
    assert_close(found, in_float64(rows, p), p, 1e-5)
    problems.same_bits(found, rows.expectation(p, POOL))
    if n_features == 16:
        problems.same_bits(found, rows.expectation(p, PARALLEL))


class InPython(ExpectationTask):
    """The pass as plain Python, on small blocks."""

    block = 2 * STEP

    def kernel(self, dtype: np.dtype[Any], mode: str) -> Callable[..., None]:
        return expectation_kernel(self.n_features, dtype, self.mixture.real, "python", self.mixture.turned is not None)


@pytest.mark.parametrize("n_features", [1, 3, 9, 17])
@pytest.mark.parametrize("n_rows", [1, STEP + 3, 2 * STEP])
def test_other_numbers_of_features_and_rows(n_features: int, n_rows: int) -> None:
    rows, p = problem(n_features, n_rows)
    task = InPython(PackedMixture(rows.frame, p, np.float32, Turned.of(p)))
    X = next(iter(rows.spans(STEP, 2)))[1]
    found = task.statistics(sweep([(0, X, np.empty(0))], n_rows, task, SERIAL), float(n_rows))
    expected = in_float64(rows, p)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-6, abs=1e-5)
    np.testing.assert_allclose(found.sum_w, expected.sum_w, atol=1e-4)
    np.testing.assert_allclose(found.recentre(expected.origins).sum_x, expected.sum_x, atol=1e-4)


def test_what_is_thin_though_its_parameters_are_not_is_taken_again() -> None:
    rows, thin = problem(2, 3000)
    p = Parameters(thin.weights, thin.means, np.repeat(0.1 * np.eye(2)[None], 6, axis=0))
    assert not unresolved(p).any()
    trust = Trust()
    found = rows.expectation(p, SERIAL, trust=trust)
    assert trust.narrow
    assert trust.doubts is not None
    assert trust.doubts.sum() > 0
    assert_close(found, in_float64(rows, p), p, 1e-6)
    rows.expectation(thin, SERIAL, trust=trust)
    assert trust.doubtful(6) is not None
    assert not trust.doubtful(6).any()  # type: ignore[union-attr]
