"""The quality that all peers are compared by: one plain NumPy evaluation, whoever computed the parameters."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUBSAMPLE = 20_000
SEED = 0


def mean_log_likelihood(X: Floats, weights: Floats, means: Floats, covariances: Floats) -> float:
    """Return the mean log-likelihood of a fixed random subsample of at most 20000 of the rows."""
    if len(X) > SUBSAMPLE:
        X = X[np.sort(np.random.default_rng(SEED).choice(len(X), SUBSAMPLE, replace=False))]
    return float(_log_likelihoods(X, weights, means, covariances).mean())


def whole_log_likelihood(X: Floats, weights: Floats, means: Floats, covariances: Floats) -> float:
    """Return the mean log-likelihood of all rows."""
    pieces = (X[i : i + SUBSAMPLE] for i in range(0, len(X), SUBSAMPLE))
    return math.fsum(_log_likelihoods(rows, weights, means, covariances).sum() for rows in pieces) / len(X)


def _log_likelihoods(X: Floats, weights: Floats, means: Floats, covariances: Floats) -> Floats:
    log_joint = np.empty((len(X), len(weights)))  # (N, K)
    for k, factor in enumerate(np.linalg.cholesky(covariances)):
        y = np.linalg.solve(factor, (X - means[k]).T)
        log_joint[:, k] = np.log(weights[k]) - np.log(np.diag(factor)).sum() - 0.5 * np.square(y).sum(axis=0)
    largest = log_joint.max(axis=1)
    values = largest + np.log(np.exp(log_joint - largest[:, None]).sum(axis=1))
    return np.asarray(values - 0.5 * X.shape[1] * math.log(2 * math.pi))
