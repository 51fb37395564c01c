"""Tables: rows read from a file by name, for the command line and for examples. Knows nothing of mixtures."""

from __future__ import annotations

import csv
import gzip
import os
import stat
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from fastgmm.datasets import FAITHFUL_COLUMNS, load_faithful
from fastgmm.errors import DataError

FAITHFUL = "faithful"
MISSING = frozenset({"", "NA", "nan"})
SHOWN = 40  # characters of a faulty cell that a message repeats

NPY_MAGIC = b"\x93NUMPY"
GZIP_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)
ASK_FOR = "give a .npy, .parquet, .csv or .csv.gz file, or the name 'faithful'"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with the names of their columns."""

    values: Any
    """The rows: float64 of shape (N, D) from CSV; from `.npy` a read-only memory map of whatever the file holds; from
    Parquet a source that is read in every pass."""
    columns: tuple[str, ...] | None
    """Names of the D columns; None if the source has none."""
    name: str
    """The source as it was given."""


@dataclass(frozen=True)
class Head:
    """What the first line of a CSV file says about the others."""

    line: int  # number of the first line that is not blank
    width: int
    columns: tuple[str, ...] | None


def read_table(source: str | os.PathLike[str]) -> Table:
    """Read rows from a file, chosen by its suffix, or the data that ship under the name ``faithful``.

    Parameters
    ----------
    source
        - ``.npy``: memory-mapped, not read; pickled objects are refused.
        - ``.csv``, ``.csv.gz``: numbers separated by commas, in UTF-8. Blank lines are skipped. A cell that is empty,
          ``NA`` or ``nan`` is read as NaN. The first line names the columns if *none* of its cells is a number and at
          least one of them is not missing; a line such as ``x,1`` is therefore data, and faulty.
        - ``.parquet``: all columns must hold numbers; needs ``fastgmm[arrow]``.
        - ``faithful``: see `fastgmm.datasets.load_faithful`.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If there are no rows to be had, in one line: the file, the line and column (counted from 1), what was found
        there, and what to do.

    Examples
    --------
    >>> from fastgmm.rows.tables import read_table
    >>> table = read_table("faithful")
    >>> table.columns, table.values.shape
    (('eruptions', 'waiting'), (272, 2))
    """
    name = os.fspath(source)
    if name == FAITHFUL:
        return Table(load_faithful(), FAITHFUL_COLUMNS, name)
    _require_file(name)
    try:
        return _read_file(name)
    except OSError as error:
        raise _unreadable(name, error) from None


def _read_file(name: str) -> Table:
    lower = name.lower()
    if lower.endswith(".npy"):
        return Table(_read_npy(name), None, name)
    if lower.endswith((".csv", ".csv.gz")):
        head = _read_head(name)
        return Table(_read_csv(name, head), head.columns, name)
    if lower.endswith(".parquet"):
        from fastgmm.rows.parquet_files import parquet

        source = parquet(name)
        return Table(source, source.columns, name)
    suffix = Path(name).suffix
    found = f"files ending in {suffix!r} cannot be read" if suffix else "a file without a suffix cannot be read"
    raise DataError(f"{name}: {found}; {ASK_FOR}.")


def _require_file(name: str) -> None:
    """Reject what cannot be opened and read twice."""
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISREG(mode):
            with open(name, "rb"):
                return
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{name}: no such file (seen from {os.getcwd()}); check the path, or {ASK_FOR}.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise _unreadable(name, error) from None
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
    raise DataError(f"{name}: {kind}, not a file; {ASK_FOR}.")


def _unreadable(name: str, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(f"{name}: cannot be read ({reason}); check its permissions, or copy it to another place.")


# --- CSV ---


def _open(name: str, errors: str) -> TextIO:
    opener = cast("Callable[..., IO[Any]]", gzip.open if name.lower().endswith(".gz") else open)
    return cast("TextIO", opener(name, "rt", encoding="utf-8-sig", errors=errors))


def _read_csv(name: str, head: Head) -> NDArray[np.float64]:
    """Read the rows by NumPy's parser; only if that stumbles, walk the lines, for missing cells or the fault."""
    try:
        with _open(name, errors="strict") as stream:
            for _ in range(head.line if head.columns else 0):
                next(stream)
            values = np.loadtxt(stream, dtype=np.float64, delimiter=",", comments=None, quotechar='"', ndmin=2)
        if values.shape[1] == head.width:
            return values
    except (ValueError, OSError, *GZIP_BROKEN):
        pass
    return _walk(name, head)


def _read_head(name: str) -> Head:
    """Find out whether the first line is a header, and that rows follow."""
    lines = ((number, line) for number, line in _lines(name) if line.strip())
    number, line = next(lines, (0, ""))
    if not number:
        raise DataError(f"{name}: the file is empty; {ASK_FOR} with at least one row.")
    cells = [cell.strip() for cell in _cells(name, number, line)]
    if any(map(_is_number, cells)) or MISSING.issuperset(cells):
        return Head(number, len(cells), None)
    if next(lines, None) is None:
        raise DataError(
            f"{name}, line {number}: only a header ({_shown(line.strip())}) and no rows after it; "
            f"give a file with at least one row of numbers separated by commas."
        )
    return Head(number, len(cells), tuple(cells))


