from __future__ import annotations

from typing import Any

import numpy as np
import problems
import pytest
import reference
from numpy.typing import NDArray

from fastgmm.expectation_task import PackedMixture
from fastgmm.frame import Frame
from fastgmm.kernels import variants
from fastgmm.kernels.compile import Kernel
from fastgmm.kernels.layout import STEP, block_rows
from fastgmm.mixture import Mixture
from fastgmm.parameters import Parameters
from fastgmm.rows.memory import ArrayRows
from fastgmm.scoring import Results, score_rows
from fastgmm.threads import Team

Floats = NDArray[np.float64]

TEAMS = [Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")]
FEATURES = [1, 3, 8, 9, 11, 16, 17]
"""Heads of one, three and all lanes."""


def scored(X: NDArray[Any], p: Parameters, team: Team = TEAMS[0]) -> Results:
    rows = ArrayRows(X)
    n, k = len(X), p.n_components
    results = Results(np.empty(n), np.empty((n, k)), np.empty((n, k)), np.empty(n, dtype=np.int64))
    frame = Frame.of(p)
    score_rows(rows, PackedMixture(frame, frame.enter(p)), results, team)
    return results


def bits(results: Results) -> list[bytes]:
    return [array.tobytes() for array in results.arrays]


def assert_like_the_oracle(found: Results, X: NDArray[Any], m: reference.Mixture) -> None:
    joint = reference.log_joint(X.astype(np.float64), m)
    np.testing.assert_allclose(found.log_joints, joint, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found.log_likelihoods, reference.log_likelihoods(joint), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found.responsibilities, reference.responsibilities(joint), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found.responsibilities.sum(axis=1), 1.0, rtol=1e-15 * joint.shape[1])
    np.testing.assert_array_equal(found.labels, found.log_joints.argmax(axis=1))


@pytest.mark.parametrize("n_components", [1, 2, 7])
@pytest.mark.parametrize("n_features", FEATURES)
def test_all_results_in_all_modes(n_features: int, n_components: int) -> None:
    m = problems.mixture(n_components, n_features)
    X = problems.drawn(m, block_rows(n_features) + 25)
    found = scored(X, Parameters(*m))
    assert_like_the_oracle(found, X, m)
    for team in TEAMS[1:]:
        assert bits(scored(X, Parameters(*m), team)) == bits(found)


@pytest.mark.parametrize("n_rows", [1, 2, 23, 24, 25, STEP - 1, STEP, STEP + 1, 385])
@pytest.mark.parametrize("n_features", [3, 9])
def test_plain_python(n_features: int, n_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = variants.score_kernel
    monkeypatch.setattr(variants, "score_kernel", lambda d, dtype, mode, form: compiled(d, dtype, "python", form))
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, n_rows)
    assert_like_the_oracle(scored(X, Parameters(*m)), X, m)


@pytest.mark.parametrize("n_features", [3, 16])
def test_float32_and_other_layouts(n_features: int) -> None:
    m = problems.mixture(2, n_features)
    X = problems.drawn(m, 2000).astype(np.float32)
    expected = bits(scored(X.astype(np.float64), Parameters(*m)))
    for other in (X, np.asfortranarray(X), X[::-1].copy()[::-1], X.astype(">f4"), X.astype(">f8")):
        assert bits(scored(other, Parameters(*m))) == expected


SUBSETS = [slice(2, 102), slice(40, 47), slice(3, 32), slice(None, None, -1), slice(0, None, 13)]


@pytest.mark.parametrize("n_features", [3, 16])
def test_a_row_does_not_depend_on_its_place(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, block_rows(n_features) + 25)
    X[0], X[1] = 64.0, -64.0
    whole = scored(X, Parameters(*m))
    for chosen in SUBSETS:
        some = np.vstack([X[chosen], X[:2]])  # the same extremes
        found = scored(some, Parameters(*m)).span(0, -2)
        for part, every in zip(found.arrays, whole.arrays, strict=True):
            np.testing.assert_array_equal(part, every[chosen])


@pytest.mark.parametrize("n_features", [3, 16])
def test_a_row_does_not_depend_on_the_rows_around_it(n_features: int) -> None:
    m = problems.mixture(3, n_features)
    X = problems.drawn(m, 1000)
    X[0], X[1] = 64.0, -64.0
    mixture = Mixture(Parameters(*m), n_threads=1)
    for method in (mixture.log_prob, mixture.responsibilities, mixture.log_joint, mixture.predict):
        whole = method(X)
        for chosen in SUBSETS:
            np.testing.assert_array_equal(method(X[chosen]), whole[chosen])


def test_only_what_is_asked_for_is_written() -> None:
    m = problems.mixture(2, 3)
    X = problems.drawn(m, 100)
    every = scored(X, Parameters(*m))
    mixture = Mixture(Parameters(*m), n_threads=1)
    np.testing.assert_array_equal(mixture.log_prob(X), every.log_likelihoods)
    np.testing.assert_array_equal(mixture.responsibilities(X), every.responsibilities)
    np.testing.assert_array_equal(mixture.log_joint(X), every.log_joints)
    np.testing.assert_array_equal(mixture.predict(X), every.labels)


def test_labels_of_equals_are_the_lowest() -> None:
    p = Parameters(np.full(3, 1 / 3), np.zeros((3, 1)), np.ones((3, 1, 1)))
    assert (Mixture(p).predict(np.linspace(-5, 5, 100)[:, None]) == 0).all()


def standard(n_features: int) -> Parameters:
    return Parameters(np.ones(1), np.zeros((1, n_features)), np.eye(n_features)[None])


@pytest.mark.parametrize("n_features", [1, 3, 9])
@pytest.mark.parametrize("distance", [450.0, 1e6, 1e20, 1e100, 1e149])
def test_far_tails(n_features: int, distance: float) -> None:
    X = np.vstack([np.zeros(n_features), np.full(n_features, distance)])
    expected = -0.5 * n_features * (np.log(2 * np.pi) + distance**2)
    assert Mixture(standard(n_features)).log_prob(X)[1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", [1e150, 1e153, 1e155, 1e160, 1e200, 1e308])
def test_tails_beyond_the_numbers_are_finite(distance: float) -> None:
    m = Mixture(Parameters(np.array([0.5, 0.5]), np.array([[0.0], [4.0]]), np.ones((2, 1, 1))))
    X = np.array([[1.0], [distance], [-distance]])
    assert (m.log_prob(X)[1:] <= -4e299).all()
    assert np.isfinite(m.log_prob(X)).all()
    assert np.isfinite(m.responsibilities(X)).all()


def test_far_rows_share_as_near_ones_do() -> None:
    p = Parameters(np.array([0.25, 0.75]), np.array([[0.0], [0.0]]), np.ones((2, 1, 1)))
    X = np.array([[0.0], [450.0], [1e3]])
    np.testing.assert_allclose(Mixture(p).responsibilities(X), [[0.25, 0.75]] * 3, rtol=1e-8)


def test_a_component_without_weight_is_never_chosen() -> None:
    p = Parameters(np.array([0.0, 1.0]), np.array([[0.0], [9.0]]), np.ones((2, 1, 1)))
    m = Mixture(p)
    X = np.linspace(-3, 3, 50)[:, None]
    assert (m.predict(X) == 1).all()
    np.testing.assert_array_equal(m.responsibilities(X), np.tile([0.0, 1.0], (50, 1)))
    assert np.isneginf(m.log_joint(X)[:, 0]).all()


def kernels_used() -> list[Kernel]:
    return [variants.score_kernel(d, np.dtype(np.float64), "serial") for d in (1, 9, 17)]


def test_features_that_share_a_head_share_a_kernel() -> None:
    assert len({id(kernel) for kernel in kernels_used()}) == 2  # one without panels, one with
