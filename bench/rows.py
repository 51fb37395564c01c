"""How the rows of the cases are made: synthetic mixtures and a real photograph. Seeded, plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEPARATION = 3.0  # a component's geometric mean deviation is about 1
VARIANCES = (0.3, 3.0)  # principal variances are log-uniform here: condition number at most 10
GREY_LEVEL = 1.0 / 255.0
PATCH = 8
STRIDE = 2


def mixture(n_samples: int, n_features: int, n_components: int, seed: int, separation: float = SEPARATION) -> Floats:
    """Draw rows (N, D) from a random mixture with rotated, non-spherical covariances and, by default, moderate overlap.

    Random means are scaled so that the median distance to the nearest other mean is `separation`. In few dimensions
    neighbours overlap; in many, the different shapes of the covariances tell components apart as well.
    """
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.5, n_components)
    means = rng.standard_normal((n_components, n_features))
    means *= separation / np.median(_nearest(means))
    labels = rng.choice(n_components, n_samples, p=weights / weights.sum())
    X = rng.standard_normal((n_samples, n_features))
    for k in range(n_components):
        rotation = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
        deviations = np.exp(0.5 * rng.uniform(np.log(VARIANCES[0]), np.log(VARIANCES[1]), n_features))
        mine = labels == k
        X[mine] = (X[mine] * deviations) @ rotation.T + means[k]
    return X


def china_rgb(seed: int) -> Floats:
    """Return the pixels of china.jpg, of shape (273280, 3), in 0–1 and in scan order."""
    X = _china().reshape(-1, 3) * GREY_LEVEL
    return X + _dither(X.shape, seed)


def china_patches(seed: int) -> Floats:
    """Return the 8×8 grey patches of china.jpg at every second position, of shape (66570, 64), each less its mean."""
    grey = _china().mean(axis=2) * GREY_LEVEL
    windows = np.lib.stride_tricks.sliding_window_view(grey, (PATCH, PATCH))[::STRIDE, ::STRIDE]
    X = windows.reshape(-1, PATCH * PATCH)
    X = X - X.mean(axis=1, keepdims=True) + _dither(X.shape, seed)
    return np.asarray(X, dtype=np.float64)


def iris() -> Floats:
    """Return Fisher's irises, of shape (150, 4)."""
    try:
        from sklearn.datasets import load_iris
    except ImportError:
        raise ImportError("The case iris needs a library; run: pip install scikit-learn") from None
    return np.asarray(load_iris().data, dtype=np.float64)


def thinned(X: Floats, n_samples: int, seed: int) -> Floats:
    """Keep a random `n_samples` of the rows in their order, or all of them if there are no more."""
    if n_samples >= len(X):
        return X
    return X[np.sort(np.random.default_rng(seed).choice(len(X), n_samples, replace=False))]


def _nearest(means: Floats) -> Floats:
    """Return each mean's distance to the nearest other, of shape (K,)."""
    distances = np.sqrt(np.square(means[:, None] - means[None]).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.min(axis=1))


def _dither(shape: tuple[int, ...], seed: int) -> Floats:
    """Return the quantisation error that the photograph lost: without it flat areas have singular covariances."""
    return np.random.default_rng(seed).uniform(-0.5 * GREY_LEVEL, 0.5 * GREY_LEVEL, shape)


def _china() -> Floats:
    try:
        from sklearn.datasets import load_sample_image
    except ImportError:
        raise ImportError("The china cases need two libraries; run: pip install scikit-learn pillow") from None
    return np.asarray(load_sample_image("china.jpg"), dtype=np.float64)
