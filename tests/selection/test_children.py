"""Children keep what they did not draw, and lead to optima that their parents do not."""

from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

from fastgmm.models import MODELS
from fastgmm.selection.batch import Moments, Monomials
from fastgmm.selection.children import Origins, is_next, log_joints, renewed, spliced
from fastgmm.selection.starts import metrics

K, D, N = 4, 2, 160


def parents(count=3):
    made = [problems.mixture(K, D, seed) for seed in range(count)]
    return Moments(*(np.stack([getattr(m, name) for m in made]) for name in ("weights", "means", "covariances")))


def test_joints_are_those_of_the_mixtures():
    found, rows = parents(), problems.drawn(problems.mixture(K, D), N)
    logs = log_joints(rows, found, found.covariances)
    for r in range(len(found)):
        mixture = reference.Mixture(found.shares[r], found.means[r], found.covariances[r])
        np.testing.assert_allclose(logs[r].T, reference.log_joint(rows, mixture), rtol=1e-9, atol=1e-9)


def test_two_or_three_components_are_drawn_afresh_and_the_others_keep_their_rows():
    found, data = parents(1), Monomials.of(problems.drawn(problems.mixture(K, D), N))
    labels = log_joints(data.rows, found, found.covariances).argmax(axis=1)
    before = data.labelled(labels, K)
    rng = np.random.RandomState(0)
    origins = Origins.drawn(data, 1, K, 40, rng)
    children = renewed(data, np.stack(metrics(data)), found, found.covariances, origins, rng)
    np.testing.assert_allclose(children.shares.sum(axis=1), 1)
    same = np.abs(children.means[:, :, None] - before.means[0]) < 1e-12  # what is kept comes first
    kept = same.all(axis=3).any(axis=1)
    assert (kept.sum(axis=1) >= K - 3).all()
    changed = (~kept).sum(axis=1)
    assert {2, 3} <= set(changed.tolist())
    moved = children.shares[~kept.all(axis=1)]
    assert len(np.unique(moved.round(9), axis=0)) > 10


def test_rows_without_room_for_two_centres_end_in_empty_components_not_in_errors():
    rows = np.repeat([[0.0, 0.0], [4.0, 1.0]], 10, axis=0)
    data = Monomials.of(rows)
    found = Moments(np.array([[0.5, 0.5]]), np.array([[[0.0, 0.0], [4.0, 1.0]]]), np.tile(np.eye(2), (1, 2, 1, 1)))
    rng = np.random.RandomState(0)
    origins = Origins.drawn(data, 1, 2, 10, rng)
    children = renewed(data, np.stack(metrics(data)), found, found.covariances, origins, rng)
    np.testing.assert_allclose(children.shares.sum(axis=1), 1)


def test_a_spliced_child_has_components_of_two_parents_this_side_of_a_cut_and_beyond():
    found = parents()
    children = spliced(found, 60, np.random.RandomState(1))
    assert children.means.shape == (60, K, D)
    np.testing.assert_allclose(children.shares.sum(axis=1), 1)
    for means, matrices in zip(children.means, children.covariances, strict=True):
        same = (means[:, None, None] == found.means).all(axis=3)  # (K, R, K)
        assert (same.sum(axis=(1, 2)) == 1).all()
        origins = same.any(axis=2).argmax(axis=1)
        assert len(set(origins.tolist())) == 2
        for component, (parent, which) in enumerate(zip(origins, same.any(axis=1).argmax(axis=1), strict=True)):
            np.testing.assert_array_equal(matrices[component], found.covariances[parent, which])


def test_one_parent_is_spliced_with_itself():
    found = parents(1)
    children = spliced(found, 5, np.random.RandomState(0))
    np.testing.assert_allclose(np.sort(children.means[:, :, 0]), np.tile(np.sort(found.means[:, :, 0]), (5, 1)))


def test_the_same_seed_raises_the_same_children():
    found, data = parents(), Monomials.of(problems.drawn(problems.mixture(K, D), N))
    several = np.stack(metrics(data))
    made = []
    for _ in range(2):
        rng = np.random.RandomState(3)
        made.append(renewed(data, several, found, found.covariances, Origins.drawn(data, 3, K, 8, rng), rng))
    a, b = made
    np.testing.assert_array_equal(a.covariances, b.covariances)


def test_every_set_of_neighbours_is_taken_as_often_as_asked():
    found, rows = parents(), problems.drawn(problems.mixture(K, D), N)
    joints = log_joints(rows, found, found.covariances)
    origins = Origins.every(joints, 3, 5, np.random.RandomState(0))
    taken = [
        (parent, frozenset(np.argsort(-joints[parent, :, row])[:3].tolist()))
        for parent, row in zip(origins.parents, origins.rows, strict=True)
    ]
    wanted = {(r, frozenset(np.argsort(-joints[r, :, n])[:3].tolist())) for r in range(len(found)) for n in range(N)}
    assert set(taken) == wanted
    assert len(taken) == len(origins) == 5 * len(wanted)
    assert (origins.sizes == 3).all()
    some = origins[np.array([2, 0])]
    assert (some.rows == origins.rows[[2, 0]]).all()


@pytest.mark.parametrize("change", [-1, 1])
def test_neighbours_may_become_one_fewer_or_one_more(change):
    found, data = parents(1), Monomials.of(problems.drawn(problems.mixture(K, D), N))
    joints = log_joints(data.rows, found, found.covariances)
    origins, rng = Origins.every(joints, 3, 4, np.random.RandomState(1)), np.random.RandomState(2)
    children = renewed(data, np.stack(metrics(data)), found, found.covariances, origins, rng, change)
    assert children.shares.shape == (len(origins), K + change)
    np.testing.assert_allclose(children.shares.sum(axis=1), 1)
    before = data.labelled(joints.argmax(axis=1), K)
    kept = np.argsort(-joints[0][:, origins.rows], axis=0)[3]  # the one of four that is not of the set
    np.testing.assert_allclose(children.means[:, 0], before.means[0, kept])
    np.testing.assert_allclose(children.shares[:, 0], before.shares[0, kept])


def test_a_poorer_model_has_one_letter_less_free():
    assert {poorer for poorer in MODELS if is_next(poorer, "VVI")} == {"VII", "VEI", "EVI"}
    assert {poorer for poorer in MODELS if is_next(poorer, "VVV")} == {"VVE", "VEV", "EVV", "VVI"}
    assert not any(is_next(model, "EII") for model in MODELS)
