"""Degenerate components: how an M-step notices a collapse, and what may be done instead of giving up.

A component has collapsed where its covariance, measured in the standard deviations of all rows, is singular to
rounding, or where no row is left to it. The likelihood then has no maximum, or none that matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.errors import ILL_DEFINED_COVARIANCE, DegenerateComponentError
from fastgmm.forms import FORMS
from fastgmm.models import MODELS
from fastgmm.parameters import Parameters
from fastgmm.statistics import SufficientStatistics

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Maximise = Callable[[SufficientStatistics, Floats | float, bool], Parameters]
"""(statistics, ridge to add (D,), whether the last parameters still have the same components) → parameters."""

RepairState = tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[tuple[float, ...], ...]]
"""What a repair depends on: the components told of, how often each was started again, where some were removed."""

TINY = float(np.finfo(np.float64).tiny)

POLICIES = ("raise", "regularise", "reseed", "remove")

FREE = ("VVV", "VVI", "VII")
"""Models in which a component's covariance is its own, and can be mended alone."""

SINGULAR = 2.0**-40
"""Least variance, in variances of all rows, that is told from none: 4096 roundings of what the moments sum."""

EMPTY = 2.0**-49
"""Largest share of the rows, that is of weight, of a component that has none left."""

SMALLEST_RIDGE, LARGEST_RIDGE = 1e-10, 1e-2
"""Ridges that are tried in turn, each ten times the last, in variances of all rows."""

NEAR = 2.0**-10
"""Distance, in deviations of all rows, up to which a component collapses at the same place as one before."""

MOST_RESEEDS = 5
"""How often one component may be started again: where it always collapses, there are too many."""


@dataclass(frozen=True)
class Degeneracy:
    """One collapse: in which iteration (from 1) of its run, of which component, and what was done."""

    iteration: int
    component: int
    """Its number at that moment: where a component is removed, those behind it move up."""
    action: str
    """"regularised", "reseeded" or "removed"."""


def spread(statistics: SufficientStatistics) -> Floats:
    """Return the variance of each feature over all rows, (D,), from the statistics of any mixture."""
    total = statistics.sum_w.sum()
    mean = (statistics.sum_w @ statistics.origins + statistics.sum_x.sum(axis=0)) / total
    centred = statistics.recentre(np.broadcast_to(mean, statistics.origins.shape))
    if statistics.form == "tied":
        squares = np.diagonal(centred.sum_xx)
    else:
        squares = FORMS[statistics.form].variances(centred.sum_xx, *statistics.origins.shape).sum(axis=0)
    return np.maximum(squares / total, 0.0)


def collapsed(parameters: Parameters, variances: Floats) -> Booleans:
    """Return which components (K,) are singular to rounding where all rows have these variances (D,)."""
    # A feature that does not vary has the ridge as its variance: it says nothing of a collapse.
    deviations = np.sqrt(np.where(variances > 0, variances, np.maximum(parameters.variances.max(axis=0), TINY)))
    stored = parameters.covariances
    if parameters.form in ("full", "tied"):
        relative = stored / deviations[:, None] / deviations
        finite = np.asarray(np.isfinite(relative).all(axis=(-1, -2)))
        least = np.linalg.eigvalsh(np.where(finite[..., None, None], relative, 0.0))[..., 0]
    else:
        relative = parameters.variances / deviations**2
        finite = np.isfinite(relative).all(axis=-1)
        least = np.where(finite[:, None], relative, 0.0).min(axis=-1)
    return np.broadcast_to(~(finite & (least > SINGULAR)), parameters.weights.shape)


