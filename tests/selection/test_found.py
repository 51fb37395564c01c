"""What is remembered of a cell: its best optima, each once, and what was tried of each."""

from __future__ import annotations

import numpy as np

from fastgmm.selection.batch import Moments
from fastgmm.selection.found import SAME, Found, distinct


def found(*values):
    r = len(values)
    moments = Moments(np.full((r, 2), 0.5), np.zeros((r, 2, 2)), np.broadcast_to(np.eye(2), (r, 2, 2, 2)).copy())
    return Found(moments, moments.covariances, np.array(values, dtype=float))


def test_starts_are_made_once_of_an_optimum():
    some = found(3.0, 2.0, 1.0)
    assert len(some.untried("split", 2)) == 2
    assert len(some.untried("split", 3)) == 1
    assert len(some.untried("split", 3)) == 0
    assert [len(some.untried("exchange", 2, 1)) for _ in range(3)] == [1, 1, 0]


def test_what_was_tried_is_known_after_better_ones_have_come():
    some = found(3.0, 2.0)
    some.untried("merge", 2)
    joined = some.joined(found(4.0, 3.0), 3)
    np.testing.assert_array_equal(joined.log_likelihoods, [4.0, 3.0, 2.0])
    np.testing.assert_array_equal(joined.tried["merge"], [False, True, True])


def test_what_was_tried_of_one_side_only_is_untried_of_the_other():
    some, other = found(3.0), found(4.0)
    other.untried("pair", 1)
    assert len(some.joined(other, 2).untried("pair", 2)) == 1


def test_equal_values_are_taken_once_and_those_that_do_not_count_never():
    values = np.array([1.0, -np.inf, 2.0, 2.0 + SAME / 2, 3.0])
    np.testing.assert_array_equal(distinct(values), [4, 3, 0])
