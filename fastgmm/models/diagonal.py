"""Diagonal models, and their rules for variances along any axes that are given.

With w_kj the scatter of component k along axis j. The models with free or common axes (`eigen`, `orientation`) find
axes, and apply the same rules there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import DegenerateComponentError
from fastgmm.forms import FORMS
from fastgmm.models.moments import Moments, no_volume
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]

TOLERANCE = 1e-10
"""Relative change of volumes at which alternations rest. The objective is flat there: it is left to rounding."""

MAX_ALTERNATIONS = 2000
"""Each is a step up, so that any number is an M-step."""

FLATTEST = 1e-10
"""Where an axis of a common shape falls below this share of the longest, measured by the components' own scatters,
the likelihood has no bound; the shape stays as it is."""


LEAST_LOG_VOLUME = -460.0
"""Smallest logarithm of a volume, relative to the largest, that an alternation starts from: e^460 = 1e200."""


def eei(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ = diag W / n for all, (K, D)."""
    return np.repeat(moments.cleaned, len(moments.sizes), axis=0)


def vvi(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = diag W_k / n_k, (K, D). scikit-learn's "diag"."""
    return np.maximum(moments.covariances, 0.0)


def evi(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = λ A_k with A_k = diag W_k / g_k, g_k = |diag W_k|^(1/D) and λ = Σ_k g_k / n, (K, D)."""
    return equal_volumes(moments.counts, moments.scatters)


def vei(moments: Moments, before: Parameters | None = None) -> Floats:
    """Σ_k = λ_k A: alternate A ∝ Σ_k diag W_k / λ_k and λ_k = tr(W_k A⁻¹) / (n_k D), (K, D)."""
    return equal_shapes(moments.counts, moments.scatters, volumes(before))


def volumes(parameters: Parameters | None) -> Floats | None:
    """Return λ_k = |Σ_k|^(1/D) of a mixture, (K,), the largest taken for 1, if there is one and it has them."""
    if parameters is None:
        return None
    form, d = FORMS[parameters.form], parameters.n_features
    try:
        logs = 2 / d * form.log_volumes(parameters.factors, parameters.n_components, d)
    except DegenerateComponentError:
        return None
    return np.exp(np.maximum(logs - logs.max(), LEAST_LOG_VOLUME))


def geometric_means(scatters: Floats) -> Floats:
    """(∏_j w_kj)^(1/D), (K,)."""
    with np.errstate(divide="ignore"):
        return np.exp(np.log(scatters).mean(axis=1))


def equal_volumes(counts: Floats, scatters: Floats) -> Floats:
    """Return variances λ w_kj / g_k with g_k = (∏_j w_kj)^(1/D) and λ = Σ_k g_k / n, (K, D).

    A component without any scatter may have any shape: it gets that of all. Axes without any are left out, and get
    variances of 0.

    Raises
    ------
    DegenerateComponentError
        If a component lacks scatter along some of the other axes: the best variances are infinite along the rest.
    """
    some, axes = scatters.max(axis=1) > 0, scatters.max(axis=0) > 0
    result = np.zeros_like(scatters)
    if not some.any():
        return result
    shapes = np.where(some[:, None], scatters, scatters.sum(axis=0))[:, axes]
    flat = np.flatnonzero(shapes.min(axis=1) <= 0)
    if len(flat):
        raise no_volume(int(flat[0]))
    means = geometric_means(shapes)
    result[:, axes] = means[some].sum() / counts.sum() * (shapes / means[:, None])
    return result


def equal_shapes(counts: Floats, scatters: Floats, start: Floats | None = None) -> Floats:
    """Return variances λ_k a_j that maximise the likelihood, (K, D), from volumes λ (K,) to start from, if given.

    Each half of an alternation is the exact maximiser given the other, in logarithms the objective is concave: there is
    one maximum. Axes without any scatter and components without any are left out, and get variances of 0.
    """
    components, axes = scatters.max(axis=1) > 0, scatters.max(axis=0) > 0
    result = np.zeros_like(scatters)
    if not components.any():
        return result
    n, w = counts[components], scatters[np.ix_(components, axes)]
    largest = w.max(axis=1, keepdims=True)
    w = w / largest
    unit = w.sum(axis=0)
    sizes = (w / unit).sum(axis=1, keepdims=True)
    unit = n @ (w / sizes)
    w = w / unit
    shape, traces = alternate(n, w, None if start is None else start[components])
    result[np.ix_(components, axes)] = (largest / n[:, None]) * ((traces / len(unit))[:, None] * (shape * unit))
    return result


def alternate(n: Floats, w: Floats, start: Floats | None) -> tuple[Floats, Floats]:
    """Repeat t_k = Σ_j w_kj / a_j, a_j = D / n Σ_k n_k w_kj / t_k, from a sphere or volumes; return a and t."""
    n_axes = w.shape[1]
    shape = np.ones(n_axes)
    if start is not None:
        resumed = (1 / start) @ w
        shape = resumed if resumed.min() >= FLATTEST * resumed.max() else shape
    traces = (w / shape).sum(axis=1)
    for _ in range(MAX_ALTERNATIONS):
        found = n_axes / n.sum() * ((n / traces) @ w)
        if found.min() < FLATTEST * found.max():
            break
        last, shape, traces = traces, found, (w / found).sum(axis=1)
        if (np.abs(traces - last) <= TOLERANCE * traces).all():
            break
    return shape, traces
