"""The instructions of `vector` in plain Python and NumPy: what they mean, and how kernels run without JIT.

A tile is an array of shape (rows, vectors · lanes) of float64 or float32. The constants that both share live here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.kernels.target import GROUP, LANES, PANEL

Array = NDArray[Any]
Size = int | tuple[int, ...]


@dataclass(frozen=True)
class Exp:
    """How exp is computed for one kind of number: x = n log 2 + r, exp r as a polynomial."""

    series: tuple[float, ...]
    """Coefficients from the highest power; 1 + r + r² q(r), q through Chebyshev's points of |r| ≤ log(2)/2."""
    log2_high: float
    """Leading bits of log 2: n times it is exact."""
    log2_low: float
    rounder: float
    """1.5 · 2**mantissa_bits: adding it leaves the nearest integer in the low bits of the sum."""
    mantissa_bits: int
    smallest: float
    """Where exp is flushed to 0: far below any responsibility that counts, and subnormals are slow."""


LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG2_E = 1.4426950408889634
# fmt: off
EXP = Exp(
    (2.5100424157005066788e-08, 2.7620138719733995569e-07, 2.7557268378684192873e-06, 2.4801521190217727651e-05,
     1.9841269863105968748e-04, 1.3888888917281793308e-03, 8.3333333333300513464e-03, 4.1666666666623991516e-02,
     1.6666666666666667456e-01, 5.0000000000000010262e-01, 1.0, 1.0),
    LN2_HIGH, LN2_LOW, 6755399441055744.0, 52, -708.0,
)
"""Polynomial within 1.7e-17 relative."""
EXP_SINGLE = Exp(
    (1.3926213466332443037e-03, 8.3632029715758549465e-03, 4.1666554437685938899e-02, 1.6666576845993976311e-01,
     0.5, 1.0, 1.0),
    0.693359375, -2.12194440e-4, 12582912.0, 23, -87.0,
)
"""Polynomial within 1e-8 relative."""
LOG_SERIES = (1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
              2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01)
"""The even polynomial of fdlibm's logarithm (Sun Microsystems, 1993): error below 2**-58 on [√½, √2]."""
# fmt: on


def gram_rows(width: int, budget: int) -> list[tuple[int, int]]:
    """Cut the rows of a lower triangle into runs whose entries fit in `budget` registers (one row at least)."""
    runs, first = [], 0
    while first < width:
        last, entries = first + 1, first + 1
        while last < width and entries + last + 1 <= budget:
            entries += last + 1
            last += 1
        runs.append((first, last))
        first = last
    return runs


def call_part(address: Any, part: int, parts: int, arguments: tuple[Any, ...]) -> None:
    address(part, parts, *arguments)


def add(a: Array, b: Array) -> Array:
    return a + b


def subtract(a: Array, b: Array) -> Array:
    return a - b


def multiply(a: Array, b: Array) -> Array:
    return a * b


def divide(a: Array, b: Array) -> Array:
    return a / b


def larger(a: Array, b: Array) -> Array:
    return np.where(a > b, a, b)


def smaller(a: Array, b: Array) -> Array:
    return np.where(a < b, a, b)


def kept(a: Array, floor: Array) -> Array:
    return np.where(a > floor, a, a.dtype.type(0.0))


def multiply_add(a: Array, b: Array, c: Array) -> Array:
    return a * b + c


def exp(a: Array) -> Array:
    smallest = (EXP if a.dtype == np.float64 else EXP_SINGLE).smallest
    return np.where(a >= smallest, np.exp(np.maximum(a, a.dtype.type(smallest))), a.dtype.type(0.0))


def exp2_above(a: Array) -> Array:
    number = np.clip(a, np.float32(-126.0), np.float32(127.0)) * np.float32(2.0**23) + np.float32(127 * 2.0**23)
    return number.astype(np.int32).view(np.float32)


def log(a: Array) -> Array:
    return np.log(a)


def sqrt(a: Array) -> Array:
    return np.sqrt(a)


