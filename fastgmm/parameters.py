"""Parameters: what a mixture is. Weights, means and covariances, and the factors that densities are computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import ILL_DEFINED_COVARIANCE, DegenerateComponentError
from fastgmm.forms import FORMS, AbstractForm
from fastgmm.threads import ALONE, Team
from fastgmm.triangles import log_constants

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parameters:
    """A mixture of K Gaussians in D dimensions.

    Parameters
    ----------
    weights : array of shape (K,)
        Non-negative, summing to 1.
    means : array of shape (K, D)
    covariances : array of shape (K, D, D), (D, D), (K, D) or (K,)
        Symmetric positive definite: one for each component, one for all, variances of each feature, or one variance for
        all features, as `form` says.
    form : {"full", "tied", "diag", "spherical"}, default="full"

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
    form: str = "full"

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        if self.means.ndim != 2 or self.weights.shape != self.means.shape[:1]:
            raise ValueError(
                f"weights (K,) and means (K, D) do not belong together: got "
                f"{self.weights.shape} and {self.means.shape}."
            )
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, but is {self.form!r}.")
        expected = self._form.shape(*self.means.shape)
        if self.covariances.shape != expected:
            raise ValueError(f"{self.form} covariances must have shape {expected}, but got {self.covariances.shape}.")

    @property
    def _form(self) -> AbstractForm:
        return FORMS[self.form]

    @property
    def n_components(self) -> int:
        """K."""
        return self.means.shape[0]

    @property
    def n_features(self) -> int:
        """D."""
        return self.means.shape[1]

    @cached_property
    def matrices(self) -> Floats:
        """Covariances as matrices (K, D, D), whatever the form."""
        return self._form.matrices(self.covariances, *self.means.shape)

    @property
    def variances(self) -> Floats:
        """Diagonals of the covariances, (K, D)."""
        return self._form.variances(self.covariances, *self.means.shape)

    def factor(self, team: Team) -> None:
        """Compute the factors on a team, and keep them.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        if "_factored" not in self.__dict__:
            self.__dict__["_factored"] = self._factors_by(team)

    @cached_property
    def _factored(self) -> tuple[Floats, Floats]:
        return self._factors_by(ALONE)

    def _factors_by(self, team: Team) -> tuple[Floats, Floats]:
        try:
            return self._form.factored(self.covariances, team)
        except np.linalg.LinAlgError:
            raise DegenerateComponentError(f"{ILL_DEFINED_COVARIANCE} {self._degenerate()}") from None

    @property
    def factors(self) -> Floats:
        """Lower factors L of the covariances, L Lᵀ = Σ, in their form: standard deviations where that is diagonal.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        return self._factored[0]

    @property
    def inverse_factors(self) -> Floats:
        """Lower factors W = L⁻¹ in the covariances' form: W (x − μ) has unit covariance.

        Raises
        ------
        DegenerateComponentError
            If a covariance is not positive definite.
        """
        return self._factored[1]

    @cached_property
    def choleskys(self) -> Floats:
        """`factors` as matrices (K, D, D), whatever the form."""
        return self._form.matrices(self.factors, *self.means.shape)

    @cached_property
    def whiteners(self) -> Floats:
        """`inverse_factors` as matrices (K, D, D), whatever the form."""
        return self._form.matrices(self.inverse_factors, *self.means.shape)

    @cached_property
    def log_constants(self) -> Floats:
        """Log π − D/2 log 2π − Σ log L_dd, of shape (K,): the log-joint density at the mean. −inf for weight 0."""
        if self.form == "full":
            return log_constants(self.weights, self.factors)
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        log_volumes = self._form.log_volumes(self.factors, *self.means.shape)
        return log_weights - 0.5 * self.n_features * math.log(2 * math.pi) - log_volumes

    def rescaled(self, means: Floats, scale: Floats) -> Parameters:
        """Return the mixture of features multiplied by `scale` (D,), with the means (K, D) given in their new units."""
        return replace(self, means=means, covariances=self._form.rescaled(self.covariances, scale))

    def part(self, chosen: NDArray[np.bool_]) -> Parameters:
        """Return some of the components, with the weights that they have here, and the factors if these are known."""
        some = replace(
            self, weights=self.weights[chosen], means=self.means[chosen], covariances=self.covariances[chosen]
        )
        if "_factored" in self.__dict__:
            some.__dict__["_factored"] = tuple(factors[chosen] for factors in self._factored)
        return some

    def _degenerate(self) -> str:
        """Name the component whose covariance fails."""
        for k, covariance in enumerate(self.matrices):
            if not np.isfinite(covariance).all():
                return f"(Component {k}: its covariance is not finite.)"
            eigenvalues = np.linalg.eigvalsh(covariance)
            if not eigenvalues[0] > 0:
                share = eigenvalues[0] / (np.abs(eigenvalues).max() or 1.0)
                return f"(Component {k}: its smallest eigenvalue is {share:.2g} of the largest.)"
        worst = int(np.argmax([np.linalg.cond(covariance) for covariance in self.matrices]))
        return f"(Component {worst}: its covariance is singular to rounding.)"
