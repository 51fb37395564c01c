import numpy as np
import pytest

from fastgmm.rows.columns import TURNED, Columns


@pytest.mark.parametrize("n", [0, 1, TURNED, TURNED + 1])
def test_columns_become_rows(n):
    features = (np.arange(n), np.arange(n, dtype=np.float32) * 2)
    columns = Columns(features, np.dtype(np.float64))
    assert columns.shape == (n, 2)
    np.testing.assert_array_equal(np.asarray(columns), np.column_stack(features))
    assert np.asarray(columns.astype(np.float32)).dtype == np.float32


def test_a_part_of_the_rows():
    X = np.random.default_rng(0).normal(size=(3 * TURNED, 3))
    part = np.empty((TURNED + 5, 3))
    Columns(tuple(X.T), X.dtype).into(part, 7)
    np.testing.assert_array_equal(part, X[7 : TURNED + 12])
