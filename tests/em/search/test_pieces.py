from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.em.search.pieces import formed, halves, joined, merged, replaced, split_starts, taken
from fastgmm.parameters import Parameters

P = Parameters(*problems.mixture(4, 2))


def moments(p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    mean = p.weights @ p.means
    second = np.einsum("k,kde->de", p.weights, p.matrices + p.means[:, :, None] * p.means[:, None, :])
    return mean, second - np.outer(mean, mean)


def test_merging_and_halving_keep_the_moments() -> None:
    one = merged(P)
    for found, expected in zip(moments(one), moments(P), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    step = np.linalg.cholesky(one.matrices[0]) @ np.array([0.6, 0.8])
    for found, expected in zip(moments(halves(one, step)), moments(one), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", ["full", "tied", "diag", "spherical"])
def test_every_start_of_a_split_is_a_mixture(form: str) -> None:
    one = formed(np.ones(1), P.means[:1], P.matrices[:1], form)
    starts = split_starts(one, np.linalg.inv(np.array([[2.0, 0.0], [1.0, 0.5]])), np.random.RandomState(0))
    assert len(starts) == (3 if form == "tied" else 4)
    for start in starts:
        assert start.form == form
        assert np.isfinite(start.inverse_factors).all()
        np.testing.assert_allclose(start.weights @ start.means, one.means[0], atol=1e-12)


def test_parts_go_out_and_come_back() -> None:
    part = taken(P, (2, 0))
    np.testing.assert_allclose(part.weights.sum(), 1.0)
    back = replaced(P, (2, 0), part)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(back, name), getattr(P, name), rtol=1e-14)


def test_joined_mixtures_keep_their_shares() -> None:
    both = joined((3.0, taken(P, (0, 1))), (1.0, taken(P, (2,))))
    np.testing.assert_allclose([both.weights[:2].sum(), both.weights[2]], [0.75, 0.25])
    np.testing.assert_array_equal(both.means, P.means[:3])
