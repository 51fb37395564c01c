"""Starts of rich cells: neighbours made one, poorer models' optima split, kin spliced, and each of them once."""

from __future__ import annotations

import numpy as np
import problems

from fastgmm.selection.batch import Moments, Monomials
from fastgmm.selection.children import log_joints
from fastgmm.selection.effort import Effort
from fastgmm.selection.found import Found
from fastgmm.selection.refinement import Refinement, are_kin
from fastgmm.selection.starts import metrics, splits

D, N = 2, 160
DATA = Monomials.of(problems.drawn(problems.mixture(4, D), N))


def known(k, count, first=0):
    made = [problems.mixture(k, D, first + seed) for seed in range(count)]
    moments = Moments(*(np.stack([getattr(m, name) for m in made]) for name in ("weights", "means", "covariances")))
    return Found(moments, moments.covariances, -np.arange(count, dtype=float))


def refinement(**changes):
    effort = Effort(**{"afresh": 4, "kin": 5, **changes})
    return Refinement(DATA, np.stack(metrics(DATA)), effort, np.random.RandomState(0))


def test_two_neighbours_are_made_one_and_all_rows_assigned_anew():
    found = known(4, 1)
    (children,) = refinement().paired(found)
    joints = log_joints(DATA.rows, found.moments, found.covariances)[0]
    labels = joints.argmax(axis=0)
    pairs = np.unique(np.sort(np.argsort(-joints, axis=0)[:2], axis=0), axis=1).T
    assert len(children) == len(pairs)
    for pair in pairs:
        shares = [np.mean(labels == k) for k in range(4) if k not in pair]
        wanted = np.sort([*shares, np.isin(labels, pair).mean()])
        assert np.isclose(np.sort(children.shares, axis=1), wanted).all(axis=1).any()


def test_pairs_are_made_once_of_an_optimum_and_not_more_than_may_be():
    found, some = known(4, 3), refinement(neighbours=3, paired=2)
    (children,) = some.paired(found)
    assert len(children) == 3
    assert some.paired(found) == []
    found = found.joined(known(4, 1, first=9), 10)  # as good as the best: that which was there stays
    assert some.paired(found) == []


def test_a_poorer_model_is_split_once_for_each_richer_one():
    found, some = known(3, 2), refinement(lent=1)
    (children,) = some.lent(found, "VVI")
    np.testing.assert_array_equal(children.means, splits(found.moments[:1]).means)
    assert some.lent(found, "VVI") == []
    assert len(some.lent(found, "VEE")) == 1


def test_starts_come_of_all_neighbours_that_there_are():
    cells = {("VVI", 4): known(4, 2), ("VEI", 3): known(3, 1), ("EII", 3): known(3, 1), ("VEI", 4): known(4, 1)}
    some = refinement()
    assert len(some.starts(cells, "VVI", 4)) == 3 + 5 + 4  # splits of VEI, as EII is no neighbour, kin, afresh
    assert len(some.starts(cells, "VVI", 4)) == 5 + 4
    cells["VVI", 5] = known(5, 1)
    assert len(some.starts(cells, "VVI", 4)) > 5 + 4
    assert len(some.starts({("VVI", 4): known(4, 1)}, "VVI", 4)) == 4  # one optimum is not spliced
    assert some.starts(cells, "VVI", 4).shares.shape[1] == 4


def test_kin_differ_by_one_letter():
    assert are_kin("VEI", "VVI")
    assert are_kin("VVI", "VEI")
    assert not are_kin("VVI", "VVI")
    assert not are_kin("EEI", "VVI")
