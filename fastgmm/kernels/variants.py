"""The finite set of compiled kernels: which constants and which signature each has. Built when first asked for."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from numba import types

from fastgmm.kernels import compile as compiler
from fastgmm.kernels.bounded import bounded
from fastgmm.kernels.columns import columns
from fastgmm.kernels.compile import Kernel
from fastgmm.kernels.diagonal import diagonal
from fastgmm.kernels.distances import distances
from fastgmm.kernels.expectation import expectation
from fastgmm.kernels.factors import factors, log_constants
from fastgmm.kernels.grown import grown
from fastgmm.kernels.growth import growth
from fastgmm.kernels.iterate import iterate
from fastgmm.kernels.layout import lanes_of, layout
from fastgmm.kernels.lengths import lengths
from fastgmm.kernels.lloyd import lloyd, move_centres, pack_centres
from fastgmm.kernels.m_step import m_step
from fastgmm.kernels.nearest import nearest
from fastgmm.kernels.pivots import pivots
from fastgmm.kernels.score import score
from fastgmm.kernels.target import GROUP, LANES
from fastgmm.kernels.turns import turns

Mode = Literal["parallel", "serial", "python"]
Constants = tuple[tuple[str, Any], ...]

WHOLE, REAL = types.int64, types.float64


def _in(dtype: Any, ndim: int) -> types.Array:
    return types.Array(dtype, ndim, "C", readonly=True)


def _out(dtype: Any, ndim: int) -> types.Array:
    return types.Array(dtype, ndim, "C")


def _rows(dtype: np.dtype[Any]) -> types.Array:
    return _in({8: types.float64, 4: types.float32}[dtype.itemsize], 2)


NODES = (_out(REAL, 3), _out(WHOLE, 2), _out(WHOLE, 1))
FLAT = _in(REAL, 1)


def _flat(real: Any) -> types.Array:
    return _in(types.float32 if real is np.float32 else REAL, 1)


def _number_constants(real: Any) -> Constants:
    """Return what a kernel is compiled for by the numbers it computes with."""
    lanes, single = lanes_of(real), real is np.float32
    return (
        ("REAL", real), ("LANES", lanes), ("WIDTH", GROUP * lanes), ("WIDENED", lanes // LANES),
        ("WIDENED_GROUP", GROUP * lanes // LANES), ("ROTATIONS", lanes // 2 + 1),
        ("FARTHEST", 1e30 if single else 1e300),
        ("BELOW_ONE", 1.0 - 2.0 ** (-24 if single else -53)),
        ("SAFETY", 1.0 - 2.0 ** (-9 if single else -20)),
    )  # fmt: skip


def _density_constants(n_features: int) -> Constants:
    """Return what `density` is compiled for: the head's size, and whether there is more."""
    head = layout(n_features).head
    return ("HEAD", head), ("PANELS", int(n_features > head))


@cache
def expectation_kernel(n_features: int, dtype: np.dtype[Any], real: Any, mode: Mode, turned: bool = False) -> Kernel:
    """`expectation.expectation` for rows of D features: one variant for each D ≤ 8, PANEL variants beyond."""
    shape = layout(n_features)
    moments = ("GRAM", int(shape.gram)), ("N_FEATURES", n_features * shape.gram), ("TURNED", int(turned))
    return _expectation(_density_constants(n_features) + moments, dtype, real, mode)


@cache
def _expectation(constants: Constants, dtype: np.dtype[Any], real: Any, mode: Mode) -> Kernel:
    rows = (_rows(dtype), FLAT, _in(REAL, 2), _in(types.int32, 1))
    others = FLAT, _out(REAL, 1)
    signature = (*rows, FLAT, FLAT, *[_flat(real)] * 4, FLAT, *others, REAL, *[WHOLE] * 5, *NODES)
    return compiler.build(expectation, signature, dict(constants + _number_constants(real)), mode)


@cache
def bounded_kernel(n_features: int, dtype: np.dtype[Any], real: Any, mode: Mode) -> Kernel:
    """`bounded.bounded` for rows of D > GRAM_LIMIT features: PANEL variants."""
    return _bounded(layout(n_features).head, dtype, real, mode)


