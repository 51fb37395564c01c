"""A mixture's vector has no constraints, and says all of it."""

from __future__ import annotations

import numpy as np
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.coordinates import from_vector, n_coordinates, to_vector
from fastgmm.forms import FORMS
from fastgmm.models import FAMILIES, MODELS
from fastgmm.parameters import Parameters


@pytest.mark.parametrize("form", FORMS)
def test_there_is_one_coordinate_more_than_parameters(form):
    assert n_coordinates(3, 4, form) == MODELS[FAMILIES[form]].n_parameters(3, 4) + 1


@given(st.sampled_from(sorted(FORMS)), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_every_vector_is_a_mixture_whose_vector_it_is(form, k, d, seed):
    vector = np.random.default_rng(seed).uniform(-3, 3, n_coordinates(k, d, form))
    mixture = from_vector(vector, k, d, form)
    back = to_vector(mixture)
    assert mixture.weights.sum() == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(back[:k] - back[0], vector[:k] - vector[0], atol=1e-13)
    np.testing.assert_allclose(back[k:], vector[k:], atol=1e-9)


def test_large_log_weights_do_not_overflow():
    vector = to_vector(problems.parameters(problems.mixture(3, 2)))
    vector[:3] += 1e4
    assert np.isfinite(from_vector(vector, 3, 2).weights).all()


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="component 1 has the weight 0"):
        to_vector(Parameters(np.array([1.0, 0.0]), np.zeros((2, 1)), np.ones((2, 1, 1))))


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(ValueError, match="have 12 coordinates, but got an array of shape"):
        from_vector(np.zeros(11), 2, 2)
