"""Partitions: which worker sums which rows, so that blocks stay whole and only rows at the seams move."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SEAM = 32
"""A cut is moved to a whole number of 2ᵐ blocks if that is no more than a SEAM-th of the rows beside it: it saves
nodes, of which a run has 2 log₂ of its blocks where it is cut anywhere."""

ATOMS = 4
"""Partitions are handed out in pieces of no more than this part of a worker's fair share."""


@dataclass(frozen=True)
class Slice:
    """Rows start … stop−1 of a partition, counted from its first."""

    partition: int
    start: int
    stop: int


@dataclass(frozen=True)
class Stretch:
    """Rows start … stop−1 of all: whole blocks, but for the last of all rows."""

    start: int
    stop: int
    slices: tuple[Slice, ...]


def shared_out(
    lengths: Sequence[int], owners: Sequence[Hashable], places: Sequence[Hashable], block: int
) -> list[list[Stretch]]:
    """Return the stretches of rows that each place sums.

    Parameters
    ----------
    lengths : sequence of int
        Rows of each partition, in order.
    owners : sequence
        The place where each partition lies; anything else if it lies nowhere.
    places : sequence
        Who is to share the work; one that can do two tasks at a time is there twice.
    block : int
        Rows of a block.

    Returns
    -------
    list of list of Stretch
        One list for each of `places`, in order; empty where there is no work left.
    """
    total = sum(lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    atoms = _atoms(starts, max(block, -(-total // (len(places) * ATOMS))))
    homes = _homes(atoms, [owners[part] for part, _, _ in atoms], places)
    runs: list[tuple[int, int, int]] = []
    for (_, low, high), home in zip(atoms, homes, strict=True):
        if runs and runs[-1][0] == home:
            runs[-1] = home, runs[-1][1], high
        else:
            runs.append((home, low, high))
    shared: list[list[Stretch]] = [[] for _ in places]
    cuts = _cuts([low for _, low, _ in runs[1:]], [0, *(high for _, _, high in runs)], block, total)
    for (home, _, _), (low, high) in zip(runs, pairwise(cuts), strict=True):
        if low < high:
            shared[home].append(Stretch(low, high, tuple(_slices(starts, low, high))))
    return shared


def _atoms(starts: NDArray[np.int64], size: int) -> list[tuple[int, int, int]]:
    """Cut partitions that are long into equal parts: partition, first row and the one behind the last, of all."""
    atoms = []
    for part, (low, high) in enumerate(pairwise(starts.tolist())):
        count = -(-(high - low) // size)
        edges = [low + (high - low) * i // count for i in range(count + 1)] if count else []
        atoms += [(part, a, b) for a, b in pairwise(edges)]
    return atoms


def _homes(atoms: list[tuple[int, int, int]], owners: Sequence[Hashable], places: Sequence[Hashable]) -> list[int]:
    """Return the number of the place for each atom: where it lies, as long as that has room; else where there is."""
    seats: dict[Hashable, list[int]] = {}
    for number, place in enumerate(places):
        seats.setdefault(place, []).append(number)
    rows = [high - low for _, low, high in atoms]
    fair = -(-sum(rows) // len(places))
    room = [fair + max(rows) // 2] * len(places)
    homes = [-1] * len(atoms)
    for i, owner in enumerate(owners):
        # Seats of one place are filled one after the other, so that each has a long run.
        free = [seat for seat in seats.get(owner, ()) if room[seat] >= rows[i]]
        if free:
            homes[i] = free[0]
            room[free[0]] -= rows[i]
    seat = 0
    for i, home in enumerate(homes):
        if home < 0:
            # Neighbours go to one place.
            if room[seat] < rows[i]:
                seat = int(np.argmax(room))
            homes[i] = seat
            room[seat] -= rows[i]
    return homes


def _cuts(wanted: list[int], edges: list[int], block: int, total: int) -> list[int]:
    """Return ascending cuts at whole blocks near the wanted ones, from 0 to the end."""
    cuts = [0]
    for i, cut in enumerate(wanted):
        beside = min(cut - edges[i], edges[i + 2] - cut) // SEAM
        step = block << max(beside // block, 1).bit_length() - 1
        cuts.append(min(max(round(cut / step) * step, cuts[-1]), total))
    return [*cuts, total]


def _slices(starts: NDArray[np.int64], low: int, high: int) -> list[Slice]:
    """Return the parts of partitions that hold the rows low … high−1 of all."""
    found = []
    for part in range(int(np.searchsorted(starts, low, side="right")) - 1, len(starts) - 1):
        first, behind = int(starts[part]), int(starts[part + 1])
        if first >= high:
            break
        if max(first, low) < min(behind, high):
            found.append(Slice(part, max(first, low) - first, min(behind, high) - first))
    return found


def aligned(lengths: Sequence[int], block: int) -> list[list[Stretch]]:
    """Return the stretch of each partition where every one keeps its rows, but for the seams: none if it has none."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    cuts = _cuts(starts[1:-1].tolist(), starts.tolist(), block, int(starts[-1]))
    return [
        [Stretch(low, high, tuple(_slices(starts, low, high)))] if low < high else [] for low, high in pairwise(cuts)
    ]
