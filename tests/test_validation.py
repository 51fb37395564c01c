"""Bad input: refused before any work, in one line that says what, where and what to do; nothing is left behind."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.mixture import GaussianMixture as Reference

from fastgmm import GaussianMixture, Mixture, Parameters
from fastgmm.errors import DataError, DataTypeError, DegenerateComponentError
from fastgmm.validation import check_finite, check_rows, check_weights, extremes, survey


def good(n=40, d=3):
    return np.random.RandomState(0).normal(size=(n, d))


def spoilt(*places, value=np.nan, n=40, dtype=np.float64, order="C"):
    X = np.array(good(n), dtype=dtype, order=order)
    for place in places:
        X[place] = value
    return X


def mixed(value):
    X = good().astype(object)
    X[3, 1] = value
    return X


def both():
    X = spoilt((5, 1))
    X[30, 0] = np.inf
    return X


# name: (rows, options, error class, words that the message must have, does scikit-learn refuse with the same kind?)
CASES = {
    "nan": (spoilt((7, 2)), {}, ValueError, ["NaN", "1 NaN of 120", "row 7, column 2", "Remove"], True),
    "nans": (spoilt((9, 1), (7, 2), (7, 0)), {}, ValueError, ["3 NaN", "row 7, column 0"], True),
    "inf": (spoilt((0, 0), value=np.inf), {}, ValueError, ["infinity", "1 infinite", "row 0, column 0"], True),
    "-inf": (spoilt((39, 2), value=-np.inf), {}, ValueError, ["1 infinite", "row 39, column 2"], True),
    "nan and inf": (both(), {}, ValueError, ["NaN", "1 NaN and 1 infinite of 120", "row 5, column 1"], True),
    "nan in F order": (spoilt((7, 2), (9, 0), order="F"), {}, ValueError, ["2 NaN", "row 7, column 2"], True),
    "nan in float32": (spoilt((7, 2), dtype=np.float32), {}, ValueError, ["1 NaN", "row 7, column 2"], True),
    "nan in float16": (spoilt((7, 2), dtype=np.float16), {}, ValueError, ["1 NaN", "row 7, column 2"], True),
    "nan in a slice": (spoilt((14, 2), n=80)[::2], {}, ValueError, ["1 NaN", "row 7, column 2"], True),
    "nan in big-endian": (spoilt((7, 2), dtype=">f8"), {}, ValueError, ["1 NaN", "row 7, column 2"], True),
    "nan among objects": (mixed(np.nan), {}, ValueError, ["NaN", "row 3, column 1"], True),
    "None among objects": (mixed(None), {}, (ValueError, TypeError), ["row 3, column 1"], False),
    "late nan": (
        spoilt((100_000, 1), (120_000, 0), n=150_000),
        {},
        ValueError,
        ["2 NaN", "row 100000, column 1"],
        True,
    ),
    "scalar": (np.float64(3), {}, ValueError, ["Expected 2D array, got scalar", "Reshape"], True),
    "vector": (good()[:, 0], {}, ValueError, ["Expected 2D array, got 1D array", "(40,)", "Reshape your data"], True),
    "cube": (np.zeros((4, 3, 2)), {}, ValueError, ["dim 3", "(4, 3, 2)", "reshape"], True),
    "ragged": ([[1.0, 2.0], [3.0]], {}, ValueError, [], True),
    "words": (np.array([["a", "b"], ["1", "2"]]), {}, ValueError, ["could not convert string", "'a'", "row 0"], True),
    "word among objects": (mixed("x"), {}, ValueError, ["'x'", "row 3, column 1", "Encode"], True),
    "dict among objects": (mixed({}), {}, TypeError, ["string or a number", "row 3, column 1"], True),
    "bytes": (np.array([[b"a", b"b"], [b"c", b"d"]]), {}, ValueError, ["row 0, column 0"], True),
    "complex": (good() + 1j, {}, ValueError, ["Complex data not supported", "complex128"], True),
    "complex objects": (mixed(1j), {}, ValueError, ["Complex data not supported"], False),
    "datetime64": (good().astype("datetime64[s]"), {}, TypeError, ["datetime64[s]", "seconds"], False),
    "timedelta64": (good().astype("timedelta64[s]"), {}, TypeError, ["timedelta64[s]"], False),
    "structured": (np.zeros(9, dtype=[("a", float), ("b", int)]), {}, TypeError, ["structured"], False),
    "masked": (np.ma.masked_greater(good(), 2), {}, TypeError, ["masked", "Fill"], False),
    "csr": (sparse.csr_matrix(good()), {}, TypeError, ["Sparse data was passed", "toarray"], True),
    "coo array": (sparse.coo_array(good()), {}, TypeError, ["Sparse data was passed", "toarray"], True),
    "no rows": (np.empty((0, 3)), {}, ValueError, ["0 sample(s) (shape=(0, 3))", "minimum of 2"], True),
    "no columns": (np.empty((9, 0)), {}, ValueError, ["0 feature(s) (shape=(9, 0))", "minimum of 1"], True),
    "empty list": ([], {}, ValueError, ["2D"], True),
    "one row": (good(1), {}, ValueError, ["1 sample(s)", "minimum of 2"], True),
    "K > N": (good(5), {"n_components": 6}, ValueError, ["n_components = 6", "n_samples = 5"], True),
    "K = 0": (good(), {"n_components": 0}, ValueError, ["n_components", "Got 0"], False),
    "K < 0": (good(), {"n_components": -2}, ValueError, ["n_components", "Got -2"], False),
    "equal rows, no ridge": (np.ones((9, 3)), {"reg_covar": 0}, ValueError, ["Column 0", "constant"], True),
    "constant column, no ridge": (
        np.c_[good(), np.full(40, 7.0)],
        {"reg_covar": 0},
        ValueError,
        ["Column 3", "constant", "reg_covar"],
        True,
    ),
    "collinear, no ridge": (
        np.c_[np.arange(40.0), np.arange(40.0)],
        {"reg_covar": 0},
        ValueError,
        ["ill-defined", "reg_covar"],
        True,
    ),
    "collapse, no ridge": (
        np.repeat([[0.0, 1], [1, 0], [5, 5]], 9, axis=0),
        {"reg_covar": 0, "n_components": 3},
        ValueError,
        ["ill-defined", "reg_covar", "omponent"],
        True,
    ),
    "fewer rows than columns, no ridge": (good(3), {"reg_covar": 0}, ValueError, ["ill-defined", "reg_covar"], False),
}


def refused(estimator, X, kind=(ValueError, TypeError)):
    with pytest.raises(kind) as caught:
        estimator.fit(X)
    return caught.value


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_line_that_says_what_where_and_what_to_do(case):
    X, options, kind, words, _ = CASES[case]
    error = refused(GaussianMixture(random_state=0, **options), X, kind)
    text = str(error)
    assert "\n" not in text
    assert 20 < len(text) < 500
    for word in words:
        assert word in text


@pytest.mark.parametrize("case", CASES)
def test_refused_fit_leaves_nothing_behind(case):
    X, options, *_ = CASES[case]
    gm = GaussianMixture(random_state=0, **options)
    before = dict(vars(gm))
    refused(gm, X)
    assert vars(gm) == before


@pytest.mark.parametrize("case", CASES)
def test_earlier_fit_survives_a_refused_one(case):
    X, options, *_ = CASES[case]
    gm = GaussianMixture(random_state=0).fit(good())
    gm.set_params(**options)
    before = dict(vars(gm))
    refused(gm, X)
    assert vars(gm).keys() == before.keys()
    assert all(vars(gm)[name] is value for name, value in before.items())


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case[-1]])
def test_refused_with_the_references_kind_of_error(case):
    X, options, *_ = CASES[case]
    ours = refused(GaussianMixture(random_state=0, **options), X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = refused(Reference(random_state=0, **options), X)
    assert isinstance(ours, ValueError) == isinstance(theirs, ValueError)
    assert isinstance(ours, TypeError) == isinstance(theirs, TypeError)


SCORED = [name for name, (_, options, *_) in CASES.items() if not options and name not in ("one row", "empty list")]


@pytest.mark.parametrize("method", ["predict", "score_samples", "predict_proba", "score", "bic"])
@pytest.mark.parametrize("case", SCORED)
def test_scoring_refuses_the_same(case, method):
    X, _, kind, *_ = CASES[case]
    gm = GaussianMixture(random_state=0).fit(good())
    with pytest.raises(kind) as caught:
        getattr(gm, method)(X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("d", [2, 4])
def test_other_number_of_columns(d):
    gm = GaussianMixture(random_state=0).fit(good())
    with pytest.raises(ValueError, match=rf"X has {d} features, but GaussianMixture is expecting 3 features as input"):
        gm.predict(good(d=d))


def test_one_row_can_be_scored():
    gm = GaussianMixture(random_state=0).fit(good())
    assert gm.predict(good()[:1]).shape == (1,)


SAME = {
    "objects": lambda X: X.astype(object),
    "strings of numbers": lambda X: X.astype("U40"),
    "list": lambda X: X.tolist(),
    "F order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "negative stride": lambda X: X[::-1].copy()[::-1],
    "column slice": lambda X: np.hstack([X, X])[:, :3],
    "big-endian": lambda X: X.astype(">f8"),
    "longdouble": lambda X: X.astype(np.longdouble),
    "unaligned": lambda X: np.frombuffer(b"x" + X.tobytes(), dtype=np.uint8)[1:].view("f8").reshape(X.shape),
    "masked without masked": lambda X: np.ma.array(X),
    "masked with a clear mask": lambda X: np.ma.array(X, mask=np.zeros(X.shape, bool)),
}


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


@pytest.mark.parametrize("form", [*SAME.values(), read_only], ids=[*SAME, "read-only"])
def test_other_forms_of_the_same_numbers_give_the_same_bits(form):
    X = good(300)
    expected = GaussianMixture(2, random_state=0, max_iter=300).fit(X)
    found = GaussianMixture(2, random_state=0, max_iter=300).fit(form(X))
    np.testing.assert_array_equal(found.means_, expected.means_)
    np.testing.assert_array_equal(found.covariances_, expected.covariances_)
    np.testing.assert_array_equal(found.score_samples(form(X)), expected.score_samples(X))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, bool, np.float16])
def test_small_numbers_of_any_dtype(dtype):
    X = (good(200) * 5 > 0).astype(dtype) if dtype is bool else np.abs(good(200) * 5).astype(dtype)
    found = GaussianMixture(random_state=0).fit(X)
    expected = GaussianMixture(random_state=0).fit(X.astype(np.float64))
    np.testing.assert_array_equal(found.means_, expected.means_)
    assert found.means_.dtype == np.float64


def test_the_caller_keeps_the_rows_unchanged():
    X = good(200)
    before = X.copy()
    GaussianMixture(2, random_state=0, max_iter=300).fit(X)
    np.testing.assert_array_equal(X, before)


def test_equal_rows_with_a_ridge_are_one_tight_component():
    gm = GaussianMixture().fit(np.ones((9, 3)))
    np.testing.assert_allclose(gm.means_, 1)
    np.testing.assert_allclose(gm.covariances_[0], 1e-6 * np.eye(3), rtol=1e-6)


def fitted_or_refused(X, **options):
    """The fit, or None if it is refused in a line that names the trouble."""
    try:
        return GaussianMixture(2, random_state=0, max_iter=300, **options).fit(X)
    except ValueError as error:
        text = str(error)
    assert "\n" not in text
    assert any(word in text for word in ("scale", "large", "range", "overflow"))
    return None


@pytest.mark.parametrize("size", [1e150, 1e-150, 1e300, 1.7e308])
def test_huge_and_tiny_values_are_fitted_or_refused(size):
    X = good(200) / np.abs(good(200)).max() * size
    gm = fitted_or_refused(X, reg_covar=0)
    if gm is None:
        assert not 1e-150 <= size <= 1e150
        return
    same = GaussianMixture(2, reg_covar=0, random_state=0, max_iter=300).fit(X / size)
    np.testing.assert_allclose(gm.means_ / size, same.means_, rtol=1e-6, atol=1e-9)
    assert np.isfinite(gm.score_samples(X)).all()
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert np.isfinite(getattr(gm, name)).all(), name


def test_one_huge_value_is_fitted_or_refused():
    X = good(200)
    X[17, 1] = 1e308
    gm = fitted_or_refused(X)
    if gm is not None:
        assert np.isfinite(gm.score_samples(X)).all()
        assert np.isfinite(gm.covariances_).all()


def test_classes_tell_the_kinds_apart():
    assert isinstance(refused(GaussianMixture(), CASES["nan"][0]), DataError)
    assert isinstance(refused(GaussianMixture(), CASES["csr"][0]), DataTypeError)
    _, options, *_ = CASES["collinear, no ridge"]
    assert isinstance(refused(GaussianMixture(**options), CASES["collinear, no ridge"][0]), DegenerateComponentError)


def test_check_rows_copies_nothing_that_it_need_not():
    X = good()
    assert np.shares_memory(check_rows(X), X)
    assert np.shares_memory(check_rows(np.ma.array(X)), X)
    assert check_rows(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 5000])
@pytest.mark.parametrize("d", [1, 2, 3, 700, 1025])
def test_extremes_of_any_shape_and_layout(n, d):
    X = np.random.default_rng(n + d).normal(size=(n, d)).astype(np.float32)
    for layout in (X, np.asfortranarray(X), X[::2], X[:, ::-1]):
        for found, expected in zip(extremes(layout), (layout.min(axis=0), layout.max(axis=0)), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("row", [0, 700, 1023, 1024])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_extremes_show_what_is_not_finite(row, value):
    X = np.zeros((1025, 2))
    X[row, 1] = value
    low, high = extremes(X)
    np.testing.assert_array_equal(np.isfinite([low, high]).all(axis=0), [True, False])


def test_survey_finds_the_extremes():
    X = good(1000)
    low, high = survey(X)
    np.testing.assert_array_equal(low, X.min(axis=0))
    np.testing.assert_array_equal(high, X.max(axis=0))


def test_check_finite_counts_from_the_given_row():
    with pytest.raises(DataError, match="row 1007, column 2"):
        check_finite(spoilt((7, 2)), first_row=1000)
    check_finite(np.arange(6).reshape(2, 3))
    check_finite(np.array([[1.7e308, 1.7e308]]))


def test_check_weights_takes_scalars_and_lists():
    assert check_weights(None, 3) is None
    np.testing.assert_array_equal(check_weights(2, 3), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(check_weights([1, 0, 2], 3), [1.0, 0.0, 2.0])


def test_mixture_refuses_as_the_estimator_does():
    mixture = Mixture(Parameters([1.0], np.zeros((1, 3)), np.eye(3)[None]))
    with pytest.raises(ValueError, match="row 7, column 2"):
        mixture.log_prob(CASES["nan"][0])
