"""Pieces of a mixture: components taken out, changed and put back, whatever the form of the covariances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

FREE = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
"""The model of each form that asks nothing of components together, as far as there is one."""

DISTANCE = 0.7
"""Of the halves of a split from its centre, in standard deviations along it."""


def formed(weights: Floats, means: Floats, matrices: Floats, form: str) -> Parameters:
    """Return parameters of a form from matrices (K, D, D), of which it keeps what it can."""
    covariances = matrices
    if form == "tied":
        covariances = np.einsum("k,kde->de", weights / weights.sum(), matrices)
    elif form != "full":
        diagonals = np.diagonal(matrices, axis1=1, axis2=2)
        covariances = diagonals if form == "diag" else diagonals.mean(axis=1)
    return Parameters(weights, means, covariances, form)


def taken(parameters: Parameters, which: Sequence[int]) -> Parameters:
    """Return the mixture of some components by themselves."""
    chosen = list(which)
    weights = parameters.weights[chosen]
    return formed(weights / weights.sum(), parameters.means[chosen], parameters.matrices[chosen], parameters.form)


def replaced(parameters: Parameters, which: Sequence[int], by: Parameters) -> Parameters:
    """Return the mixture with as many other components, of the same weight together, in the place of some."""
    chosen = list(which)
    weights, means, matrices = (np.array(a) for a in (parameters.weights, parameters.means, parameters.matrices))
    weights[chosen] = weights[chosen].sum() * by.weights
    means[chosen], matrices[chosen] = by.means, by.matrices
    return formed(weights / weights.sum(), means, matrices, parameters.form)


def joined(*mixtures: tuple[float, Parameters]) -> Parameters:
    """Return all components of some mixtures, each mixture with a weight."""
    total = sum(weight for weight, _ in mixtures)
    weights = np.concatenate([weight / total * part.weights for weight, part in mixtures])
    means = np.concatenate([part.means for _, part in mixtures])
    return formed(weights, means, np.concatenate([part.matrices for _, part in mixtures]), mixtures[0][1].form)


def merged(parameters: Parameters) -> Parameters:
    """Return one component with the moments of all."""
    mean = parameters.weights @ parameters.means
    away = parameters.means - mean
    matrix = np.einsum("k,kde->de", parameters.weights, parameters.matrices + away[:, :, None] * away[:, None, :])
    return formed(np.ones(1), mean[None], matrix[None], parameters.form)


def halves(component: Parameters, step: Floats) -> Parameters:
    """Return two components with the mean and covariance of one, `step` (D,) standard deviations along from its centre.

    Means are μ ± a s and both covariances Σ − a² s sᵀ for a = 0.7, where s sᵀ ≤ Σ.
    """
    away = DISTANCE * step
    matrix = component.matrices[0] - away[:, None] * away
    means = component.means[0] + np.stack([away, -away])
    return formed(np.full(2, 0.5), means, np.stack([matrix, matrix]), component.form)


def split_starts(component: Parameters, whitener: Floats, rng: np.random.RandomState) -> list[Parameters]:
    """Return ways to begin a split: along two longest axes, one as measured and one by `whitener`, at random, in depth.

    The last has one centre: a core and what surrounds it, for rows with heavy tails.
    """
    matrix = component.matrices[0]
    factor = np.linalg.cholesky(matrix)
    values, vectors = np.linalg.eigh(matrix)
    steps = [np.sqrt(values[-1]) * vectors[:, -1]]
    if len(matrix) > 1:
        inner, axes = np.linalg.eigh(whitener @ matrix @ whitener.T)
        longest = matrix @ whitener.T @ axes[:, -1] / np.sqrt(inner[-1])
        towards = rng.standard_normal(len(matrix))
        steps += [longest, factor @ (towards / np.linalg.norm(towards))]
    centres, depths = np.repeat(component.means, 2, axis=0), np.stack([0.4 * matrix, 1.6 * matrix])
    depth = formed(np.full(2, 0.5), centres, depths, component.form)
    starts = [halves(component, step) for step in steps]
    return starts if component.form == "tied" else [*starts, depth]
