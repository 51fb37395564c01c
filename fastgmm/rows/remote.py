"""Rows that lie in other processes: what is to be done goes to them, and sums come back.

An engine (Dask, Spark, Ray) holds *bundles* of runs of whole blocks, and can call a function on each where it lies.
All else is the same for every engine, and for one machine: nodes are added in the canonical order of their blocks.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.frame import Frame
from fastgmm.rows.base import AbstractRows, Floats, Span
from fastgmm.rows.file_pieces import FilePart, FileRun
from fastgmm.rows.memory import LARGE
from fastgmm.rows.partitions import Stretch
from fastgmm.rows.parts import VERSION, Part, Summary, check_parts, require_version
from fastgmm.rows.pieces import NO_WEIGHTS, Run, joined
from fastgmm.rows.windows import Parts, bare, bring_back, dressed, lent
from fastgmm.sweep import AbstractTask, DyadicSum, added
from fastgmm.threads import Team
from fastgmm.validation import check_rows, check_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FETCHED_BYTES = 16 << 20
"""Rows that come to the caller at a time, where something here must look at them."""

Extent = tuple[int, int]
"""First row, and the one behind the last."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """Runs of rows that one worker sums, in its memory or in files that it reads."""

    runs: tuple[Run | FileRun, ...]

    def __sizeof__(self) -> int:  # its matrices belong to parts
        return 64


def bundle_of(
    stretches: Sequence[Stretch], weights: Sequence[Floats], dtype: np.dtype[Any], parts: Sequence[Part | FilePart]
) -> Bundle:
    """Join the parts of each stretch, which come in the order of its slices."""
    source, runs = iter(parts), []
    for one, some in zip(stretches, weights, strict=True):
        mine = [next(source) for _ in one.slices]
        read = tuple(part.piece for part in mine if isinstance(part, FilePart))
        held = tuple(part.matrix for part in mine if isinstance(part, Part))
        runs.append(FileRun(one.start, read, dtype, some) if read else Run(one.start, held, dtype, some))
    return Bundle(tuple(runs))


# --- what workers do -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sums:
    """A task's sums over some runs, as few nodes as there can be, and what was written of rows."""

    nodes: dict[tuple[int, int], Floats]
    """By level and place in the tree."""
    written: list[tuple[int, Parts]]
    """First rows, and arrays."""


def sum_bundle(bundle: Bundle, common: tuple[Any, ...], parts: Sequence[Parts], team: Team) -> Sums:
    """Sum a bare task over each run."""
    version, task = common
    require_version(version)
    sums = Sums({}, [])
    for run, some in zip(bundle.runs, parts, strict=True):
        mine, written = dressed(task, some, run.start, run.stop)
        block = run.start // task.block
        nodes, spans = {}, run.spans(task.block, mine.blocks_per_span)
        for level, node in added(DyadicSum(block), spans, run.n_rows, mine, team).nodes:
            nodes[level, block >> level] = node
            block += 1 << level
        sums = merged(sums, Sums(nodes, [(run.start, written)] if written else []))
    return sums


def merged(one: Sums, other: Sums) -> Sums:
    """Add sums over different runs. Siblings are joined, whoever has them: the order of merging changes no bit."""
    nodes = dict(one.nodes)
    for (level, place), node in other.nodes.items():
        while (sibling := nodes.pop((level, place ^ 1), None)) is not None:
            node = node + sibling if place & 1 == 0 else sibling + node
            level, place = level + 1, place >> 1
        nodes[level, place] = node
    return Sums(nodes, one.written + other.written)


def fill_bundle(bundle: Bundle, common: tuple[Any, ...], team: Team) -> list[tuple[int, Parts]]:
    """Score each run; return first rows and what was filled."""
    version, fill, mixture, kind, wanted = common
    require_version(version)
    filled = []
    for run in bundle.runs:
        arrays = {name: np.empty((run.n_rows, *behind), dtype) for name, behind, dtype in wanted}
        fill(replace(run, start=0), mixture, kind(**arrays), team)
        filled.append((run.start, arrays))
    return filled


def pick_bundle(bundle: Bundle, numbers: Sequence[NDArray[np.intp]]) -> list[Floats]:
    """Return the rows of some numbers of each run."""
    return [run.picked(some).astype(np.float64) for run, some in zip(bundle.runs, numbers, strict=True)]


def fetch_bundle(bundle: Bundle, extents: Sequence[Extent]) -> list[NDArray[Any]]:
    """Return the rows that each run has in an extent."""
    return [
        run.rows(max(low, run.start), min(high, run.stop))
        for run, (low, high) in zip(bundle.runs, extents, strict=True)
    ]


# --- what the caller does --------------------------------------------------------------------------------------------


