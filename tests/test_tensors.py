"""The container: what goes in comes out, and whatever else is in a file is refused with a ValueError, fast."""

import json
import time

import numpy as np
import pytest
import safetensors.numpy

from fastgmm.tensors import HEADER_LIMIT, checksum, pack, unpack

ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3),
    "b": np.array([1, -2], dtype=np.int64),
    "c": np.float32([[0.1]]),
    "nothing": np.empty((0, 4)),
    "scalar": np.array(3.5),
}


def content(header, payload=b"", length=None):
    """A container around any header: bytes as they are, or an object as JSON with its checksum."""
    if isinstance(header, dict):
        header = {**header, "__metadata__": {}}
        header["__metadata__"]["sha256"] = checksum(header, payload)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + payload


def entry(shape=(2,), offsets=(0, 16), dtype="F64"):
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_round_trip_keeps_every_bit():
    arrays, metadata = unpack(pack(ARRAYS, {"note": "ümläut\n\t\"'"}))
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert metadata["note"] == "ümläut\n\t\"'"


def test_special_values_keep_their_bits():
    values = np.array([np.nan, -0.0, np.inf, 5e-324, -np.nan])
    arrays, _ = unpack(pack({"x": values}, {}))
    assert arrays["x"].tobytes() == values.tobytes()


def test_any_layout_is_packed_as_c_order():
    X = np.arange(12.0).reshape(3, 4)
    arrays, _ = unpack(pack({"f": np.asfortranarray(X), "s": X[::2, ::-1], "b": X.astype(">f8")}, {}))
    np.testing.assert_array_equal(arrays["f"], X)
    np.testing.assert_array_equal(arrays["s"], X[::2, ::-1])
    np.testing.assert_array_equal(arrays["b"], X)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in arrays.values())


def test_same_content_same_bytes():
    assert pack(ARRAYS, {"k": "v"}) == pack({name: array.copy() for name, array in ARRAYS.items()}, {"k": "v"})


def test_arrays_begin_at_a_multiple_of_eight():
    packed = pack(ARRAYS, {"odd": "x"})
    assert (8 + int.from_bytes(packed[:8], "little")) % 8 == 0


