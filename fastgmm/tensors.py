"""A data-only container of named arrays: the layout of model files and of statistics on the wire.

Eight bytes of little-endian header length, a JSON header ``{name: {dtype, shape, data_offsets}, "__metadata__": {…}}``,
then the arrays: the safetensors layout, readable by that library in any language. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
HEADER_LIMIT = 1 << 20
DIMENSIONS = 4


def pack(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Serialise named arrays and string metadata; a SHA-256 of header and arrays is added to the metadata."""
    header: dict[str, Any] = {}
    pieces: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        piece = little.tobytes()
        header[name] = {
            "dtype": NAMES[little.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(piece)],
        }
        pieces.append(piece)
        offset += len(piece)
    payload = b"".join(pieces)
    header["__metadata__"] = dict(metadata)
    header["__metadata__"]["sha256"] = checksum(header, payload)
    text = _json(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + payload


def _json(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, separators=(",", ":")).encode()


def checksum(header: Mapping[str, Any], payload: bytes) -> str:
    """SHA-256 of the header, which does not hold it yet, and the arrays."""
    return hashlib.sha256(_json(header) + payload).hexdigest()


def unpack(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read what `pack` wrote.

    Raises
    ------
    ValueError
        If anything is missing, left over, overlapping or altered; the message says what.
    """
    header, payload = _header(content)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("the header has no metadata of strings")
    if metadata.pop("sha256", None) != checksum(header, payload):
        raise ValueError("header and data do not match their checksum: the content is truncated or altered")
    del header["__metadata__"]
    arrays: dict[str, NDArray[Any]] = {}
    end = 0
    for name, entry in header.items():
        arrays[name], end = _array(name, entry, payload, end)
    if end != len(payload):
        raise ValueError(f"{len(payload) - end} bytes follow the last array")
    return arrays, metadata


def _header(content: bytes) -> tuple[dict[str, Any], bytes]:
    if len(content) < 8:
        raise ValueError(f"{len(content)} bytes are too few for a header")
    length = int.from_bytes(content[:8], "little")
    if length > HEADER_LIMIT:
        raise ValueError("the first eight bytes are not the length of a header")
    if 8 + length > len(content):
        raise ValueError(f"the header needs {length} bytes and {len(content) - 8} are there: the content is truncated")
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return header, content[8 + length :]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("the header names something twice")
    return dict(pairs)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"the header holds {word}")


def _array(name: str, entry: Any, payload: bytes, begin: int) -> tuple[NDArray[Any], int]:
    try:
        dtype, sizes, (start, stop) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the header's entry for {name!r} is not one of an array") from None
    if not isinstance(sizes, list) or len(sizes) > DIMENSIONS:
        raise ValueError(f"array {name!r} has no shape of at most {DIMENSIONS} sizes")
    if not all(type(n) is int and 0 <= n <= len(payload) for n in [*sizes, start, stop]):
        raise ValueError(f"array {name!r} has a size or an offset that is not a whole number within the content")
    count = math.prod(sizes)
    if start != begin or stop - start != count * dtype.itemsize or stop > len(payload):
        raise ValueError(f"array {name!r} does not lie where its shape says")
    values = np.frombuffer(payload, dtype=dtype, count=count, offset=start).reshape(sizes)
    return values.astype(dtype.newbyteorder("=")), stop


def require_float64(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError unless every array is of float64, as all of fastgmm's are."""
    for name, array in arrays.items():
        if array.dtype != np.float64:
            raise ValueError(f"array {name!r} is of {array.dtype}, not of float64")
