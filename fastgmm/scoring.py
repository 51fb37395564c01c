"""Scoring rows under a mixture: span by span, each result written where it belongs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.packed import AbstractPacked
from fastgmm.rows.base import AbstractRows
from fastgmm.rows.remote import AbstractRemoteRows
from fastgmm.sweep import blocks_per_span
from fastgmm.threads import Team

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Results:
    """Arrays to fill, one entry for each row; those left empty are not computed."""

    log_likelihoods: Floats = field(default_factory=lambda: np.empty(0))
    responsibilities: Floats = field(default_factory=lambda: np.empty((0, 0)))
    log_joints: Floats = field(default_factory=lambda: np.empty((0, 0)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def span(self, start: int, stop: int) -> tuple[NDArray[Any], ...]:
        """Return the four arrays' parts for rows start … stop−1."""
        every = (self.log_likelihoods, self.responsibilities, self.log_joints, self.labels)
        return tuple(array[start:stop] for array in every)


def score_rows(rows: AbstractRows, mixture: AbstractPacked, results: Results, team: Team) -> None:
    """Fill `results` for all rows. A row's results do not depend on the rows beside it."""
    from fastgmm.kernels.layout import block_rows, strip_rows
    from fastgmm.kernels.variants import score_kernel

    if isinstance(rows, AbstractRemoteRows):
        rows.fill(score_rows, mixture, results)
        return
    k, d = mixture.parameters.means.shape
    strip, block = strip_rows(d, k), block_rows(d)
    team = team.suited(rows.n_rows, block)
    kernel = score_kernel(d, rows.dtype, team.mode, mixture.form)
    blocks = blocks_per_span(k * (d * (d + 1.0) + 60.0), block)

    def score(piece: tuple[int, NDArray[Any], int]) -> None:
        start, X, parts = piece
        kernel(parts, X, *mixture.score_arrays, strip, *results.span(start, start + len(X)))

    with team.limit():
        for start, X, _ in rows.spans(block, blocks):
            if team.mode == "parallel":
                score((start, X, team.size))
            else:
                cut = -(-len(X) // team.size)
                team.map(score, [(start + at, X[at : at + cut], 1) for at in range(0, len(X), cut)])
    results.log_likelihoods[...] += mixture.offset
    results.log_joints[...] += mixture.offset
