import numpy as np
import pytest

from fastgmm.initialise import distinct as module
from fastgmm.initialise.distinct import distinct


def test_few_rows_are_drawn_as_scikit_learn_draws_them():
    found = distinct(100, 10, np.random.RandomState(3))
    np.testing.assert_array_equal(found, np.random.RandomState(3).choice(100, 10, replace=False))


@pytest.mark.parametrize("size", [1, 20, 25])
def test_numbers_are_different_and_uniform(monkeypatch, size):
    monkeypatch.setattr(module, "PERMUTED", 10)
    rng, counts, firsts = np.random.RandomState(0), np.zeros(100), np.zeros(100)
    for _ in range(2000):
        found = distinct(100, size, rng)
        assert len(np.unique(found)) == size
        counts[found] += 1
        firsts[found[0]] += 1
    deviation = np.sqrt(2000 * size / 100 * (1 - size / 100))
    assert np.abs(counts - 20 * size).max() < 5 * deviation
    assert np.abs(firsts - 20).max() < 5 * np.sqrt(20)


def test_many_rows_take_no_memory():
    found = distinct(10**15, 1000, np.random.RandomState(0))
    assert found.max() > 9e14
