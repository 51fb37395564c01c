import os

import fits
import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.backend import as_rows, opened
from fastgmm.errors import DataError
from fastgmm.rows.npy_files import NpyFile, mapped
from fastgmm.rows.stream import StreamedRows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*did not converge"),
    pytest.mark.usefixtures("no_reader_left", "small_spans"),
]


@pytest.fixture
def path(tmp_path, X):
    np.save(tmp_path / "rows.npy", X)
    return str(tmp_path / "rows.npy")


def read(source):
    """All rows of a source, as spans give them."""
    with as_rows(source).walk(100, 3) as spans:
        return np.concatenate([X.copy() for _, X, _ in spans])


def test_a_map_and_its_file_give_the_bits_of_the_array(path, X):
    expected = fits.bits(X)
    assert isinstance(as_rows(np.load(path, mmap_mode="r")), StreamedRows)
    assert fits.bits(np.load(path, mmap_mode="r")) == expected
    assert fits.bits(rows.npy(path)) == expected


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "f2", "i8", "u1", "?"])
@pytest.mark.parametrize("order", "CF")
def test_every_layout(tmp_path, dtype, order):
    X = np.asarray(np.random.default_rng(0).integers(0, 2, (1003, 3)), dtype=dtype, order=order)
    np.save(tmp_path / "x.npy", X)
    for source in (np.load(tmp_path / "x.npy", mmap_mode="r"), rows.npy(tmp_path / "x.npy")):
        found = read(source)
        assert found.dtype == (np.float32 if np.dtype(dtype) == np.float32 else np.float64)
        np.testing.assert_array_equal(found, X.astype(found.dtype))
        np.testing.assert_array_equal(as_rows(source).take(np.array([1002, 3]))[0], X[[1002, 3]].astype(np.float64))


def test_runs_of_a_map(path, X):
    part = np.load(path, mmap_mode="r")[100:5000]
    assert isinstance(opened(np.asarray(part)), NpyFile)
    np.testing.assert_array_equal(read(part), X[100:5000])


def test_what_cannot_be_read_from_the_file_is_read_from_the_map(tmp_path, path, X):
    assert mapped(np.load(path, mmap_mode="r")[:, :1]) is None
    assert mapped(np.load(path, mmap_mode="r")[::2]) is None
    private = np.load(path, mmap_mode="c")
    private[0] = 5
    assert mapped(private) is None
    held = np.load(path, mmap_mode="r")
    os.unlink(path)
    assert mapped(held) is None
    np.testing.assert_array_equal(read(held), X)
    np.save(path, X + 1)  # another file of the name
    assert mapped(held) is None
    assert mapped(X) is None


def fit_and(path, harm):
    """Fit, and harm the file after an iteration."""
    gm = GaussianMixture(2, tol=0, max_iter=4, random_state=0, n_threads=1, callback=lambda done: harm())
    return gm.fit(rows.npy(path))


def test_a_file_that_shrinks(path):
    with pytest.raises(DataError, match=r"rows\.npy: the file shrank from \d+ to 2000 bytes"):
        fit_and(path, lambda: os.truncate(path, 2000))


def test_a_file_that_vanishes(path):
    with pytest.raises(DataError, match=r"rows\.npy: the file vanished while it was being read"):
        fit_and(path, lambda: os.unlink(path))


def test_a_file_that_is_written_to(path, X):
    def write():
        with open(path, "r+b") as file:
            file.seek(1000)
            file.write(b"\0" * 8)
        os.utime(path, ns=(0, 0))

    with pytest.raises(DataError, match="the file changed while it was being read"):
        fit_and(path, write)


def test_a_file_that_is_cut_off_within_a_walk(path):
    found = as_rows(rows.npy(path))
    with found.walk(100, 1) as spans:
        next(spans)
        os.truncate(path, 128 + 16 * 1010 + 3)
        with pytest.raises(DataError, match="ends in row 1010 of 10500: it was cut off"):
            list(spans)


def test_nan_is_found(path, X):
    X = X.copy()
    X[10000, 0] = np.nan
    np.save(path, X)
    with pytest.raises(DataError, match=r"NaN, the first at row 10000, column 0 \(.*rows\.npy\)"):
        GaussianMixture(2).fit(np.load(path, mmap_mode="r"))


def test_files_that_are_none(tmp_path):
    for name, array, message in (
        ("a.npy", np.zeros(3), "shape \\(3,\\)"),
        ("b.npy", np.array([["a"]]), "not numbers"),
    ):
        np.save(tmp_path / name, array)
        with pytest.raises(DataError, match=message):
            rows.npy(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        rows.npy(tmp_path / "c.npy")
    with pytest.raises(DataError, match=r"not a \.npy file"):
        rows.npy(tmp_path / "c.csv")
