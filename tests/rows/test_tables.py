import gzip
import os
import pickle
import re

import numpy as np
import pytest

from fastgmm.datasets import FAITHFUL_COLUMNS, load_faithful
from fastgmm.errors import DataError
from fastgmm.rows import tables
from fastgmm.rows.tables import read_table

NAN = float("nan")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into an empty current folder, so that messages show its bare name."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="data.csv"):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
        return name

    return write


def failure(source):
    with pytest.raises(DataError) as caught:
        read_table(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", ".)"))
    return message


# --- what is read ---


def test_faithful():
    table = read_table("faithful")
    assert table.name == "faithful"
    assert table.columns == FAITHFUL_COLUMNS
    assert np.array_equal(table.values, load_faithful())


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "DATA.CSV", "DATA.CSV.GZ"])
@pytest.mark.parametrize("header", [None, ("a", "b", "c")])
def test_csv_round_trip(write, name, header):
    X = np.random.default_rng(0).normal(size=(50, 3)) * 1e100
    lines = [",".join(header)] if header else []
    lines += [",".join(map(repr, row)) for row in X.tolist()]
    table = read_table(write("\n".join(lines) + "\n", name))
    assert table.columns == header
    assert table.name == name
    assert table.values.dtype == np.float64
    assert np.array_equal(table.values, X)


def test_path_objects(write, tmp_path):
    write("1,2\n")
    table = read_table(tmp_path / "data.csv")
    assert table.name == str(tmp_path / "data.csv")


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("1,2\n3,4", None, [[1, 2], [3, 4]]),
        ("x,y\r\n1,2\r\n3,4\r\n", ("x", "y"), [[1, 2], [3, 4]]),
        ("x,y\r1,2\r3,4\r", ("x", "y"), [[1, 2], [3, 4]]),
        ("\ufeffx,y\n1,2\n", ("x", "y"), [[1, 2]]),
        ("\ufeff1,2\n", None, [[1, 2]]),
        ('"width, cm","say ""so"""\n1,2\n', ("width, cm", 'say "so"'), [[1, 2]]),
        ("größe,y\n1,2\n", ("größe", "y"), [[1, 2]]),
        ("\n\nx,y\n\n1,2\n\n3,4\n\n\n", ("x", "y"), [[1, 2], [3, 4]]),
        ("\n\n1,2\n\n3,4\n  \n\t\n", None, [[1, 2], [3, 4]]),
        (" x , y \n 1 , 2 \n", ("x", "y"), [[1, 2]]),
        ('"1","2"\n"3",4\n', None, [[1, 2], [3, 4]]),
        ("x\n1\n2\n", ("x",), [[1], [2]]),
        ("1", None, [[1]]),
        ("inf,-1e3\n", None, [[np.inf, -1000]]),
        ("x,y\n,NA\nnan, \nNaN,1\n", ("x", "y"), [[NAN, NAN], [NAN, NAN], [NAN, 1]]),
        ('x,y\n"",1\n2,"NA"\n', ("x", "y"), [[NAN, 1], [2, NAN]]),
    ],
)
def test_dialects(write, text, columns, values):
    table = read_table(write(text))
    assert table.columns == columns
    np.testing.assert_array_equal(table.values, values)


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("x,y", ("x", "y")),
        (",y", ("", "y")),  # the unnamed first column of R and pandas
        ("NA,y", ("NA", "y")),
        ("x1,2y", ("x1", "2y")),
        ("1_0,y", ("1_0", "y")),
        ("NA,NA", None),  # a row of missing values, not a header
        (",", None),
        ("nan,", None),
        ("NA,1", None),
        ("0,1", None),
        ("inf,infinity", None),
    ],
)
def test_header_is_a_line_without_numbers(write, first, columns):
    table = read_table(write(f"{first}\n5,6\n"))
    assert table.columns == columns
    assert len(table.values) == (1 if columns else 2)
    assert table.values[-1].tolist() == [5, 6]


