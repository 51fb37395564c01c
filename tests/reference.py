"""The oracle: EM for full covariances and k-means in plain NumPy, written to be obviously right. No fastgmm in it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Mixture(NamedTuple):
    weights: Floats
    means: Floats
    covariances: Floats


class Moments(NamedTuple):
    sum_w: Floats
    sum_x: Floats
    sum_xx: Floats


# --- expectation ---


def whitened(rows: Floats, factor: Floats) -> Floats:
    """Solve factor · y = row for each row, by forward substitution."""
    y = np.empty_like(rows)
    for d in range(rows.shape[1]):
        y[:, d] = (rows[:, d] - y[:, :d] @ factor[d, :d]) / factor[d, d]
    return y


def log_density(X: Floats, mean: Floats, covariance: Floats) -> Floats:
    """log N(x | mean, covariance) = −D/2 log 2π − Σ log L_dd − ½ ‖L⁻¹(x − mean)‖²."""
    factor = np.linalg.cholesky(covariance)
    squared = (whitened(X - mean, factor) ** 2).sum(axis=1)
    return -0.5 * X.shape[1] * math.log(2 * math.pi) - np.log(np.diag(factor)).sum() - 0.5 * squared


def log_joint(X: Floats, mixture: Mixture) -> Floats:
    """log π_k + log N(x_n | k), of shape (N, K)."""
    result = np.empty((len(X), len(mixture.weights)))
    for k, (weight, mean, covariance) in enumerate(zip(*mixture, strict=True)):
        result[:, k] = -np.inf if weight == 0 else math.log(weight) + log_density(X, mean, covariance)
    return result


def log_likelihoods(joint: Floats) -> Floats:
    """log Σ_k exp(joint_nk), of shape (N,)."""
    top = joint.max(axis=1)
    return top + np.log(np.exp(joint - top[:, None]).sum(axis=1))


def responsibilities(joint: Floats) -> Floats:
    """exp(joint_nk) / Σ_j exp(joint_nj), of shape (N, K)."""
    return np.exp(joint - log_likelihoods(joint)[:, None])


def moments(X: Floats, shares: Floats, origins: Floats, sample_weight: Floats | None = None) -> Moments:
    """Σ γ, Σ γ z and Σ γ z zᵀ with z = x − origin_k and γ the shares times the rows' weights."""
    k, d = origins.shape
    sums = Moments(np.empty(k), np.empty((k, d)), np.empty((k, d, d)))
    for component, origin in enumerate(origins):
        share = shares[:, component] if sample_weight is None else shares[:, component] * sample_weight
        z = X - origin
        sums.sum_w[component] = share.sum()
        sums.sum_x[component] = (share[:, None] * z).sum(axis=0)
        sums.sum_xx[component] = (share[:, None] * z).T @ z
    return sums


# --- maximise ---


def maximise(sums: Moments, origins: Floats, reg_covar: float = 0.0) -> Mixture:
    """scikit-learn's rule: counts + 10 eps, covariances about the new means, a ridge on their diagonals."""
    counts = sums.sum_w + 10 * np.finfo(np.float64).eps
    covariances = np.empty_like(sums.sum_xx)
    means = np.empty_like(origins)
    for k, count in enumerate(counts):
        step = sums.sum_x[k] / count
        means[k] = origins[k] + step
        covariances[k] = sums.sum_xx[k] / count - np.outer(step, step) + reg_covar * np.eye(len(step))
    return Mixture(counts / counts.sum(), means, covariances)


def em(
    X: Floats, start: Mixture, n_iter: int, reg_covar: float = 0.0, sample_weight: Floats | None = None
) -> tuple[Mixture, list[float]]:
    """Iterate; return the last mixture and the mean log-likelihood that each expectation saw."""
    row_weights = np.ones(len(X)) if sample_weight is None else sample_weight
    mixture, history = start, []
    for _ in range(n_iter):
        joint = log_joint(X, mixture)
        history.append(float(log_likelihoods(joint) @ row_weights / row_weights.sum()))
        sums = moments(X, responsibilities(joint), mixture.means, sample_weight)
        mixture = maximise(sums, mixture.means, reg_covar)
    return mixture, history


# --- k-means ---


def squared_distances(X: Floats, centres: Floats) -> Floats:
    """‖x_n − c_k‖², of shape (N, K)."""
    return ((X[:, None, :] - centres) ** 2).sum(axis=2)


def nearest(X: Floats, centres: Floats) -> NDArray[np.intp]:
    """Number of the nearest centre of each row, the first of equals."""
    return squared_distances(X, centres).argmin(axis=1)


def lloyd_step(X: Floats, centres: Floats, sample_weight: Floats | None = None) -> Floats:
    """Move each centre to the mean of the rows nearest to it; a centre without rows stays."""
    row_weights = np.ones(len(X)) if sample_weight is None else sample_weight
    labels = nearest(X, centres)
    moved = centres.copy()
    for k in range(len(centres)):
        mine = labels == k
        if row_weights[mine].sum() > 0:
            moved[k] = np.average(X[mine], axis=0, weights=row_weights[mine])
    return moved


def lloyd(X: Floats, centres: Floats, n_iter: int, sample_weight: Floats | None = None) -> Floats:
    """Take `n_iter` steps of Lloyd's algorithm."""
    for _ in range(n_iter):
        centres = lloyd_step(X, centres, sample_weight)
    return centres
