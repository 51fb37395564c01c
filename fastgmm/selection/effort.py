"""How long candidates are sought."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How long to search."""

    seeds: int = 6
    """Fresh starts of each K."""
    rounds: int = 20
    """Times to go down and up, at most. None: seeds and splits only."""
    calm: int = 1
    """How many of them are without children."""
    kept: int = 10
    """Optima of each cell that are known."""
    handed: int = 3
    """How many of them other models start from."""
    split: int = 8
    """How many of them the neighbouring numbers start from, at most."""
    neighbours: int = 300
    """Starts of a cell, about, that a neighbouring number makes, of one optimum at least; or exchanges of one."""
    renewed: int = 24
    """Children of a cell, in a generation, of which some components are seeded afresh."""
    spliced: int = 12
    """Children that are made of two."""
    exchanged: int = 5
    """Optima of a cell that lose two components to one and split another, in all ways: one of them in a generation,
    of cells that have lately become better."""
    rich: int = 25
    """Optima that a cell must know to be refined: where there are fewer, the best is among them."""
    afresh: int = 20
    """Children of a cell that is refined, of which some components are seeded afresh."""
    kin: int = 50
    """Children that are made of two optima of it and of models one letter from it."""
    lent: int = 8
    """Optima of each poorer model with K − 1 components that it splits, in all ways: the seventh led to the best."""
    paired: int = 5
    """Optima of K + 1 of which two neighbours are made one, in all ways."""
    patience: int = 3
    """Generations in a row that leave the best as they were, after which a cell rests."""
    screen: tuple[int, int] = (2, 3)
    """Plain iterations and rounds of SQUAREM of all starts, at most."""
    survivors: int = 24
    """How many runs of a cell are left then."""
    grown: int = 60
    """How many of them if children are among them: of 24, what led to the best optima was not one, as it is slow."""
    rest: int = 60
    """Rounds of SQUAREM that they then take, at most."""
    lenient: float = 1.0
    """Share of the guard's bounds that runs must keep on their way."""
    final: int = 300
    """Rounds of what is known of each cell, at the end, at most."""
    budget: float = 5.4e10
    """Operations, about, after which no children are raised, and what neighbours have is handed on a last time."""
    refined: float = 0.6
    """Operations beside these, as a share of what was spent of them, in which cells of many optima are refined."""