def _walk(name: str, head: Head) -> NDArray[np.float64]:
    """Read the rows cell by cell, up to the first fault."""
    values = array("d")
    for number, line in _lines(name):
        if (head.columns and number <= head.line) or not line.strip():
            continue
        cells = _cells(name, number, line)
        if len(cells) != head.width:
            kind = "names" if head.columns else "values"
            count = f"{len(cells)} value{'s' if len(cells) > 1 else ''}"
            raise DataError(
                f"{name}, line {number}: {count} where line {head.line} has {head.width} {kind}; "
                f"give every line the same number of values, separated by commas.{_separator_hint(line)}"
            )
        try:
            values.extend(map(_number, cells))
        except ValueError:
            raise _not_a_number(name, number, cells, head) from None
    return np.frombuffer(values, dtype=np.float64).reshape(-1, head.width)


def _lines(name: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers from 1, and stop at the first that is not text."""
    number = 0
    try:
        # Strict decoding fails a buffer early and cannot tell the line; escaped bytes stay in their place.
        with _open(name, errors="surrogateescape") as stream:
            for number, line in enumerate(stream, 1):
                if "\0" in line or not (line.isascii() or _is_unicode(line)):
                    raise _not_text(name, number, line)
                yield number, line
    except GZIP_BROKEN as error:
        place = f"after line {number}" if number else "at its start"
        raise DataError(
            f"{name}: the gzip stream is broken or cut off {place} ({error}); copy or compress the file again."
        ) from None


def _cells(name: str, number: int, line: str) -> list[str]:
    line = line.rstrip("\n")
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise DataError(f"{name}, line {number}: not comma-separated values ({error}); mend the quotes.") from None


def _number(cell: str) -> float:
    """Read a number as NumPy's parser does, and a missing cell as NaN."""
    if cell.strip() in MISSING:
        return float("nan")
    if "_" in cell:  # float() takes 1_000
        raise ValueError
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return cell not in MISSING


def _is_unicode(line: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in line)


def _not_text(name: str, number: int, line: str) -> DataError:
    position, byte = next((i, ord(c) & 0xFF) for i, c in enumerate(line, 1) if c == "\0" or "\udc80" <= c <= "\udcff")
    return DataError(
        f"{name}, line {number}, character {position}: byte 0x{byte:02x} is not UTF-8 text; "
        f"save the table as CSV in UTF-8."
    )


def _not_a_number(name: str, number: int, cells: list[str], head: Head) -> DataError:
    column, cell = next((j, c) for j, c in enumerate(cells, 1) if c.strip() not in MISSING and not _is_number(c))
    label = f" ({_shown(head.columns[column - 1])})" if head.columns and head.columns[column - 1] else ""
    remedy = "write a number, or leave the cell empty if the value is missing."
    if number == head.line:
        remedy = (
            "the first line counts as a header only if none of its cells is a number: rename those, or mend the cell."
        )
    where = f"{name}, line {number}, column {column}{label}"
    return DataError(f"{where}: {_shown(cell.strip())} is not a number; {remedy}{_separator_hint(cell)}")


def _separator_hint(text: str) -> str:
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if separator in text.strip():
            return f" (The line has {word}: columns must be separated by commas, and decimals written with a point.)"
    return ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


# --- npy ---


def _read_npy(name: str) -> NDArray[Any]:
    """Memory-map an array, after a look at its header: NumPy's own messages do not say what is wrong with the file."""
    size = os.stat(name).st_size
    with open(name, "rb") as stream:
        start = stream.read(len(NPY_MAGIC))
        if start != NPY_MAGIC:
            raise _not_npy(name, start)
        stream.seek(0)
        try:
            shape, dtype = _npy_header(stream)
        except Exception as error:  # whatever the evaluation of a mangled header raises
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"{name}: its npy header is broken or cut off ({reason}); save it again by numpy.save."
            ) from None
        begin = stream.tell()
    if dtype.hasobject:
        raise DataError(f"{name}: holds Python objects ({dtype}), which are not loaded; save X.astype(float) instead.")
    needed = begin + dtype.itemsize * int(np.prod(shape, dtype=object))
    if size < needed:
        raise DataError(
            f"{name}: cut off: an array of shape {shape} and type {dtype} takes {needed} bytes, "
            f"but the file has {size}; copy or save it again."
        )
    try:
        return cast("NDArray[Any]", np.load(name, mmap_mode="r", allow_pickle=False))
    except ValueError as error:
        raise DataError(f"{name}: cannot be memory-mapped ({error}); save it again by numpy.save.") from None


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:  # 3.0 is written only for named fields
        raise ValueError(f"version {version[0]}.{version[1]}, of records with named fields")
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    return shape, dtype


def _not_npy(name: str, start: bytes) -> DataError:
    if not start:
        return DataError(f"{name}: the file is empty; save an array of shape (N, D) by numpy.save.")
    kinds = {
        b"PK": "an .npz or .zip archive",
        b"\x80": "a Python pickle, which is not loaded",
        b"\x1f\x8b": "a gzip file",
    }
    found = next((kind for magic, kind in kinds.items() if start.startswith(magic)), f"it begins with {start!r}")
    return DataError(f"{name}: not an npy file ({found}); save one array of shape (N, D) by numpy.save.")