def _count(size: Size) -> int:
    return len(size) if isinstance(size, tuple) else size


def _lanes(dtype: Any) -> int:
    return LANES if np.dtype(dtype) == np.float64 else 2 * LANES


def spread(value: Any, vectors: Size) -> Array:
    dtype = np.asarray(value).dtype
    return np.full((1, _count(vectors) * _lanes(dtype)), value, dtype=dtype)


def zeros(real: Any, rows: Size, vectors: Size) -> Array:
    return np.zeros((_count(rows), _count(vectors) * _lanes(real)), dtype=real)


def room(size: int, real: Any) -> Array:
    return np.empty(size, dtype=real)


def load(array: Array, i: int, stride: int, rows: Size, vectors: Size) -> Array:
    width = _count(vectors) * _lanes(array.dtype)
    return np.stack([array[i + r * stride : i + r * stride + width] for r in range(_count(rows))])


def store(tile: Array, array: Array, i: int, stride: int) -> None:
    for r, row in enumerate(tile):
        array[i + r * stride : i + r * stride + len(row)] = row


def narrow(tile: Array) -> Array:
    return tile.astype(np.float32)


def column(tile: Array, a: Array, i: int) -> Array:
    return np.repeat(a[i : i + len(tile), None], tile.shape[1], axis=1)


def row(tile: Array, r: int) -> Array:
    return tile[r : r + 1].copy()


def prefetch(array: Array, i: int, count: int) -> None:
    """Nothing that a program could see."""


def outer(tile: Array, a: Array, i: int, b: Array, j: int) -> Array:
    rows, width = tile.shape
    return tile + a[i : i + rows, None] * b[j : j + width]


def outer_rows(tile: Array, a: Array, i: int, stride: int, b: Array, j: int, skip: int) -> Array:
    rows, width = tile.shape
    first = skip * _lanes(a.dtype)
    result = tile.copy()
    result[:, first:] += a[i : i + (rows - 1) * stride + 1 : stride, None] * b[j + first : j + width]
    return result


def row_squares(total: Array, tile: Array) -> Array:
    return total + (tile * tile).reshape(len(tile), -1, total.shape[1]).sum(axis=1)


def store_row_sums(tile: Array, array: Array, i: int) -> None:
    array[i : i + len(tile)] = tile.sum(axis=1)


def rotations(tile: Array, z: Array, i: int) -> Array:
    vectors = z[i : i + tile.shape[1]].reshape(-1, _lanes(z.dtype))
    turned = [np.roll(vectors, -s, axis=1) for s in range(len(tile))]
    return tile + np.stack([(vectors * other).ravel() for other in turned])


def centred_triangle(
    tile: Array, a: Array, i: int, x: Array, j: int, stride: int, means: Array, m: int, z: Array, q: int, kept: int
) -> Array:  # fmt: skip
    rows, width = tile.shape
    result = tile.copy()
    for c in range(rows):
        centred = x[j + c * stride : j + c * stride + width] - means[m + c]
        if kept:
            z[q + c * stride : q + c * stride + width] = centred
        result[c:] += a[i : i + rows - c, None] * centred
        i += rows - c
    return result


def squares(total: Array, tile: Array) -> Array:
    return total + (tile * tile).sum(axis=0, keepdims=True)


def centred_squares(
    x: Array, j: int, stride: int, count: int, means: Array, m: int, rows: int, scales: Array, scaled: int
) -> Array:  # fmt: skip
    width = GROUP * _lanes(x.dtype)
    result = np.zeros((rows, width), dtype=x.dtype)
    for r in range(rows):
        for d in range(count):
            z = x[j + d * stride : j + d * stride + width] - means[m + r * count + d]
            result[r] += (z * scales[m + r * count + d] if scaled else z) ** 2
    return result


def best(tile: Array, k: int, scores: Array, labels: Array, i: int) -> None:
    here = slice(i, i + tile.shape[1])
    for r, row in enumerate(tile):
        wins = row > scores[here]
        scores[here][wins] = row[wins]
        labels[here][wins] = k + r


