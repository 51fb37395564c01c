import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.errors import DataError
from fastgmm.rows.outputs import NpyOutput

pytestmark = pytest.mark.usefixtures("no_reader_left")


@pytest.fixture(scope="module")
def gm(X):
    return GaussianMixture(2, max_iter=3, tol=1e9, random_state=0, n_threads=1).fit(X)


@pytest.mark.usefixtures("small_spans")
@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
def test_npy_holds_what_the_method_returns(tmp_path, gm, X, method):
    expected = getattr(gm, method)(X)
    for data in (X, lambda: np.array_split(X, 7), iter(np.array_split(X, 7))):
        path = getattr(gm, method)(data, out=tmp_path / "out.npy")
        assert path == tmp_path / "out.npy"
        for found in (np.load(path), np.load(path, mmap_mode="r")):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
    assert [file.name for file in tmp_path.iterdir()] == ["out.npy"]


@pytest.mark.usefixtures("small_spans")
def test_parquet_has_named_columns(tmp_path, gm, X):
    pq = pytest.importorskip("pyarrow.parquet")
    labels = pq.read_table(gm.predict(lambda: [X], out=tmp_path / "labels.parquet"))
    assert labels.column_names == ["component"]
    np.testing.assert_array_equal(labels["component"].to_numpy(), gm.predict(X))
    shares = pq.read_table(gm.predict_proba(X.astype(np.float32), out=str(tmp_path / "shares.parquet")))
    assert shares.column_names == ["component0", "component1"]
    np.testing.assert_array_equal(shares["component1"].to_numpy(), gm.predict_proba(X.astype(np.float32))[:, 1])


def test_nothing_is_left_of_results_that_are_not_whole(tmp_path, gm, X):
    def failing():
        yield X
        yield np.full((5, 2), np.nan)

    (tmp_path / "out.npy").write_bytes(b"before")
    with pytest.raises(DataError, match="NaN, the first at row 10500"):
        gm.predict(failing, out=tmp_path / "out.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["out.npy"]
    assert (tmp_path / "out.npy").read_bytes() == b"before"


def test_places_that_cannot_be_written(tmp_path, gm, X):
    with pytest.raises(DataError, match=r"must end in \.npy or \.parquet"):
        gm.predict(X, out=tmp_path / "labels.csv")
    with pytest.raises(DataError, match="No such file"):
        gm.predict(X, out=tmp_path / "nowhere" / "labels.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        gm.predict(X, out=tmp_path / "folder.npy")
    with pytest.raises(DataError, match="kind must be one of"):
        gm.mixture_.write(X, tmp_path / "labels.npy", "letters")


def test_no_rows_make_an_empty_array(tmp_path):
    with NpyOutput(tmp_path / "none.npy", np.dtype(np.float32), 3):
        pass
    assert np.load(tmp_path / "none.npy").shape == (0, 3)


def test_the_file_of_the_rows_is_not_overwritten(tmp_path, gm, X):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "link.npy").symlink_to(tmp_path / "x.npy")
    for name in ("x.npy", "link.npy"):
        for data in (rows.npy(tmp_path / "x.npy"), np.load(tmp_path / "x.npy", mmap_mode="r")):
            with pytest.raises(DataError, match="is the file that the rows are read from"):
                gm.predict(data, out=tmp_path / name)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), X)
