from __future__ import annotations

import numpy as np
import problems
import pytest
import reference
from sklearn.datasets import load_iris

import fastgmm
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

EDDA = {
    "EII": (-414.6980, -444.6678),
    "VII": (-392.4984, -417.9650),
    "EEI": (-364.5174, -384.0883),
    "VEI": (-340.8361, -355.4588),
    "EVI": (-342.9737, -364.2257),
    "VVI": (-309.3628, -326.0501),
    "EEE": (-256.6462, -263.2037),
    "VEE": (-238.3947, -245.6816),
    "EVE": (-235.5521, -241.5427),
    "VVE": (-214.9091, -220.9827),
    "EEV": (-215.1433, -220.8005),
    "VEV": (-187.7097, -194.0475),
    "EVV": (-209.4548, -214.3575),
    "VVV": (-182.9208, -188.3756),
}
"""Σ log p(x) and Σ log π_y p(x | y) of iris after one M-step from the species; VEV is in mclust's vignette."""


def of_labels(X: np.ndarray, labels: np.ndarray, n_components: int) -> SufficientStatistics:
    origins = np.array([X[labels == k].mean(axis=0) for k in range(n_components)])
    sums = reference.moments(X, np.eye(n_components)[labels], origins)
    return SufficientStatistics(origins, *sums, 0.0, float(len(X)))


@pytest.mark.parametrize("model", MODELS)
def test_discriminant_analysis_of_iris(model: str) -> None:
    X, species = load_iris(return_X_y=True)
    p = fastgmm.maximise(of_labels(X, species, 3), model, reg_covar=0.0)
    joint = reference.log_joint(X, reference.Mixture(p.weights, p.means, p.matrices))
    marginal, complete = EDDA[model]
    assert reference.log_likelihoods(joint).sum() == pytest.approx(marginal, abs=1e-4)
    assert joint[np.arange(len(X)), species].sum() == pytest.approx(complete, abs=1e-4)


def test_weights_may_be_equal() -> None:
    X = problems.drawn(problems.mixture(3, 2), 100)
    s = of_labels(X, np.arange(100) // 50, 2)
    p, q = fastgmm.maximise(s, equal_weights=True), fastgmm.maximise(s)
    np.testing.assert_array_equal(p.weights, [0.5, 0.5])
    np.testing.assert_array_equal(p.covariances, q.covariances)
    np.testing.assert_array_equal(p.means, q.means)


def test_parameters_before_must_fit() -> None:
    X = problems.drawn(problems.mixture(3, 2), 100)
    with pytest.raises(ValueError, match=r"before must have means of shape \(2, 2\)"):
        fastgmm.maximise(of_labels(X, np.arange(100) // 50, 2), "VVE", before=Parameters([1.0], X[:1], [np.eye(2)]))
