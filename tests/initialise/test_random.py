from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.initialise.random import RandomResponsibilities, drawn_rows
from fastgmm.rows.memory import ArrayRows


def drawn(n_components: int = 3, seed: int = 0) -> RandomResponsibilities:
    return RandomResponsibilities(n_components, np.random.RandomState(seed))


@given(st.integers(1, 9), st.lists(st.integers(1, 60), max_size=5, unique=True))
def test_the_cut_changes_no_bit(n_components: int, quarters: list[int]) -> None:
    shares = drawn(n_components)
    cuts = [0, *sorted(4 * q for q in quarters), 250]
    parts = [shares(start, stop) for start, stop in pairwise(cuts)]
    assert np.vstack(parts).tobytes() == shares(0, 250).tobytes()


def test_rows_are_shares() -> None:
    shares = drawn()(0, 5000)
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(shares.mean(axis=0), 1 / 3, atol=0.01)


def test_each_draw_has_its_own_numbers() -> None:
    rng = np.random.RandomState(0)
    first, second = RandomResponsibilities(3, rng), RandomResponsibilities(3, rng)
    assert (first(0, 8) != second(0, 8)).all()
    np.testing.assert_array_equal(first(0, 8), drawn()(0, 8))


def test_drawn_rows_are_different_rows() -> None:
    X = np.arange(20.0).reshape(10, 2)
    frame, centres = drawn_rows(ArrayRows(X), 10, np.random.RandomState(0))
    assert len(set(frame.scale)) == 1
    np.testing.assert_array_equal(np.sort(centres, axis=0), np.sort(frame.rows(X), axis=0))


@pytest.mark.parametrize("seed", range(5))
def test_drawn_rows_have_weight_and_differ(seed: int) -> None:
    X = np.arange(10.0)[:, None]
    weights = np.repeat([0.0, 1.0], 5)
    frame, centres = drawn_rows(ArrayRows(X, weights), 5, np.random.RandomState(seed))
    np.testing.assert_array_equal(np.sort(centres / frame.scale, axis=0), X[5:])