def test_large_csv(write):
    X = np.round(np.random.default_rng(1).normal(size=(100_000, 3)), 6)
    lines = [",".join(map(repr, row)) for row in X.tolist()]
    write("\n".join(["a,b,c", *lines]))
    assert np.array_equal(read_table("data.csv").values, X)
    lines[77_776] = "1,NA,3"
    X[77_776] = 1, NAN, 3
    write("\n".join(["a,b,c", *lines]))
    assert np.array_equal(read_table("data.csv").values, X, equal_nan=True)
    lines[88_887] = "1,2,three"
    write("\n".join(["a,b,c", *lines]))
    assert failure("data.csv").startswith("data.csv, line 88889, column 3 ('c'): 'three' is not a number;")


@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", "i2"])
@pytest.mark.parametrize("order", "CF")
def test_npy_is_mapped(write, dtype, order):
    X = np.asarray(np.arange(12).reshape(4, 3), dtype=dtype, order=order)
    write(b"", "X.npy")
    np.save("X.npy", X)
    table = read_table("X.npy")
    assert isinstance(table.values, np.memmap)
    assert not table.values.flags.writeable
    assert table.values.dtype == X.dtype
    assert table.columns is None
    assert np.array_equal(table.values, X)


def test_npy_without_rows_is_left_to_validation(write):
    write(b"", "X.npy")
    np.save("X.npy", np.zeros((0, 3)))
    assert read_table("X.npy").values.shape == (0, 3)


# --- what is refused: files ---


def test_missing_file(write, tmp_path):
    assert failure("nowhere.csv").startswith(f"nowhere.csv: no such file (seen from {tmp_path}); check the path")
    write("1,2\n")
    assert "no such file" in failure("data.csv/data.csv")


def test_null_character_in_the_name():
    assert "cannot be read (" in failure("a\0b.csv")


def test_folder(write, tmp_path):
    (tmp_path / "data.csv").mkdir()
    assert failure("data.csv").startswith("data.csv: a folder, not a file; give a .npy, .parquet, .csv or .csv.gz file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_hang(write):
    os.mkfifo("data.csv")
    assert failure("data.csv").startswith("data.csv: a pipe or device, not a file;")


def test_no_permission(write, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    write("1,2\n")
    monkeypatch.setattr(tables, "open", refuse, raising=False)  # root may read everything, so chmod would not do
    expected = "data.csv: cannot be read (Permission denied); check its permissions, or copy it to another place."
    assert failure("data.csv") == expected


def test_disk_fails_while_reading(write, monkeypatch):
    def fail(*args):
        raise OSError(5, "Input/output error")

    write("1,2\n")
    monkeypatch.setattr(tables, "_read_csv", fail)
    assert failure("data.csv").startswith("data.csv: cannot be read (Input/output error);")


@pytest.mark.parametrize("name", ["data.feather", "data.txt", "data.csv.bz2"])
def test_unknown_suffix(write, name):
    message = failure(write("1,2\n", name))
    suffix = re.escape(name[name.rindex(".") :])
    assert re.match(rf"{re.escape(name)}: files ending in '{suffix}' cannot be read; give a \.npy", message)


def test_no_suffix(write):
    assert failure(write("1,2\n", "data")).startswith("data: a file without a suffix cannot be read; give a .npy")


# --- what is refused: CSV ---


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
@pytest.mark.parametrize("text", ["", "\n", " \r\n\r\n", "\ufeff"])
def test_empty_csv(write, name, text):
    assert failure(write(text, name)).startswith(f"{name}: the file is empty; give")


def test_header_alone(write):
    assert failure(write("\nx,y\n\n")).startswith("data.csv, line 2: only a header ('x,y') and no rows after it; give")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1,2,3,4\n" * 6 + "1,2,3\n", "line 7: 3 values where line 1 has 4 values"),
        ("\n1,2\n\n3\n", "line 4: 1 value where line 2 has 2 values"),
        ("x,y\n1,2\n1,2,3\n", "line 3: 3 values where line 1 has 2 names"),
        ("x,y,z\n1,2\n3,4\n", "line 2: 2 values where line 1 has 3 names"),
        ("x,y\r\n1,2\r\n1,NA,3\r\n", "line 3: 3 values where line 1 has 2 names"),
        ("x,y\n1,2,\n", "line 2: 3 values where line 1 has 2 names"),
    ],
)
def test_ragged_row(write, text, place):
    remedy = "; give every line the same number of values, separated by commas."
    assert failure(write(text)) == f"data.csv, {place}{remedy}"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1,2\n3,4\n5,six\n", "line 3, column 2: 'six' is"),
        ("x,y\n1,2\n3,4\nfive,6\n", "line 4, column 1 ('x'): 'five' is"),
        (",y\nfive,6\n", "line 2, column 1: 'five' is"),
        ("\ufeffx,y\r\n\r\n1,2\r\n3, n/a \r\n", "line 4, column 2 ('y'): 'n/a' is"),
        ("x,y\n,NA\n1,1_000\n", "line 3, column 2 ('y'): '1_000' is"),
        ('x,y\n1,"2,5"\n', "line 2, column 2 ('y'): '2,5' is"),
        ("1,2\n3,0x10\n", "line 2, column 2: '0x10' is"),
        ("1,2\n# note,3\n", "line 2, column 1: '# note' is"),
    ],
)
def test_cell_that_is_not_a_number(write, text, place):
    remedy = "write a number, or leave the cell empty if the value is missing."
    assert failure(write(text)) == f"data.csv, {place} not a number; {remedy}"


