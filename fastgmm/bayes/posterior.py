"""Posteriors: what is known of a mixture after a pass, and the parameters that the next pass takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgmm.bayes.special import digamma, log_gamma
from fastgmm.bayes.weights import WEIGHTS, AbstractWeights
from fastgmm.forms import FORMS
from fastgmm.frame import Frame
from fastgmm.parameters import Parameters

Floats = NDArray[np.float64]
Arrays = dict[str, Floats]


@dataclass(frozen=True, eq=False)
class ExpectedParameters(Parameters):
    """A mixture whose log-densities are expectations under a posterior, so that they do not integrate to 1.

    Parameters
    ----------
    weights, means, covariances, form
        As of `Parameters`: the posterior's means.
    log_weights : array of shape (K,)
        What stands in the place of log π_k: its expectation, and what not knowing mean and covariance takes.
    """

    log_weights: Floats = field(kw_only=True)

    @cached_property
    def log_constants(self) -> Floats:
        """The expected log-joint density at the mean, (K,)."""
        log_volumes = FORMS[self.form].log_volumes(self.factors, *self.means.shape)
        return self.log_weights - 0.5 * self.n_features * math.log(2 * math.pi) - log_volumes


@dataclass(frozen=True, eq=False)
class Posterior:
    """Factors of the variational posterior: of the weights, and of each component's mean and precision matrix.

    μ_k ~ N(m_k, (κ_k Λ_k)⁻¹) and Λ_k ~ Wishart(ν_k, (ν_k Σ_k)⁻¹), so that E Λ_k = Σ_k⁻¹.

    Parameters
    ----------
    weights : AbstractWeights
    means : array of shape (K, D)
        m_k.
    mean_precision : array of shape (K,)
        κ_k.
    covariances : array of shape (K, D, D), (D, D), (K, D) or (K,)
        Σ_k, in their form.
    degrees_of_freedom : array of shape (K,)
        ν_k; all the same where covariances are tied.
    form : {"full", "tied", "diag", "spherical"}
    """

    weights: AbstractWeights
    means: Floats
    mean_precision: Floats
    covariances: Floats
    degrees_of_freedom: Floats
    form: str

    @cached_property
    def point(self) -> Parameters:
        """The mixture of the posterior's means: a density."""
        return Parameters(self.weights.mean, self.means, self.covariances, self.form)

    @cached_property
    def expected(self) -> ExpectedParameters:
        """The mixture whose log-joint densities are E log π_k N(x | μ_k, Λ_k⁻¹).

        E log |Λ_k| = Σ_d ψ((ν_k − d) / 2) + D log 2 − D log ν_k − log |Σ_k| for d = 0 … D−1, and not knowing μ_k
        takes D / 2κ_k (Bishop 2006, equations 10.64 to 10.66).
        """
        d = self.means.shape[1]
        log_precisions = digamma(self._halves).sum(axis=1) + d * math.log(2.0) - d * np.log(self.degrees_of_freedom)
        log_weights = self.weights.expected_log + 0.5 * (log_precisions - d / self.mean_precision)
        return ExpectedParameters(
            self.weights.mean, self.means, self.covariances, self.form, log_weights=np.asarray(log_weights)
        )

    def log_evidence(self, log_volume: float = 0.0) -> float:
        """Return the lower bound without the entropy of the responsibilities, and without the prior's constants.

        `log_volume` is the frame's: precision matrices are larger in the user's units.
        """
        d = self.means.shape[1]
        nu = self.degrees_of_freedom
        log_volumes = FORMS[self.form].log_volumes(self.expected.factors, *self.means.shape)
        log_factors = log_volume - log_volumes - 0.5 * d * np.log(nu)
        wishart = nu * (log_factors + 0.5 * d * math.log(2.0)) + log_gamma(self._halves).sum(axis=1)
        return float(wishart.sum() - self.weights.log_norm - 0.5 * d * np.log(self.mean_precision).sum())

    @property
    def _halves(self) -> Floats:
        """(ν_k − d) / 2 for d = 0 … D−1, (K, D)."""
        return np.asarray(0.5 * (self.degrees_of_freedom[:, None] - np.arange(self.means.shape[1])))

    def arrays(self) -> Arrays:
        """Return all that a posterior is, but for its form and the kind of its weights, by names."""
        weights = self.weights.concentration
        shares = weights if isinstance(weights, tuple) else (weights,)
        names = ("means", "mean_precision", "covariances", "degrees_of_freedom")
        own = {name: getattr(self, name) for name in names}
        return own | {f"weights.{number}": array for number, array in enumerate(shares)}

    @classmethod
    def of(cls, arrays: Mapping[str, Floats], form: str, kind: str) -> Posterior:
        """Return the posterior of what `arrays` returned; `kind` is one of `bayes.weights.WEIGHTS`."""
        weights = WEIGHTS[kind](*(arrays[name] for name in ("weights.0", "weights.1") if name in arrays))
        return cls(
            weights, arrays["means"], arrays["mean_precision"], arrays["covariances"], arrays["degrees_of_freedom"],
            form,
        )  # fmt: skip

    def enter(self, frame: Frame) -> Posterior:
        """Bring a posterior of the user's units into a frame."""
        return self._rescaled(frame.rows(self.means), frame.scale)

    def leave(self, frame: Frame) -> Posterior:
        """Bring a posterior of a frame into the user's units."""
        return self._rescaled(self.means / frame.scale + frame.centre, 1 / frame.scale)

    def _rescaled(self, means: Floats, scale: Floats) -> Posterior:
        return replace(self, means=means, covariances=FORMS[self.form].rescaled(self.covariances, scale))
