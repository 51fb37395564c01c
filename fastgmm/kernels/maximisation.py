"""M-steps of the fourteen models for one mixture: a few steps of alternations where there is no closed form.

A model is a rule for variances along axes (one for all components, one shape, one volume, or none of these), and what
the axes are: any (spherical), the features, common ones, or each component's own. `fastgmm.models` has the formulas,
and the exact M-steps that judge; what a search takes here raises the likelihood, and rests where those do.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part

POOLED, SHAPED, LEVEL, FREE = 0, 1, 2, 3
"""Rules: variances are equal (EE), equal but for volumes (VE), of equal volumes (EV), or free (VV)."""

ANY, FEATURES, COMMON, OWN = 0, 1, 2, 3
"""Axes."""

ALTERNATIONS = 2
SWEEPS = 12
"""Jacobi's, at most, for eigenvectors."""

TINY = 1e-300


@part
def geometric_mean(variances, at, n_features):
    """Return (∏_d v_d)^(1/D)."""
    if n_features == 2:  # logarithms took half of an M-step
        return np.sqrt(max(variances[at], TINY)) * np.sqrt(max(variances[at + 1], TINY))
    total = 0.0
    for d in range(n_features):
        total += np.log(max(variances[at + d], TINY))
    return np.exp(total / n_features)


@part
def ruled(rule, shares, k_count, n_features, v, volumes, known, shape):
    """Turn variances v (K, D) along axes into those of a rule, in place; `volumes` (K,) go on from step to step."""
    if rule == POOLED:
        for d in range(n_features):
            shape[d] = 0.0
            for k in range(k_count):
                shape[d] += shares[k] * v[k * n_features + d]
        for k in range(k_count):
            for d in range(n_features):
                v[k * n_features + d] = shape[d]
    elif rule == SHAPED:
        if not known:
            for k in range(k_count):
                volumes[k] = 0.0
                for d in range(n_features):
                    volumes[k] += v[k * n_features + d] / n_features
        for _ in range(ALTERNATIONS):
            for d in range(n_features):
                shape[d] = 0.0
                for k in range(k_count):
                    shape[d] += shares[k] / max(volumes[k], TINY) * v[k * n_features + d]
            unit = geometric_mean(shape, 0, n_features)
            for d in range(n_features):
                shape[d] = max(shape[d] / unit, TINY)
            for k in range(k_count):
                volumes[k] = 0.0
                for d in range(n_features):
                    volumes[k] += v[k * n_features + d] / shape[d] / n_features
        for k in range(k_count):
            for d in range(n_features):
                v[k * n_features + d] = volumes[k] * shape[d]
    elif rule == LEVEL:
        volume = 0.0
        for k in range(k_count):
            volume += shares[k] * geometric_mean(v, k * n_features, n_features)
        for k in range(k_count):
            scale = volume / max(geometric_mean(v, k * n_features, n_features), TINY)
            for d in range(n_features):
                v[k * n_features + d] *= scale


@part
def rotate(matrices, at, e, m, n_features, cosine, sine):
    """Turn rows and columns e and m of a symmetric matrix by an angle."""
    for c in range(n_features):
        first, second = matrices[at + e * n_features + c], matrices[at + m * n_features + c]
        matrices[at + e * n_features + c] = cosine * first + sine * second
        matrices[at + m * n_features + c] = cosine * second - sine * first
    for c in range(n_features):
        first, second = matrices[at + c * n_features + e], matrices[at + c * n_features + m]
        matrices[at + c * n_features + e] = cosine * first + sine * second
        matrices[at + c * n_features + m] = cosine * second - sine * first


@part
def turn_axes(axes, at, e, m, n_features, cosine, sine):
    """Turn columns e and m of axes by an angle."""
    for c in range(n_features):
        first, second = axes[at + c * n_features + e], axes[at + c * n_features + m]
        axes[at + c * n_features + e] = cosine * first + sine * second
        axes[at + c * n_features + m] = cosine * second - sine * first


@part
def half_angle(y, x):
    """Return cosine and sine of half the angle of (x, y), without the angle: a tenth of the time."""
    length = np.sqrt(x * x + y * y)
    if not length > 0.0:
        return 1.0, 0.0
    if x >= 0.0:
        cosine = np.sqrt(0.5 + 0.5 * x / length)
        return cosine, 0.5 * y / (length * cosine)
    sine = np.sqrt(0.5 - 0.5 * x / length)
    cosine = 0.5 * np.abs(y) / (length * sine)
    return cosine, sine if y >= 0.0 else -sine


@part
def set_identity(matrices, at, n_features):
    """Write the identity."""
    for d in range(n_features * n_features):
        matrices[at + d] = 0.0
    for d in range(n_features):
        matrices[at + d * n_features + d] = 1.0


