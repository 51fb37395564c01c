import os

import fits
import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.backend import opened
from fastgmm.errors import DataError, DataTypeError
from fastgmm.rows.slices import SlicedSource, is_sliceable

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*did not converge"),
    pytest.mark.usefixtures("no_reader_left", "small_spans"),
]


class Disk:
    """What is needed of an array on disk, and no more."""

    def __init__(self, X, chunks=None):
        self._X, self.shape, self.dtype, self.chunks = X, X.shape, X.dtype, chunks
        self.asked = []

    def __getitem__(self, rows):
        self.asked.append((rows.start, rows.stop))
        return self._X[rows]


def test_slices_give_the_bits_of_the_array(X):
    expected = fits.bits(X)
    assert isinstance(opened(Disk(X)), SlicedSource)
    assert fits.bits(Disk(X)) == expected


def test_slices_are_of_whole_storage_chunks(X, monkeypatch):
    monkeypatch.setattr("fastgmm.rows.slices.CHUNK_BYTES", 5000)
    disk = Disk(X, chunks=(100, 2))
    list(rows.sliced(disk).chunks())
    assert all(start % 100 == 0 for start, _ in disk.asked)
    assert disk.asked[0] == (0, 300)


def test_hdf5(tmp_path, X):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("rows", data=X, chunks=(1000, 2), compression="gzip")
        assert fits.bits(data) == fits.bits(X)
        bad = X.copy()
        bad[9999, 0] = np.nan
        with pytest.raises(DataError, match=r"row 9999, column 0 \(h5py\.Dataset /bad of .*x\.h5\)"):
            GaussianMixture(2).fit(file.create_dataset("bad", data=bad))


def test_zarr(tmp_path, X):
    zarr = pytest.importorskip("zarr")
    data = zarr.create_array(store=str(tmp_path / "x.zarr"), shape=X.shape, dtype=X.dtype, chunks=(777, 2))
    data[:] = X
    assert fits.bits(data) == fits.bits(X)


def test_what_is_refused(X):
    with pytest.raises(DataTypeError, match="not numbers"):
        rows.sliced(np.array([["a"]]))
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        rows.sliced(np.zeros(3))
    with pytest.raises(DataError, match="1 names for 2 columns"):
        rows.sliced(X, columns=["a"])
    disk = Disk(X)
    disk._X = X[:9000]
    with pytest.raises(DataError, match="gave 9000 rows; it changed"):
        GaussianMixture(2).fit(disk)

    class Broken(Disk):
        def __getitem__(self, rows):
            raise OSError("truncated file")

    with pytest.raises(DataError, match=r"rows 0 … 10499 cannot be read \(truncated file\)"):
        GaussianMixture(2).fit(Broken(X))


def test_what_lies_in_memory_is_no_source(X):
    assert not is_sliceable(X)
    assert not is_sliceable(np.zeros(3))
    assert not is_sliceable(os)
