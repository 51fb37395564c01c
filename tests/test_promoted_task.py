"""Components that float32 does not resolve, in float64 beside the others."""

from __future__ import annotations

import pickle

import numpy as np
import problems
import pytest
from numpy.typing import NDArray
from test_turned import assert_close, in_float64

from fastgmm import GaussianMixture, promoted_task
from fastgmm.kernels.layout import block_rows
from fastgmm.packed import PackedMixture
from fastgmm.parameters import Parameters
from fastgmm.precision import planned
from fastgmm.promoted_task import PromotedTask
from fastgmm.rows.base import Trust
from fastgmm.rows.memory import ArrayRows
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import Team
from fastgmm.turned import Turned

Floats = NDArray[np.float64]

SERIAL, PARALLEL, POOL = Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")

FEATURES = pytest.mark.parametrize("n_features", [2, 16])

SOME = np.array([False, True, False, True])


def sums(rows: ArrayRows, task: PromotedTask, team: Team = SERIAL) -> SufficientStatistics:
    return task.statistics(rows.sweep(task, team), rows.weight)


@FEATURES
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_sums_are_those_of_float64(n_features: int, weighted: bool, turned: bool) -> None:
    m = problems.mixture(4, n_features)
    X = problems.drawn(m, 2 * block_rows(n_features) + 29).astype(np.float32)
    weights = problems.row_weights(len(X)) if weighted else None
    rows, exact = ArrayRows(X, weights), ArrayRows(X.astype(np.float64), weights)
    p = rows.frame.enter(problems.parameters(m))
    task = PromotedTask.of(rows.frame, p, SOME, Turned.of(p) if turned else None, 2.0**-53)
    found, expected = sums(rows, task), exact.expectation(p, SERIAL)
    assert_close(found, expected, p, 1e-6)
    assert found.weight == expected.weight
    np.testing.assert_array_equal(found.origins[SOME], p.means[SOME])
    assert found.sum_w.sum() == pytest.approx(rows.weight, rel=1e-7)
    problems.same_bits(found, sums(rows, task, POOL))


@FEATURES
def test_threads_spans_and_travels_change_no_bit(n_features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    m = problems.mixture(4, n_features)
    rows = ArrayRows(problems.drawn(m, 7 * block_rows(n_features) + 29).astype(np.float32))
    p = rows.frame.enter(problems.parameters(m))
    task = PromotedTask.of(rows.frame, p, SOME, None, 2.0**-53)
    expected = sums(rows, task)
    problems.same_bits(expected, sums(rows, pickle.loads(pickle.dumps(task)), POOL))
    monkeypatch.setattr(promoted_task, "ROOM", 1)
    assert task.blocks_per_span == 1
    problems.same_bits(expected, sums(rows, task, POOL))


def test_parallel_kernels_give_the_same_bits() -> None:
    m = problems.mixture(4, 2)
    rows = ArrayRows(problems.drawn(m, 3 * block_rows(2)).astype(np.float32))
    p = rows.frame.enter(problems.parameters(m))
    task = PromotedTask.of(rows.frame, p, SOME, None, 2.0**-53)
    problems.same_bits(sums(rows, task), sums(rows, task, PARALLEL))


def tiny_in_large(n_features: int, size: float) -> tuple[NDArray[np.float32], Parameters]:
    """Six large clusters, and a tiny one far from the origin of the others."""
    m = problems.mixture(6, n_features)
    rng = np.random.default_rng(0)
    # Spread in steps that float32 rows still have.
    small = 3.0 + np.round(rng.standard_normal((400, n_features)) * 16) * size / 16
    X = np.vstack([problems.drawn(m, 2600), small]).astype(np.float32)
    means = np.vstack([m.means, np.full(n_features, 3.0)])
    covariances = np.concatenate([m.covariances, size**2 * np.eye(n_features)[None]])
    return X, Parameters(np.full(7, 1 / 7), means, covariances)


@FEATURES
def test_a_tiny_cluster_is_promoted_and_found_as_float64_finds_it(n_features: int) -> None:
    X, start = tiny_in_large(n_features, 2.0**-17)
    rows = ArrayRows(X)
    p = rows.frame.enter(start)
    plan = planned(p)
    np.testing.assert_array_equal(plan.promoted, np.arange(7) == 6)
    assert isinstance(rows.task(p, "full", Trust()), PromotedTask)
    assert_close(rows.expectation(p, SERIAL), in_float64(rows, p), p, 1e-5)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_a_whole_fit_with_a_tiny_cluster() -> None:
    X, start = tiny_in_large(2, 2.0**-17)
    options = {
        "reg_covar": 0.0, "max_iter": 20, "tol": 0.0, "weights_init": start.weights, "means_init": start.means,
        "precisions_init": np.linalg.inv(start.covariances), "n_threads": 1,
    }  # fmt: skip
    narrow, wide = (GaussianMixture(7, **options).fit(Y).mixture_.parameters for Y in (X, X.astype(np.float64)))
    np.testing.assert_allclose(narrow.weights, wide.weights, rtol=1e-4)
    offs = np.einsum("kde,ke->kd", wide.whiteners, narrow.means - wide.means)
    assert np.abs(offs).max() < 1e-3
    shapes = wide.whiteners @ narrow.covariances @ wide.whiteners.swapaxes(1, 2)
    assert np.abs(shapes - np.eye(2)).max() < 1e-3


def test_nothing_of_a_row_is_dropped_beyond_what_is_allowed() -> None:
    m = problems.mixture(4, 2)
    m = m._replace(means=8.0 * m.means)
    rows = ArrayRows(problems.drawn(m, 500).astype(np.float32))
    p = rows.frame.enter(problems.parameters(m))
    for skip_below in (0.0, 1e-9, 1e-3):
        found = sums(rows, PromotedTask.of(rows.frame, p, SOME, None, skip_below))
        assert abs(found.sum_w.sum() / 500 - 1) <= skip_below + 1e-6


def test_parts_of_parameters_keep_factors() -> None:
    p = problems.parameters(problems.mixture(4, 3))
    whiteners = p.whiteners
    some = p.part(SOME)
    np.testing.assert_array_equal(some.weights, p.weights[SOME])
    np.testing.assert_array_equal(some.whiteners, whiteners[SOME])
    assert PackedMixture(ArrayRows(np.ones((2, 3))).frame, some).offset == 0.0
