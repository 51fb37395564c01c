import json
import os

import fits
import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.backend import as_rows
from fastgmm.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*did not converge"),
    pytest.mark.usefixtures("no_reader_left", "small_spans"),
]


@pytest.fixture
def path(tmp_path, X):
    table = pa.table({"a": X[:, 0], "w": np.arange(len(X)) % 4 * 1.0, "b": X[:, 1]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=999)
    return tmp_path / "x.parquet"


@pytest.fixture
def decodings(monkeypatch):
    """How often Parquet was decoded."""
    from fastgmm.rows import parquet_files

    made, batches = [], parquet_files._batches
    monkeypatch.setattr(parquet_files, "_batches", lambda *given: made.append(1) or batches(*given))
    return made


def test_rows_are_decoded_once_and_have_the_same_bits(path, tmp_path, X, decodings):
    options = {"columns": ["a", "b"], "cache": tmp_path / "new" / "kept"}
    assert fits.bits(rows.parquet(path, **options)) == fits.bits(X)
    assert fits.bits(rows.parquet(path, **options)) == fits.bits(X)
    assert len(decodings) == 1


def test_weights_are_kept_too(path, tmp_path, X):
    w = np.arange(len(X)) % 4 * 1.0
    source = rows.parquet(path, weight="w", cache=tmp_path / "kept")
    gm, bits = fits.fitted(source)
    assert bits == fits.fitted(X, w)[1]
    assert list(gm.feature_names_in_) == ["a", "b"]
    found = as_rows(source).take(np.array([10499, 3]))
    np.testing.assert_array_equal(found[0], X[[10499, 3]])
    np.testing.assert_array_equal(found[1], w[[10499, 3]])
    chunks = list(source.chunks())
    np.testing.assert_array_equal(np.concatenate([chunk.weights for chunk in chunks]), w)


def test_few_rows_are_picked_with_their_weights(tmp_path):
    n = 200_000
    pq.write_table(pa.table({"a": np.arange(n, dtype=np.float32), "w": np.arange(n) * 2.0}), tmp_path / "y.parquet")
    source = rows.parquet(tmp_path / "y.parquet", weight="w", cache=tmp_path / "kept")
    X, weights = source.pick(np.array([5, n - 1]))
    np.testing.assert_array_equal(X, [[5], [n - 1]])
    np.testing.assert_array_equal(weights, [10, 2 * n - 2])


def test_what_is_stale_is_decoded_anew(path, tmp_path, X, decodings):
    kept = tmp_path / "kept"

    def first(**options):
        return next(rows.parquet(path, cache=kept, **({"columns": ["a", "b"]} | options)).chunks()).values[0].tolist()

    assert first() == X[0].tolist()
    assert first(columns=["b", "a"]) == X[0, ::-1].tolist()
    assert first(columns=["b", "a"], weight="w") == X[0, ::-1].tolist()
    assert len(decodings) == 3
    os.truncate(kept / "weights.npy", 500)
    first(columns=["b", "a"], weight="w")
    (kept / "source.json").write_text("{")
    first(columns=["b", "a"], weight="w")
    assert len(decodings) == 5
    pq.write_table(pa.table({"a": X[1:, 0], "b": X[1:, 1]}), path)
    assert first() == X[1].tolist()
    assert json.loads((kept / "source.json").read_text())["columns"] == ["a", "b"]


def test_files_that_change_meanwhile(path, tmp_path):
    source = rows.parquet(path, columns=["a", "b"], cache=tmp_path / "kept")
    gm = GaussianMixture(2, tol=0, max_iter=4, random_state=0, n_threads=1, callback=lambda done: path.unlink())
    with pytest.raises(DataError, match=r"x\.parquet: the file vanished"):
        gm.fit(source)


def test_a_folder_that_cannot_be_written(path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="decoded rows cannot be kept there"):
        rows.parquet(path, cache=tmp_path / "file")


def test_nothing_is_kept_of_a_file_that_cannot_be_decoded(path, tmp_path, X):
    holes = pa.table({"a": pa.array([1.0, None] * 2000)})
    pq.write_table(holes, tmp_path / "holes.parquet")
    with pytest.raises(DataError, match="misses its value in row 1"):
        rows.parquet(tmp_path / "holes.parquet", cache=tmp_path / "kept")
    assert os.listdir(tmp_path / "kept") == []
