"""Candidates side by side: each as it would be alone, and passes over the rows that serve all of them."""

from __future__ import annotations

import threading

import numpy as np
import problems
import pytest

import fastgmm
from fastgmm import backend
from fastgmm.rows.memory import ArrayRows
from fastgmm.selection import candidates

X = problems.drawn(problems.mixture(3, 2, seed=2), 3000)
MODELS, NUMBERS = ["EII", "VII", "VVI", "EEE", "VVE", "VVV"], [1, 2, 3]


class Dear(ArrayRows):
    """Rows of an array that are said to be dear to read, and that count how often they are."""

    costly = True
    read = 0

    def spans(self, block, blocks):
        Dear.read += 1
        return super().spans(block, blocks)


def chosen(rows, **options):
    Dear.read = 0
    found = fastgmm.select(rows, NUMBERS, MODELS, search=None, random_state=0, **options)
    return found, Dear.read


def bits(found):
    parameters = {cell: mixture.parameters for cell, mixture in found.mixtures.items()}
    return {
        cell: (p.weights.tobytes(), p.means.tobytes(), p.covariances.tobytes()) for cell, p in parameters.items()
    } | {"likelihoods": found.log_likelihoods.tobytes(), "reasons": found.reasons}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgmm-run"]


def test_candidates_side_by_side_have_the_bits_of_one_by_one_for_fewer_passes(monkeypatch):
    together, passes = chosen(Dear(X))
    monkeypatch.setattr(candidates, "MOST", 4)
    some, more = chosen(Dear(X))
    monkeypatch.setattr(candidates, "MOST", 1)
    alone, each = chosen(Dear(X))
    in_memory, _ = chosen(X)
    assert bits(together) == bits(some) == bits(alone) == bits(in_memory)
    assert len(together.mixtures) == len(MODELS) * len(NUMBERS)
    assert passes < more < each
    assert passes < each / 3


def test_a_file_is_read_as_often_as_the_longest_fit_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "span_bytes", lambda: 0)  # or so few rows are kept
    path, made = tmp_path / "rows.npy", []
    np.save(path, X)
    source = fastgmm.rows.npy(path)
    monkeypatch.setattr(type(source), "reader", counting(type(source).reader, made))
    together = chosen(source)[0]
    few = len(made)
    monkeypatch.setattr(candidates, "MOST", 1)
    alone = chosen(source)[0]
    assert bits(together) == bits(alone) == bits(chosen(X)[0])
    assert few < (len(made) - few) / 2


def counting(function, made):
    def counted(*arguments):
        made.append(1)
        return function(*arguments)

    return counted


def test_a_candidate_without_a_fit_is_refused_beside_others():
    rows = np.repeat([[0.0, 0.0], [1.0, 3.0], [5.0, 1.0]], 5, axis=0)
    rows = rows + np.tile([[0.0], [0.1], [0.2], [0.3], [0.4]], (3, 1))
    found = [fastgmm.select(kind(rows), [1, 3], ["VVV", "EII"], random_state=0) for kind in (Dear, np.asarray)]
    assert found[0].reasons == found[1].reasons
    assert set(found[0].reasons) == {("VVV", 3)}
    np.testing.assert_array_equal(found[0].criteria, found[1].criteria)


def test_an_interrupt_ends_all_candidates(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(candidates.Candidates, "_admitted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chosen(Dear(X))
