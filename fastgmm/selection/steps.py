"""M-steps of the fourteen models for R mixtures at once, by the formulas of `fastgmm.models`.

Models whose best covariances have no closed form take two of their alternations, from where the last step ended: the
likelihood rises all the same, and what a search ends at is what `fastgmm.models` make of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALTERNATIONS = 2
TINY = 1e-300


@dataclass(eq=False)
class State:
    """Where alternations go on: volumes (R, K) or orientations (R, D, D)."""

    value: Floats | None = None

    def chosen(self, which: NDArray[np.intp]) -> State:
        """Return that of some runs."""
        return State(None if self.value is None else self.value[which])

    def copy(self) -> State:
        """Return one of its own."""
        return State(None if self.value is None else self.value.copy())

    def restore(self, before: State, which: NDArray[np.bool_]) -> None:
        """Take back what was before, for some runs."""
        if self.value is not None and before.value is not None:
            self.value[which] = before.value[which]


Step = Callable[[Floats, Floats, State], Floats]
"""(shares (R, K), covariances W_k / n_k (R, K, D, D), state) → covariances (R, K, D, D), an array of its own."""


def _trace(matrices: Floats) -> Floats:
    return np.einsum("...dd->...", matrices)


def _diagonals(matrices: Floats) -> Floats:
    return np.einsum("...dd->...d", matrices)


def _mean(values: Floats) -> Floats:
    """Return geometric means over the last axis."""
    return np.exp(np.log(np.maximum(values, TINY)).sum(axis=-1) / values.shape[-1])


def _volumes(matrices: Floats) -> Floats:
    """Return |W|^(1/D)."""
    d = matrices.shape[-1]
    found = matrices[..., 0, 0] * matrices[..., 1, 1] - matrices[..., 0, 1] ** 2 if d == 2 else np.linalg.det(matrices)
    return np.maximum(found, TINY) ** (1 / d)


def _pooled(shares: Floats, values: Floats) -> Floats:
    """Return Σ_k n_k / n of matrices or diagonals."""
    return np.einsum("rk,rk...->r...", shares, values)


def _matrices(variances: Floats) -> Floats:
    """Return diagonal matrices."""
    d = variances.shape[-1]
    found = np.zeros((*variances.shape, d))
    found[..., range(d), range(d)] = variances
    return found


def _for_all(matrices: Floats, k: int) -> Floats:
    return np.repeat(matrices[:, None], k, axis=1)


def eii(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one variance to all."""
    k, d = covariances.shape[1:3]
    variance = (shares * _trace(covariances)).sum(axis=1) / d
    return np.multiply.outer(variance, np.broadcast_to(np.eye(d), (k, d, d)))


