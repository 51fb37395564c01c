from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgmm.kernels.layout import (
    CHUNK,
    GRAM_LIMIT,
    HEADER,
    STEP,
    WIDTH,
    Layout,
    block_rows,
    lanes_of,
    layout,
    strip_rows,
)
from fastgmm.kernels.target import LANES, PANEL

FEATURES = [*range(1, 71), 128]
KINDS = pytest.mark.parametrize("lanes", [LANES, 2 * LANES], ids=["float64", "float32"])


def test_vectors_hold_twice_as_many_float32() -> None:
    assert lanes_of(np.float64) == LANES
    assert lanes_of(np.float32) == 2 * LANES
    assert layout(17).row_length == layout(17, LANES).row_length <= layout(17, 2 * LANES).row_length


@KINDS
@pytest.mark.parametrize("n_features", FEATURES)
def test_head_and_panels_are_all_features(n_features: int, lanes: int) -> None:
    shape = layout(n_features, lanes)
    assert 1 <= shape.head <= PANEL
    assert (n_features - shape.head) % PANEL == 0
    assert shape.gram == (n_features <= GRAM_LIMIT)


@KINDS
@pytest.mark.parametrize("n_features", FEATURES)
def test_rows_are_whole_vectors_with_the_head_in_the_room_of_a_panel(n_features: int, lanes: int) -> None:
    shape = layout(n_features, lanes)
    length = PANEL + n_features - shape.head
    assert shape.row_length % lanes == 0
    assert 0 <= shape.row_length - length < lanes
    panels = np.arange(PANEL, length)
    np.testing.assert_array_equal(shape.places, np.concatenate([np.arange(shape.head), panels]))


@pytest.mark.parametrize("n_features", FEATURES)
def test_whitener_order_is_a_permutation_of_the_lower_triangle(n_features: int) -> None:
    lower = np.ravel_multi_index(np.tril_indices(n_features), (n_features, n_features))
    np.testing.assert_array_equal(np.sort(layout(n_features).whitener_order), np.sort(lower))


@pytest.mark.parametrize("n_features", FEATURES)
def test_whitener_order_never_looks_ahead(n_features: int) -> None:
    """Every panel multiplies by the features before it, and by columns within."""
    shape = layout(n_features)
    rows, columns = np.divmod(shape.whitener_order, n_features)
    panel = np.where(rows < shape.head, 0, 1 + (rows - shape.head) // PANEL)
    assert (np.diff(panel) >= 0).all()
    assert all((np.diff(columns[panel == number]) >= 0).all() for number in range(panel.max() + 1))


@KINDS
@pytest.mark.parametrize("n_features", FEATURES)
def test_whitener_order_is_the_same_for_all_numbers(n_features: int, lanes: int) -> None:
    np.testing.assert_array_equal(layout(n_features, lanes).whitener_order, layout(n_features).whitener_order)


@KINDS
@pytest.mark.parametrize("n_features", FEATURES)
def test_moments_are_symmetric_and_within_the_record(n_features: int, lanes: int) -> None:
    shape = layout(n_features, lanes)
    assert shape.moments.shape == (n_features + 1, n_features + 1)
    np.testing.assert_array_equal(shape.moments, shape.moments.T)
    assert shape.moments.min() >= 0
    assert shape.moments.max() < shape.record


@KINDS
@pytest.mark.parametrize("n_features", FEATURES)
def test_every_moment_has_its_own_place(n_features: int, lanes: int) -> None:
    lower = layout(n_features, lanes).moments[np.tril_indices(n_features + 1)]
    assert len(np.unique(lower)) == len(lower)


def record_of(z: NDArray[np.float64], shape: Layout, lanes: int) -> NDArray[np.float64]:
    """What is added up for rows z, as `moments` says: sums, products within vectors, panels with the vectors before."""
    length, turns = shape.row_length, lanes // 2 + 1
    rows = np.full((len(z), length), 7.0)  # what stands in the padding is of no account
    rows[:, shape.places] = z
    pieces = [np.full(HEADER, float(len(z))), rows.sum(axis=0)]
    vectors = rows.reshape(len(z), -1, lanes)
    for first in range(0, vectors.shape[1], 2):
        pair = vectors[:, first : first + 2]
        pieces += [(pair * np.roll(pair, -s, axis=2)).sum(axis=0).ravel() for s in range(turns)]
    for first in range(lanes, PANEL + shape.n_features - shape.head, PANEL):
        pieces.append((rows[:, first : first + PANEL].T @ rows[:, : first // lanes * lanes]).ravel())
    return np.concatenate(pieces)


@KINDS
@pytest.mark.parametrize("n_features", [d for d in FEATURES if d > GRAM_LIMIT])
def test_a_record_is_read_as_it_is_written(n_features: int, lanes: int) -> None:
    shape = layout(n_features, lanes)
    z = np.random.default_rng(n_features).integers(-9, 10, (5, n_features)).astype(np.float64)
    record = record_of(z, shape, lanes)
    assert record.size == shape.record
    first = np.hstack([np.ones((5, 1)), z])
    np.testing.assert_array_equal(record[shape.moments], first.T @ first)


@KINDS
@pytest.mark.parametrize("n_features", range(1, GRAM_LIMIT + 1))
def test_a_record_of_few_features_is_a_lower_triangle(n_features: int, lanes: int) -> None:
    shape = layout(n_features, lanes)
    rows, columns = np.tril_indices(n_features + 1)
    np.testing.assert_array_equal(shape.moments[rows, columns], np.arange(shape.record))


@pytest.mark.parametrize("n_features", FEATURES)
@pytest.mark.parametrize("n_components", [1, 2, 64, 5000])
@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_blocks_hold_strips_and_both_are_whole_steps(real: Any, n_features: int, n_components: int) -> None:
    block, strip = block_rows(n_features), strip_rows(n_features, n_components, real)
    assert block % STEP == strip % STEP == 0
    assert block >= strip >= STEP


def test_steps_are_whole_groups_and_chunks_whole_vectors() -> None:
    assert STEP % WIDTH == STEP % (2 * WIDTH) == 0
    assert CHUNK % (2 * LANES) == 0


def test_blocks_are_never_tiny_and_never_large() -> None:
    assert block_rows(100_000) == 4 * STEP
    assert block_rows(1) == block_rows(64) == 64 * STEP
    assert block_rows(128) == 32 * STEP
    assert strip_rows(100_000, 1) == STEP
