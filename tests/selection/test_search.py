"""Which cells the search raises children of, and that a seed gives the same again."""

from __future__ import annotations

import numpy as np
import problems

from fastgmm.selection.batch import Moments, Monomials
from fastgmm.selection.effort import Effort
from fastgmm.selection.found import Found
from fastgmm.selection.guard import Guard
from fastgmm.selection.search import Search


def found(*values):
    r = len(values)
    moments = Moments(np.full((r, 2), 0.5), np.zeros((r, 2, 2)), np.broadcast_to(np.eye(2), (r, 2, 2, 2)).copy())
    return Found(moments, moments.covariances, np.array(values, dtype=float))


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
