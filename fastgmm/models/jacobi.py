"""The common orientation of several scatters: closed-form Jacobi rotations, disjoint pairs of axes at once.

A sweep turns every pair of axes once. In each of its rounds every axis is in one pair, so that a round is one
vectorised step: K D² work.

References
----------
Flury, B. N. and Gautschi, W. (1986). An algorithm for simultaneous orthogonal transformation of several positive
definite symmetric matrices to nearly diagonal form. SIAM Journal on Scientific and Statistical Computing 7, 169-184.
(There the planes are solved by iterations.)

Browne, R. P. and McNicholas, P. D. (2014). Estimating common principal components in high dimensions. Advances in Data
Analysis and Classification 8, 217-226. (The same objective, by majorisation.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

TOLERANCE = 1e-10
"""Share of the objective that a sweep must gain for another."""


def common_axes(scatters: Floats, start: Floats, precisions: Callable[[Floats], Floats], max_sweeps: int) -> Floats:
    """Turn axes D (D, D) until Σ_k tr(D B_k Dᵀ W_k) rests, where the diagonal B_k follow from D.

    Parameters
    ----------
    scatters : array of shape (K, D, D)
    start : array of shape (D, D)
        Orthogonal.
    precisions : callable
        Gives the diagonals b (K, D) of B from w = diag(Dᵀ W_k D), (K, D): those that minimise the model's own
        objective, of which Σ_k b_k · w is a bound from above that touches it at the present axes.
    max_sweeps : int
        Each is a step down, so that any number is an M-step.
    """
    axes = start.copy()
    turned = axes.T @ scatters @ axes
    for _ in range(max_sweeps):
        gain = 0.0
        for left, right in rounds(len(axes)):
            gain += _turn(axes, turned, precisions(np.einsum("kdd->kd", turned)), left, right)
        diagonals = np.einsum("kdd->kd", turned)
        if gain <= TOLERANCE * float((precisions(diagonals) * diagonals).sum()):
            break
    return axes


def _turn(axes: Floats, turned: Floats, precisions: Floats, left: Places, right: Places) -> float:
    """Rotate pairs of axes in place, each by the angle that is best for it; return what the objective gained.

    In the plane of axes l and m the objective is p cos 2θ + q sin 2θ + const with β_k = b_kl − b_km,
    p = ½ Σ_k β_k (M_k,ll − M_k,mm) and q = Σ_k β_k M_k,lm for M_k = Dᵀ W_k D.
    """
    difference = precisions[:, left] - precisions[:, right]
    p = 0.5 * (difference * (turned[:, left, left] - turned[:, right, right])).sum(axis=0)
    q = (difference * turned[:, left, right]).sum(axis=0)
    reach = np.hypot(p, q)
    # p + reach, without the cancellation of a p < 0.
    gains = np.where(p > 0, p + reach, q * (q / np.where(reach > 0, reach + np.abs(p), 1.0)))
    angles = np.where(gains > 0, 0.5 * np.arctan2(-q, -p), 0.0)
    cosines, sines = np.cos(angles), np.sin(angles)
    for block in (axes[None], turned, turned.swapaxes(1, 2)):
        a, b = block[:, :, left], block[:, :, right]
        block[:, :, left] = a * cosines + b * sines
        block[:, :, right] = b * cosines - a * sines
    return float(gains.sum())


@lru_cache(maxsize=32)
def rounds(d: int) -> tuple[tuple[Places, Places], ...]:
    """Return the rounds of a sweep: each a pair of arrays of axes, every pair of axes met in exactly one of them.

    A round-robin tournament: one player stays, the others move on by one place; with an odd number one rests.
    """
    players = list(range(d + d % 2))
    half = len(players) // 2
    schedule = []
    for _ in range(len(players) - 1):
        pairs = np.sort([players[:half], players[: half - 1 : -1]], axis=0).astype(np.intp)
        left, right = pairs[:, pairs[1] < d]
        schedule.append((left, right))
        players = [players[0], players[-1], *players[1:-1]]
    return tuple(schedule)