class Repairs:
    """One run's policy and what it has done: "regularise", "reseed" or "remove".

    `before` is what the run's start has told: that a component is regularised is told once. Where a component was
    removed its rows may draw in the next one, if one row repeats often, and the next: such a one is regularised.
    """

    def __init__(self, policy: str, model: str, before: tuple[Degeneracy, ...] = ()) -> None:
        self._policy, self._model = policy, model
        self._told = {collapse.component for collapse in before if collapse.action == "regularised"}
        self._reseeds: dict[int, int] = {}
        self._removed: list[tuple[float, ...]] = []
        self._found: list[Degeneracy] = []

    def maximise(self, statistics: SufficientStatistics, step: Maximise, iteration: int) -> tuple[Parameters, bool]:
        """Take an M-step that ends with no collapsed component; say whether EM starts anew from what it gave.

        Raises
        ------
        DegenerateComponentError
            If the policy cannot help: no component is left, or one collapses whatever is done.
        """
        self._found = []
        variances = spread(statistics)
        if self._policy == "regularise":
            return self._regularised(statistics, step, variances, iteration), False
        again = self._drawn_in(statistics, variances)
        parameters: Parameters | None
        try:
            parameters, kept = self._surviving(statistics, step, variances)
        except DegenerateComponentError:
            if not again.any():
                raise
            parameters, kept = None, []
        lost = [k for k in range(statistics.n_components) if k not in kept]
        if self._policy == "remove" and again[lost].any():
            return self._with_ridge(statistics, step, variances, iteration, [k for k in lost if not again[k]])
        assert parameters is not None
        if not lost:
            return parameters, False
        if self._policy == "reseed":
            self._found = [Degeneracy(iteration, k, "reseeded") for k in lost]
            return self._reseeded(parameters, kept, lost, variances), True
        self._remove(statistics, lost, iteration)
        return parameters, True

    def state(self) -> RepairState:
        """Return what the next step depends on."""
        return tuple(sorted(self._told)), tuple(sorted(self._reseeds.items())), tuple(self._removed)

    def restore(self, state: RepairState) -> None:
        """Go on from what `state` returned."""
        self._told, self._reseeds, self._removed = set(state[0]), dict(state[1]), list(state[2])

    @property
    def found(self) -> tuple[Degeneracy, ...]:
        """What the last step did."""
        return tuple(self._found)

    def _drawn_in(self, statistics: SufficientStatistics, variances: Floats) -> Booleans:
        """Return which components (K,) have their mean where one was removed."""
        if not self._removed:
            return np.zeros(statistics.n_components, dtype=bool)
        deviations = np.sqrt(np.where(variances > 0, variances, 1.0))
        away = np.abs(_means(statistics)[:, None] - np.array(self._removed)) / deviations
        return np.asarray((away.max(axis=2) <= NEAR).any(axis=1))

    def _remove(self, statistics: SufficientStatistics, lost: list[int], iteration: int) -> None:
        """Note that components are removed, and where those with rows were."""
        self._found = [Degeneracy(iteration, k, "removed") for k in lost]
        means, least = _means(statistics), EMPTY * statistics.sum_w.sum()
        self._removed += [tuple(float(x) for x in means[k]) for k in lost if statistics.sum_w[k] > least]
        self._told = {k - sum(other < k for other in lost) for k in self._told if k not in lost}

    def _with_ridge(
        self, statistics: SufficientStatistics, step: Maximise, variances: Floats, iteration: int, lost: list[int]
    ) -> tuple[Parameters, bool]:
        """Remove what is lost and regularise what was drawn in where others were removed."""
        self._remove(statistics, lost, iteration)
        removed, kept = self._found, np.array([k for k in range(statistics.n_components) if k not in lost])
        parameters = self._regularised(_part(statistics, kept), step, variances, iteration, not lost)
        self._found = removed + [replace(one, component=int(kept[one.component])) for one in self._found]
        return parameters, bool(lost)

    def _regularised(
        self,
        statistics: SufficientStatistics,
        step: Maximise,
        variances: Floats,
        iteration: int,
        whole: bool = True,
    ) -> Parameters:
        """Add the smallest ridge, of those tried, under which no component is collapsed: to those that are, if free."""
        self._found = []
        if MODELS[self._model].isotropic:
            variances = np.full_like(variances, variances.mean())
        plain = _attempt(step, statistics, 0.0, whole)
        bad = np.ones(statistics.n_components, dtype=bool) if plain is None else collapsed(plain, variances)
        if plain is not None and not bad.any():
            return plain
        ridge = SMALLEST_RIDGE
        while ridge <= LARGEST_RIDGE * 1.01:
            found = _attempt(step, statistics, ridge * variances, whole)
            if found is not None and not collapsed(found, variances).any():
                untold = [int(k) for k in np.flatnonzero(bad) if int(k) not in self._told]
                self._told |= set(untold)
                self._found = [Degeneracy(iteration, k, "regularised") for k in untold]
                free = plain is not None and self._model in FREE
                return _mended(plain, found, bad) if free and plain is not None else found
            ridge *= 10
        raise DegenerateComponentError(
            f"{ILL_DEFINED_COVARIANCE} (A ridge of {LARGEST_RIDGE:g} of the rows' variance did not help.)"
        )

    def _surviving(
        self, statistics: SufficientStatistics, step: Maximise, variances: Floats
    ) -> tuple[Parameters, list[int]]:
        """Maximise over the components that do not collapse; return the parameters and which they are."""
        kept = np.flatnonzero(statistics.sum_w > EMPTY * statistics.sum_w.sum())
        while len(kept):
            whole = len(kept) == statistics.n_components
            part = _part(statistics, kept)
            found = _attempt(step, part, 0.0, whole)
            bad = _thin(part, variances) if found is None else collapsed(found, variances)
            if found is not None and not bad.any():
                return found, [int(k) for k in kept]
            if bad.all() or not bad.any():
                break
            kept = kept[~bad]
        raise DegenerateComponentError(f"{ILL_DEFINED_COVARIANCE} (No component is left that did not collapse.)")

    def _reseeded(self, parameters: Parameters, kept: list[int], lost: list[int], variances: Floats) -> Parameters:
        """Put each lost component beside the one that says least about its rows, which it shares from now on."""
        k, d = len(kept) + len(lost), parameters.n_features
        weights, means, matrices = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
        weights[kept], means[kept], matrices[kept] = parameters.weights, parameters.means, parameters.matrices
        owners = np.zeros(k, dtype=np.intp)
        owners[kept] = np.arange(len(kept))
        for new in lost:
            self._reseeds[new] = self._reseeds.get(new, 0) + 1
            if self._reseeds[new] > MOST_RESEEDS:
                raise DegenerateComponentError(
                    f"{ILL_DEFINED_COVARIANCE} (Component {new} was started again {MOST_RESEEDS} times and collapsed "
                    "each time.)"
                )
            donor = _widest(weights, matrices, variances)
            step = _half_deviation(matrices[donor], variances)
            weights[[donor, new]] = weights[donor] / 2
            means[new], means[donor] = means[donor] - step, means[donor] + step
            matrices[new], owners[new] = matrices[donor], owners[donor]
        shared = parameters.form == "tied"
        covariances = parameters.covariances if shared else parameters.covariances[owners]
        return Parameters(weights / weights.sum(), means, covariances, parameters.form)


