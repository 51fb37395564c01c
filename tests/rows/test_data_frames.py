import fits
import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.errors import DataError, DataTypeError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*did not converge"),
    pytest.mark.usefixtures("no_reader_left", "small_spans"),
]


@pytest.fixture(params=["pandas", "polars"])
def DataFrame(request):
    return pytest.importorskip(request.param).DataFrame


def test_columns_and_a_weight(DataFrame, X):
    w = np.arange(len(X)) % 3
    df = DataFrame({"w": w, "b": X[:, 1], "a": X[:, 0], "s": ["x"] * len(X)})
    expected = fits.fitted(X, w)[1]
    for data in (
        rows.frame(df, columns=["a", "b"], weight="w"),
        rows.chunks(lambda: (df[i : i + 999] for i in range(0, len(X), 999)), columns=["a", "b"], weight="w"),
    ):
        gm, bits = fits.fitted(data)
        assert bits == expected
        assert list(gm.feature_names_in_) == ["a", "b"]
    assert fits.fitted(DataFrame({"a": X[:, 0], "b": X[:, 1]}))[1] == fits.fitted(X)[1]


def test_dtypes(DataFrame):
    assert rows.frame(DataFrame({"a": np.ones(3, np.float32)})).dtype == np.float32
    assert rows.frame(DataFrame({"a": np.ones(3, np.float32), "b": np.ones(3)})).dtype == np.float64
    assert rows.frame(DataFrame({"a": [1, 2], "b": [True, False]})).dtype == np.float64


def test_what_is_refused(DataFrame):
    df = DataFrame({"a": [1.0, 2.0, None], "s": ["x", "y", "z"]})
    with pytest.raises(DataTypeError, match=r"column 's' holds .*, not numbers"):
        rows.frame(df)
    with pytest.raises(DataError, match="no column 'z'; there are 'a', 's'"):
        rows.frame(df, columns=["z"])
    with pytest.raises(DataError, match=r"(misses its value in row 2|NaN, the first at row 2, column 0 \('a'\))"):
        GaussianMixture(1).fit(rows.frame(df, columns=["a"]))
    with pytest.raises(DataError, match="chunk 1: no column 's'"):
        GaussianMixture(1).fit(rows.chunks(lambda: [DataFrame({"s": [1.0]}), DataFrame({"t": [1.0]})]))


def test_nullable_columns():
    pandas = pytest.importorskip("pandas")
    df = pandas.DataFrame({"a": pandas.array([1, 2, 3], dtype="Int64")})
    np.testing.assert_array_equal(next(rows.frame(df).chunks()).values, [[1.0], [2.0], [3.0]])
    df.loc[1, "a"] = pandas.NA
    with pytest.raises(DataError, match=r"NaN, the first at row 1, column 0 \('a'\)"):
        GaussianMixture(1).fit(rows.frame(df))


def test_no_frame():
    with pytest.raises(DataTypeError, match="a data frame is needed, but list came"):
        rows.frame([1])
