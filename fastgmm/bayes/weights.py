"""What is known of the weights: a Dirichlet distribution, or sticks broken from a Dirichlet process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fastgmm.bayes.special import digamma, log_beta, log_gamma

Floats = NDArray[np.float64]


class AbstractWeights(ABC):
    """A distribution of K weights."""

    @classmethod
    @abstractmethod
    def update(cls, prior: float, counts: Floats) -> Self:
        """Return the posterior of a prior concentration and the components' counts (K,)."""

    @property
    @abstractmethod
    def concentration(self) -> Floats | tuple[Floats, Floats]:
        """Its parameters, as scikit-learn has them."""

    @property
    @abstractmethod
    def mean(self) -> Floats:
        """Weights to go by, summing to 1, (K,)."""

    @property
    @abstractmethod
    def expected_log(self) -> Floats:
        """E log π_k, (K,)."""

    @property
    @abstractmethod
    def log_norm(self) -> float:
        """Logarithm of the density's normalising factor."""


@dataclass(frozen=True, eq=False)
class Dirichlet(AbstractWeights):
    """π ~ Dirichlet(α), α of shape (K,)."""

    alpha: Floats

    @classmethod
    def update(cls, prior: float, counts: Floats) -> Self:
        """α_k = α_0 + n_k."""
        return cls(prior + counts)

    @property
    def concentration(self) -> Floats:
        """α."""
        return self.alpha

    @property
    def mean(self) -> Floats:
        """α_k / Σ α."""
        return self.alpha / self.alpha.sum()

    @property
    def expected_log(self) -> Floats:
        """ψ(α_k) − ψ(Σ α)."""
        return digamma(self.alpha) - digamma(self.alpha.sum())

    @property
    def log_norm(self) -> float:
        """Log Γ(Σ α) − Σ log Γ(α_k)."""
        return float(log_gamma(self.alpha.sum()) - log_gamma(self.alpha).sum())


@dataclass(frozen=True, eq=False)
class StickBreaking(AbstractWeights):
    """π_k = v_k Π_{j<k} (1 − v_j) with v_k ~ Beta(a_k, b_k): a Dirichlet process, cut off after K sticks."""

    a: Floats
    b: Floats

    @classmethod
    def update(cls, prior: float, counts: Floats) -> Self:
        """a_k = 1 + n_k, b_k = α_0 + Σ_{j>k} n_j."""
        after = np.append(np.cumsum(counts[:0:-1])[::-1], 0.0)
        return cls(1.0 + counts, prior + after)

    @property
    def concentration(self) -> tuple[Floats, Floats]:
        """(a, b)."""
        return self.a, self.b

    @property
    def mean(self) -> Floats:
        """E v_k Π_{j<k} E(1 − v_j), normalised: the sticks after the K-th are left out."""
        total = self.a + self.b
        left = np.append(1.0, np.cumprod(self.b / total)[:-1])
        lengths = self.a / total * left
        return np.asarray(lengths / lengths.sum())

    @property
    def expected_log(self) -> Floats:
        """ψ(a_k) − ψ(a_k + b_k) + Σ_{j<k} ψ(b_j) − ψ(a_j + b_j)."""
        total = digamma(self.a + self.b)
        left = np.append(0.0, np.cumsum(digamma(self.b) - total)[:-1])
        return np.asarray(digamma(self.a) - total + left)

    @property
    def log_norm(self) -> float:
        """−Σ log B(a_k, b_k)."""
        return -float(log_beta(self.a, self.b).sum())


WEIGHTS: dict[str, type[AbstractWeights]] = {"dirichlet_process": StickBreaking, "dirichlet_distribution": Dirichlet}
"""By scikit-learn's names of the prior's type."""
