"""Rows of files that workers read by themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastgmm
from fastgmm.errors import DataError
from fastgmm.rows.file_pieces import FilePart, FileRun, ParquetPiece, pieces_of, weights_in
from fastgmm.rows.parts import VERSION, part_of, partition_of, summary_of
from fastgmm.rows.pieces import Run


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(1_000, 3))


def npy(tmp_path, array, **options):
    np.save(tmp_path / "rows.npy", array)
    return pieces_of(fastgmm.rows.npy(tmp_path / "rows.npy"), 8 * 3 * 300)


def parquet(tmp_path, array, weight=None):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    names = "abcdef"[: array.shape[1]]
    for number, some in enumerate(np.array_split(array, 2)):
        table = pa.table({name: some[:, d] for d, name in enumerate(names)})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=170)
    source = fastgmm.rows.parquet(tmp_path, weight=weight)
    return pieces_of(source, 1 << 20), source


def read(piece):
    return np.concatenate(list(piece.read()))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int16])
def test_npy_files(tmp_path, array, kind):
    array = (100 * array).astype(kind)
    pieces = npy(tmp_path, array)
    assert [len(piece) for piece in pieces] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate([read(piece) for piece in pieces]), array)
    assert read(pieces[0]).dtype == (np.float32 if kind == np.float32 else np.float64)
    np.testing.assert_array_equal(read(pieces[1].cut(20, 33)), array[320:333])
    assert len(pickle.dumps(pieces[0])) < 1_000


def test_parquet_files(tmp_path, array):
    pieces, _ = parquet(tmp_path, array)
    assert [len(piece) for piece in pieces] == [170, 170, 160] * 2
    assert isinstance(pieces[0], ParquetPiece)
    np.testing.assert_array_equal(np.concatenate([read(piece) for piece in pieces]), array)
    np.testing.assert_array_equal(read(pieces[4].cut(5, 50).cut(2, 9)), array[677:684])


def test_weights_in_a_column(tmp_path, array):
    pieces, source = parquet(tmp_path, np.abs(array), "c")
    np.testing.assert_array_equal(weights_in(source), np.abs(array[:, 2]))
    np.testing.assert_array_equal(np.concatenate([read(piece) for piece in pieces]), np.abs(array[:, :2]))
    assert weights_in(parquet(tmp_path, array)[1]) is None


def test_runs_walk_as_those_in_memory(tmp_path, array):
    pieces = npy(tmp_path, array)
    some = (pieces[0].cut(100, 300), *pieces[1:])
    weights = np.arange(900.0)
    held = Run(64, (array[100:],), array.dtype, weights)
    read = FileRun(64, some, array.dtype, weights)
    assert (read.n_rows, read.stop) == (held.n_rows, held.stop)
    with read.walk(32, 5) as spans:
        found = [(start, X.copy(), w.copy()) for start, X, w in spans]
    np.testing.assert_array_equal(np.concatenate([X for _, X, _ in found]), array[100:])
    np.testing.assert_array_equal(np.concatenate([w for _, _, w in found]), weights)
    assert all(start % 32 == 0 for start, _, _ in found)
    np.testing.assert_array_equal(read.rows(300, 700), held.rows(300, 700))
    numbers = np.array([64, 64, 300, 463, 464, 963])
    np.testing.assert_array_equal(read.picked(numbers), held.picked(numbers))
    assert read.picked(numbers[:0]).shape == (0, 3)


def test_summaries_are_those_of_the_rows_in_memory(tmp_path, array, monkeypatch):
    array[400, 1], array[450, 0], array[950, 2] = np.nan, np.inf, -np.inf
    monkeypatch.setattr("fastgmm.rows.npy_files.CHUNK_BYTES", 8 * 3 * 7)  # so that a piece comes in many chunks
    for number, piece in enumerate(npy(tmp_path, array)):
        one = summary_of(FilePart(piece))
        other = summary_of(part_of(array[300 * number : 300 * number + 300], number, VERSION))
        assert (one.shape, one.dtype, one.n_nan, one.n_infinite) == (
            other.shape, other.dtype, other.n_nan, other.n_infinite
        )  # fmt: skip
        assert one.first == other.first
        if other.first == (-1, -1):
            np.testing.assert_array_equal([one.low, one.high], [other.low, other.high])


def test_pieces_that_are_kept_become_matrices(tmp_path, array):
    from dataclasses import replace

    piece = npy(tmp_path, array)[2]
    assert isinstance(partition_of(piece, 2, VERSION), FilePart)
    np.testing.assert_array_equal(partition_of(replace(piece, kept=True), 2, VERSION).matrix, array[600:900])


def test_what_workers_cannot_read_is_refused(tmp_path, array):
    with pytest.raises(DataError, match="stored column by column"):
        npy(tmp_path, np.asfortranarray(array))
    with pytest.raises(DataError, match=r"workers can read \.npy and Parquet files by themselves, but not a"):
        pieces_of(fastgmm.rows.chunks(lambda: iter([array])), 1 << 20)


@pytest.mark.parametrize(("change", "text"), [("vanish", "vanished"), ("shrink", "shrank"), ("touch", "changed")])
def test_files_that_change_are_named_with_the_machine(tmp_path, array, change, text):
    import os
    import socket

    piece, path = npy(tmp_path, array)[3], tmp_path / "rows.npy"
    if change == "vanish":
        path.unlink()
    elif change == "shrink":
        os.truncate(path, 2_000)
    else:
        os.utime(path, (1, 1))
    with pytest.raises(DataError, match=f"rows.npy: the file {text}.*read on {socket.gethostname()}"):
        read(piece)
