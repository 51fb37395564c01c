"""Special functions of positive arguments: logarithms of gamma and beta, digamma."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FROM = 10.0
"""Arguments from here on take the asymptotic series: its first term left out is below 1e-17."""

SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)
"""B_2n / 2n, Bernoulli's numbers, for n = 1, 2, …"""


def log_gamma(x: ArrayLike) -> Floats:
    """Return log Γ(x), elementwise."""
    values = np.asarray(x, dtype=np.float64)
    return np.array([math.lgamma(value) for value in values.ravel()]).reshape(values.shape)


def log_beta(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return log B(a, b) = log Γ(a) + log Γ(b) − log Γ(a + b), elementwise."""
    return log_gamma(a) + log_gamma(b) - log_gamma(np.add(a, b))


def digamma(x: ArrayLike) -> Floats:
    """Return ψ(x), the derivative of log Γ, elementwise, to a few roundings of the larger of 1 and |ψ|.

    ψ(x) = ψ(x + 1) − 1/x up to FROM; beyond, ψ(x) = log x − 1/2x − Σ_n B_2n / (2n x²ⁿ).

    Examples
    --------
    >>> from fastgmm.bayes.special import digamma
    >>> digamma([1.0, 2.0]).round(6)
    array([-0.577216,  0.422784])
    """
    argument = np.array(x, dtype=np.float64)
    steps = np.zeros_like(argument)
    for _ in range(int(FROM)):
        small = argument < FROM
        steps = np.where(small, steps + 1 / argument, steps)
        argument = np.where(small, argument + 1, argument)
    squared = 1 / (argument * argument)
    series = np.zeros_like(argument)
    for coefficient in reversed(SERIES):
        series = (series + coefficient) * squared
    return np.asarray(np.log(argument) - 0.5 / argument - series - steps)
