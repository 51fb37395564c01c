"""Batches against the loop, which judges them: the same iterations, the same optima."""

from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

from fastgmm.models import MODELS
from fastgmm.selection.batch import Batch, Moments, Monomials
from fastgmm.selection.neighbours import neighbours

K, D = 3, 2


def drawn_rows(n=120):
    return problems.drawn(problems.mixture(K, D), n)


def labelled(data, count=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.empty((count, len(data.rows)), dtype=np.intp)
    for r in range(count):
        centres = data.rows[rng.choice(len(data.rows), K, replace=False)]
        labels[r] = reference.nearest(data.rows, centres)
        some = rng.random(len(data.rows)) < 0.2  # so that no group is of a few rows only
        labels[r, some] = rng.integers(K, size=some.sum())
    return data.labelled(labels, K)


@pytest.mark.parametrize("weighted", [False, True])
def test_full_iterations_are_those_of_em(weighted):
    X = drawn_rows()
    weights = problems.row_weights(len(X)) if weighted else None
    data = Monomials.of(X, weights)
    start = labelled(data, 2)
    batch = Batch.start(data, {"VVV": start})
    batch.iterate(5)
    for r in range(2):
        mixture = reference.Mixture(start.shares[r], start.means[r], start.covariances[r])
        for _ in range(5):
            joint = reference.log_joint(X, mixture)
            value = np.average(reference.log_likelihoods(joint), weights=weights)
            sums = reference.moments(X, reference.responsibilities(joint), mixture.means, weights)
            mixture = reference.maximise(sums, mixture.means)
        assert batch.log_likelihoods[r] == pytest.approx(value, rel=1e-9)
        np.testing.assert_allclose(batch.moments.shares[r], mixture.weights, rtol=1e-6)
        np.testing.assert_allclose(batch.moments.means[r], mixture.means, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("k", "d"), [(1, 1), (4, 1), (5, 3), (9, 4)])
def test_any_number_of_components_and_features_takes_an_iteration_alike(k, d):
    X = problems.drawn(problems.mixture(3, d), 200)
    data = Monomials.of(X[neighbours(X, 24)])
    start = data.labelled(np.random.default_rng(1).integers(k, size=(2, len(X))), k)
    batch = Batch.start(data, {"VVV": start})
    batch.iterate(3)
    mixture = reference.Mixture(start.shares[1], start.means[1], start.covariances[1])
    for _ in range(3):
        joint = reference.log_joint(data.rows, mixture)
        sums = reference.moments(data.rows, reference.responsibilities(joint), mixture.means)
        mixture = reference.maximise(sums, mixture.means)
    assert batch.log_likelihoods[1] == pytest.approx(reference.log_likelihoods(joint).mean(), rel=1e-8)
    np.testing.assert_allclose(batch.moments.shares[1], mixture.weights, rtol=1e-6)
    np.testing.assert_allclose(batch.moments.covariances[1], mixture.covariances, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", MODELS)
def test_neither_em_nor_its_acceleration_loses_likelihood(model):
    data = Monomials.of(drawn_rows())
    batch = Batch.start(data, {model: labelled(data)})
    last = np.full(4, -np.inf)
    for number in range(16):
        batch.iterate(1) if number < 8 else batch.accelerate(1)
        assert (batch.log_likelihoods >= last - 1e-9).all()
        last = batch.log_likelihoods


def test_acceleration_ends_where_em_does_and_sooner():
    truth = problems.mixture(K, D)
    data = Monomials.of(problems.drawn(truth, 400))
    start = Moments(truth.weights[None], truth.means[None], truth.covariances[None])
    plain, fast, short = (Batch.start(data, {"VVV": start}) for _ in range(3))
    plain.iterate(2000)
    fast.accelerate(40)
    short.iterate(120)
    gap = plain.log_likelihoods[0] - fast.log_likelihoods[0]
    assert abs(gap) < 1e-7
    assert gap < plain.log_likelihoods[0] - short.log_likelihoods[0]  # after as many steps


def test_models_side_by_side_do_not_touch_each_other():
    data = Monomials.of(drawn_rows())
    start = labelled(data)
    together = Batch.start(data, {model: start for model in ("VEI", "VVE", "VVV")})
    together.accelerate(4)
    for model, span in together.spans():
        alone = Batch.start(data, {model: start})
        alone.accelerate(4)
        np.testing.assert_allclose(together.log_likelihoods[span], alone.log_likelihoods, rtol=1e-10)


def test_a_choice_goes_on_as_it_would_have():
    data = Monomials.of(drawn_rows())
    batch = Batch.start(data, {"VEI": labelled(data), "EVE": labelled(data)})
    batch.accelerate(2)
    part = batch.chosen(np.array([1, 6]))
    assert [(model, span.stop - span.start) for model, span in part.spans()] == [("VEI", 1), ("EVE", 1)]
    batch.accelerate(2)
    part.accelerate(2)
    np.testing.assert_allclose(part.log_likelihoods, batch.log_likelihoods[[1, 6]], rtol=1e-10)


def test_a_run_that_collapses_stays_dead_and_harms_no_other():
    data = Monomials.of(drawn_rows())
    start = labelled(data, 2)
    start.covariances[0, 0] = np.nan
    batch = Batch.start(data, {"VVV": start})
    with np.errstate(all="ignore"):
        batch.iterate(3)
    assert batch.log_likelihoods[0] == -np.inf
    alone = Batch.start(data, {"VVV": Moments(start.shares[1:], start.means[1:], start.covariances[1:])})
    alone.iterate(3)
    assert batch.log_likelihoods[1] == pytest.approx(alone.log_likelihoods[0], rel=1e-12)
