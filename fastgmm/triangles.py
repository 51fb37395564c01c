"""Triangles: factors of matrices and their inverses, many at once, with bits that do not depend on BLAS's threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.threads import ALONE, Team

Floats = NDArray[np.float64]

ROWS = 16
"""Up to this size a triangle is inverted row by row, without BLAS."""

BLOCK = 64
"""Largest matrices that are multiplied: OpenBLAS shares products beyond 64³ among its threads, and rounds otherwise."""


BATCH = 1 << 15
"""Numbers of matrices inverted at once: beyond 256 KiB every step takes fresh pages (D = 64: 2.5 times as slow)."""


KERNEL = 256
"""Up to this size a kernel factors matrices, beyond it LAPACK. D = 256, K = 8: 5.2 ms for 5.3 and an inverse."""


SHARED = 1 << 20
"""Numbers of all matrices, times their order, from which a team factors them: K = 32, D = 64, 0.25 to 0.13 ms."""


def factored(matrices: Floats, team: Team = ALONE) -> tuple[Floats, Floats]:
    """Factor symmetric matrices of shape (K, D, D): return lower triangles L with L Lᵀ = Σ, and W = L⁻¹.

    Raises
    ------
    LinAlgError
        If one is not positive definite, or its W is not finite.
    """
    if matrices.shape[1] > KERNEL:
        lower = np.asarray(np.linalg.cholesky(matrices), dtype=np.float64)
        inverse = inverses(lower)
        if not (np.isfinite(lower).all() and np.isfinite(inverse).all()):
            raise np.linalg.LinAlgError("a matrix is not finite, or singular to rounding")
        return lower, inverse
    from fastgmm.kernels.variants import factors_kernel

    choleskys, whiteners = np.empty(matrices.shape), np.empty(matrices.shape)
    definite = np.empty(len(matrices), dtype=np.bool_)
    workers = team if matrices.size * matrices.shape[1] >= SHARED else ALONE
    workers.run(factors_kernel, np.ascontiguousarray(matrices), choleskys, whiteners, definite)
    if not definite.all():
        raise np.linalg.LinAlgError(f"matrix {int(np.argmin(definite))} is not positive definite")
    return choleskys, whiteners


def log_constants(weights: Floats, factors: Floats) -> Floats:
    """Return log π_k − D/2 log 2π − Σ_d log L_dd, (K,), of weights (K,) and lower triangles L (K, D, D)."""
    from fastgmm.kernels.variants import log_constants_kernel

    constants = np.empty(len(weights))
    log_constants_kernel()(1, weights, factors, constants)
    return constants


def inverses(factors: Floats) -> Floats:
    """Invert lower triangles of shape (K, D, D); a zero on a diagonal gives infinities.

    Blocks on the diagonal first, then what is below them by forward substitution, W_ij = −W_ii Σ_k L_ik W_kj: backward
    stable for a triangle. D = 64, K = 32: 0.8 ms, and 1.3 row by row; D = 1024, K = 4: 43, and 820.
    """
    count, d = factors.shape[:2]
    result = np.zeros_like(factors)
    step = max(1, BATCH // min(d, BLOCK) ** 2)
    cuts = [slice(first, min(first + BLOCK, d)) for first in range(0, d, BLOCK)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for first in range(0, count, step):
            some, found = factors[first : first + step], result[first : first + step]
            for i, rows in enumerate(cuts):
                found[:, rows, rows] = _doubled(some[:, rows, rows])
                for j, columns in enumerate(cuts[:i]):
                    products = sum(some[:, rows, inner] @ found[:, inner, columns] for inner in cuts[j:i])
                    found[:, rows, columns] = -(found[:, rows, rows] @ products)
    return result


def _doubled(factors: Floats) -> Floats:
    """Invert small blocks on the diagonal, then blocks of twice the size: below two inverses lies −W₂ L₂₁ W₁."""
    count, d = factors.shape[:2]
    if d <= ROWS:
        return _by_rows(factors)
    whole = ROWS << (-(-d // ROWS) - 1).bit_length()
    padded = np.zeros((count, whole, whole))
    padded[:, range(whole), range(whole)] = 1.0
    padded[:, :d, :d] = factors
    size, blocks = ROWS, _diagonal(padded, ROWS)
    result = _by_rows(blocks.reshape(-1, size, size)).reshape(blocks.shape)
    while size < whole:
        upper, lower = result[:, 0::2], result[:, 1::2]
        below = _diagonal(padded, 2 * size)[:, :, size:, :size]
        result = np.zeros((count, whole // (2 * size), 2 * size, 2 * size))
        result[:, :, :size, :size], result[:, :, size:, size:] = upper, lower
        result[:, :, size:, :size] = -(lower @ (below @ upper))
        size *= 2
    return result[:, 0, :d, :d]


def _diagonal(matrices: Floats, size: int) -> Floats:
    """Return the blocks of a size on the diagonals, (K, blocks, size, size)."""
    count, d = matrices.shape[:2]
    grid = matrices.reshape(count, d // size, size, d // size, size)
    places = np.arange(d // size)
    return np.ascontiguousarray(grid[:, places, :, places].swapaxes(0, 1))


def _by_rows(factors: Floats) -> Floats:
    """Invert by forward substitution, a row of all matrices at a time."""
    result = np.zeros_like(factors)
    for d in range(factors.shape[1]):
        result[:, d, d] = 1.0
        result[:, d, :d] = -np.einsum("kc,kce->ke", factors[:, d, :d], result[:, :d, :d])
        result[:, d, : d + 1] /= factors[:, d, d, None]
    return result
