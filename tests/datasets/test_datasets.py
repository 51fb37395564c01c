import numpy as np

from fastgmm.datasets import FAITHFUL_COLUMNS, load_faithful


def test_faithful_is_that_of_r():
    X = load_faithful()
    assert X.shape == (272, len(FAITHFUL_COLUMNS))
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    np.testing.assert_allclose(X.mean(axis=0), [3.487783088, 70.897058824], rtol=1e-9)
    np.testing.assert_allclose(X.std(axis=0, ddof=1), [1.141371251, 13.594973790], rtol=1e-9)
    assert X[:3].tolist() == [[3.6, 79.0], [1.8, 54.0], [3.333, 74.0]]
    assert X[-1].tolist() == [4.467, 74.0]


def test_each_call_gives_an_array_of_its_own():
    load_faithful()[:] = 0
    assert load_faithful().all()