def total(tile: Array) -> float:
    return float(tile.astype(np.float64).sum())


def folded(tile: Array) -> Array:
    lanes = _lanes(tile.dtype)
    return tile.reshape(len(tile), -1, lanes).sum(axis=1)


def widen(tile: Array) -> Array:
    return tile.astype(np.float64)


def accumulate(tile: Array, array: Array, i: int, stride: int) -> None:
    for r, row in enumerate(tile):
        array[i + r * stride : i + r * stride + len(row)] += row


def take_panel(X: Array, i: int, centre: Array, scale: Array, d: int, rows: Array, j: int) -> None:
    here = slice(d, d + PANEL)
    rows[j : j + PANEL] = (X.reshape(-1)[i : i + PANEL].astype(np.float64) - centre[here]) * scale[here]


def listed_row(rows: Array, listed: NDArray[np.int32], i: int, row_length: int, d: int, vectors: Size) -> Array:
    start = int(listed[i]) * row_length + d
    return rows[start : start + _count(vectors) * _lanes(rows.dtype)][None]


def gathered(array: Array, listed: NDArray[np.int32], i: int) -> Array:
    return array[listed[i : i + _lanes(array.dtype)]][None]


def turned_rows(real: Any, rows: Array, listed: NDArray[np.int32], i: int, row_length: int, d: int) -> Array:
    starts = listed[i : i + _lanes(real)].astype(np.int64) * row_length + d
    return np.stack([rows.reshape(-1)[start : start + PANEL] for start in starts], axis=1).astype(real)


def standardise(tile: Array, centre: Array, scale: Array, d: int) -> Array:
    here = slice(d, d + len(tile))
    return ((tile.astype(np.float64) - centre[here, None]) * scale[here, None]).astype(tile.dtype)


def scatter(tile: Array, array: Array, listed: NDArray[np.int32], i: int) -> None:
    array[listed[i : i + tile.shape[1]]] = tile[0]


def raise_listed(tile: Array, tops: Array, listed: NDArray[np.int32], i: int) -> None:
    np.maximum.at(tops, listed[i : i + tile.shape[1]], tile[0])


def list_lanes(real: Any, first: int, mask: int, listed: NDArray[np.int32], i: int) -> None:
    for lane in range(_lanes(real)):
        if mask >> lane & 1:
            listed[i] = first + lane
            i += 1


def pack_lanes(tile: Array, mask: int, array: Array, i: int) -> None:
    for lane, value in enumerate(tile[0]):
        if mask >> lane & 1:
            array[i] = value
            i += 1


def pick_lanes(real: Any, listed: NDArray[np.int32], i: int, mask: int, picked: NDArray[np.int32], j: int) -> None:
    for lane in range(_lanes(real)):
        if mask >> lane & 1:
            picked[j] = listed[i + lane]
            j += 1


def chosen(mask: int) -> int:
    return mask.bit_count()


def above(tile: Array, threshold: float) -> int:
    return sum(1 << lane for lane, value in enumerate(tile[0]) if value > threshold)


def gram(
    sums: Array, i: int, shares: Array, j: int, stride: int, x: Array, groups: int, means: Array, m: int,
    n_features: int,
) -> None:  # fmt: skip
    lanes = _lanes(x.dtype)
    width = GROUP * lanes
    for g in range(groups):
        share = shares[j + g * stride : j + g * stride + width]
        columns = x[g * n_features * width : (g + 1) * n_features * width].reshape(n_features, width)
        z = np.concatenate([np.ones((1, width), dtype=x.dtype), columns - means[m : m + n_features, None]])
        for r in range(n_features + 1):
            for c in range(r + 1):
                entry = i + (r * (r + 1) // 2 + c) * lanes
                sums[entry : entry + lanes] += (share * z[r] * z[c]).reshape(-1, lanes).sum(axis=0)
