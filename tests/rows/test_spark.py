import shutil
from itertools import pairwise

import numpy as np
import pytest

from fastgmm import GaussianMixture
from fastgmm.errors import DataError

pyspark = pytest.importorskip("pyspark")
pytest.importorskip("pyarrow")
if shutil.which("java") is None:
    pytest.skip("Spark needs a Java runtime", allow_module_level=True)

from fastgmm.rows.spark import SparkRows  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def session():
    from pyspark.sql import SparkSession

    options = {"spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder.master("local[2]").appName("fastgmm")
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def frame_of(session, X, edges):
    """A data frame of partitions that are cut at some rows."""
    pieces = [X[a:b].tolist() for a, b in pairwise(edges)]
    rdd = session.sparkContext.parallelize(range(len(pieces)), len(pieces)).flatMap(lambda i: pieces[i])
    return session.createDataFrame(rdd, "a double, b double")


def test_spark_gives_the_bits_of_an_array(session):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(mean, 1.0, (10_000, 2)) for mean in (0.0, 3.0, 8.0)])
    rng.shuffle(X)
    rows = SparkRows(frame_of(session, X, [0, 7_777, 7_778, 7_778, 20_000, 30_000]))
    expected = GaussianMixture(3, random_state=0, tol=1e-6).fit(X)
    found = GaussianMixture(3, random_state=0, tol=1e-6).fit(rows)
    assert found.lower_bounds_ == expected.lower_bounds_
    np.testing.assert_array_equal(found.covariances_, expected.covariances_)
    np.testing.assert_array_equal(found.predict(rows), expected.predict(X))
    rows.close()


def test_bad_values_are_named_with_their_place(session):
    X = np.zeros((100, 2))
    X[77, 1] = np.nan
    with pytest.raises(DataError, match="1 NaN of 200 values, the first at row 77, column 1"):
        SparkRows(frame_of(session, X, [0, 50, 100]))