@cache
def _bounded(head: int, dtype: np.dtype[Any], real: Any, mode: Mode) -> Kernel:
    whole = _out(types.int32, 1)
    state = (_out(types.float32, 1), whole, _out(types.float32, 1), whole, _out(WHOLE, 1))
    moves = [FLAT] * 6 + [REAL, REAL, REAL, WHOLE, WHOLE, WHOLE]
    signature = (
        _rows(dtype),
        *[FLAT] * 3,
        *[_flat(real)] * 3,
        *moves,
        *[WHOLE] * 4,
        _in(WHOLE, 1),
        *state,
        WHOLE,
        *NODES,
    )
    constants = (("HEAD", head), ("PANELS", 1), *_number_constants(real))
    return compiler.build(bounded, signature, dict(constants), mode)


@cache
def diagonal_kernel(form: str, dtype: np.dtype[Any], real: Any, mode: Mode) -> Kernel:
    """`diagonal.diagonal`: one variant for "diag", one for "spherical", and one for "tied", where rows are turned."""
    rows = (_rows(dtype), FLAT, _in(REAL, 2), _in(types.int32, 1))
    signature = (*rows, FLAT, FLAT, *[_flat(real)] * 4, REAL, *[WHOLE] * 5, *NODES)
    constants = (*_kind(form), *_number_constants(real))
    return compiler.build(diagonal, signature, dict(constants), mode)


def _kind(form: str) -> Constants:
    return ("TURNED", int(form == "tied")), ("SCALED", int(form == "diag")), ("SPHERICAL", int(form == "spherical"))


@cache
def score_kernel(n_features: int, dtype: np.dtype[Any], mode: Mode, form: str = "full") -> Kernel:
    """`score.score`: for D features PANEL variants with panels, PANEL without; one for "diag", one for "tied"."""
    if form == "full":
        return _score(_density_constants(n_features), dtype, mode)
    return _score((("DIAGONAL", 1), *_kind(form)), dtype, mode)


@cache
def _score(constants: Constants, dtype: np.dtype[Any], mode: Mode) -> Kernel:
    results = (_out(REAL, 1), _out(REAL, 2), _out(REAL, 2), _out(WHOLE, 1))
    signature = (_rows(dtype), *[FLAT] * 6, WHOLE, *results)
    return compiler.build(score, signature, dict(constants), mode)


@cache
def nearest_kernel(dtype: np.dtype[Any], mode: Mode) -> Kernel:
    """`nearest.nearest`, one variant."""
    signature = (_rows(dtype), *[FLAT] * 6, *[WHOLE] * 3, _out(types.int32, 1), _out(REAL, 1), *NODES)
    return compiler.build(nearest, signature, {}, mode)


@cache
def pack_centres_kernel(mode: Mode = "serial") -> Kernel:
    """`lloyd.pack_centres`, one variant."""
    return compiler.build(pack_centres, (_in(REAL, 2), _out(REAL, 1), _out(REAL, 1)), {}, mode)


@cache
def move_centres_kernel(mode: Mode = "serial") -> Kernel:
    """`lloyd.move_centres`, one variant."""
    vector = _out(REAL, 1)
    return compiler.build(move_centres, (FLAT, _in(REAL, 2), vector, _out(REAL, 2), vector), {}, mode)


@cache
def lloyd_kernel(dtype: np.dtype[Any], mode: Mode = "serial") -> Kernel:
    """`lloyd.lloyd`, one variant."""
    vector, matrix, ended = _out(REAL, 1), _out(REAL, 2), _out(WHOLE, 1)
    rows = (_rows(dtype), FLAT, FLAT, FLAT, WHOLE, WHOLE, _out(types.int32, 1), vector)
    sums = (*NODES, matrix, ended, REAL, REAL)
    signature = (_in(WHOLE, 1), *rows, *sums, *[vector] * 4, matrix, WHOLE, ended, matrix, vector)
    return compiler.build(lloyd, signature, {}, mode)


@cache
def factors_kernel(mode: Mode = "serial") -> Kernel:
    """`factors.factors`, one variant."""
    return compiler.build(factors, (_in(REAL, 3), _out(REAL, 3), _out(REAL, 3), _out(types.boolean, 1)), {}, mode)


