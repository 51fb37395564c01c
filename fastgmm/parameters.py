"""Parameters: what a mixture is. Weights, means and covariances, and the factors that densities are computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import ILL_DEFINED_COVARIANCE, DegenerateComponentError
from fastgmm.triangles import inverses

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parameters:
    """A mixture of K Gaussians in D dimensions.

    Parameters
    ----------
    weights : array of shape (K,)
        Non-negative, summing to 1.
    means : array of shape (K, D)
    covariances : array of shape (K, D, D)
        Symmetric positive definite.

    Raises
    ------
    ValueError
        If the shapes do not belong together.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import Parameters
    >>> p = Parameters(np.array([0.5, 0.5]), np.zeros((2, 3)), np.stack([np.eye(3), 4 * np.eye(3)]))
    >>> p.n_components, p.n_features
    (2, 3)
    >>> p.whiteners[1, 0]
    array([0.5, 0. , 0. ])
    """

    weights: Floats
    means: Floats
    covariances: Floats

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        if self.means.ndim != 2 or self.weights.shape != self.means.shape[:1]:
            raise ValueError(
                f"weights (K,) and means (K, D) do not belong together: got "
                f"{self.weights.shape} and {self.means.shape}."
            )
        expected = (*self.means.shape, self.means.shape[1])
        if self.covariances.shape != expected:
            raise ValueError(f"covariances must have shape {expected}, but got {self.covariances.shape}.")

    @property
    def n_components(self) -> int:
        """K."""
        return self.means.shape[0]

    @property
    def n_features(self) -> int:
        """D."""
        return self.means.shape[1]

    @cached_property
    def choleskys(self) -> Floats:
        """Lower factors L of the covariances, L Lᵀ = Σ, of shape (K, D, D)."""
        if not np.isfinite(self.covariances).all():
            raise DegenerateComponentError(f"{ILL_DEFINED_COVARIANCE} {self._degenerate()}")
        try:
            return np.asarray(np.linalg.cholesky(self.covariances), dtype=np.float64)
        except np.linalg.LinAlgError:
            raise DegenerateComponentError(f"{ILL_DEFINED_COVARIANCE} {self._degenerate()}") from None

    @cached_property
    def whiteners(self) -> Floats:
        """Lower factors W = L⁻¹ of shape (K, D, D): W (x − μ) has unit covariance.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        found = inverses(self.choleskys)
        if not np.isfinite(found).all():
            raise DegenerateComponentError(f"{ILL_DEFINED_COVARIANCE} {self._degenerate()}")
        return found

    @cached_property
    def log_constants(self) -> Floats:
        """Log π − D/2 log 2π − Σ log L_dd, of shape (K,): the log-joint density at the mean. −inf for weight 0."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        log_volumes = np.log(np.diagonal(self.choleskys, axis1=1, axis2=2)).sum(axis=1)
        return log_weights - 0.5 * self.n_features * math.log(2 * math.pi) - log_volumes

    def _degenerate(self) -> str:
        """Name the component whose covariance fails."""
        for k, covariance in enumerate(self.covariances):
            if not np.isfinite(covariance).all():
                return f"(Component {k}: its covariance is not finite.)"
            eigenvalues = np.linalg.eigvalsh(covariance)
            if not eigenvalues[0] > 0:
                share = eigenvalues[0] / (np.abs(eigenvalues).max() or 1.0)
                return f"(Component {k}: its smallest eigenvalue is {share:.2g} of the largest.)"
        worst = int(np.argmax([np.linalg.cond(covariance) for covariance in self.covariances]))
        return f"(Component {worst}: its covariance is singular to rounding.)"
