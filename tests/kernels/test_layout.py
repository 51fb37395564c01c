from __future__ import annotations

import numpy as np
import pytest

from fastgmm.kernels.layout import GRAM_LIMIT, STEP, block_rows, layout, strip_rows
from fastgmm.kernels.target import LANES

FEATURES = [*range(1, 71), 128]


@pytest.mark.parametrize("n_features", FEATURES)
def test_head_and_panels_are_all_features(n_features: int) -> None:
    shape = layout(n_features)
    assert 1 <= shape.head <= LANES
    assert (n_features - shape.head) % LANES == 0
    assert shape.row_length == LANES + n_features - shape.head
    assert shape.gram == (n_features <= GRAM_LIMIT)


@pytest.mark.parametrize("n_features", FEATURES)
def test_whitener_order_is_a_permutation_of_the_lower_triangle(n_features: int) -> None:
    lower = np.ravel_multi_index(np.tril_indices(n_features), (n_features, n_features))
    np.testing.assert_array_equal(np.sort(layout(n_features).whitener_order), np.sort(lower))


@pytest.mark.parametrize("n_features", FEATURES)
def test_whitener_order_never_looks_ahead(n_features: int) -> None:
    """Every panel multiplies by the features before it, and by columns within."""
    shape = layout(n_features)
    rows, columns = np.divmod(shape.whitener_order, n_features)
    panel = np.where(rows < shape.head, 0, 1 + (rows - shape.head) // LANES)
    assert (np.diff(panel) >= 0).all()
    assert all((np.diff(columns[panel == number]) >= 0).all() for number in range(panel.max() + 1))


@pytest.mark.parametrize("n_features", FEATURES)
def test_moments_are_symmetric_and_within_the_record(n_features: int) -> None:
    shape = layout(n_features)
    assert shape.moments.shape == (n_features + 1, n_features + 1)
    np.testing.assert_array_equal(shape.moments, shape.moments.T)
    assert shape.moments.min() >= 0
    assert shape.moments.max() < shape.record


@pytest.mark.parametrize("n_features", FEATURES)
def test_every_moment_has_its_own_place(n_features: int) -> None:
    lower = layout(n_features).moments[np.tril_indices(n_features + 1)]
    assert len(np.unique(lower)) == len(lower)


@pytest.mark.parametrize("n_features", FEATURES)
@pytest.mark.parametrize("n_components", [1, 2, 64, 5000])
def test_blocks_hold_strips_and_both_are_whole_steps(n_features: int, n_components: int) -> None:
    block, strip = block_rows(n_features), strip_rows(n_features, n_components)
    assert block % STEP == strip % STEP == 0
    assert block >= strip >= STEP


def test_blocks_are_never_tiny() -> None:
    assert block_rows(100_000) == 4 * STEP
    assert strip_rows(100_000, 1) == STEP