class AbstractRemoteRows(AbstractRows):
    """Rows in the bundles of an engine. Weights stay with the caller too."""

    costly = True

    bundles: Sequence[Sequence[Extent]]
    """The runs of each bundle."""

    @abstractmethod
    def each(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...] | None]) -> list[Any]:
        """Call function(bundle, *arguments) for each bundle where it lies, but where the arguments are None.

        Returns results in the order of `bundles`, which may change between two calls, but not within one.
        """

    def reduced(
        self,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        """Return what `each` gives, merged in any order; engines may merge on workers."""
        return reduce(merge, self.each(function, arguments))

    team: Team
    """What a worker takes for a bundle."""

    # Set up ---

    def know(self, summaries: Sequence[Summary]) -> None:
        """Take over what partitions are like; `DataError` if they do not belong together."""
        filled = [one for one in summaries if one.shape[0]]
        check_parts(summaries if any(one.n_nan or one.n_infinite for one in summaries) or not filled else filled)
        self.n_rows = sum(one.shape[0] for one in summaries)
        self.n_features = (filled or summaries)[0].shape[1]
        self.dtype = np.result_type(*(one.dtype for one in filled or summaries))
        self.low = np.min([one.low for one in filled], axis=0) if filled else np.zeros(self.n_features)
        self.high = np.max([one.high for one in filled], axis=0) if filled else np.zeros(self.n_features)

    def require(self, sample_weight: ArrayLike | None, min_rows: int, n_features: int | None, weight_type: str) -> None:
        """Check rows that are known as `validation.check_rows` does, take over weights, and choose the frame."""
        check_rows(np.broadcast_to(0.0, (self.n_rows, self.n_features)), min_rows=min_rows, n_features=n_features)
        weights = check_weights(sample_weight, self.n_rows, weight_type)
        self._weights = NO_WEIGHTS if weights is None else weights
        self.weight = float(self.n_rows) if weights is None else float(weights.sum())
        positive = self._weights[self._weights > 0]
        self.ordinary = not positive.size or bool(positive.max() < LARGE and positive.min() > 1 / LARGE)
        self.frame = Frame.around(self.low, self.high)

    def weights_of(self, start: int, stop: int) -> Floats:
        """Return the weights of the rows start … stop−1, or an empty array."""
        return self._weights[start:stop] if self._weights.size else self._weights

    # Rows ---

    def sweep(self, task: AbstractTask, team: Team) -> Floats:
        """Sum a task over all rows where they lie; `team` is the caller's and is not used."""
        self.swept += 1
        common = VERSION, bare(task)

        def arguments() -> list[tuple[Any, ...]]:
            return [(common, [lent(task, *run) for run in runs], self.team) for runs in self.bundles]

        sums = self.reduced(sum_bundle, arguments(), merged)
        for start, written in sums.written:
            rows = next(len(part) for name, part in written.items() if not name.endswith(("bounds", "work")))
            bring_back(task, written, start, start + rows)
        total = DyadicSum()
        for (level, _), node in sorted(sums.nodes.items(), key=lambda item: item[0][1] << item[0][0]):
            total.add(level, node)
        return total.total()

    def fill(self, fill: Callable[..., None], mixture: Any, results: Any) -> None:
        """Call fill(rows, mixture, results, team) for each run where it lies; collect what it fills.

        `results` is a dataclass of arrays with an entry for each row; those that are empty are not filled.
        """
        arrays = {one.name: getattr(results, one.name) for one in fields(results)}
        wanted = [(name, array.shape[1:], array.dtype) for name, array in arrays.items() if len(array)]
        common = VERSION, fill, mixture, type(results), wanted
        for filled in self.each(fill_bundle, [(common, self.team)] * len(self.bundles)):
            for start, parts in filled:
                for name, part in parts.items():
                    arrays[name][start : start + len(part)] = part

    def take(self, indices: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return some rows as float64 and their weights, or an empty array."""
        indices = np.asarray(indices, dtype=np.intp)
        order = np.argsort(indices, kind="stable")
        ordered = indices[order]
        places = [[slice(*np.searchsorted(ordered, run)) for run in runs] for runs in self.bundles]
        asked = [([ordered[place] for place in some],) for some in places]
        chosen = np.empty((len(indices), self.n_features))
        results = self.each(pick_bundle, [one if sum(map(len, one[0])) else None for one in asked])
        for some, rows in zip(places, results, strict=True):
            for place, X in zip(some, rows or (), strict=bool(rows)):
                chosen[order[place]] = X
        return chosen, self._weights[indices] if self._weights.size else self._weights

    def spans(self, block: int, blocks: int) -> Iterator[Span]:
        """Walk the rows here: they come a few at a time, for what has to look at them one by one."""
        size = block * min(blocks, max(1, FETCHED_BYTES // (8 * self.n_features * block)))
        for start in range(0, self.n_rows, size):
            stop = min(start + size, self.n_rows)
            yield start, self._fetched(start, stop), self.weights_of(start, stop)

    def _fetched(self, start: int, stop: int) -> NDArray[Any]:
        wanted = [
            ([(min(max(start, low), high), max(min(stop, high), low)) for low, high in runs],)
            if any(max(start, low) < min(stop, high) for low, high in runs)
            else None
            for runs in self.bundles
        ]
        pieces = [
            (run[0], X)
            for runs, some in zip(self.bundles, self.each(fetch_bundle, wanted), strict=True)
            if some is not None
            for run, X in zip(runs, some, strict=True)
        ]
        X = joined([X for _, X in sorted(pieces, key=lambda piece: piece[0]) if len(X)], np.empty((0, self.n_features)))
        return np.require(X, dtype=self.dtype, requirements=["C", "A"])

    def in_frame(self, frame: Frame) -> AbstractRows:
        """Return the same rows, for kernels to compute with in another frame."""
        rows = copy.copy(self)
        rows.frame = frame
        return rows