def test_header_with_a_number_in_it_is_explained(write):
    message = failure(write("x,1\n2,3\n"))
    assert message.startswith(
        "data.csv, line 1, column 1: 'x' is not a number; the first line counts as a header only if"
    )


def test_long_cells_are_cut(write):
    assert "'" + "z" * 39 + "…'" in failure(write("1,2\n3," + "z" * 1000))


def test_line_breaks_in_a_message_are_escaped(write):
    assert r"'a\x0bb'" in failure(write("1,2\n3,a\vb\n"))


@pytest.mark.parametrize(
    ("text", "word"), [("x;y\n1;2\n", "semicolons"), ("x\ty\n1\t2\n", "tabs"), ("1,5;2,5\n3,5;4,5\n", "semicolons")]
)
def test_other_separators_are_named(write, text, word):
    assert f"(The line has {word}: columns must be separated by commas" in failure(write(text))


@pytest.mark.parametrize("row", ['3,"4x', '3,"4', '3,"x"y', '3,"' + "z" * 200_000])
def test_quotes_without_end(write, row):
    message = failure(write(f"1,2\n{row}\n5,6\n"))
    assert message.startswith("data.csv, line 2: not comma-separated values (")
    assert message.endswith("); mend the quotes.")


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"x,y\n1,2\n3,\xff4\n", "line 3, character 3: byte 0xff"),
        ("x,größe\n1,2\n".encode("latin-1"), "line 1, character 5: byte 0xf6"),
        ("x,y\n1,2\n".encode("utf-16"), "line 1, character 1: byte 0x"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", "line 1, character 8: byte 0x00"),
        (b"1,2\n" * 20_000 + b"3,\xe9\n", "line 20001, character 3: byte 0xe9"),
        ("é,y\n".encode() + b"1,2\n\xe9,\n", "line 3, character 1: byte 0xe9"),
    ],
)
def test_not_text(write, name, content, place):
    message = failure(write(content, name))
    assert message.startswith(f"{name}, {place}")
    assert message.endswith("is not UTF-8 text; save the table as CSV in UTF-8.")