@part
def eigen(matrices, at, n_features, axes, values, place):
    """Write eigenvectors to the columns of `axes`, eigenvalues in ascending order to `values`; spoils the matrix.

    Jacobi's cyclic rotations, which for two features end after one.
    """
    set_identity(axes, at, n_features)
    for _ in range(SWEEPS):
        away = 0.0
        for m in range(1, n_features):
            for e in range(m):
                off = matrices[at + e * n_features + m]
                first, second = matrices[at + e * n_features + e], matrices[at + m * n_features + m]
                if off * off <= 1e-32 * abs(first * second):
                    continue
                away += 1.0
                cosine, sine = half_angle(2.0 * off, first - second)
                rotate(matrices, at, e, m, n_features, cosine, sine)
                turn_axes(axes, at, e, m, n_features, cosine, sine)
        if away == 0.0:
            break
    for d in range(n_features):
        values[place + d] = max(matrices[at + d * n_features + d], TINY)
    for d in range(n_features - 1):
        least = d
        for e in range(d + 1, n_features):
            if values[place + e] < values[place + least]:
                least = e
        if least != d:
            values[place + d], values[place + least] = values[place + least], values[place + d]
            for c in range(n_features):
                here, there = at + c * n_features + d, at + c * n_features + least
                axes[here], axes[there] = axes[there], axes[here]


@part
def along(axes, at, variances, place, n_features, fitted, to):
    """Write V diag(v) Vᵀ."""
    for i in range(n_features):
        for j in range(i + 1):
            total = 0.0
            for d in range(n_features):
                total += axes[at + i * n_features + d] * variances[place + d] * axes[at + j * n_features + d]
            fitted[to + i * n_features + j] = fitted[to + j * n_features + i] = total


@part
def cholesky(matrices, at, n_features, lower):
    """Write L, L Lᵀ = Σ; return whether Σ is positive definite."""
    for i in range(n_features):
        for j in range(i + 1):
            total = matrices[at + i * n_features + j]
            for c in range(j):
                total -= lower[i * n_features + c] * lower[j * n_features + c]
            if i > j:
                lower[i * n_features + j] = total / lower[j * n_features + j]
            elif 0.0 < total < np.inf:
                lower[i * n_features + i] = np.sqrt(total)
            else:
                return False
        for j in range(i + 1, n_features):
            lower[i * n_features + j] = 0.0
    return True


@part
def inverse(lower, n_features, result):
    """Write W = L⁻¹."""
    for j in range(n_features):
        for i in range(j):
            result[i * n_features + j] = 0.0
        for i in range(j, n_features):
            total = 1.0 if i == j else 0.0
            for c in range(j, i):
                total -= lower[i * n_features + c] * result[c * n_features + j]
            result[i * n_features + j] = total / lower[i * n_features + i]


@part
def volume_of(matrices, at, n_features, lower):
    """Return |Σ|^(1/D), or next to nothing where Σ is singular."""
    if not cholesky(matrices, at, n_features, lower):
        return TINY
    if n_features == 2:
        return lower[0] * lower[3]
    total = 0.0
    for d in range(n_features):
        total += np.log(lower[d * n_features + d])
    return np.exp(2.0 * total / n_features)


@part
def traces(matrices, k_count, n_features, whitener, result):
    """Write tr(S_k WᵀW) / D for every component."""
    for k in range(k_count):
        result[k] = 0.0
        for r in range(n_features):
            for i in range(r + 1):
                inner = 0.0
                for j in range(r + 1):
                    inner += matrices[(k * n_features + i) * n_features + j] * whitener[r * n_features + j]
                result[k] += whitener[r * n_features + i] * inner / n_features


@part
def pool(shares, matrices, k_count, size, volumes, fitted):
    """Write Σ_k s_k / λ_k S_k to the first matrix of `fitted`."""
    for i in range(size):
        fitted[i] = 0.0
    for k in range(k_count):
        weight = shares[k] / max(volumes[k], TINY)
        for i in range(size):
            fitted[i] += weight * matrices[k * size + i]


@part
def ellipsoids(rule, shares, matrices, k_count, n_features, volumes, known, lower, whitener, fitted):
    """EEE and VEE: one matrix for all, but for volumes."""
    size = n_features * n_features
    if rule == POOLED or not known:
        for k in range(k_count):
            volumes[k] = 1.0
    if rule == SHAPED and not known:
        set_identity(whitener, 0, n_features)
        traces(matrices, k_count, n_features, whitener, volumes)
    pool(shares, matrices, k_count, size, volumes, fitted)
    if rule == SHAPED:
        for step in range(ALTERNATIONS):
            if step > 0:
                pool(shares, matrices, k_count, size, volumes, fitted)
            if not cholesky(fitted, 0, n_features, lower):
                break
            inverse(lower, n_features, whitener)
            traces(matrices, k_count, n_features, whitener, volumes)
    k = k_count - 1
    while k >= 0:
        for i in range(size):
            fitted[k * size + i] = fitted[i] * volumes[k]
        k -= 1


