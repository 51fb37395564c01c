from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm import tensors
from fastgmm.em.checkpoint import FORMAT, Checkpoint, generator, generator_state, load, save
from fastgmm.em.convergence import Status
from fastgmm.em.degeneracy import Degeneracy
from fastgmm.em.history import History
from fastgmm.em.run import RunResult
from fastgmm.em.state import RunState
from fastgmm.errors import CheckpointError
from fastgmm.parameters import Parameters

PARAMETERS = Parameters(np.array([0.3, 0.7]), np.array([[1e-320, -0.0], [np.pi, 1e300]]), np.ones((2, 2)), "diag")
STATE = RunState(
    PARAMETERS,
    math.nextafter(-4.5, 0),
    (Degeneracy(2, 1, "reseeded"),),
    3,
    History([-3.5, math.nextafter(-3.5, 0)], [0.25, 0.5], [4, 5], [1.0, 0.5]),
    ((0, 1), ((1, 3),), ((1e-320, math.pi),)),
    {"dense": np.array([1.0, 0.0, 0.25]), "auto": np.array([1, 2, 3, 4]), "homes": np.array([-1, 5], dtype=np.int32)},
)
BEST = RunResult(
    PARAMETERS,
    -3.25,
    (-4.0, -3.25),
    Status.CONVERGED,
    (Degeneracy(0, 0, "regularised"),),
    History([-4.0, -3.25], [0.25, 0.5], [4, 5], [1.0, 0.5]),
)


def checkpoint(state: RunState | None = STATE, best: RunResult | None = BEST) -> Checkpoint:
    rng = generator_state(np.random.RandomState(5))
    states = {} if state is None else {2: state, 1: RunState(PARAMETERS, more={"jumps": np.array([1, 0])})}
    return Checkpoint({"rows": "7"}, {"tol": "0.001"}, 4, rng, 3, states, best, 0)


def bits(value: Any) -> Any:
    """Everything in a checkpoint, in what == compares bit for bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {name: bits(entry) for name, entry in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [bits(entry) for entry in value]
    if isinstance(value, Checkpoint | RunState | RunResult | Parameters | Degeneracy | History):
        names = value.__dataclass_fields__
        return type(value).__name__, {name: bits(getattr(value, name)) for name in names}
    return value


@pytest.mark.parametrize("state", [STATE, None, RunState(PARAMETERS)])
@pytest.mark.parametrize("best", [BEST, None])
def test_the_same_bits_come_back(state: RunState | None, best: RunResult | None, tmp_path: Path) -> None:
    saved = checkpoint(state, best)
    save(saved, tmp_path / "fit.ckpt")
    assert bits(load(tmp_path / "fit.ckpt")) == bits(saved)
    assert os.listdir(tmp_path) == ["fit.ckpt"]


@given(st.data())
def test_every_alteration_is_refused(data: st.DataObject) -> None:
    content = bytearray(checkpoint().to_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CheckpointError, match="not a usable fastgmm checkpoint"):
        Checkpoint.from_bytes(bytes(content))


@given(st.data())
def test_every_truncation_is_refused(data: st.DataObject) -> None:
    content = checkpoint().to_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(CheckpointError, match="not a usable fastgmm checkpoint"):
        Checkpoint.from_bytes(content[:length])


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"format": "fastgmm-model-1"}, "its format is 'fastgmm-model-1'"),
        ({"format": FORMAT}, "it has no 'facts'"),
        ({"format": FORMAT, "facts": "{}"}, "it has no 'states'"),
        ({"format": FORMAT, "facts": '{"states": []}'}, "missing"),
        (
            {"format": FORMAT, "facts": '{"states": [{"number": 1, "form": "full", "repairs": [[], []]}]}'},
            "it has no 'run1.weights'",
        ),
    ],
)
def test_what_is_whole_but_no_checkpoint_is_refused(metadata: dict[str, str], text: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.ckpt"
    path.write_bytes(tensors.pack({}, metadata))
    with pytest.raises(CheckpointError, match=text) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "Remove it to begin anew" in str(caught.value)


def test_files_of_the_first_format_are_read() -> None:
    """`checkpoint-1.ckpt` was written by 0.1 in the third iteration of the second of three runs."""
    found = load(Path(__file__).parent / "checkpoint-1.ckpt")
    assert (found.runs, found.restart, found.made, found.finished) == (3, 1, 2, False)
    assert found.state is not None
    assert len(found.state.history) == 3
    assert list(found.state.passes) == ["dense"]
    assert found.state.more == {}
    assert found.best is not None
    assert found.best.n_iter == 9
    assert bits(Checkpoint.from_bytes(found.to_bytes())) == bits(found)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a file"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_generators_go_on_where_they_were(kind: str) -> None:
    rng = np.random.RandomState(getattr(np.random, kind)(3))
    rng.standard_normal(7)  # leaves one normal number in store
    again = generator(tensors_round(generator_state(rng)))
    assert again.standard_normal(5).tobytes() == rng.standard_normal(5).tobytes()
    assert again.choice(1000, 10).tobytes() == rng.choice(1000, 10).tobytes()


def tensors_round(state: dict[str, Any]) -> dict[str, Any]:
    return Checkpoint.from_bytes(Checkpoint({}, {}, 1, state).to_bytes()).rng


@pytest.mark.parametrize("state", [{}, {"bit_generator": "system"}, {"bit_generator": "MT19937", "state": {"key": 3}}])
def test_generators_that_are_none_are_refused(state: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="cannot be restored"):
        generator(state)
