from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.initialise.lloyd import lloyd, seeds
from fastgmm.kernels.layout import block_rows
from fastgmm.rows import repeated
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team

Floats = NDArray[np.float64]

module = import_module("fastgmm.initialise.lloyd")
"""The package has a function of the same name."""

ALONE = Team(1, "serial")
SEVERAL = 3 * block_rows(3) + 5


def clouds(n_rows: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((4, 3))[rng.integers(4, size=n_rows)] + rng.standard_normal((n_rows, 3))


def both_ways(
    monkeypatch: pytest.MonkeyPatch, rows: ArrayRows, start: Floats, team: Team, most: int = 300
) -> tuple[tuple[Floats, int], tuple[Floats, int]]:
    """Centres and sweeps by compiled steps, and by steps from Python."""
    found = []
    for compiled in (True, False):
        with monkeypatch.context() as patch:
            if not compiled:
                patch.setattr(module, "compiled_steps", lambda *_: None)
            swept = rows.swept
            found.append((lloyd(rows, rows.frame.isotropic(), start.copy(), team, most), rows.swept - swept))
    return found[0], found[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_rows", [5, 200, SEVERAL])
@pytest.mark.parametrize("team", [ALONE, Team(2, "parallel"), Team(3, "serial")])
def test_compiled_steps_are_pythons(team: Team, n_rows: int, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    X = clouds(n_rows).astype(dtype)
    rows = ArrayRows(X, np.random.default_rng(1).uniform(0.1, 2.0, n_rows))
    _, start, _ = seeds(rows, 4, np.random.RandomState(0))
    (found, swept), (expected, expected_swept) = both_ways(monkeypatch, rows, start, team)
    assert found.tobytes() == expected.tobytes()
    assert swept == expected_swept > 1


@pytest.mark.parametrize("most", [1, 2, 300])
def test_centres_without_rows_are_moved_on_the_way(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ArrayRows(clouds(200))
    start = np.vstack([np.zeros((2, 3)), np.full((2, 3), 50.0)])
    (found, swept), (expected, expected_swept) = both_ways(monkeypatch, rows, start, ALONE, most)
    assert found.tobytes() == expected.tobytes()
    assert swept == expected_swept > most if most < 3 else swept == expected_swept
    assert np.abs(found).max() < 10


def test_steps_may_take_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ArrayRows(clouds(500))
    _, start, _ = seeds(rows, 4, np.random.RandomState(1))
    whole, _ = both_ways(monkeypatch, rows, start, ALONE)
    monkeypatch.setattr(repeated, "CALL_FLOP", 1.0)
    assert both_ways(monkeypatch, rows, start, ALONE)[0][0].tobytes() == whole[0].tobytes()
