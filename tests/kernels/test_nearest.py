from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from fastgmm.assignment_task import AssignmentTask
from fastgmm.frame import Frame
from fastgmm.kernels import variants
from fastgmm.kernels.layout import STEP, block_rows
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

Floats = NDArray[np.float64]

TEAMS = [Team(1, "serial"), Team(2, "parallel"), Team(3, "serial")]


def problem(n_rows: int, n_features: int, n_centres: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng([n_rows, n_features, n_centres])
    weights = rng.uniform(0, 2, n_rows)
    weights[1::5] = 0.0
    return rng.standard_normal((n_rows, n_features)), rng.standard_normal((n_centres, n_features)), weights


def assigned(X: NDArray[Any], centres: Floats, weights: Floats | None, team: Team) -> tuple[AssignmentTask, Floats]:
    rows = ArrayRows(X, weights)
    task = AssignmentTask(
        Frame.identity(X.shape[1]), centres, np.full(len(X), -1, dtype=np.int32), np.full(len(X), -1.0)
    )
    return task, rows.sweep(task, team)


def assert_like_the_oracle(
    task: AssignmentTask, sums: Floats, X: NDArray[Any], centres: Floats, weights: Floats | None
) -> None:
    X, row_weights = X.astype(np.float64), np.ones(len(X)) if weights is None else weights
    squared = reference.squared_distances(X, centres)
    labels = squared.argmin(axis=1)
    np.testing.assert_array_equal(task.labels, labels)
    np.testing.assert_allclose(task.distances, squared.min(axis=1), rtol=1e-14)
    inertia, counts, moved, shift = task.moved(sums)
    assert inertia == pytest.approx(row_weights @ squared.min(axis=1), rel=1e-13)
    np.testing.assert_allclose(counts, np.bincount(labels, row_weights, minlength=len(centres)), rtol=1e-13)
    np.testing.assert_allclose(moved, reference.lloyd_step(X, centres, row_weights), rtol=1e-12, atol=1e-13)
    assert shift == pytest.approx(((moved - centres) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 9, 31])
@pytest.mark.parametrize("n_centres", [1, 2, 7, 8, 9, 33])
def test_nearest_in_all_modes(n_features: int, n_centres: int) -> None:
    X, centres, weights = problem(block_rows(n_features) + 25, n_features, n_centres)
    task, sums = assigned(X, centres, weights, TEAMS[0])
    assert_like_the_oracle(task, sums, X, centres, weights)
    for team in TEAMS[1:]:
        other, same = assigned(X, centres, weights, team)
        np.testing.assert_array_equal(same, sums)
        np.testing.assert_array_equal(other.labels, task.labels)
        np.testing.assert_array_equal(other.distances, task.distances)


@pytest.mark.parametrize("n_rows", [1, 2, 23, 24, 25, STEP, STEP + 1, 385])
def test_numbers_of_rows(n_rows: int) -> None:
    X, centres, _ = problem(n_rows, 3, 5)
    assert_like_the_oracle(*assigned(X, centres, None, TEAMS[0]), X, centres, None)


@pytest.mark.parametrize("n_rows", [1, 23, 24, 25, STEP + 1, 385])
def test_plain_python(n_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = variants.nearest_kernel
    monkeypatch.setattr(variants, "nearest_kernel", lambda dtype, mode: compiled(dtype, "python"))
    X, centres, weights = problem(n_rows, 3, 5)
    assert_like_the_oracle(*assigned(X, centres, weights, TEAMS[0]), X, centres, weights)


def test_float32_and_other_layouts() -> None:
    X, centres, weights = problem(5000, 3, 5)
    X = X.astype(np.float32)
    _, expected = assigned(X.astype(np.float64), centres, weights, TEAMS[0])
    for other in (X, np.asfortranarray(X), X.astype(">f4"), X[::-1].copy()[::-1]):
        np.testing.assert_array_equal(assigned(other, centres, weights, TEAMS[0])[1], expected)


def test_ties_go_to_the_lowest_number() -> None:
    centres = np.array([[1.0], [1.0], [-1.0]])
    task, _ = assigned(np.array([[1.0], [0.0], [-1.0]]), centres, None, TEAMS[0])
    np.testing.assert_array_equal(task.labels, [0, 0, 2])


def test_centres_without_rows_stay() -> None:
    centres = np.array([[0.0], [50.0]])
    task, sums = assigned(np.array([[0.0], [2.0]]), centres, None, TEAMS[0])
    _, counts, moved, _ = task.moved(sums)
    np.testing.assert_array_equal(counts, [2, 0])
    np.testing.assert_array_equal(moved, [[1.0], [50.0]])


def test_labels_and_distances_are_optional() -> None:
    X, centres, weights = problem(500, 3, 5)
    task = AssignmentTask(Frame.identity(3), centres)
    sums = ArrayRows(X, weights).sweep(task, TEAMS[0])
    np.testing.assert_array_equal(sums, assigned(X, centres, weights, TEAMS[0])[1])
    assert task.labels.size == task.distances.size == 0
