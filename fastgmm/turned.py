"""Turned mixtures: in coordinates in which one is round on average float32 resolves what it may not in the frame's.

The features of a photograph's patches hardly differ, in every component alike: relative to what they have in common the
components are nearly round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics
from fastgmm.threads import ALONE, Team
from fastgmm.triangles import factored

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Turned:
    """A mixture in coordinates x' = L⁻¹ (x − centre): `centre` (D,), lower triangles `factor` L and `inverse` L⁻¹."""

    centre: Floats
    factor: Floats
    inverse: Floats
    means: Floats
    """(K, D), as all that follows in turned coordinates."""
    variances: Floats
    """(K, D)."""
    whiteners: Floats
    """(K, D, D)."""

    @classmethod
    def of(cls, parameters: Parameters, team: Team = ALONE) -> Turned:
        """Choose the coordinates, L Lᵀ = Σ_k π_k Σ_k about the mean, and bring the mixture into them: K D³/3 FMA.

        W_k L is a triangle, as L⁻¹ L_k is. Sums in which every component counts alike whatever its size (Σ_k by its
        trace or its volume, or precisions) leave the patches' components ten times as far from round.

        Raises
        ------
        LinAlgError
            If the sum is singular.
        """
        pooled = np.einsum("k,kij->ij", parameters.weights, parameters.matrices)
        factor, inverse = (found[0] for found in factored(pooled[None]))
        centre = np.einsum("k,kd->d", parameters.weights, parameters.means)
        factors = products(inverse[None], parameters.choleskys, team)
        return cls(
            centre,
            factor,
            inverse,
            means=np.einsum("de,ke->kd", inverse, parameters.means - centre),
            variances=np.einsum("kde,kde->kd", factors, factors),
            whiteners=products(parameters.whiteners, factor[None], team),
        )

    def part(self, chosen: NDArray[np.bool_]) -> Turned:
        """Return some of the components, in the same coordinates."""
        some = {name: getattr(self, name)[chosen] for name in ("means", "variances", "whiteners")}
        return replace(self, **some)

    def leave(self, statistics: SufficientStatistics, team: Team = ALONE) -> SufficientStatistics:
        """Bring sums with full second moments back: S = L S' Lᵀ. K D³ FMA."""
        return replace(
            statistics,
            origins=np.einsum("de,ke->kd", self.factor, statistics.origins) + self.centre,
            sum_x=np.einsum("de,ke->kd", self.factor, statistics.sum_x),
            sum_xx=products(self.factor[None], statistics.sum_xx, team, twice=True),
        )


def products(lefts: Floats, rights: Floats, team: Team = ALONE, *, twice: bool = False) -> Floats:
    """Return L A for lower triangles L and A, or `twice`, L A Lᵀ for symmetric A: (K, D, D); one L or A serves all."""
    from fastgmm.kernels.variants import turns_kernel

    results = np.empty((max(len(lefts), len(rights)), *lefts.shape[1:]))
    both = np.ascontiguousarray(lefts), np.ascontiguousarray(rights)
    team.run(turns_kernel, *both, int(not twice), int(twice), results)
    return results
