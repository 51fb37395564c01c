"""Splits and merges keep what the mixture says of all rows together."""

from __future__ import annotations

import numpy as np
import problems

from fastgmm.selection.batch import Moments, Monomials
from fastgmm.selection.starts import exchanges, merges, seeded, splits


def two_mixtures(k=3):
    made = [problems.mixture(k, 2, seed) for seed in (0, 1)]
    return Moments(*(np.stack([getattr(m, name) for m in made]) for name in ("weights", "means", "covariances")))


def overall(m):
    mean = np.einsum("rk,rkd->rd", m.shares, m.means)
    away = m.means - mean[:, None]
    inside = m.covariances + away[..., :, None] * away[..., None, :]
    return m.shares.sum(axis=1), mean, np.einsum("rk,rkde->rde", m.shares, inside)


def test_a_split_and_a_merge_change_no_overall_moment():
    found = two_mixtures()
    expected = overall(found)
    for neighbours, times, k in ((splits(found), 3, 4), (merges(found), 3, 2), (exchanges(found, 6, None), 6, 3)):
        assert neighbours.shares.shape == (2 * times, k)
        for got, wanted in zip(overall(neighbours), expected, strict=True):
            np.testing.assert_allclose(got, np.concatenate([wanted] * times), atol=1e-12)


def test_split_components_are_positive_definite():
    assert np.linalg.eigvalsh(splits(two_mixtures()).covariances).min() > 0


def test_merging_what_was_split_gives_it_back():
    found = two_mixtures(1)
    back = merges(splits(found))
    np.testing.assert_allclose(back.covariances, found.covariances, atol=1e-12)


def test_seeds_are_groups_of_rows_and_repeat_with_the_seed():
    data = Monomials.of(problems.drawn(problems.mixture(3, 2), 80))
    made = [seeded(data, 4, 5, np.random.RandomState(3)) for _ in range(2)]
    np.testing.assert_array_equal(made[0].means, made[1].means)
    np.testing.assert_allclose(made[0].shares.sum(axis=1), 1)
    counts = made[0].shares * 80
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)


def test_exchanges_of_many_components_are_drawn():
    data = Monomials.of(problems.drawn(problems.mixture(3, 2), 80))
    found = seeded(data, 8, 2, np.random.RandomState(3))
    assert len(exchanges(found, 300, np.random.RandomState(0))) == 2 * 28 * 7
    some = [exchanges(found, 50, np.random.RandomState(0)) for _ in range(2)]
    assert len(some[0]) == 2 * 7 * 7
    np.testing.assert_array_equal(some[0].means, some[1].means)