@part
def common_axes(rule, shares, inside, k_count, n_features, axes, v, shape):
    """EVE and VVE: turn the axes of all by Jacobi's rotations, variances held fixed; v (K, D) is along them."""
    size = n_features * n_features
    for _ in range(ALTERNATIONS):
        for k in range(k_count):
            for d in range(n_features):
                v[k * n_features + d] = max(inside[k * size + d * n_features + d], TINY)
        ruled(rule, shares, k_count, n_features, v, shape, True, shape)
        for m in range(1, n_features):
            for e in range(m):
                p, q = 0.0, 0.0
                for k in range(k_count):
                    at = k * size
                    weight = shares[k] / max(v[k * n_features + e], TINY) - shares[k] / max(v[k * n_features + m], TINY)
                    p += 0.5 * weight * (inside[at + e * n_features + e] - inside[at + m * n_features + m])
                    q += weight * inside[at + e * n_features + m]
                cosine, sine = half_angle(-q, -p)
                turn_axes(axes, 0, e, m, n_features, cosine, sine)
                for k in range(k_count):
                    rotate(inside, k * size, e, m, n_features, cosine, sine)
    for k in range(k_count):
        for d in range(n_features):
            v[k * n_features + d] = max(inside[k * size + d * n_features + d], TINY)
    ruled(rule, shares, k_count, n_features, v, shape, True, shape)


@part
def turned_inside(matrices, at, axes, n_features, work, inside):
    """Write Aᵀ S A."""
    for i in range(n_features):
        for j in range(n_features):
            total = 0.0
            for c in range(n_features):
                total += matrices[at + i * n_features + c] * axes[c * n_features + j]
            work[i * n_features + j] = total
    for i in range(n_features):
        for j in range(n_features):
            total = 0.0
            for c in range(n_features):
                total += axes[c * n_features + i] * work[c * n_features + j]
            inside[at + i * n_features + j] = total


@part
def maximise(rule, kind, shares, matrices, k_count, n_features, volumes, axes, known, v, work, lower, whitener, fitted):
    """Write covariances of the model (K, D, D), of shares (K,) and S_k = W_k / n_k (K, D, D), all flat.

    `volumes` (K,) and `axes` (D, D) are where alternations go on, if `known`. v (K, D) and work (K, D, D) are spoilt.
    """
    size = n_features * n_features
    if kind in (ANY, FEATURES):
        for k in range(k_count):
            mean = 0.0
            for d in range(n_features):
                v[k * n_features + d] = matrices[k * size + d * n_features + d]
                mean += v[k * n_features + d] / n_features
            if kind == ANY:
                for d in range(n_features):
                    v[k * n_features + d] = mean
        ruled(FREE if kind == ANY and rule == SHAPED else rule, shares, k_count, n_features, v, volumes, known, lower)
        for i in range(k_count * size):
            fitted[i] = 0.0
        for k in range(k_count):
            for d in range(n_features):
                fitted[k * size + d * n_features + d] = v[k * n_features + d]
    elif kind == COMMON and rule in (POOLED, SHAPED):
        ellipsoids(rule, shares, matrices, k_count, n_features, volumes, known, lower, whitener, fitted)
    elif kind == COMMON:
        if not known:
            for k in range(k_count):
                volumes[k] = 1.0
            pool(shares, matrices, k_count, size, volumes, work)
            eigen(work, 0, n_features, axes, v, 0)
        for k in range(k_count):
            turned_inside(matrices, k * size, axes, n_features, lower, work)
        common_axes(rule, shares, work, k_count, n_features, axes, v, lower)
        for k in range(k_count):
            along(axes, 0, v, k * n_features, n_features, fitted, k * size)
    elif rule in (POOLED, SHAPED):
        for i in range(k_count * size):
            fitted[i] = matrices[i]
        for k in range(k_count):
            eigen(fitted, k * size, n_features, work, v, k * n_features)
        ruled(rule, shares, k_count, n_features, v, volumes, known, lower)
        for k in range(k_count):
            along(work, k * size, v, k * n_features, n_features, fitted, k * size)
    else:
        volume = 0.0
        for k in range(k_count):
            v[k] = volume_of(matrices, k * size, n_features, lower) if rule == LEVEL else 1.0
            volume += shares[k] * v[k]
        for k in range(k_count):
            scale = volume / v[k] if rule == LEVEL else 1.0
            for i in range(size):
                fitted[k * size + i] = matrices[k * size + i] * scale