def vii(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give each its variance."""
    d = covariances.shape[-1]
    return np.multiply.outer(_trace(covariances) / d, np.eye(d))


def eei(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one diagonal to all."""
    return _for_all(_matrices(_pooled(shares, _diagonals(covariances))), shares.shape[1])


def vei(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give each its volume, and one diagonal shape to all."""
    variances = _diagonals(covariances)
    volumes = state.value if state.value is not None else variances.mean(axis=-1)
    for _ in range(ALTERNATIONS):
        shape = _pooled(shares / volumes, variances)
        shape /= _mean(shape)[:, None]
        volumes = np.maximum((variances / shape[:, None]).mean(axis=-1), TINY)
    state.value = volumes
    return _matrices(volumes[..., None] * shape[:, None])


def evi(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one volume to all, and each its diagonal shape."""
    variances = _diagonals(covariances)
    volumes = _mean(variances)
    volume = (shares * volumes).sum(axis=1)
    return _matrices(variances * (volume[:, None] / volumes)[..., None])


def vvi(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give each its diagonal."""
    return _matrices(_diagonals(covariances))


def eee(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one matrix to all."""
    return _for_all(_pooled(shares, covariances), shares.shape[1])


def vee(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give each its volume, and one shape and orientation to all."""
    d = covariances.shape[-1]
    volumes = state.value if state.value is not None else np.maximum(_trace(covariances) / d, TINY)
    for _ in range(ALTERNATIONS):
        shape = _pooled(shares / volumes, covariances)
        shape /= _volumes(shape)[:, None, None]
        volumes = np.maximum(np.einsum("rkde,red->rk", covariances, _inverse(shape)) / d, TINY)
    state.value = volumes
    return volumes[..., None, None] * shape[:, None]


def eve(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one volume and orientation to all, and each its shape."""

    def variances(along: Floats) -> Floats:
        volumes = _mean(along)
        return along * ((shares * volumes).sum(axis=1)[:, None] / volumes)[..., None]

    return _oriented(shares, covariances, state, variances)


def vve(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one orientation to all, and each its volume and shape."""
    return _oriented(shares, covariances, state, lambda along: along)


def eev(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one volume and shape to all, and each its orientation."""
    values, vectors = _eigen(covariances)
    return _turned(vectors, np.broadcast_to(_pooled(shares, values)[:, None], values.shape))


def vev(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one shape to all, and each its volume and orientation."""
    values, vectors = _eigen(covariances)
    volumes = state.value if state.value is not None else values.mean(axis=-1)
    for _ in range(ALTERNATIONS):
        shape = _pooled(shares / volumes, values)
        shape /= _mean(shape)[:, None]
        volumes = np.maximum((values / shape[:, None]).mean(axis=-1), TINY)
    state.value = volumes
    return _turned(vectors, volumes[..., None] * shape[:, None])


def evv(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give one volume to all, and each its shape and orientation."""
    volumes = _volumes(covariances)
    return covariances * ((shares * volumes).sum(axis=1)[:, None] / volumes)[..., None, None]


def vvv(shares: Floats, covariances: Floats, state: State) -> Floats:
    """Give each its matrix."""
    return covariances.copy()


def _inverse(matrices: Floats) -> Floats:
    """Invert; what is singular gets an inverse of nothing but large numbers, so that its run is seen to fail."""
    d = matrices.shape[-1]
    safe = matrices + 1e-14 * (_trace(matrices) / d)[..., None, None] * np.eye(d)
    if d == 2:
        found = np.empty_like(safe)
        found[..., 0, 0], found[..., 1, 1] = safe[..., 1, 1], safe[..., 0, 0]
        found[..., 0, 1] = found[..., 1, 0] = -safe[..., 0, 1]
        return found / np.maximum(safe[..., 0, 0] * safe[..., 1, 1] - safe[..., 0, 1] ** 2, TINY)[..., None, None]
    return np.linalg.inv(safe)


def _eigen(matrices: Floats) -> tuple[Floats, Floats]:
    """Return eigenvalues in ascending order (…, D) and eigenvectors; for two features in closed form."""
    if matrices.shape[-1] != 2:
        values, vectors = np.linalg.eigh(matrices)
        return np.maximum(values, TINY), vectors
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    middle, half = (a + c) / 2, np.hypot((a - c) / 2, b)
    large = middle + half
    small = np.maximum((a * c - b * b) / np.maximum(large, TINY), TINY)
    angle = np.arctan2(2 * b, a - c) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    values, vectors = np.empty((*a.shape, 2)), np.empty_like(matrices)
    values[..., 0], values[..., 1] = small, np.maximum(large, TINY)
    vectors[..., 0, 0], vectors[..., 1, 0], vectors[..., 0, 1], vectors[..., 1, 1] = -sine, cosine, cosine, sine
    return values, vectors


def _turned(vectors: Floats, variances: Floats) -> Floats:
    """Return V diag(variances) Vᵀ."""
    return np.asarray((vectors * variances[..., None, :]) @ vectors.swapaxes(-1, -2))


def _oriented(shares: Floats, covariances: Floats, state: State, variances: Callable[[Floats], Floats]) -> Floats:
    """Turn one orientation for all by Jacobi's rotations, the variances held fixed, and then take those."""
    d = covariances.shape[-1]
    axes = state.value if state.value is not None else _eigen(_pooled(shares, covariances))[1]
    axes = axes.copy()
    inside = axes[:, None].swapaxes(2, 3) @ covariances @ axes[:, None]
    for _ in range(ALTERNATIONS):
        inverse = shares[..., None] / np.maximum(variances(np.maximum(_diagonals(inside), TINY)), TINY)
        for m in range(1, d):
            for e in range(m):
                weights = inverse[..., e] - inverse[..., m]
                p = 0.5 * (weights * (inside[..., e, e] - inside[..., m, m])).sum(axis=1)
                q = (weights * inside[..., e, m]).sum(axis=1)
                angle = 0.5 * np.arctan2(-q, -p)
                cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
                _rotate(axes.swapaxes(1, 2), e, m, cosine, sine)
                _rotate(inside, e, m, cosine[:, None], sine[:, None])
                _rotate(inside.swapaxes(2, 3), e, m, cosine[:, None], sine[:, None])
    state.value = axes
    return _turned(np.broadcast_to(axes[:, None], inside.shape), variances(np.maximum(_diagonals(inside), TINY)))


def _rotate(matrices: Floats, e: int, m: int, cosine: Floats, sine: Floats) -> None:
    """Turn two rows of matrices (…, D, D), in place."""
    first, second = matrices[..., e, :], matrices[..., m, :]
    turned = cosine * first + sine * second
    matrices[..., m, :] = cosine * second - sine * first
    matrices[..., e, :] = turned


STEPS: dict[str, Step] = {
    "EII": eii, "VII": vii, "EEI": eei, "VEI": vei, "EVI": evi, "VVI": vvi, "EEE": eee, "VEE": vee, "EVE": eve,
    "VVE": vve, "EEV": eev, "VEV": vev, "EVV": evv, "VVV": vvv,
}  # fmt: skip
