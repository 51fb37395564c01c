from __future__ import annotations

import geometry
import numpy as np
import pytest

from fastgmm.errors import DegenerateComponentError
from fastgmm.models import maximise
from fastgmm.models.moments import Moments
from fastgmm.models.volume import evv


def test_covariances_have_one_determinant_and_their_own_shapes() -> None:
    s = geometry.statistics()
    p, q = maximise(s, "EVV", reg_covar=0.0), maximise(s, "VVV", reg_covar=0.0)
    roots = np.linalg.det(q.covariances) ** (1 / 3)
    np.testing.assert_allclose(p.covariances, (p.weights @ roots) * q.covariances / roots[:, None, None], rtol=1e-12)


def test_a_determinant_that_is_only_rounding_is_no_volume() -> None:
    X, _ = geometry.drawn(2, 3, 60)
    labels = np.arange(60) // 30
    X[30:, 2] = X[30:, 0] / 3 - X[30:, 1] / 7
    for origins in (X[[0, 30]], X[[0, 30]] + 100.0):
        with pytest.raises(DegenerateComponentError, match="Component 1"):
            evv(Moments.of(geometry.of_shares(X, np.eye(2)[labels], origins)))
