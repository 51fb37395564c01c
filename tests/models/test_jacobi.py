from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fastgmm.models.jacobi import common_axes, rounds


def scatters(k: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Matrices that share their axes, and these."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return np.einsum("dj,kj,ej->kde", axes, rng.gamma(1.0, size=(k, d)), axes), axes


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 16])
def test_every_pair_of_axes_meets_once_in_disjoint_rounds(d: int) -> None:
    met = []
    for left, right in rounds(d):
        assert len({*left, *right}) == len(left) + len(right)
        met += list(zip(left.tolist(), right.tolist(), strict=True))
    assert sorted(met) == list(combinations(range(d), 2))


@pytest.mark.parametrize("d", [1, 2, 5, 16])
def test_shared_axes_are_found(d: int) -> None:
    w, axes = scatters(3, d)
    found = common_axes(w, np.eye(d), lambda diagonals: 1 / diagonals, 100)
    np.testing.assert_allclose(found.T @ found, np.eye(d), atol=1e-13)
    closeness = np.abs(found.T @ axes)
    np.testing.assert_allclose(np.sort(closeness, axis=1).sum(axis=1), 1.0, atol=1e-9 * d)


def test_a_sweep_never_ascends() -> None:
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((4, 6, 6))
    w, axes = factors @ factors.swapaxes(1, 2), np.eye(6)

    def objective(axes: np.ndarray) -> float:
        return float(np.log(np.einsum("kdj,dj->kj", w @ axes, axes)).sum())

    last = objective(axes)
    for _ in range(20):
        axes = common_axes(w, axes, lambda diagonals: 1 / diagonals, 1)
        assert objective(axes) <= last + 1e-12
        last = objective(axes)


def test_arguments_are_left_as_they_are() -> None:
    w, _ = scatters(2, 4)
    before, start = w.copy(), np.eye(4)
    common_axes(w, start, lambda diagonals: 1 / diagonals, 3)
    np.testing.assert_array_equal(w, before)
    np.testing.assert_array_equal(start, np.eye(4))
