import warnings
from itertools import pairwise

import numpy as np
import pytest

from fastgmm import GaussianMixture

ray = pytest.importorskip("ray")

from fastgmm.rows.ray import RayRows  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def engine():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", object_store_memory=100 << 20)
    yield
    ray.shutdown()


def test_ray_gives_the_bits_of_an_array():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(mean, 1.0, (10_000, 2)) for mean in (0.0, 3.0, 8.0)])
    rng.shuffle(X)
    make = ray.remote(lambda start, stop: X[start:stop])
    edges = [0, 7_777, 7_778, 20_000, 30_000]
    rows = RayRows([make.remote(a, b) for a, b in pairwise(edges)])
    expected = GaussianMixture(3, random_state=0, tol=1e-6).fit(X)
    found = GaussianMixture(3, random_state=0, tol=1e-6).fit(rows)
    assert found.lower_bounds_ == expected.lower_bounds_
    np.testing.assert_array_equal(found.covariances_, expected.covariances_)
    np.testing.assert_array_equal(found.predict(rows), expected.predict(X))
