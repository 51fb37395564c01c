"""Rows in Parquet files: decoded a few pages at a time, however large their row groups are."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fastgmm.errors import DataError
from fastgmm.rows.arrow_tables import dtype_of, matrix, pyarrow
from fastgmm.rows.decoded import DecodedSource
from fastgmm.rows.limits import CHUNK_BYTES
from fastgmm.rows.sources import AbstractSource, Chunk, FileState, chosen

BUFFER = 1 << 16
"""Bytes of each column that are read from a file at once."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def parquet(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> ParquetSource | DecodedSource:
    """Return the rows of Parquet files, to be read in every pass.

    Parameters
    ----------
    paths : path, or sequence of paths
        A file, a folder (its ``*.parquet``, and those of folders in it), or a pattern such as ``"folder/*.parquet"``;
        files are taken in the order of their names, those of a sequence as they are given.
    columns : sequence of str, optional
        The features, in this order. Default: all columns but `weight`.
    weight : str, optional
        The column of the rows' weights.
    cache : path, optional
        A folder. The columns are decoded once, now, into files there, 8 bytes a value (4 if all are float32); passes
        read those. Where it holds them already, of the same files by size and time, nothing is decoded.

    Raises
    ------
    DataError, DataTypeError
        If there is no such file, a column is not there, holds no numbers, or files disagree about it; if `cache` cannot
        be written to.
    ImportError
        If pyarrow is not installed.
    """
    pyarrow()
    source = ParquetSource(files_of(paths), columns, weight)
    return source if cache is None else DecodedSource(source, source.states, weight, cache)


def files_of(paths: Paths) -> list[str]:
    """Return the files that are meant."""
    if not isinstance(paths, str | os.PathLike):
        return [name for path in paths for name in files_of(path)]
    path = os.fspath(paths)
    if os.path.isdir(path):
        found = sorted(str(file) for file in Path(path).rglob("*.parquet"))
        kind = "no *.parquet file in this folder"
    elif os.path.exists(path) or not glob.has_magic(path):
        return [path]
    else:
        found, kind = sorted(glob.glob(path, recursive=True)), "no file has a name of this pattern"
    if not found:
        raise DataError(f"{path}: {kind} (seen from {os.getcwd()}); check the path.")
    return found


class ParquetSource(AbstractSource):
    """Columns of some files, one after the other."""

    local = True

    def __init__(self, files: Sequence[str], columns: Sequence[str] | None, weight: str | None) -> None:
        if not files:
            raise DataError("no Parquet file was given; name one at least.")
        self.states, self.paths = [FileState.of(path) for path in files], tuple(files)
        self.name = files[0] if len(files) == 1 else f"{files[0]} … {files[-1]}"
        self.weight, self.weighted = weight, weight is not None
        self.n_rows = 0
        for number, path in enumerate(files):
            with _open(path) as file:
                schema, self.n_rows = file.schema_arrow, self.n_rows + file.metadata.num_rows
            if not number:
                self.columns = chosen(columns, schema.names, weight, path)
                self.n_features, self.dtype = len(self.columns), dtype_of(schema, self.columns, weight, path)
            else:
                self._check(schema, path, files[0], columns is None)

    def _check(self, schema: Any, path: str, first: str, every: bool) -> None:
        """Refuse a file that disagrees with the first."""
        assert self.columns is not None
        wanted = [*self.columns, *([] if self.weight is None else [self.weight])]
        missing = [name for name in wanted if name not in schema.names]
        more = [name for name in schema.names if name not in wanted] if every else []
        if missing or more:
            verb, name = ("misses", missing[0]) if missing else ("has", more[0])
            raise DataError(
                f"{path}: {verb} column {name!r}, unlike {first}. Every part must have the same columns, or choose "
                "some by columns=[…]."
            )
        dtype = dtype_of(schema, self.columns, self.weight, path)
        if dtype != self.dtype:
            raise DataError(f"{path}: columns of {dtype}, those of {first} are {self.dtype}. Give all parts one dtype.")

    def chunks(self) -> Iterator[Chunk]:
        """Decode file after file."""
        rows = max(1, CHUNK_BYTES // (8 * self.n_features))
        for state in self.states:
            first = 0
            state.check()
            try:
                for batch in _batches(state.path, rows, self.columns or (), self.weight):
                    yield Chunk(
                        *matrix(batch, self.columns or (), self.weight, state.path, first), state.path, first
                    )  # fmt: skip
                    first += batch.num_rows
            except (OSError, pyarrow().ArrowException) as error:
                raise DataError(
                    f"{state.path}: cannot be read any further than row {first} ({error}); is the file whole?"
                ) from error
            state.check()


def _open(path: str) -> Any:
    pa = pyarrow()
    try:
        return pa.parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a Parquet file, or not a whole one ({error}).") from None


def _batches(path: str, rows: int, columns: Sequence[str], weight: str | None) -> Iterator[Any]:
    wanted = list(dict.fromkeys([*columns, *([] if weight is None else [weight])]))
    with _open(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=wanted, use_threads=False)
