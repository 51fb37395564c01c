"""Signatures do not depend on the order of components; runs that head for what is known, or lag, are dropped."""

from __future__ import annotations

import numpy as np
import problems
import pytest

from fastgmm.selection.archive import LARGEST, Archive, signatures, units
from fastgmm.selection.batch import Batch, Limits, Moments, Monomials

K, D, MODELS = 3, 2, ("VVV", "EEE")


def data():
    return Monomials.of(problems.drawn(problems.mixture(K, D), 120))


def starts(some, count=6):
    rng = np.random.default_rng(0)
    labels = np.array(
        [
            np.square(some.rows[:, None] - some.rows[rng.choice(120, K, replace=False)]).sum(axis=2).argmin(axis=1)
            for _ in range(count)
        ]
    )
    return some.labelled(labels, K)


def limits(batch, archives, some, bar=-np.inf):
    ranges, at = np.zeros((len(batch), 2), dtype=np.int64), 0
    for (_, span), archive in zip(batch.spans(), archives, strict=True):
        ranges[span] = at, at + len(archive.rows)
        at += len(archive.rows)
    known = np.concatenate([archive.rows for archive in archives])
    return Limits(np.full(len(batch), bar), units(some), known, ranges)


def settled(some):
    batch = Batch.start(some, {model: starts(some) for model in MODELS})
    batch.climb(4, 200, 1e-12)
    archives = []
    for _, span in batch.spans():
        archives.append(Archive())
        archives[-1].add(batch.log_likelihoods[span], batch.moments[span])
    return batch, archives


def test_a_signature_is_the_same_in_any_order_of_components():
    found = starts(data(), 2)
    order = [2, 0, 1]
    turned = Moments(found.shares[:, order], found.means[:, order], found.covariances[:, order])
    np.testing.assert_allclose(signatures(turned), signatures(found), rtol=1e-12)
    assert signatures(found).shape == (2, 6)
    assert np.abs(signatures(found)[0] - signatures(found)[1]).max() > 1e-3


def test_units_are_of_the_products_of_features():
    some = data()
    x = some.rows
    expected = [1.0, 1 / x[:, 0].std(), 1 / (x[:, 0] ** 2).std(), 1 / x[:, 1].std(), 1 / (x[:, 0] * x[:, 1]).std()]
    np.testing.assert_allclose(units(some)[:5], expected)


def test_runs_that_head_for_what_is_known_are_dropped_and_cost_less():
    some = data()
    free, archives = settled(some)
    again = Batch.start(some, {model: starts(some) for model in MODELS})
    steps = again.climb(4, 200, 1e-12, limits(again, archives, some))
    assert (again.log_likelihoods == -np.inf).all()
    assert steps < Batch.start(some, {model: starts(some) for model in MODELS}).climb(4, 200, 1e-12)
    assert np.isfinite(free.log_likelihoods).all()


def test_an_optimum_of_another_model_stops_nobody():
    some = data()
    free, archives = settled(some)
    again = Batch.start(some, {model: starts(some) for model in MODELS})
    bounds = limits(again, archives, some)
    bounds.ranges[:6] = 0, 0  # VVV does not know its own
    again.climb(4, 200, 1e-12, bounds)
    np.testing.assert_array_equal(again.log_likelihoods[:6], free.log_likelihoods[:6])
    assert (again.log_likelihoods[6:] == -np.inf).all()


def test_runs_that_cannot_pass_the_bar_are_dropped():
    some = data()
    free, _ = settled(some)
    batch = Batch.start(some, {model: starts(some) for model in MODELS})
    bounds = Limits.none(len(batch))
    bounds.bars[:] = np.median(free.log_likelihoods)
    batch.climb(4, 200, 1e-12, bounds)
    above = free.log_likelihoods > np.median(free.log_likelihoods) + 1e-6
    below = free.log_likelihoods < np.median(free.log_likelihoods) - 1e-6
    assert (batch.log_likelihoods[below] == -np.inf).all()
    left = batch.log_likelihoods > -np.inf  # one that crosses a plain may be dropped too
    assert (left & above).sum() >= 3
    np.testing.assert_array_equal(batch.log_likelihoods[left], free.log_likelihoods[left])


def test_an_archive_remembers_each_optimum_once_and_the_last_of_many():
    some, archive = data(), Archive()
    found = starts(some, 2)
    archive.add(np.array([1.0, 1.0 + 1e-9]), found)
    archive.add(np.array([1.0, -np.inf]), found)
    assert archive.rows.shape == (1, 7)
    for number in range(2 * LARGEST):
        archive.add(np.array([-float(number), np.nan]), found)
    assert len(archive.rows) == LARGEST
    assert archive.rows[-1, 0] == pytest.approx(1.0 - 2 * LARGEST)
