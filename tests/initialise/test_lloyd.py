from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from fastgmm.initialise.lloyd import assigned, kmeans, lloyd, seeds
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

Floats = NDArray[np.float64]

TEAM = Team(1, "serial")

module = import_module("fastgmm.initialise.lloyd")
"""The package has a function of the same name."""


def clouds(n_each: int = 200, k: int = 4, d: int = 3, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return np.vstack([centre + rng.standard_normal((n_each, d)) for centre in 3 * rng.standard_normal((k, d))])


def state(seed: int = 0) -> np.random.RandomState:
    return np.random.RandomState(seed)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_lloyd_is_the_oracles(steps: int, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    X = clouds()
    weights = np.random.default_rng(1).uniform(0, 2, len(X)) if weighted else None
    rows = ArrayRows(X, weights)
    frame, start, _ = seeds(rows, 4, state())
    found = lloyd(rows, frame, start, TEAM, steps)
    np.testing.assert_allclose(found, reference.lloyd(frame.rows(X), start, steps, weights), rtol=1e-12, atol=1e-14)


def test_kmeans_rests_at_a_fixed_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLERANCE", 0.0)
    X = clouds()
    frame, centres = kmeans(ArrayRows(X), 4, state(), TEAM)
    np.testing.assert_allclose(reference.lloyd_step(frame.rows(X), centres), centres, rtol=1e-12, atol=1e-14)


def test_kmeans_stops_early_but_near() -> None:
    X = clouds()
    frame, centres = kmeans(ArrayRows(X), 4, state(), TEAM)
    np.testing.assert_allclose(reference.lloyd(frame.rows(X), centres, 50), centres, atol=0.02)


def test_labels_are_of_the_nearest_centres() -> None:
    X = clouds()
    rows = ArrayRows(X)
    frame, centres = kmeans(rows, 4, state(), TEAM)
    np.testing.assert_array_equal(assigned(rows, frame, centres, TEAM), reference.nearest(frame.rows(X), centres))


@pytest.mark.parametrize("size", [2, 3])
def test_threads_change_no_bit(size: int) -> None:
    rows = ArrayRows(clouds(3000))
    _, alone = kmeans(rows, 4, state(), TEAM)
    _, together = kmeans(rows, 4, state(), Team(size, "serial"))
    assert alone.tobytes() == together.tobytes()


def test_many_rows_start_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_ROWS", 300)
    X = clouds()
    rows = ArrayRows(X)
    frame, centres = kmeans(rows, 4, state(), TEAM)
    assert seeds(rows, 4, state())[2].n_rows == 300
    np.testing.assert_allclose(reference.lloyd(frame.rows(X), centres, 50), centres, atol=0.02)


def test_an_empty_cluster_moves_to_the_farthest_row() -> None:
    X = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [-20.0]])
    rows = ArrayRows(X)
    frame = rows.frame.isotropic()
    start = frame.rows(np.array([[0.1], [9.0], [5000.0]]))
    centres = lloyd(rows, frame, start, TEAM, 20) / frame.scale
    np.testing.assert_allclose(np.sort(centres.ravel()), [-20.0, 0.1, 9.05])


def test_an_empty_cluster_does_not_move_to_a_row_without_weight() -> None:
    X = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [-20.0], [7000.0]])
    weights = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    rows = ArrayRows(X, weights)
    frame = rows.frame.isotropic()
    start = frame.rows(np.array([[0.1], [9.0], [500.0]]))
    centres = lloyd(rows, frame, start, TEAM, 20) / frame.scale
    np.testing.assert_allclose(np.sort(centres.ravel()), [-20.0, 0.1, 9.05])


@pytest.mark.parametrize("value", [0.0, 1.6e9, -1e-150])
def test_too_few_distinct_rows_share_their_centres(value: float) -> None:
    X = value + np.repeat([[0.0, 0.0], [1.0, 1.0]], 50, axis=0) * abs(value or 1.0)
    for k in (2, 3):
        frame, centres = kmeans(ArrayRows(X), k, state(), TEAM)
        found = centres[:, 0] / frame.scale[0] + frame.centre[0]
        np.testing.assert_allclose(np.unique(found), X[[0, -1], 0])
        assert len(found) == k


def test_rows_without_weight_are_no_centres() -> None:
    X = np.array([[2.0], [0.0], [1.0]])
    frame, centres = kmeans(ArrayRows(X, np.array([0.0, 1.0, 1.0])), 3, state(), TEAM)
    np.testing.assert_allclose(np.unique(centres / frame.scale[0] + frame.centre[0]), [0.0, 1.0])
