"""Rows in Ray's object store: bundles are made by tasks, so that Ray makes those again that a dead node took along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgmm.errors import missing_extra
from fastgmm.rows.partitions import shared_out
from fastgmm.rows.parts import VERSION, Part, part_of, summary_of
from fastgmm.rows.remote import AbstractRemoteRows, Bundle, Extent, bundle_of
from fastgmm.threads import ALONE

try:
    import ray
except ImportError:
    raise missing_extra("ray", "ray") from None

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

RETRIES = 3
"""Of a task whose worker died."""

DEADLINE = 3600.0
"""Seconds of a pass."""


class RayRows(AbstractRemoteRows):
    """The rows of a Ray data set, or of matrices that Ray's tasks made: what `GaussianMixture.fit` takes.

    Parameters
    ----------
    source : ray.data.Dataset or sequence of ray.ObjectRef
        N rows of D numeric columns, or references to matrices (n, D) in order. Results of tasks can be made again;
        what was put is lost with its owner.
    sample_weight : array-like of shape (N,), optional

    Raises
    ------
    DataError
        If the rows are not a finite numeric matrix; the partition is named.
    """

    team = ALONE

    def __init__(self, source: Any, sample_weight: ArrayLike | None = None) -> None:
        from fastgmm.kernels.layout import block_rows

        blocks = source.to_arrow_refs() if hasattr(source, "to_arrow_refs") else list(source)
        self._parts = [_task(_part).remote(block, number, VERSION) for number, block in enumerate(blocks)]
        summaries = ray.get([_task(summary_of).remote(part) for part in self._parts])
        self.know(summaries)
        self.require(sample_weight, 1, None, "frequency")
        seats = list(range(max(1, int(ray.cluster_resources().get("CPU", 1)))))
        lengths = [one.shape[0] for one in summaries]
        shared = shared_out(lengths, [None] * len(lengths), seats, block_rows(self.n_features))
        self._plan = [stretches for stretches in shared if stretches]
        self._bundles = []
        for stretches in self._plan:
            slices = [one for stretch in stretches for one in stretch.slices]
            parts = [_task(Part.cut).remote(self._parts[one.partition], one.start, one.stop) for one in slices]
            weights = [self.weights_of(one.start, one.stop) for one in stretches]
            self._bundles.append(_task(_joined).remote(stretches, weights, self.dtype, *parts))

    @property
    def bundles(self) -> Sequence[Sequence[Extent]]:  # type: ignore[override]
        """The runs of each bundle."""
        return [[(one.start, one.stop) for one in stretches] for stretches in self._plan]

    def each(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Call a function on each bundle; Ray takes the task to where that lies."""
        calls = {
            i: _task(function).remote(self._bundles[i], *some) for i, some in enumerate(arguments) if some is not None
        }
        results = dict(zip(calls, ray.get(list(calls.values()), timeout=DEADLINE), strict=True))
        return [results.get(i) for i in range(len(arguments))]


def _task(function: Callable[..., Any]) -> Any:
    return ray.remote(function).options(max_retries=RETRIES, num_cpus=1)


def _part(block: Any, number: int, version: str) -> Part:
    """Return a matrix, or a table of Arrow's, as a part."""
    if hasattr(block, "itercolumns"):
        block = np.stack([np.asarray(column) for column in block.itercolumns()], axis=1)
    return part_of(block, number, version)


def _joined(stretches: Any, weights: Any, dtype: Any, *parts: Part) -> Bundle:
    return bundle_of(stretches, weights, dtype, parts)