def _attempt(step: Maximise, statistics: SufficientStatistics, ridge: Floats | float, whole: bool) -> Parameters | None:
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return step(statistics, ridge, whole)
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return None


def _mended(plain: Parameters, found: Parameters, bad: Booleans) -> Parameters:
    """Return `plain` with the covariances of `found` where they are bad."""
    chosen = bad.reshape(-1, *[1] * (plain.covariances.ndim - 1))
    return replace(plain, covariances=np.where(chosen, found.covariances, plain.covariances))


def _means(statistics: SufficientStatistics) -> Floats:
    """Return the components' means, (K, D)."""
    return statistics.origins + statistics.sum_x / np.maximum(statistics.sum_w, TINY)[:, None]


def _part(statistics: SufficientStatistics, kept: NDArray[np.intp]) -> SufficientStatistics:
    """Return the statistics of some components."""
    if len(kept) == statistics.n_components:
        return statistics
    pooled = statistics.form == "tied"
    return replace(
        statistics,
        origins=statistics.origins[kept],
        sum_w=statistics.sum_w[kept],
        sum_x=statistics.sum_x[kept],
        sum_xx=statistics.sum_xx if pooled else statistics.sum_xx[kept],
    )


def _thin(statistics: SufficientStatistics, variances: Floats) -> Booleans:
    """Return which components' own moments are singular."""
    counts = np.maximum(statistics.sum_w, TINY)
    if statistics.form == "tied":
        own = statistics.scatters / counts.sum()
    else:
        own = statistics.scatters / counts.reshape(-1, *[1] * (statistics.sum_xx.ndim - 1))
    return collapsed(Parameters(counts / counts.sum(), statistics.origins, own, statistics.form), variances)


def _relative(matrices: Floats, variances: Floats) -> tuple[Floats, Floats]:
    own = np.diagonal(matrices, axis1=-2, axis2=-1).reshape(-1, len(variances)).max(axis=0)
    deviations = np.sqrt(np.where(variances > 0, variances, np.maximum(own, TINY)))
    return matrices / deviations[:, None] / deviations, deviations


def _widest(weights: Floats, matrices: Floats, variances: Floats) -> int:
    """Return the component with the largest share π (H − log π) of the entropy, as VLFeat chooses whom to split."""
    relative, _ = _relative(matrices, variances)
    d = len(variances)
    shares = np.full(len(weights), -np.inf)
    for k in np.flatnonzero(weights > 0):
        entropy = 0.5 * (d * math.log(2 * math.pi * math.e) + np.linalg.slogdet(relative[k])[1])
        shares[k] = weights[k] * (entropy - math.log(weights[k]))
    return int(shares.argmax())


def _half_deviation(matrix: Floats, variances: Floats) -> Floats:
    """Return half a standard deviation along the direction in which a component is widest, (D,)."""
    relative, deviations = _relative(matrix, variances)
    eigenvalues, vectors = np.linalg.eigh(relative)
    return 0.5 * math.sqrt(eigenvalues[-1]) * vectors[:, -1] * deviations
