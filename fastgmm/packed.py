"""Packed mixtures: parameters in the arrays that kernels read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import PADDING, Frame
from fastgmm.parameters import Parameters
from fastgmm.threads import ALONE, Team
from fastgmm.turned import Turned

if TYPE_CHECKING:
    from fastgmm.kernels.layout import Layout

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AbstractPacked(ABC):
    """A mixture as kernels read it. Log-densities come out in the frame's units, without `offset`."""

    frame: Frame
    parameters: Parameters
    """In the frame's coordinates."""
    real: Any = np.float64
    """The numbers that kernels are to compute with, see `precision`."""

    form: ClassVar[str] = "full"

    @cached_property
    def offset(self) -> float:
        """What is to be added to every log-density: the frame's volume, and what would cost float32 digits."""
        return self.frame.log_volume + self._base

    @cached_property
    def _base(self) -> float:
        return 0.0 if self.real is np.float64 else float(self.parameters.log_constants.max())

    @cached_property
    def log_constants(self) -> NDArray[Any]:
        """Logarithms of the weighted densities at the means, less what `offset` adds, (K,)."""
        if self.real is np.float64:
            return self.parameters.log_constants
        return (self.parameters.log_constants - self._base).astype(self.real)

    @cached_property
    def origins(self) -> Floats:
        """Means (K, D) as the kernels have them, about which they sum."""
        return self._rounded(self.parameters.means)

    def _rounded(self, values: Floats) -> Floats:
        """Return what the kernels' numbers make of float64."""
        return values if self.real is np.float64 else values.astype(self.real).astype(np.float64)

    @property
    @abstractmethod
    def score_arrays(self) -> tuple[NDArray[Any], ...]:
        """centre, scale, panels, means, log_constants, whiteners, as `kernels.score` takes them: all flat."""


@dataclass(frozen=True, eq=False)
class PackedMixture(AbstractPacked):
    """A mixture by whiteners, whatever the form of its covariances."""

    turned: Turned | None = None
    """The mixture in other coordinates, if kernels are to compute there; in float32 only, see `precision.planned`."""

    @property
    def inside(self) -> Parameters | Turned:
        """The mixture in the coordinates in which kernels compute."""
        return self.turned or self.parameters

    @cached_property
    def origins(self) -> Floats:
        """Means (K, D) as the kernels have them, about which they sum, in their coordinates."""
        return self._rounded(self.inside.means)

    @cached_property
    def shape(self) -> Layout:
        """How parameters and sums are laid out."""
        from fastgmm.kernels.layout import lanes_of, layout

        return layout(self.parameters.n_features, lanes_of(self.real))

    @cached_property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """centre, scale, means, log_constants, whiteners: all flat."""
        p, (centre, scale) = self.inside, self.frame.padded
        if self.turned is not None:
            centre = centre + np.concatenate([self.turned.centre / self.frame.scale, np.zeros(PADDING)])
        whiteners = p.whiteners.reshape(len(p.means), -1)[:, self.shape.whitener_order]
        return (
            centre,
            scale,
            p.means.astype(self.real).ravel(),
            self.log_constants,
            whiteners.astype(self.real, copy=False).ravel(),
        )

    @property
    def bare_arrays(self) -> tuple[NDArray[Any], ...]:
        """As `arrays`, for a pass that is given responsibilities: only the means are read."""
        means = self.parameters.means.astype(self.real).ravel()
        return *self.frame.padded, means, np.empty(self.parameters.n_components, self.real), np.empty(0, self.real)

    @cached_property
    def padded_means(self) -> NDArray[Any]:
        """Means laid out like the kernels' rows: the head padded to a panel, the end to whole registers."""
        means = self.inside.means
        rows = np.zeros((len(means), self.shape.row_length), dtype=self.real)
        rows[:, self.shape.places] = means
        return rows.ravel()

    def columns(self, team: Team) -> NDArray[Any]:
        """Lay whiteners out by columns, rows and columns like the kernels' rows, zeros included; on a team."""
        return self._columns(self.parameters.whiteners, self.real, team)

    @cached_property
    def turning(self) -> Floats:
        """The triangle that rows are multiplied by, laid out alike; empty if they are not."""
        return np.empty(0) if self.turned is None else self._columns(self.turned.inverse[None], np.float64, ALONE)

    def _columns(self, triangles: Floats, real: Any, team: Team) -> NDArray[Any]:
        from fastgmm.kernels.variants import columns_kernel

        places, length = self.shape.places, self.shape.row_length
        columns = np.empty(len(triangles) * length * length, dtype=real)
        team.run(partial(columns_kernel, real), np.ascontiguousarray(triangles), places, length, columns)
        return columns

    @property
    def score_arrays(self) -> tuple[NDArray[Any], ...]:
        """centre, scale, no panels, means, log_constants, whiteners: all flat."""
        centre, scale, *others = self.arrays
        return centre, scale, np.empty(0), *others


