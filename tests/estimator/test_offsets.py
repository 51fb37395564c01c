"""Rows far from zero: where scikit-learn's tied, diagonal and spherical covariances break, and float32 all the more.

scikit-learn 1.9.1 raises on these data at 1e8 in float64, and from 1e4 on in float32.
"""

import numpy as np
import pytest

from fastgmm import GaussianMixture

FAMILIES = ("full", "tied", "diag", "spherical")


def clusters(offset, dtype):
    """Two clusters of variance 1, far from each other and `offset` from zero."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((1000, 2)) + np.repeat([[-5.0, 0.0], [5.0, 0.0]], 500, axis=0)
    return (X + offset).astype(dtype)


def mean_variance(gm):
    full = gm.mixture_.parameters.variances
    return float(full.mean())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("offset", [1e3, 1e4, 1e6, 1e8])
def test_float64_is_the_same_at_every_offset(family, offset):
    here = GaussianMixture(2, covariance_type=family, random_state=0).fit(clusters(0.0, np.float64))
    there = GaussianMixture(2, covariance_type=family, random_state=0).fit(clusters(offset, np.float64))
    rounding = 2.0**-52 * offset
    assert mean_variance(there) == pytest.approx(mean_variance(here), abs=1e-9 + 4 * rounding)
    np.testing.assert_allclose(there.means_ - offset, here.means_, atol=1e-9 + 8 * rounding)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4, 1e6])
def test_float32_loses_no_more_than_its_rows(family, offset):
    X = clusters(offset, np.float32)
    gm = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    exact = GaussianMixture(2, covariance_type=family, random_state=0).fit(X.astype(np.float64))
    assert mean_variance(gm) == pytest.approx(mean_variance(exact), rel=1e-5)
    if offset <= 1e4:
        assert mean_variance(gm) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", ["spherical", "diag"])
def test_components_of_one_row_have_the_ridge(covariance_type, dtype):
    """scikit-learn issue 30382: its variances are [112.1, 0.1] in float32."""
    X = np.array([[9999.0], [0.0]], dtype=dtype)
    with pytest.warns(UserWarning, match="the ridge that was added"):
        gm = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.1, random_state=0).fit(X)
    np.testing.assert_allclose(gm.covariances_.ravel(), [0.1, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(np.sort(gm.means_.ravel()), [0.0, 9999.0])