@cache
def log_constants_kernel(mode: Mode = "serial") -> Kernel:
    """`factors.log_constants`, one variant."""
    return compiler.build(log_constants, (FLAT, _in(REAL, 3), _out(REAL, 1)), {}, mode)


@cache
def m_step_kernel(mode: Mode = "serial") -> Kernel:
    """`m_step.m_step`, one variant."""
    sums = (FLAT, _in(REAL, 2), _in(REAL, 3))
    found = (_out(REAL, 1), _out(REAL, 2), _out(REAL, 3))
    return compiler.build(m_step, (*sums, _in(REAL, 2), REAL, FLAT, *found), {}, mode)


@cache
def iterate_kernel(mode: Mode = "serial") -> Kernel:
    """`iterate.iterate`, one variant for all kernels that it calls."""
    vector, matrix, tensor = _out(REAL, 1), _out(REAL, 2), _out(REAL, 3)
    rows = (_rows(np.dtype(np.float64)), FLAT, _in(REAL, 2), _in(types.int32, 1), FLAT, FLAT)
    shapes = (REAL, *[WHOLE] * 4, _in(types.intp, 1), _in(types.intp, 1), _in(types.intp, 2))
    numbers = (REAL, REAL, REAL, FLAT, REAL)
    parameters = (vector, matrix, tensor, tensor, tensor, *[vector] * 5, _out(types.boolean, 1))
    sums = (vector, matrix, tensor, *NODES, matrix, _out(WHOLE, 1))
    signature = (_in(WHOLE, 1), *rows, *shapes, *numbers, *parameters, *sums, _out(WHOLE, 1), REAL, vector)
    return compiler.build(iterate, signature, {}, mode)


@cache
def pivots_kernel(mode: Mode = "serial") -> Kernel:
    """`pivots.pivots`, one variant."""
    return compiler.build(pivots, (FLAT, _in(REAL, 2), _in(REAL, 3), _out(REAL, 1)), {}, mode)


@cache
def turns_kernel(mode: Mode = "serial") -> Kernel:
    """`turns.turns`, one variant."""
    return compiler.build(turns, (_in(REAL, 3), _in(REAL, 3), WHOLE, WHOLE, _out(REAL, 3)), {}, mode)


@cache
def columns_kernel(real: Any, mode: Mode = "serial") -> Kernel:
    """`columns.columns`, one variant for each kind of numbers."""
    laid = _out(types.float32 if real is np.float32 else REAL, 1)
    return compiler.build(columns, (_in(REAL, 3), _in(types.intp, 1), WHOLE, laid), {}, mode)


@cache
def grown_kernel(mode: Mode = "serial") -> Kernel:
    """`grown.grown`, one variant."""
    return compiler.build(grown, (_in(REAL, 3), _in(REAL, 2), _out(REAL, 1)), {}, mode)


@cache
def growth_kernel(mode: Mode = "serial") -> Kernel:
    """`growth.growth`, one variant."""
    signature = (*[_in(REAL, 3)] * 3, *[_in(REAL, 2)] * 2, REAL, *[_out(REAL, 1)] * 3)
    return compiler.build(growth, signature, {}, mode)


@cache
def lengths_kernel(mode: Mode = "serial") -> Kernel:
    """`lengths.lengths`, one variant."""
    sums = _in(REAL, 2), _in(REAL, 1), _in(REAL, 2), _in(REAL, 3)
    records = FLAT, WHOLE, _in(types.intp, 2)
    found = (_out(REAL, 1), _out(REAL, 2), _out(REAL, 3), _out(REAL, 1))
    return compiler.build(lengths, (_in(REAL, 3), *sums, *records, *found), {}, mode)


@cache
def distances_kernel(mode: Mode = "serial") -> Kernel:
    """`distances.distances`, one variant."""
    signature = FLAT, WHOLE, WHOLE, *[FLAT] * 4, _out(WHOLE, 1), _out(REAL, 1), _out(REAL, 2)
    return compiler.build(distances, signature, {}, mode)
