import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.rows.pieces import Run, between, joined


def cut(X, edges):
    places = sorted({0, len(X), *edges})
    return tuple(X[a:b] for a, b in itertools.pairwise(places))


@given(st.integers(1, 90), st.lists(st.integers(1, 89), max_size=8), st.integers(1, 12), st.integers(1, 4))
def test_spans_are_whole_blocks_of_the_same_rows(n, edges, block, blocks):
    X = np.arange(2.0 * n).reshape(n, 2)
    weights = np.arange(float(n))
    run = Run(5 * block, cut(X, [edge for edge in edges if edge < n]), X.dtype, weights)
    spans = list(run.spans(block, blocks))
    assert [start for start, _, _ in spans] == [
        5 * block + sum(len(rows) for _, rows, _ in spans[:i]) for i in range(len(spans))
    ]
    assert all(len(rows) % block == 0 for _, rows, _ in spans[:-1])
    assert all(len(rows) <= block * blocks and rows.flags.c_contiguous for _, rows, _ in spans)
    np.testing.assert_array_equal(np.concatenate([rows for _, rows, _ in spans]), X)
    np.testing.assert_array_equal(np.concatenate([some for _, _, some in spans]), weights)
    numbers = np.array([0, n - 1, n // 2])
    np.testing.assert_array_equal(run.picked(numbers + run.start), X[numbers])
    np.testing.assert_array_equal(run.rows(run.start + n // 3, run.stop), X[n // 3 :])


def test_only_rows_at_seams_are_copied():
    X = np.zeros((800, 2))
    run = Run(0, (X[:404], X[404:]), X.dtype)
    copied = [not np.may_share_memory(rows, X) for _, rows, _ in run.spans(8, 100)]
    assert copied == [False, True, False]


def test_short_pieces_are_joined():
    X = np.arange(1_600.0).reshape(800, 2)
    run = Run(0, cut(X, range(0, 800, 9)), X.dtype)
    assert [len(rows) for _, rows, _ in run.spans(8, 30)] == [240, 240, 240, 80]
    run = Run(0, cut(X, [*range(0, 100, 9), 700]), X.dtype)
    assert [len(rows) for _, rows, _ in run.spans(8, 1_000)] == [104, 592, 8, 96]


def test_other_layouts_and_types_are_converted():
    X = np.asfortranarray(np.arange(40).reshape(20, 2))
    run = Run(0, (X[:7], X[7:]), np.dtype(float))
    spans = [rows for _, rows, _ in run.spans(4, 2)]
    assert all(rows.dtype == np.float64 and rows.flags.c_contiguous for rows in spans)
    np.testing.assert_array_equal(np.concatenate(spans), X)


def test_no_rows():
    X = np.zeros((4, 3))
    assert joined(between((X,), 2, 2), X).shape == (0, 3)
