from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastgmm.kernels.nodes import collapse, push
from fastgmm.sweep import DyadicSum, Node, stacks

Floats = NDArray[np.float64]


def blocks(n: int, seed: int) -> Floats:
    rng = np.random.default_rng([n, seed])
    return rng.standard_normal((n, 2)) * 10.0 ** rng.integers(-8, 9, (n, 2))


def canonical(sums: Floats, first: int = 0) -> Floats:
    """The dyadic tree, by recursion: halves at the largest power of two below the number of blocks."""
    if len(sums) == 1:
        return sums[0]
    cut = 1 << (len(sums) - 1).bit_length() - 1
    return canonical(sums[:cut]) + canonical(sums[cut:])


def one_run(sums: Floats, first: int) -> list[Node]:
    """The nodes that a kernel leaves of a run of blocks that begins with number `first`."""
    length = 2 * len(sums).bit_length() + 2
    nodes, levels = np.full((length, sums.shape[1]), np.nan), np.zeros(length, dtype=np.int64)
    depth = 0
    for b, block in enumerate(sums):
        nodes[depth] = block
        depth = push(nodes, levels, depth, first + b)
    return [(int(levels[i]), nodes[i].copy()) for i in range(depth)]


def summed(sums: Floats, cuts: list[int]) -> Floats:
    total = DyadicSum()
    for first, last in zip([0, *cuts], [*cuts, len(sums)], strict=True):
        for level, node in one_run(sums[first:last], first):
            total.add(level, node)
    return total.total()


@given(st.data(), st.integers(1, 200), st.integers(0, 99))
def test_any_cut_gives_the_same_bits(data: st.DataObject, n: int, seed: int) -> None:
    sums = blocks(n, seed)
    cuts = sorted(data.draw(st.lists(st.integers(1, n), max_size=8, unique=True)))
    expected = canonical(sums)
    assert summed(sums, cuts).tobytes() == expected.tobytes()
    assert summed(sums, []).tobytes() == expected.tobytes()
    assert summed(sums, list(range(1, n))).tobytes() == expected.tobytes()


@given(st.integers(1, 200), st.integers(1, 9))
def test_stacks_of_several_parts_collapse_to_the_same_bits(n: int, parts: int) -> None:
    sums, parts = blocks(n, 0), min(parts, n)
    nodes, levels, depths = stacks(n, parts, 2)
    (stack,), (stack_levels,), _ = stacks(n, 1, 2)
    for t in range(parts):
        first, last = n * t // parts, n * (t + 1) // parts
        left = one_run(sums[first:last], first)
        depths[t] = len(left)
        for i, (level, node) in enumerate(left):
            levels[t, i], nodes[t, i] = level, node
    collapse(nodes, levels, depths, stack, stack_levels)
    assert stack[0].tobytes() == canonical(sums).tobytes()


@given(st.integers(1, 300), st.sampled_from([1, 2, 4, 16, 64]))
def test_aligned_runs(n: int, size: int) -> None:
    sums = blocks(n, 0)
    assert summed(sums, list(range(size, n, size))).tobytes() == canonical(sums).tobytes()


@given(st.integers(0, 1000), st.integers(1, 200))
def test_a_run_leaves_few_nodes_that_cover_it(first: int, n: int) -> None:
    nodes = one_run(np.ones((n, 1)), first)
    assert [float(sums[0]) for level, sums in nodes] == [float(1 << level) for level, _ in nodes]
    assert sum(1 << level for level, _ in nodes) == n
    assert len(nodes) <= 2 * n.bit_length()


def test_whole_numbers_are_summed_exactly() -> None:
    sums = np.arange(1000.0)[:, None]
    assert summed(sums, [1, 7, 500]) == 999 * 500


def test_nodes_that_were_added_are_left_as_they_are() -> None:
    total = DyadicSum()
    first, second = np.ones(2), np.ones(2)
    total.add(0, first)
    total.add(0, second)
    np.testing.assert_array_equal(total.total(), 2.0)
    np.testing.assert_array_equal([first, second], 1.0)
