import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.errors import DataError, DataTypeError

pytestmark = pytest.mark.usefixtures("no_reader_left", "small_spans")


def test_what_callables_may_not_give(X):
    for make, kind, message in (
        (lambda: [], DataError, "gave no chunk"),
        (lambda: 5, DataTypeError, "returned int, which is no iterable"),
        (lambda: [np.zeros(3)], DataError, r"first chunk, ndarray, has shape \(3,\)"),
        (lambda: [(X, X[:, 0], 3)], DataError, "tuple of 3"),
        (lambda: [(X, ["a"] * len(X))], DataTypeError, "chunk 0: weights are not numbers"),
        (lambda: [None], DataError, r"the first chunk, NoneType, has shape \(\)"),
        (dict, DataError, "the callable dict gave no chunk"),
    ):
        with pytest.raises(kind, match=message):
            GaussianMixture(2).fit(make)
    with pytest.raises(DataError, match="row 0 of chunk 1: values of dtype float64 where the rows before are float32"):
        GaussianMixture(2).fit(lambda: [X.astype(np.float32), X])
    with pytest.raises(DataError, match="row 0 of chunk 1: values of dtype <U1 where numbers are needed"):
        GaussianMixture(2).fit(lambda: [X, np.array([["a", "b"]])])
    with pytest.raises(DataTypeError, match="no column 'w'"):
        rows.chunks(lambda: [X], weight="w")


def test_a_dtype_may_be_asked_for(X):
    source = rows.chunks(lambda: [X.astype(np.float32), X], dtype=np.float64)
    assert source.dtype == np.float64
    assert [chunk.values.dtype for chunk in source.chunks()] == [np.float64] * 2


def test_generators_are_closed(X):
    ended = []

    def make():
        try:
            yield X
            yield X
        finally:
            ended.append(1)

    source = rows.chunks(make)
    assert len(ended) == 1
    walk = source.chunks()
    next(walk)
    walk.close()
    assert len(ended) == 2


def test_empty_chunks_are_passed_over(X):
    found = GaussianMixture(1, n_threads=1).fit(lambda: [X[:0], X[:50], X[:0], X[50:], X[:0]])
    np.testing.assert_array_equal(found.means_, GaussianMixture(1, n_threads=1).fit(X).means_)


def test_a_callable_that_returns_one_iterator_again_is_told(X):
    parts = iter(np.array_split(X, 3))
    with pytest.raises(DataTypeError, match="returned the iterator that it returned before"):
        GaussianMixture(2).fit(lambda: parts)


def test_a_chunk_may_be_filled_again_for_the_next(X):
    def make():
        room = np.empty((1000, 2))
        for start in range(0, 10000, 1000):
            room[:] = X[start : start + 1000]
            yield room

    found = GaussianMixture(1, n_threads=2).fit(make)
    np.testing.assert_array_equal(found.means_, GaussianMixture(1, n_threads=1).fit(X[:10000]).means_)


def test_frames_whose_columns_have_numbers(X):
    pandas = pytest.importorskip("pandas")
    df = pandas.DataFrame(X)
    found = GaussianMixture(1, n_threads=1).fit(lambda: (df[start : start + 999] for start in range(0, len(df), 999)))
    np.testing.assert_array_equal(found.means_, GaussianMixture(1, n_threads=1).fit(X).means_)


def test_a_class_that_makes_an_arrow_stream(X):
    pa = pytest.importorskip("pyarrow")

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"a": X[:, 0], "b": X[:, 1]}).__arrow_c_stream__(requested_schema)

    found = GaussianMixture(1, n_threads=1).fit(Stream)
    np.testing.assert_array_equal(found.means_, GaussianMixture(1, n_threads=1).fit(X).means_)
    with pytest.raises(DataTypeError, match="gives an Arrow stream, maybe once only"):
        GaussianMixture(1).fit(Stream())


def test_what_only_leads_to_rows(tmp_path):
    class Lazy:
        def collect(self):
            raise AssertionError

    for X, kind, message in (
        ("rows.npy", DataError, r"X is a path, 'rows\.npy', not rows. Give fastgmm\.rows\.npy"),
        (tmp_path, DataError, "X is a path"),
        ({"train": [[1.0]]}, DataTypeError, r"holds rows by names \('train'\)"),
        (Lazy(), DataTypeError, "rows are yet to be made. Give X.collect()"),
    ):
        with pytest.raises(kind, match=message):
            GaussianMixture(2).fit(X)
