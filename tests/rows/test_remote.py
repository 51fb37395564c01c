import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgmm.errors import DataError, DistributedError
from fastgmm.rows.parts import VERSION, check_parts, part_of, require_version, summary_of
from fastgmm.rows.remote import Sums, merged
from fastgmm.sweep import DyadicSum


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_sums_merge_in_any_order_to_the_same_bits(n_blocks, random):
    values = np.random.default_rng(n_blocks).normal(size=(n_blocks, 3)) * 10.0 ** np.arange(3)
    canonical = DyadicSum()
    for value in values:
        canonical.add(0, value)
    heap = [Sums({(0, block): value}, [(block, {})]) for block, value in enumerate(values)]
    random.shuffle(heap)
    while len(heap) > 1:
        one = heap.pop(random.randrange(len(heap)))
        heap.append(merged(heap.pop(random.randrange(len(heap))), one))
    nodes = sorted(heap[0].nodes.items(), key=lambda item: item[0][1] << item[0][0])
    assert [level for (level, _), _ in nodes] == [level for level, _ in canonical.nodes]
    for (_, node), (_, expected) in zip(nodes, canonical.nodes, strict=True):
        np.testing.assert_array_equal(node, expected)
    assert sorted(start for start, _ in heap[0].written) == list(range(n_blocks))


def test_partitions_are_looked_through():
    good, bad = np.ones((3, 2)), np.ones((4, 2))
    bad[2, 1] = np.inf
    summaries = [summary_of(part_of(X, number, VERSION)) for number, X in enumerate((good, bad))]
    with pytest.raises(DataError, match=r"1 infinite of 14 values, the first at row 5, column 1 \(partition 1"):
        check_parts(summaries)
    with pytest.raises(DataError, match="Partition 3 of X: could not convert string to float"):
        part_of(np.array([["a", "b"]]), 3, VERSION)


def test_other_versions_are_refused():
    with pytest.raises(DistributedError, match=r"but the fit runs with 9\.9"):
        require_version("9.9")
