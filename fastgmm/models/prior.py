"""Prior: the conjugate prior of Fraley and Raftery, which keeps covariances away from singular ones.

References
----------
Fraley, C. and Raftery, A. E. (2007). Bayesian regularization for normal mixture estimation and model-based clustering.
Journal of Classification 24, 155-181.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.models.moments import Moments
from fastgmm.models.table import Model, find_model
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prior:
    """A normal prior of each mean and an inverse Wishart prior of each covariance: μ_k | Σ_k ~ N(μ_P, Σ_k / κ).

    The M-step with a prior maximises the expected log-likelihood plus `log_density`, so that EM ascends the sum of the
    log-likelihood and `log_density`. A component without rows gets the prior's mean, and no covariance is singular if
    the scale is not.

    Parameters
    ----------
    mean : array of shape (D,)
        μ_P.
    shrinkage : float
        κ: how many rows the prior's mean is worth. 0: means have no prior.
    degrees_of_freedom : float
        ν. An inverse Wishart distribution needs more than D − 1; any number from 0 gives a maximum.
    scale : array of shape (D, D)
        Λ, symmetric and positive semi-definite. Its unit is that of a scatter.
    diagonal : array of shape (D,), optional
        ς², in the place of Λ for diagonal and spherical models. Default: the mean of the diagonal of `scale` for each
        feature, as mclust has it.

    Raises
    ------
    ValueError
        If shapes do not belong together, or a number is out of its range.

    Examples
    --------
    A component of one row has a covariance:

    >>> import numpy as np
    >>> import fastgmm
    >>> from fastgmm.models import Prior
    >>> X = fastgmm.datasets.load_faithful()
    >>> prior = Prior.mclust(X.mean(axis=0), np.cov(X.T), n_components=2)
    >>> one = fastgmm.SufficientStatistics(X[:1], np.ones(1), np.zeros((1, 2)), np.zeros((1, 2, 2)), 0.0, 1.0)
    >>> fastgmm.maximise(one, prior=prior, reg_covar=0.0).covariances[0].round(2)
    array([[ 0.07,  0.78],
           [ 0.78, 10.34]])
    """

    mean: Floats
    shrinkage: float
    degrees_of_freedom: float
    scale: Floats
    diagonal: Floats | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        d = self.mean.size
        if self.diagonal is None and self.scale.ndim == 2:
            object.__setattr__(self, "diagonal", np.full(d, np.diagonal(self.scale).mean()))
        object.__setattr__(self, "diagonal", np.array(self.diagonal, dtype=np.float64))
        for name, shape in (("mean", (d,)), ("scale", (d, d)), ("diagonal", (d,))):
            value = getattr(self, name)
            if value.shape != shape:
                raise ValueError(f"a prior's {name} must have shape {shape}, but got {value.shape}.")
            if not np.isfinite(value).all():
                raise ValueError(f"a prior's {name} must be finite, but is {value!r}.")
        for name in ("shrinkage", "degrees_of_freedom"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"a prior's {name} must be finite and not negative, but is {getattr(self, name)!r}.")
        self._check_scale()

    def _check_scale(self) -> None:
        """Refuse scales that no covariance has."""
        if not np.allclose(self.scale, self.scale.T, rtol=1e-10, atol=0.0):
            raise ValueError("a prior's scale must be symmetric; pass (scale + scale.T) / 2.")
        object.__setattr__(self, "scale", (self.scale + self.scale.T) / 2)
        units = np.sqrt(np.maximum(np.diagonal(self.scale), 0.0))
        safe = np.where(units > 0, units, 1.0)
        smallest = np.linalg.eigvalsh(self.scale / safe[:, None] / safe)[0]
        if not smallest >= -1e-10 or (self._diagonal < 0).any():
            raise ValueError("a prior's scale and diagonal must not be negative: there is a direction where they are.")

    @property
    def _diagonal(self) -> Floats:
        assert self.diagonal is not None
        return self.diagonal

    @classmethod
    def mclust(cls, mean: ArrayLike, covariance: ArrayLike, n_components: int) -> Self:
        """Return mclust's default for data of a mean (D,) and a covariance S (D, D).

        κ = 0.01, ν = D + 2 and Λ = S / K^(2/D), so that the prior's ellipsoids fill the volume of the data's together.

        mclust takes the covariance with the denominator N − 1, and only its diagonal if N ≤ D.
        """
        scatter = np.array(covariance, dtype=np.float64)
        d = np.size(mean)
        return cls(np.array(mean, dtype=np.float64), 0.01, d + 2.0, scatter / n_components ** (2 / d))

    def rescaled(self, mean: Floats, scale: Floats) -> Prior:
        """Return the prior of features multiplied by `scale` (D,), with the mean (D,) given in its new units."""
        scatter = (self.scale * scale[:, None]) * scale
        return replace(self, mean=mean, scale=scatter, diagonal=self._diagonal * scale * scale)

    def applied(self, moments: Moments, model: Model) -> Moments:
        """Return moments whose maximum-likelihood covariances and means are those of the highest posterior density.

        μ_k = (n_k x̄_k + κ μ_P) / (n_k + κ); W̃_k = W_k + Λ + κ n_k / (n_k + κ) (x̄_k − μ_P)(x̄_k − μ_P)ᵀ; and e rows more
        than there are, see `rows_worth`. If all components have one covariance, Λ is added once.
        """
        sizes, kappa = moments.sizes, self.shrinkage
        away = moments.means - self.mean
        pull = kappa / (sizes + kappa)
        means = moments.means - pull[:, None] * away
        if moments.covariances.ndim == 2:
            extra = (pull * sizes)[:, None] * (away * away)
        else:
            extra = (pull * sizes)[:, None, None] * (away[:, :, None] * away[:, None, :])
        if model.common:
            extra = extra.sum(axis=0, keepdims=True)
        counts = moments.counts + self.rows_worth(model, *away.shape)
        scatters = moments.scatters + extra + self.scatter(model)
        per_count = counts.reshape(-1, *[1] * (scatters.ndim - 1))
        return Moments(sizes, means, counts, scatters / per_count, np.zeros_like(moments.noise))

    def scatter(self, model: Model) -> Floats:
        """Return what is added to each scatter, in the form of the model's moments: Λ (D, D), or ς² (D,).

        A spherical model's ς² counts once, not for each feature.
        """
        if model.moments not in ("diag", "spherical"):
            return self.scale
        return self._diagonal / (len(self.mean) if model.form == "spherical" else 1)

    def rows_worth(self, model: Model, k: int, d: int) -> float:
        """Return e, which is added to the count of each covariance: the prior's density falls like |Σ|^(−e/2).

        With ν' = ν + D + 1 (ν + 2 for a diagonal model, (ν + 2) / D for a spherical one), and one row for the prior of
        each mean, if κ > 0:

        ====================================  ============
        VII VVI VVV VEE VVE EVE EVV           ν' + 1
        EII EEI EEE (one covariance for all)  ν' + K
        EVI                                   (ν' + K) / K
        EEV                                   (ν' + 1) / K
        VEI                                   (ν' + 1) / D
        VEV                                   0
        ====================================  ============

        VEE, VVE, EVE and EVV, for which mclust has no prior, have the density of each component, within the model.
        The others are mclust's, if not all of that kind: those of its M-steps, where its EM counts otherwise (EEI and
        EVI), and of its EM for EEV, whose M-step ignores the shrinkage. EII is Fraley and Raftery's: mclust leaves ς²
        out.
        """
        of_mean = 1.0 if self.shrinkage > 0 else 0.0
        base = {"spherical": (self.degrees_of_freedom + 2) / d, "diag": self.degrees_of_freedom + 2}.get(
            model.form, self.degrees_of_freedom + d + 1
        )
        if model.common:
            return base + k * of_mean
        rows = {
            "EVI": (base + k * of_mean) / k,
            "EEV": (base + of_mean) / k,
            "VEI": (base + of_mean) / d,
            "VEV": 0.0,
        }
        return rows.get(model.name, base + of_mean)

    def log_density(self, parameters: Parameters, model: str) -> float:
        """Return the logarithm of the prior's density, but for a constant, in the coordinates of the parameters.

        −½ Σ_k (e log|Σ_k| + tr(Λ Σ_k⁻¹) + κ (μ_k − μ_P)ᵀ Σ_k⁻¹ (μ_k − μ_P)), restricted to the model's covariances. The
        first two terms count once if all components have one covariance. e is `rows_worth`, and the Λ of diagonal and
        spherical models is the diagonal ς² (`scatter`). With e = ν' + 1 this is the density of a normal inverse Wishart
        distribution (or of inverse gamma ones), with e = ν' + K that of one covariance and K means.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        chosen = find_model(model, parameters.n_features)
        added = self.scatter(chosen)
        root = np.diag(np.sqrt(added)) if added.ndim == 1 else _root(added)
        k, d = parameters.means.shape
        whiteners = parameters.whiteners
        distances = np.einsum("kde,ke->kd", whiteners, parameters.means - self.mean)
        groups = whiteners[:1] if chosen.common else whiteners
        log_determinants = -2 * np.log(np.diagonal(groups, axis1=1, axis2=2)).sum(axis=1)
        spread = ((groups @ root) ** 2).sum() + self.shrinkage * (distances**2).sum()
        return -0.5 * float(self.rows_worth(chosen, k, d) * log_determinants.sum() + spread)


def _root(matrix: Floats) -> Floats:
    """Return R with R Rᵀ = the matrix, which may be singular."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0.0))