def test_gzip_cut_off(write, tmp_path):
    text = "\n".join(f"{i},{np.sin(i)!r}" for i in range(5000)).replace("np.float64(", "").replace(")", "")
    name = write(text, "data.csv.gz")
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    message = failure(name)
    line = int(re.match(r"data\.csv\.gz: the gzip stream is broken or cut off after line (\d+) \(", message)[1])
    assert 1000 < line < 4000
    (tmp_path / name).write_bytes(whole[:12])
    assert failure(name).startswith("data.csv.gz: the gzip stream is broken or cut off at its start (")


def test_gzip_damaged(write, tmp_path):
    name = write("1,2\n" * 1000, "data.csv.gz")
    whole = bytearray((tmp_path / name).read_bytes())
    whole[-6] ^= 0xFF  # in the checksum: every line is read before it fails
    (tmp_path / name).write_bytes(whole)
    assert failure(name).startswith(
        "data.csv.gz: the gzip stream is broken or cut off after line 1000 (CRC check failed"
    )


def test_csv_named_gz(write, tmp_path):
    (tmp_path / "data.csv.gz").write_text("1,2\n")
    message = failure("data.csv.gz")
    assert message.startswith("data.csv.gz: the gzip stream is broken or cut off at its start (Not a gzipped file")


# --- what is refused: npy ---


def test_npy_cut_off(write, tmp_path):
    write(b"", "X.npy")
    np.save("X.npy", np.zeros((100, 4)))
    whole = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "X.npy").write_bytes(whole[:-8])
    expected = (
        "X.npy: cut off: an array of shape (100, 4) and type float64 takes 3328 bytes, but the file has 3320; "
        "copy or save it again."
    )
    assert failure("X.npy") == expected
    for length in (7, 9, 30, 127):
        (tmp_path / "X.npy").write_bytes(whole[:length])
        assert failure("X.npy").startswith("X.npy: its npy header is broken or cut off (")


@pytest.mark.parametrize(
    ("old", "new"), [(b"(4, 3)", b"(-4,3)"), (b"'<f8'", b"'<q9'"), (b"{'descr", b"(((((((("), (b"shape", b"shade")]
)
def test_npy_header_damaged(write, tmp_path, old, new):
    write(b"", "X.npy")
    np.save("X.npy", np.zeros((4, 3)))
    whole = (tmp_path / "X.npy").read_bytes()
    assert old in whole
    (tmp_path / "X.npy").write_bytes(whole.replace(old, new))
    assert failure("X.npy").startswith("X.npy: its npy header is broken or cut off (")


def test_npy_of_named_fields(write):
    write(b"", "X.npy")
    with open("X.npy", "wb") as stream:
        np.lib.format.write_array(stream, np.zeros(3, dtype=[("a", "f8")]), version=(3, 0))
    assert "version 3.0, of records with named fields" in failure("X.npy")


def test_npy_of_objects_is_not_unpickled(write):
    write(b"", "X.npy")
    np.save("X.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    assert failure("X.npy").startswith(
        "X.npy: holds Python objects (object), which are not loaded; save X.astype(float)"
    )


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (pickle.dumps([1.0]), "a Python pickle, which is not loaded"),
        (b"PK\x03\x04rest", "an .npz or .zip archive"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (b"1,2\n3,4\n", r"it begins with b'1,2\n3,'"),
        (b"\x93NU", r"it begins with b'\x93NU'"),
    ],
)
def test_not_npy(write, content, found):
    remedy = "save one array of shape (N, D) by numpy.save."
    assert failure(write(content, "X.npy")) == f"X.npy: not an npy file ({found}); {remedy}"


def test_empty_npy(write):
    assert failure(write(b"", "X.npy")).startswith("X.npy: the file is empty; save")


def test_parquet_is_read_in_every_pass(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": [3, 4]}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.columns == ("x", "y")
    assert table.values.shape == (2, 2)
    np.testing.assert_array_equal(next(table.values.chunks()).values, [[1.0, 3.0], [2.0, 4.0]])
