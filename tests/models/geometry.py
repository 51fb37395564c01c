"""Statistics to maximise, the objective in plain NumPy, and the sets of covariances that models allow."""

from __future__ import annotations

import numpy as np
import problems
import reference
from numpy.typing import NDArray

from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]

SCALED = [name for name, model in MODELS.items() if not model.isotropic]
"""Closed under a factor for each feature."""

TURNED = [name for name in MODELS if name in {"EII", "VII"} or name[2] != "I"]
"""Closed under rotations of the features."""


def of_shares(X: Floats, shares: Floats, origins: Floats | None = None) -> SufficientStatistics:
    """Sums of rows under responsibilities (N, K), about the means or other origins."""
    if origins is None:
        origins = (shares.T @ X) / shares.sum(axis=0)[:, None]
    w, x, xx = reference.moments(X, shares, origins)
    return SufficientStatistics(origins, w, x, (xx + xx.swapaxes(1, 2)) / 2, 0.0, float(len(X)))


def drawn(n_components: int = 3, n_features: int = 3, n_rows: int = 200, seed: int = 0) -> tuple[Floats, Floats]:
    """Rows of overlapping components, and the responsibilities of these for them."""
    m = problems.mixture(n_components, n_features, seed)
    X = problems.drawn(m, n_rows, seed)
    return X, reference.responsibilities(reference.log_joint(X, m))


def statistics(n_components: int = 3, n_features: int = 3, n_rows: int = 200, seed: int = 0) -> SufficientStatistics:
    X, shares = drawn(n_components, n_features, n_rows, seed)
    return of_shares(X, shares, X[:n_components])


def joint(X: Floats, p: Parameters) -> Floats:
    return reference.log_joint(X, reference.Mixture(p.weights, p.means, p.matrices))


def step(X: Floats, p: Parameters) -> SufficientStatistics:
    """The expectation, by the oracle."""
    found = joint(X, p)
    sums = reference.moments(X, reference.responsibilities(found), p.means)
    return SufficientStatistics(p.means, *sums, float(reference.log_likelihoods(found).sum()), float(len(X)))


def expected(s: SufficientStatistics, p: Parameters) -> float:
    """Σ_k n_k log π_k − ½ n_k log|Σ_k| − ½ tr(Σ_k⁻¹ Σ_i γ_ik (x_i − μ_k)(x_i − μ_k)ᵀ)."""
    s = s.recentre(p.means)
    total = 0.0
    for n, second, weight, covariance in zip(s.sum_w, s.sum_xx, p.weights, p.matrices, strict=True):
        total += n * np.log(weight) - 0.5 * n * np.linalg.slogdet(covariance)[1]
        total -= 0.5 * np.trace(np.linalg.solve(covariance, second))
    return float(total)


def decomposed(model: str, covariances: Floats) -> tuple[Floats, Floats, Floats]:
    """Volumes (K,), shapes (K, D) and orientations (K, D, D) as far as the model lets them differ."""
    k, d = covariances.shape[:2]
    if model[2] == "I":
        axes = np.broadcast_to(np.eye(d), (k, d, d))
    elif model[2] == "E":
        shares = 1 / (np.arange(1, k + 1) * np.trace(covariances, axis1=1, axis2=2))
        axes = np.broadcast_to(np.linalg.eigh(np.tensordot(shares, covariances, axes=1))[1], (k, d, d))
    else:
        axes = np.linalg.eigh(covariances)[1]
    values = np.einsum("kdj,kde,kej->kj", axes, covariances, axes)
    volumes = np.exp(np.log(values).mean(axis=1))
    shapes = values / volumes[:, None]
    volumes = volumes if model[0] == "V" else np.broadcast_to(volumes[:1], (k,))
    shapes = {"V": shapes, "E": np.broadcast_to(shapes[:1], (k, d)), "I": np.ones((k, d))}[model[1]]
    return volumes, shapes, axes


def composed(volumes: Floats, shapes: Floats, axes: Floats) -> Floats:
    return np.einsum("kdj,kj,kej->kde", axes, volumes[:, None] * shapes, axes)


def rotation(d: int, size: float, rng: np.random.Generator) -> Floats:
    """Near the identity for a small size: the Cayley transform of a skew matrix."""
    a = size * rng.standard_normal((d, d))
    a = (a - a.T) / 2
    return np.linalg.solve(np.eye(d) + a, np.eye(d) - a)


def perturbed(model: str, p: Parameters, size: float, rng: np.random.Generator) -> Parameters:
    """A mixture of the same model near by."""
    volumes, shapes, axes = decomposed(model, p.matrices)
    k, d = shapes.shape
    count = {"V": k, "E": 1, "I": 1}
    volumes = volumes * np.exp(size * rng.standard_normal(count[model[0]]))
    if model[1] != "I":
        move = size * rng.standard_normal((count[model[1]], d))
        shapes = shapes * np.exp(move - move.mean(axis=1, keepdims=True))
    if model[2] != "I":
        axes = np.array([rotation(d, size, rng) for _ in range(count[model[2]])]) @ axes
    means = p.means + size * np.sqrt(p.variances) * rng.standard_normal((k, d))
    weights = p.weights * np.exp(size * rng.standard_normal(k))
    return Parameters(weights / weights.sum(), means, composed(volumes, shapes, axes))
