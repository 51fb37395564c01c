"""Which kernels score a mixture, and when turned rows are trusted."""

from __future__ import annotations

import numpy as np
import problems
import pytest
import reference

from fastgmm import Mixture, Parameters
from fastgmm.frame import Frame
from fastgmm.packed import TURNED_RANGE, PackedDiagonal, PackedMixture, packed_for_scoring, turnable
from fastgmm.threads import ALONE, Team


def tied(correlation: float, mean: float = 1.0) -> Parameters:
    return Parameters([0.5, 0.5], [[0.0, 0.0], [mean, 0.0]], [[1.0, correlation], [correlation, 1.0]], "tied")


@pytest.mark.parametrize("form", ["diag", "spherical", "tied"])
@pytest.mark.parametrize("n_features", [1, 3, 11])
def test_each_form_is_scored_like_its_matrices(form: str, n_features: int) -> None:
    m = problems.mixture(3, n_features)
    variances = np.einsum("kdd->kd", m.covariances)
    stored = {"tied": m.covariances[0], "diag": variances, "spherical": variances[:, 0]}[form]
    p = Parameters(m.weights, m.means, stored, form)
    mixture = Mixture(p)
    assert isinstance(mixture._packed, PackedDiagonal)
    X = problems.drawn(m, 300)
    joint = reference.log_joint(X, reference.Mixture(p.weights, p.means, np.array(p.matrices)))
    np.testing.assert_allclose(mixture.log_joint(X), joint, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mixture.log_prob(X), reference.log_likelihoods(joint), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mixture.responsibilities(X), reference.responsibilities(joint), rtol=1e-11, atol=1e-300)
    np.testing.assert_array_equal(mixture.predict(X), joint.argmax(axis=1))


def test_rows_are_turned_only_where_differences_keep_their_digits() -> None:
    frame = Frame.identity(2)
    assert turnable(tied(0.9))
    assert isinstance(packed_for_scoring(frame, tied(0.9)), PackedDiagonal)
    for far in (tied(0.0, mean=2 * TURNED_RANGE), tied(1 - 1e-13)):
        assert not turnable(far)
        assert isinstance(packed_for_scoring(frame, far), PackedMixture)


@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [9, 16, 21])
def test_whiteners_are_laid_out_by_columns(n_features: int, real: type) -> None:
    p = problems.parameters(problems.mixture(3, n_features))
    mixture = PackedMixture(Frame.identity(n_features), p, real)
    places, length = mixture.shape.places, mixture.shape.row_length
    expected = np.zeros((3, length, length), real)
    expected[:, places[:, None], places] = p.whiteners.swapaxes(1, 2)
    for team in (ALONE, Team(2, "parallel")):
        found = mixture.columns(team)
        assert found.dtype == real
        np.testing.assert_array_equal(found, expected.ravel())
