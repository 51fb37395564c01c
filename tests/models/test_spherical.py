from __future__ import annotations

import geometry
import numpy as np

from fastgmm.models import maximise


def test_variances_are_mean_squared_distances() -> None:
    X, shares = geometry.drawn()
    s = geometry.of_shares(X, shares)
    squared = (shares * ((X[:, None] - s.origins) ** 2).sum(axis=2)).sum(axis=0)
    p, q = maximise(s, "VII", reg_covar=0.0), maximise(s, "EII", reg_covar=0.0)
    np.testing.assert_allclose(p.covariances, squared / (3 * s.sum_w), rtol=1e-12)
    np.testing.assert_allclose(q.covariances, np.full(3, squared.sum() / (3 * 200)), rtol=1e-12)


def test_one_feature_has_mclusts_names() -> None:
    s = geometry.statistics(n_features=1)
    for letter, model in (("E", "EEE"), ("V", "VVV")):
        np.testing.assert_allclose(maximise(s, letter).matrices, maximise(s, model).matrices, rtol=1e-12)