@dataclass(frozen=True, eq=False)
class PackedDiagonal(AbstractPacked):
    """A mixture whose covariances are diagonal, or, turned, one for all: kernels whiten rows by it, once."""

    @property
    def turned(self) -> bool:
        """Whether rows are multiplied by the whitener that all components share."""
        return self.parameters.form == "tied"

    @property
    def form(self) -> str:  # type: ignore[override]
        """Which kernels there are for it: "diag" or "tied"."""
        return "tied" if self.turned else "diag"

    @cached_property
    def panels(self) -> NDArray[Any]:
        """The shared whitener in panels of PANEL rows, by columns, flat; empty if there is none."""
        from fastgmm.kernels.target import PANEL

        if not self.turned:
            return np.empty(0, dtype=self.real)
        d = self.parameters.n_features
        count = -(-d // PANEL)
        rows = np.zeros((count * PANEL, d), dtype=self.real)
        rows[:d] = self.parameters.inverse_factors
        return np.ascontiguousarray(rows.reshape(count, PANEL, d).swapaxes(1, 2)).ravel()

    @cached_property
    def turned_means(self) -> Floats:
        """Means (K, D) in the coordinates in which the kernels take differences."""
        p = self.parameters
        return p.means @ p.inverse_factors.T if self.turned else self.origins

    def _padded(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return (K, D) numbers flat, with a few more behind: kernels take FEW features at once."""
        from fastgmm.kernels.target import FEW

        return np.concatenate([values.astype(self.real).ravel(), np.zeros(FEW, dtype=self.real)])

    @cached_property
    def score_arrays(self) -> tuple[NDArray[Any], ...]:
        """centre, scale, panels, means, log_constants, inverse standard deviations: all flat."""
        means = self._padded(self.turned_means)
        return *self.frame.padded, self.panels, means, self.log_constants, self._padded(self._scales)

    @property
    def _scales(self) -> Floats:
        """Inverse standard deviations, (K, D); none where rows are turned, which makes them 1."""
        p = self.parameters
        if self.turned:
            return np.empty(0)
        return np.broadcast_to(p.inverse_factors.reshape(p.n_components, -1), p.means.shape)


def packed_for_scoring(frame: Frame, parameters: Parameters) -> AbstractPacked:
    """Pack a mixture, given in the frame's coordinates, for what scores its rows in the fewest steps."""
    if parameters.form == "full" or not turnable(parameters):
        return PackedMixture(frame, parameters)
    return PackedDiagonal(frame, parameters)


TURNED_RANGE = 2.0**20
"""Largest |W| (|μ| + 8σ), in standard deviations, of a mixture whose rows are turned: digits that differences lose."""


def turnable(parameters: Parameters) -> bool:
    """Return whether differences of turned rows are as good as turned differences; they are where nothing is turned."""
    if parameters.form != "tied":
        return parameters.form != "full"
    reach = np.abs(parameters.means).max(axis=0) + 8 * np.sqrt(parameters.variances[0])
    return bool((np.abs(parameters.inverse_factors) @ reach).max() <= TURNED_RANGE)
