"""What the search remembers of a cell, and which cells it raises children of."""

from __future__ import annotations

import numpy as np
import problems

from fastgmm.selection.batch import Moments, Monomials
from fastgmm.selection.guard import Guard
from fastgmm.selection.search import Effort, Found, Search


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


def test_a_cell_that_was_at_its_best_at_once_is_given_one_generation():
    data = Monomials.of(problems.drawn(problems.mixture(3, 2), 120))
    search = Search(data, 120, ["EEE"], Guard(), Effort(), np.random.RandomState(0))
    search.found["EEE", 3] = found(1.0)
    assert search._restless("EEE", 3)
    assert search._idle("EEE", 3) + 1 == Effort().patience
    search._vain["EEE", 3] = Effort().patience
    assert not search._restless("EEE", 3)
    assert not search._restless("EEE", 4)  # nothing is known of it


def test_a_search_is_the_same_again():
    data = Monomials.of(problems.drawn(problems.mixture(4, 2), 150))
    results = []
    for _ in range(2):
        search = Search(data, 150, ["VVV", "EVE"], Guard(), Effort(rounds=3), np.random.RandomState(1))
        search.run([1, 2, 3, 4])
        results.append({cell: some.log_likelihoods[0] for cell, some in search.found.items()})
    assert results[0] == results[1]
    assert len(results[0]) == 8
