from __future__ import annotations

from dataclasses import replace

import numpy as np
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.em.coordinates import CLOSED, Chart, within
from fastgmm.forms import FORMS
from fastgmm.models import MODELS, maximise
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

K, D = 3, 4


def stored(form: str, seed: int) -> Parameters:
    """A mixture of a form."""
    m = problems.mixture(K, D, seed)
    variances = np.einsum("kdd->kd", m.covariances)
    covariances = {
        "full": m.covariances,
        "tied": m.covariances[0],
        "diag": variances,
        "spherical": variances.mean(axis=1),
    }
    return Parameters(m.weights, m.means, covariances[form], form)


def of_model(model: str, seed: int, ridge: float = 0.0) -> Parameters:
    """A mixture of a model, as an M-step gives it."""
    m = problems.mixture(K, D, seed)
    counts = 100.0 * m.weights
    about = SufficientStatistics(
        m.means, counts, np.zeros((K, D)), counts[:, None, None] * m.covariances, 0.0, counts.sum()
    )
    return maximise(about, model, reg_covar=ridge)


def assert_same(found: Parameters | None, expected: Parameters, rtol: float = 1e-12) -> None:
    assert found is not None
    assert found.form == expected.form
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=rtol, atol=rtol)


def divergence(p: Parameters, q: Parameters) -> float:
    """Σ_k π_k KL(N(0, Σ_k) ‖ N(0, Σ'_k)) by the textbook."""
    total = 0.0
    for weight, a, b in zip(p.weights, p.matrices, q.matrices, strict=True):
        ratio = np.linalg.solve(b, a)
        total += weight * 0.5 * (np.trace(ratio) - D - np.linalg.slogdet(ratio)[1])
    return total


@pytest.mark.parametrize("form", list(FORMS))
def test_there_and_back(form: str) -> None:
    chart = Chart(stored(form, 0))
    assert not chart.coordinates(chart.origin).any() or np.abs(chart.coordinates(chart.origin)).max() < 1e-14
    other = stored(form, 1)
    assert_same(chart.parameters(chart.coordinates(other)), other)


@pytest.mark.parametrize("form", list(FORMS))
def test_every_point_is_a_mixture_or_too_far(form: str) -> None:
    chart = Chart(stored(form, 0))
    size = chart.coordinates(chart.origin).size

    @given(st.integers(0, 1 << 16), st.sampled_from([0.1, 1.0, 10.0]))
    def law(seed: int, length: float) -> None:
        found = chart.parameters(length * np.random.default_rng(seed).standard_normal(size) / np.sqrt(size))
        assert found is not None
        assert found.weights.sum() == pytest.approx(1.0, rel=1e-14)
        assert (found.weights > 0).all()
        np.testing.assert_array_equal(found.matrices, found.matrices.swapaxes(1, 2))
        assert np.linalg.eigvalsh(found.matrices).min() > 0

    law()
    assert chart.parameters(np.full(size, 1e6)) is None
    assert chart.parameters(np.full(size, np.nan)) is None


def test_lengths_are_of_the_information_of_labelled_rows() -> None:
    """To second order, |coordinates|² is twice the divergence of the joint densities of rows and labels."""
    here, there = stored("full", 0), stored("full", 1)
    chart = Chart(here)
    near = chart.parameters(1e-4 * chart.coordinates(there))
    assert near is not None
    shift = near.means - here.means
    apart = sum(w * d @ np.linalg.solve(s, d) / 2 for w, d, s in zip(here.weights, shift, near.matrices, strict=True))
    joint = float(here.weights @ np.log(here.weights / near.weights)) + divergence(here, near) + apart
    assert np.sum(chart.coordinates(near) ** 2) == pytest.approx(2 * joint, rel=1e-3)


def test_units_do_not_matter() -> None:
    scale = np.array([1.0, 1e3, 1e-3, 7.0])
    here, there = stored("full", 0), stored("full", 1)
    far = [p.rescaled(p.means * scale, scale) for p in (here, there)]
    np.testing.assert_allclose(Chart(far[0]).coordinates(far[1]), Chart(here).coordinates(there), rtol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize("model", list(MODELS))
def test_a_mixture_of_the_model_stays_itself(model: str, ridge: float) -> None:
    here = of_model(model, 0, ridge)
    assert_same(within(here, model, ridge, here), here, rtol=1e-6)


@pytest.mark.parametrize("model", list(MODELS))
def test_combinations_come_back_to_the_model(model: str) -> None:
    here, there = of_model(model, 0), of_model(model, 1)
    chart = Chart(here)
    between = chart.parameters(0.5 * chart.coordinates(there))
    found = within(between, model, 0.0, here)
    assert found is not None
    assert between is not None
    assert_same(within(found, model, 0.0, found), found, rtol=1e-6)
    if model in CLOSED:
        assert_same(found, between)
    else:  # no other mixture of the model at hand is nearer
        assert divergence(between, found) <= min(divergence(between, other) for other in (here, there))


def test_what_is_below_the_ridge_is_refused() -> None:
    here = stored("diag", 0)
    assert within(here, "VVI", 0.5 * here.covariances.min(), here) is here
    assert within(here, "VVI", 2.0 * here.covariances.min(), here) is None
    assert within(None, "VVI", 0.0, here) is None
    flat = replace(here, covariances=here.covariances * [0.0, 1.0, 1.0, 1.0])
    assert within(flat, "VVI", 0.0, here) is None
