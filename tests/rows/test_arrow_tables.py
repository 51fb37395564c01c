import sys
import warnings

import fits
import numpy as np
import pytest

from fastgmm import GaussianMixture, rows
from fastgmm.errors import DataError, DataTypeError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*did not converge"),
    pytest.mark.usefixtures("no_reader_left", "small_spans"),
]


@pytest.fixture
def table(X):
    return pa.table({"a": X[:, 0], "w": np.arange(len(X)) % 4 * 1.0, "b": X[:, 1]})


@pytest.fixture
def folder(tmp_path, table):
    (tmp_path / "data").mkdir()
    pq.write_table(table.slice(0, 7001), tmp_path / "data" / "part-0.parquet", row_group_size=1000)
    pq.write_table(table.slice(7001), tmp_path / "data" / "part-1.parquet", row_group_size=333)
    return tmp_path / "data"


def test_all_kinds_give_the_bits_of_the_array(X, table, folder):
    expected = fits.bits(X)
    only = table.select(["a", "b"])
    for data in (
        only,
        rows.arrow(table, columns=["a", "b"]),
        rows.arrow(ds.dataset(folder), columns=["a", "b"]),
        rows.parquet(folder, columns=["a", "b"]),
        rows.parquet(f"{folder}/*.parquet", columns=["a", "b"]),
        rows.parquet([folder / "part-0.parquet", folder / "part-1.parquet"], columns=["a", "b"]),
        lambda: only,
        lambda: pa.RecordBatchReader.from_batches(only.schema, only.to_batches(max_chunksize=777)),
    ):
        assert fits.bits(data) == expected


def test_a_weight_column(X, table, folder):
    expected = fits.fitted(X, np.arange(len(X)) % 4 * 1.0)
    for data in (
        rows.arrow(table, weight="w"),
        rows.parquet(folder, weight="w"),
        rows.arrow(ds.dataset(folder), weight="w"),
        rows.chunks(lambda: table, weight="w"),
    ):
        gm, bits = fits.fitted(data)
        assert bits == expected[1]
        assert gm.score(data) == expected[0].score(X, sample_weight=np.arange(len(X)) % 4)
        assert list(gm.feature_names_in_) == ["a", "b"]


def test_names_are_remembered_and_compared(table, folder):
    gm = GaussianMixture(2, max_iter=1, random_state=0, n_threads=1).fit(ds.dataset(folder))
    assert list(gm.feature_names_in_) == ["a", "w", "b"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gm.predict(table)
        gm.predict(lambda: table)
    with pytest.raises(DataError, match="another order"):
        gm.predict(table.select(["b", "w", "a"]))
    with pytest.raises(DataError, match="unseen: \\['c'\\]"):
        gm.predict(table.rename_columns(["a", "w", "c"]))


def test_float32_integers_and_decimals(tmp_path):
    numbers = np.arange(400.0).reshape(200, 2) % 17
    for kind in (pa.float32(), pa.int16(), pa.decimal128(9, 2), pa.bool_()):
        values = numbers % 2 if pa.types.is_boolean(kind) else numbers
        t = pa.table([pa.array(column).cast(kind) for column in values.T], ["x", "y"])
        source = rows.arrow(t)
        assert source.dtype == (np.float32 if kind == pa.float32() else np.float64)
        found = np.concatenate([chunk.values for chunk in source.chunks()])
        np.testing.assert_array_equal(found, values)
    assert rows.arrow(pa.table({"x": pa.array([1.0], pa.float32()), "y": [1.0]})).dtype == np.float64


def test_missing_values_and_nan_are_placed(tmp_path, table):
    holes = table.set_column(0, "a", pa.array([None if i == 8123 else 1.0 for i in range(len(table))]))
    with pytest.raises(DataError, match="column 'a' misses its value in row 8123"):
        GaussianMixture(2).fit(holes)
    pq.write_table(holes, tmp_path / "holes.parquet")
    with pytest.raises(DataError, match=r"holes\.parquet: column 'a' misses its value in row 8123"):
        GaussianMixture(2).fit(rows.parquet(tmp_path / "holes.parquet"))
    pq.write_table(table, tmp_path / "good.parquet")
    nan = table.set_column(0, "a", pa.array([np.nan if i == 8123 else 1.0 for i in range(len(table))]))
    pq.write_table(nan, tmp_path / "nan.parquet")
    both = [tmp_path / "good.parquet", tmp_path / "nan.parquet"]
    for data in (rows.parquet(both), ds.dataset([str(path) for path in both])):
        with pytest.raises(DataError, match=r"row 18623, column 0 \('a'\): row 8123 of .*nan\.parquet"):
            GaussianMixture(2).fit(data)


def test_what_is_refused(tmp_path, table, folder):
    with pytest.raises(DataTypeError, match=r"RecordBatchReader.*gives its rows once"):
        GaussianMixture(2).fit(table.to_reader())
    with pytest.raises(DataError, match="no column 'z'; there are 'a', 'w', 'b'"):
        rows.arrow(table, columns=["z"])
    with pytest.raises(DataError, match="2 columns are called 'a'"):
        rows.arrow(pa.table([[1.0], [2.0]], names=["a", "a"]))
    with pytest.raises(DataTypeError, match="column 's' holds string, not numbers"):
        rows.arrow(pa.table({"s": ["x"]}))
    with pytest.raises(DataError, match="no column is left"):
        rows.arrow(table.select(["w"]), weight="w")
    with pytest.raises(DataError, match="no such file"):
        rows.parquet(tmp_path / "nothing.parquet")
    with pytest.raises(DataError, match="no file has a name of this pattern"):
        rows.parquet(f"{tmp_path}/*.pq")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \*\.parquet file in this folder"):
        rows.parquet(tmp_path / "empty")
    (tmp_path / "bad.parquet").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"bad\.parquet: not a Parquet file"):
        rows.parquet(tmp_path / "bad.parquet")


def test_parts_that_disagree(folder, table):
    pq.write_table(table.select(["a", "w"]), folder / "part-2.parquet")
    with pytest.raises(DataError, match=r"part-2\.parquet: misses column 'b', unlike .*part-0"):
        rows.parquet(folder)
    pq.write_table(table.append_column("c", table["a"]), folder / "part-2.parquet")
    with pytest.raises(DataError, match=r"part-2\.parquet: has column 'c'"):
        rows.parquet(folder)
    assert rows.parquet(folder, columns=["a", "b"]).shape == (21000, 2)
    narrow = pa.table({name: table[name].cast(pa.float32()) for name in table.column_names})
    pq.write_table(narrow, folder / "part-2.parquet")
    with pytest.raises(DataError, match="columns of float32"):
        rows.parquet(folder)


def test_a_file_that_vanishes_or_changes(folder, table):
    source = rows.parquet(folder)
    (folder / "part-1.parquet").unlink()
    with pytest.raises(DataError, match=r"part-1\.parquet: the file vanished"):
        GaussianMixture(2).fit(source)
    pq.write_table(table.slice(0, 10), folder / "part-1.parquet")
    with pytest.raises(DataError, match=r"part-1\.parquet: the file shrank"):
        GaussianMixture(2).fit(source)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"fastgmm\[arrow\]"):
        rows.parquet("x.parquet")