def test_readable_by_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack(ARRAYS, {"note": "there"}))
    found = safetensors.numpy.load_file(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata()["note"] == "there"


SIXTEEN = bytes(16)
HOSTILE = {
    "empty": b"",
    "seven bytes": bytes(7),
    "length 0": bytes(8),
    "length 2**64 - 1": b"\xff" * 8 + b"{}",
    "length of 1 GiB": content(b"{}", length=1 << 30),
    "length beyond the end": content(b"{}", length=3),
    "length above the limit": content(b" " * (HEADER_LIMIT + 1)),
    "not UTF-8": content(b"\xff\xfe"),
    "not JSON": content(b"{'a': 1}"),
    "JSON list": content(b"[]"),
    "JSON number": content(b"1"),
    "deep lists": content(b"[" * 100_000),
    "deep closed lists": content(b"[" * 100_000 + b"]" * 100_000),
    "deep objects": content(b'{"a":' * 100_000),
    "NaN": content(b'{"x": NaN}'),
    "Infinity": content(b'{"x": -Infinity}'),
    "number of many digits": content(b'{"x": ' + b"9" * 10_000 + b"}"),
    "no metadata": content(b"{}"),
    "metadata list": content(b'{"__metadata__": []}'),
    "metadata with numbers": content(b'{"__metadata__": {"sha256": 1}}'),
    "metadata without a checksum": content(b'{"__metadata__": {}}'),
    "wrong checksum": content(b'{"__metadata__": {"sha256": "00"}}'),
    "bytes left over": content({}, b"x"),
    "duplicate arrays": content(
        json.dumps({**entry(), "__metadata__": {"sha256": checksum({**entry(), "__metadata__": {}}, SIXTEEN)}})
        .replace('{"x"', '{"x": 1, "x"')
        .encode(),
        SIXTEEN,
    ),
    "duplicate fields": content(
        json.dumps({**entry(), "__metadata__": {"sha256": checksum({**entry(), "__metadata__": {}}, SIXTEEN)}})
        .replace('"shape"', '"shape": [1], "shape"')
        .encode(),
        SIXTEEN,
    ),
    "entry null": content({"x": None}),
    "entry number": content({"x": 3}),
    "entry list": content({"x": [1, 2]}),
    "entry empty": content({"x": {}}),
    "unknown dtype": content(entry(dtype="F16"), SIXTEEN),
    "object dtype": content(entry(dtype="O"), SIXTEEN),
    "list as dtype": content(entry(dtype=["F64"]), SIXTEEN),
    "negative size": content(entry(shape=[-2]), SIXTEEN),
    "two negative sizes": content(entry(shape=[-1, -2]), SIXTEEN),
    "huge size": content(entry(shape=[1 << 63]), SIXTEEN),
    "sizes that overflow": content(entry(shape=[1 << 32, 1 << 32, 2]), SIXTEEN),
    "overflow to the right size": content(entry(shape=[(1 << 64) + 2]), SIXTEEN),
    "huge size and none": content(entry(shape=[1 << 63, 0], offsets=[0, 0])),
    "fraction as size": content(entry(shape=[2.5]), SIXTEEN),
    "whole fraction as size": content(entry(shape=[2.0]), SIXTEEN),
    "text as size": content(entry(shape=["2"]), SIXTEEN),
    "text as shape": content(entry(shape="2"), SIXTEEN),
    "object as shape": content(entry(shape={"2": 1}), SIXTEEN),
    "truth as size": content(entry(shape=[True, 2]), SIXTEEN),
    "null as shape": content(entry(shape=None), SIXTEEN),
    "number as shape": content(entry(shape=2), SIXTEEN),
    "hundred sizes": content(entry(shape=[1] * 100 + [2]), SIXTEEN),
    "half a million sizes": content(entry(shape=[9] * 340_000), SIXTEEN),
    "many long sizes": content(entry(shape=[int("9" * 4000)] * 250), SIXTEEN),
    "one offset": content(entry(offsets=[0]), SIXTEEN),
    "three offsets": content(entry(offsets=[0, 8, 16]), SIXTEEN),
    "null as offset": content(entry(offsets=[0, None]), SIXTEEN),
    "text as offset": content(entry(offsets=[0, "16"]), SIXTEEN),
    "text as offsets": content(entry(offsets="01"), SIXTEEN),
    "fraction as end": content(entry(offsets=[0, 16.0]), SIXTEEN),
    "fraction as begin": content(entry(offsets=[0.0, 16]), SIXTEEN),
    "lists as offsets": content(entry(offsets=[[], []]), SIXTEEN),
    "negative begin": content(entry(offsets=[-16, 0]), SIXTEEN),
    "end before begin": content(entry(offsets=[16, 0]), SIXTEEN),
    "end beyond the data": content(entry(shape=[4], offsets=[0, 32]), SIXTEEN),
    "hole": content(entry(shape=[1], offsets=[8, 16]), SIXTEEN),
    "overlap": content({**entry(), "y": entry(shape=[1], offsets=[8, 16])["x"]}, SIXTEEN),
    "pickle": b"\x80\x05cos\nsystem\n(S'false'\ntR.",
    "zip": b"PK\x03\x04" + bytes(60),
    "npy": b"\x93NUMPY\x01\x00" + bytes(60),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_content_is_a_value_error_and_fast(case):
    began = time.perf_counter()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - whatever its words
        unpack(HOSTILE[case])
    assert time.perf_counter() - began < 10  # a guard against hanging, not a timing
    assert 0 < len(str(caught.value)) < 1000


def test_every_truncation_is_refused():
    packed = pack(ARRAYS, {"note": "x"})
    for n in range(len(packed)):
        with pytest.raises(ValueError):  # noqa: PT011
            unpack(packed[:n])
    with pytest.raises(ValueError, match="checksum"):
        unpack(packed + b"\0")


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_every_flipped_byte_is_refused_or_harmless(flip):
    """Only padding and the header's own words may change without a notice; arrays and metadata never."""
    packed = pack(ARRAYS, {"note": "x"})
    arrays, metadata = unpack(packed)
    for n in range(len(packed)):
        altered = bytearray(packed)
        altered[n] ^= flip
        try:
            found, told = unpack(bytes(altered))
        except ValueError:
            continue
        assert told == metadata, n
        assert found.keys() == arrays.keys(), n
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array, strict=True)


def test_another_dtype_of_the_same_size_is_noticed():
    altered = pack({"x": np.ones(2)}, {}).replace(b"F64", b"I64")
    with pytest.raises(ValueError, match="altered"):
        unpack(altered)
