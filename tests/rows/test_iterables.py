import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.errors import DataError, DataTypeError

pytestmark = pytest.mark.usefixtures("no_reader_left", "small_spans")


def test_what_callables_may_not_give(X):
    for make, kind, message in (
        (lambda: [], DataError, "gave no chunk"),
        (lambda: 5, DataTypeError, "returned int, which is no iterable"),
        (lambda: [np.zeros(3)], DataError, r"first chunk has shape \(3,\)"),
        (lambda: [(X, X[:, 0], 3)], DataError, "tuple of 3"),
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
