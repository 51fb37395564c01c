"""The oracle: variational Bayes in plain NumPy from rows and responsibilities, after Bishop (2006), chapter 10.

Written component by component and row by row, to be obviously right. No fastgmm in it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

Floats = NDArray[np.float64]


class Belief(NamedTuple):
    """Prior or posterior of one component, or what the components share."""

    kappa: Any
    mean: Floats
    nu: Any
    scale: Floats
    """Of the inverse Wishart: E Λ = ν scale⁻¹."""


def wishart_scale(form: str, scatter: Floats) -> Floats:
    """What a form keeps of a scatter (D, D), as a matrix."""
    if form == "diag":
        return np.diag(np.diag(scatter))
    return np.eye(len(scatter)) * np.trace(scatter) / len(scatter) if form == "spherical" else scatter


def update(X: Floats, resp: Floats, prior: Belief, form: str, ridge: float, row_weights: Floats) -> list[Belief]:
    """Equations 10.58 to 10.63; tied components share the mean of their scatters and counts."""
    found = []
    for gamma in (resp * row_weights[:, None]).T:
        count = gamma.sum()
        mean = gamma @ X / count
        scatter = sum(g * np.outer(x - mean, x - mean) for g, x in zip(gamma, X, strict=True))
        scatter = scatter + count * ridge * np.eye(len(mean))
        kappa = prior.kappa + count
        scatter = scatter + prior.kappa * count / kappa * np.outer(mean - prior.mean, mean - prior.mean)
        centre = (prior.kappa * prior.mean + count * mean) / kappa
        found.append(Belief(kappa, centre, prior.nu + count, prior.scale + wishart_scale(form, scatter)))
    if form == "tied":
        nu, scale = np.mean([b.nu for b in found]), np.mean([b.scale for b in found], axis=0)
        found = [b._replace(nu=nu, scale=scale) for b in found]
    return found


def log_weights(kind: str, alpha: float, counts: Floats) -> tuple[Floats, float]:
    """E log π_k, and what the posterior of the weights adds to the bound."""
    if kind == "dirichlet_distribution":
        a = alpha + counts
        return digamma(a) - digamma(a.sum()), gammaln(a).sum() - gammaln(a.sum())
    a = 1 + counts
    b = np.array([alpha + counts[k + 1 :].sum() for k in range(len(counts))])
    expected = digamma(a) - digamma(a + b)
    for k in range(len(counts)):
        for j in range(k):
            expected[k] += digamma(b[j]) - digamma(a[j] + b[j])
    return expected, (gammaln(a) + gammaln(b) - gammaln(a + b)).sum()


def log_joint(X: Floats, components: list[Belief], expected_log_weights: Floats) -> Floats:
    """E log π_k N(x_n | μ_k, Λ_k⁻¹), equations 10.64 to 10.66, of shape (N, K)."""
    n, d = X.shape
    joint = np.empty((n, len(components)))
    for k, b in enumerate(components):
        precision = b.nu * np.linalg.inv(b.scale)
        log_det = sum(digamma((b.nu - i) / 2) for i in range(d)) + d * math.log(2) - np.linalg.slogdet(b.scale)[1]
        for row, x in enumerate(X):
            distance = (x - b.mean) @ precision @ (x - b.mean) + d / b.kappa
            joint[row, k] = expected_log_weights[k] + 0.5 * (log_det - d * math.log(2 * math.pi) - distance)
    return joint


def bound(resp: Floats, row_weights: Floats, components: list[Belief], weights_term: float) -> float:
    """The lower bound after an update, less constants of the prior: scikit-learn's."""
    d = len(components[0].mean)
    total = -(row_weights[:, None] * resp * np.log(np.where(resp > 0, resp, 1.0))).sum() + weights_term
    for b in components:
        total += sum(math.lgamma((b.nu - i) / 2) for i in range(d)) + 0.5 * b.nu * d * math.log(2)
        total -= 0.5 * b.nu * np.linalg.slogdet(b.scale)[1] + 0.5 * d * math.log(b.kappa)
    return float(total)


class Step(NamedTuple):
    components: list[Belief]
    bound: float
    joint: Floats
    resp: Floats


def fit(
    X: Floats,
    resp: Floats,
    prior: Belief,
    kind: str,
    alpha: float,
    form: str,
    n_iter: int,
    ridge: float = 0.0,
    row_weights: Floats | None = None,
) -> list[Step]:
    """Iterate: update from the responsibilities, score the rows; `resp` of a step is what made its components."""
    row_weights = np.ones(len(X)) if row_weights is None else row_weights
    steps = []
    for _ in range(n_iter + 1):
        components = update(X, resp, prior, form, ridge, row_weights)
        expected, weights_term = log_weights(kind, alpha, row_weights @ resp)
        joint = log_joint(X, components, expected)
        steps.append(Step(components, bound(resp, row_weights, components, weights_term), joint, resp))
        resp = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
    return steps
