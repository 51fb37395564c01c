"""The instructions of `vector` in plain Python and NumPy: what they mean, and how kernels run without JIT.

A tile is an array of shape (rows, vectors · LANES). The constants that both files share live here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.kernels.target import GROUP, LANES

Array = NDArray[np.float64]
Size = int | tuple[int, ...]

# fmt: off
EXP_SERIES = (1 / 479001600, 1 / 39916800, 1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24,
              1 / 6, 1 / 2, 1.0, 1.0)
"""1/n! from the highest power: on |r| ≤ log(2)/2 the truncation is 1.7e-16 relative of the last place's 2.2e-16."""
LOG_SERIES = (1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
              2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01)
"""The even polynomial of fdlibm's logarithm (Sun Microsystems, 1993): error below 2**-58 on [√½, √2]."""
# fmt: on
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUNDER = 6755399441055744.0
"""1.5 · 2**52: adding it leaves the nearest integer in the low bits of the sum."""
SMALLEST_EXPONENT = -708.0
"""Where exp is flushed to 0: 3e-308 is far below any responsibility that counts, and subnormals are slow."""


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
    return np.where(a > floor, a, 0.0)


def multiply_add(a: Array, b: Array, c: Array) -> Array:
    return a * b + c


def exp(a: Array) -> Array:
    return np.where(a >= SMALLEST_EXPONENT, np.exp(np.maximum(a, SMALLEST_EXPONENT)), 0.0)


def log(a: Array) -> Array:
    return np.log(a)


def sqrt(a: Array) -> Array:
    return np.sqrt(a)


def _count(size: Size) -> int:
    return len(size) if isinstance(size, tuple) else size


def spread(value: float, vectors: Size) -> Array:
    return np.full((1, _count(vectors) * LANES), value)


def zeros(rows: Size, vectors: Size) -> Array:
    return np.zeros((_count(rows), _count(vectors) * LANES))


def load(array: Array, i: int, stride: int, rows: Size, vectors: Size) -> Array:
    width = _count(vectors) * LANES
    return np.stack([array[i + r * stride : i + r * stride + width] for r in range(_count(rows))])


def store(tile: Array, array: Array, i: int, stride: int) -> None:
    for r, row in enumerate(tile):
        array[i + r * stride : i + r * stride + len(row)] = row


def column(tile: Array, a: Array, i: int) -> Array:
    return np.repeat(a[i : i + len(tile), None], tile.shape[1], axis=1)


def outer(tile: Array, a: Array, i: int, b: Array, j: int) -> Array:
    rows, width = tile.shape
    return tile + a[i : i + rows, None] * b[j : j + width]


def triangle(tile: Array, a: Array, i: int, b: Array, j: int, stride: int) -> Array:
    rows, width = tile.shape
    result = tile.copy()
    for c in range(rows):
        result[c:] += a[i : i + rows - c, None] * b[j + c * stride : j + c * stride + width]
        i += rows - c
    return result


def centred_triangle(tile: Array, a: Array, i: int, x: Array, j: int, stride: int, means: Array, m: int) -> Array:
    rows, width = tile.shape
    centred = np.concatenate([x[j + c * stride : j + c * stride + width] - means[m + c] for c in range(rows)])
    return triangle(tile, a, i, centred, 0, width)


def squares(total: Array, tile: Array) -> Array:
    return total + (tile * tile).sum(axis=0, keepdims=True)


def best(tile: Array, k: int, scores: Array, labels: Array, i: int) -> None:
    here = slice(i, i + tile.shape[1])
    for r, row in enumerate(tile):
        wins = row > scores[here]
        scores[here][wins] = row[wins]
        labels[here][wins] = k + r


def total(tile: Array) -> float:
    return float(tile.sum())


def turned_rows(
    rows: Array, listed: NDArray[np.int64], i: int, row_length: int, d: int, means: Array, m: int
) -> Array:  # fmt: skip
    centre = means[m + d : m + d + LANES]
    starts = listed[i : i + LANES] * row_length + d
    return np.stack([rows[start : start + LANES] - centre for start in starts], axis=1)


def above(tile: Array, threshold: float) -> int:
    return sum(1 << lane for lane, value in enumerate(tile[0]) if value > threshold)


def lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def gram(
    sums: Array, i: int, shares: Array, j: int, stride: int, x: Array, groups: int, means: Array, m: int,
    n_features: int,
) -> None:  # fmt: skip
    width = GROUP * LANES
    for g in range(groups):
        share = shares[j + g * stride : j + g * stride + width]
        columns = x[g * n_features * width : (g + 1) * n_features * width].reshape(n_features, width)
        z = np.concatenate([np.ones((1, width)), columns - means[m : m + n_features, None]])
        for r in range(n_features + 1):
            for c in range(r + 1):
                entry = i + (r * (r + 1) // 2 + c) * LANES
                sums[entry : entry + LANES] += (share * z[r] * z[c]).reshape(-1, LANES).sum(axis=0)
