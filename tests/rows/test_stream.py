import time
import warnings
from contextlib import closing

import fits
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture, Parameters, rows
from fastgmm.backend import as_rows
from fastgmm.errors import DataError, DataTypeError
from fastgmm.rows import limits
from fastgmm.rows.memory import ArrayRows
from fastgmm.rows.stream import StreamedRows
from fastgmm.threads import team

pytestmark = [pytest.mark.filterwarnings("ignore:.*did not converge"), pytest.mark.usefixtures("no_reader_left")]


@pytest.fixture(scope="module")
def expected(X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fits.bits(X)


def pieces(X, cuts):
    return lambda: np.split(X, sorted(cuts))


@pytest.mark.usefixtures("small_spans")
class TestBits:
    @settings(max_examples=10)
    @given(cuts=st.lists(st.integers(0, 10500), max_size=12))
    def test_chunks_of_any_size(self, X, expected, cuts):
        assert isinstance(as_rows(pieces(X, cuts)), StreamedRows)
        assert fits.bits(pieces(X, cuts)) == expected

    def test_chunks_of_one_row(self, X):
        few = X[:3100]
        assert fits.bits(lambda: few[:, None, :]) == fits.bits(few)

    @pytest.mark.parametrize("n_threads", [1, 2, 3])
    def test_any_number_of_threads(self, X, expected, n_threads):
        assert fits.bits(X, n_threads=n_threads) == expected
        assert fits.bits(pieces(X, [1, 5000]), n_threads=n_threads) == expected

    @pytest.mark.parametrize("options", [{"init_params": "k-means++"}, {"init_params": "random"}], ids=str)
    def test_other_starts(self, X, options):
        assert fits.bits(pieces(X, [77, 3000, 9999]), **options) == fits.bits(X, **options)

    def test_float32(self, X):
        narrow = X.astype(np.float32)
        assert fits.bits(pieces(narrow, [5, 4000])) == fits.bits(narrow)

    @pytest.mark.parametrize("weight_type", ["frequency", "reliability"])
    def test_weights_of_chunks_and_given_weights(self, X, weight_type):
        w = np.random.default_rng(0).uniform(0, 3, len(X))
        w[::7] = 0
        expected = fits.bits(X, w, weight_type=weight_type)
        assert fits.bits(pieces(X, [5, 4000]), w, weight_type=weight_type) == expected
        parts = np.arange(0, len(X), 999)
        found, _ = fits.fitted(lambda: ((X[i : i + 999], w[i : i + 999]) for i in parts), weight_type=weight_type)
        assert found.lower_bounds_ == fits.fitted(X, w, weight_type=weight_type)[0].lower_bounds_

    def test_variational_bayes_and_the_verb(self, X):
        def bits(data):
            gm = BayesianGaussianMixture(n_components=2, max_iter=3, random_state=0, n_threads=1).fit(data)
            return gm.lower_bounds_, gm.means_.tobytes(), gm.predict(data).tobytes()

        assert bits(pieces(X, [123])) == bits(X)
        p = Parameters([0.5, 0.5], [[0.0, 0.0], [4.0, 4.0]], np.ones((2, 2)), "diag")
        sums = [fastgmm.expectation(data, p, n_threads=1).to_bytes() for data in (X, pieces(X, [123, 9000]))]
        assert sums[0] == sums[1]


def test_a_small_source_is_read_once(X):
    calls = []
    found = as_rows(lambda: calls.append(1) or [X])
    assert isinstance(found, ArrayRows)
    assert len(calls) == 2  # one to see the first chunk


@pytest.mark.usefixtures("small_spans")
class TestWalks:
    def test_rows_are_taken_by_number_in_one_walk(self, X):
        calls = []
        found = as_rows(lambda: calls.append(1) or np.array_split(X, 9))
        before = len(calls)
        numbers = np.array([10499, 0, 5, 5, 7000])
        np.testing.assert_array_equal(found.take(numbers)[0], X[numbers])
        assert len(calls) == before + 1
        assert found.take(np.empty(0, dtype=np.intp))[0].shape == (0, 2)

    def test_spans_are_whole_blocks(self, X):
        found = as_rows(pieces(X, [1, 2, 9000]))
        with closing(found.spans(100, 3)) as spans:
            starts = [start for start, _, _ in spans]
        assert set(np.diff(starts)) == {100}
        with closing(found.spans(3072, 1000)) as spans:
            next(spans)  # and left there

    def test_passes_are_counted(self, X):
        expected, found = (fits.fitted(data)[0].history_ for data in (X, pieces(X, [1, 9000])))
        np.testing.assert_array_equal(found["passes"], expected["passes"])
        assert found["passes"][-1] >= 5

    def test_chunks_that_come_slowly_are_read_while_others_are_computed_with(self, X, monkeypatch):
        """Every pass begins to read the next chunk before it has summed the one before."""
        from fastgmm.rows import stream

        told, summed = [], stream._summed

        def slow():
            for start in range(0, len(X), 3072):
                told.append("read")
                yield X[start : start + 3072]

        def watched(task, span):
            deadline, known = time.monotonic() + 20, len(told)
            while not span[0] and len(told) == known and time.monotonic() < deadline:
                time.sleep(0.001)  # of the first span: until the next chunk is asked for
            told.append("summed")
            return summed(task, span)

        monkeypatch.setattr(stream, "_summed", watched)
        found = as_rows(slow)
        told.clear()
        p = Parameters([0.5, 0.5], [[0.0, 0.0], [4.0, 4.0]], np.ones((2, 2)), "diag")
        for n_threads in (1, 2):
            found.expectation(found.frame.enter(p), team(n_threads))
            assert told.index("summed") >= 2
            assert told.count("read") == told.count("summed") == 4
            told.clear()

    def test_the_thread_ends_with_an_error_and_with_ctrl_c(self, X):
        def interrupt(done):
            if done.number == 2:
                raise KeyboardInterrupt

        gm = GaussianMixture(2, tol=0, max_iter=5, random_state=0, n_threads=1, callback=interrupt)
        with pytest.raises(KeyboardInterrupt):
            gm.fit(pieces(X, [5]))
        assert gm.n_iter_ == 2

        def failing():
            yield X[:5000]
            raise OSError("the disk is on fire")

        with pytest.raises(OSError, match="on fire"):
            gm.fit(failing)


@pytest.mark.usefixtures("small_spans")
class TestBadRows:
    def test_the_place_of_nan_is_named(self, X):
        bad = X.copy()
        bad[7777, 1] = np.nan
        with pytest.raises(DataError, match=r"NaN, the first at row 7777, column 1 \('b'\): row 777 of chunk 7 "):
            GaussianMixture(2).fit(
                rows.chunks(lambda: [bad[i : i + 1000] for i in range(0, 10500, 1000)], columns=["a", "b"])
            )
        bad[7777, 1] = np.inf
        gm = GaussianMixture(2, max_iter=1, random_state=0, n_threads=1).fit(X)
        for method in ("predict", "score", "score_samples", "bic"):
            with pytest.raises(DataError, match=r"infinity .* the first at row 7777, column 1: row 7777 of chunk 0"):
                getattr(gm, method)(lambda: [bad])

    def test_another_number_of_columns(self, X):
        with pytest.raises(DataError, match="row 0 of chunk 1: 3 columns where the rows before have 2"):
            GaussianMixture(2).fit(lambda: [X, np.zeros((5, 3))])

    def test_rows_that_change_between_passes(self, X):
        state = {"n": len(X)}

        def shrinking(done):
            state["n"] = 9000

        with pytest.raises(DataError, match="9000 rows in this pass, but 10500 before"):
            GaussianMixture(2, tol=0, max_iter=3, n_threads=1, callback=shrinking).fit(lambda: [X[: state["n"]]])
        state["n"] = 9000

        def growing(done):
            state["n"] = len(X)

        with pytest.raises(DataError, match="more than 9000 rows in this pass"):
            GaussianMixture(2, tol=0, max_iter=3, n_threads=1, callback=growing).fit(lambda: [X[: state["n"]]])

    def test_bad_weights(self, X):
        w = np.ones(len(X))
        w[8000] = -1
        with pytest.raises(DataError, match="row 8000: -1"):
            GaussianMixture(2).fit(lambda: [(X, w)])
        with pytest.raises(DataError, match="every weight is zero"):
            GaussianMixture(2).fit(lambda: [(X, 0 * w)])
        with pytest.raises(DataError, match="weights of its own"):
            GaussianMixture(2).fit(lambda: [(X, np.abs(w))], sample_weight=np.abs(w))
        with pytest.raises(DataError, match="not one for each of the 10500 rows"):
            GaussianMixture(2).fit(lambda: [(X, w[:5])])

    def test_one_shot_iterators_are_refused_by_fit_and_scored(self, X):
        gm = GaussianMixture(2, max_iter=1, random_state=0, n_threads=1)
        with pytest.raises(DataTypeError, match="gives its rows once, but a fit reads them in every iteration"):
            gm.fit(part for part in np.array_split(X, 3))
        gm.fit(X)
        np.testing.assert_array_equal(gm.predict(iter(np.array_split(X, 3))), gm.predict(X))
        np.testing.assert_array_equal(gm.score_samples(iter(np.array_split(X, 3))), gm.score_samples(X))
        assert gm.score(iter([X])) == gm.score(X)

    def test_too_few_rows_and_other_features(self, X):
        with pytest.raises(DataError, match=r"1 sample\(s\)"):
            GaussianMixture(1).fit(lambda: [X[:1]])
        gm = GaussianMixture(2, max_iter=1, random_state=0, n_threads=1).fit(X)
        with pytest.raises(DataError, match="3 features, but GaussianMixture is expecting 2"):
            gm.predict(lambda: [np.zeros((5, 3))])


def test_the_budget():
    assert rows.budget() == 4 * limits.span_bytes()
    assert rows.block_rows(16, np.float32) == rows.block_rows(16)
    with pytest.raises(ValueError, match="positive"):
        rows.block_rows(0)
