import itertools

from hypothesis import given
from hypothesis import strategies as st

from fastgmm.rows.partitions import aligned, shared_out

LENGTHS = st.lists(st.integers(0, 400), min_size=1, max_size=12).filter(any)


def assert_whole(stretches, lengths, block):
    """Stretches are whole blocks, cover every row once, and say where the rows lie."""
    stretches = sorted(stretches, key=lambda one: one.start)
    assert stretches[0].start == 0
    assert stretches[-1].stop == sum(lengths)
    assert all(a.stop == b.start and b.start % block == 0 for a, b in itertools.pairwise(stretches))
    found = [(one.partition, row) for some in stretches for one in some.slices for row in range(one.start, one.stop)]
    assert found == [(number, row) for number, length in enumerate(lengths) for row in range(length)]
    assert all(sum(one.stop - one.start for one in some.slices) == some.stop - some.start for some in stretches)


@given(LENGTHS, st.data(), st.integers(1, 4), st.integers(1, 60))
def test_every_row_goes_to_one_place(lengths, data, n_places, block):
    owners = data.draw(st.lists(st.integers(0, 5), min_size=len(lengths), max_size=len(lengths)))
    shared = shared_out(lengths, owners, list(range(n_places)), block)
    assert len(shared) == n_places
    assert_whole([one for some in shared for one in some], lengths, block)


@given(LENGTHS, st.integers(1, 60))
def test_partitions_that_keep_their_rows(lengths, block):
    kept = aligned(lengths, block)
    assert len(kept) == len(lengths)
    assert_whole([one for some in kept for one in some], lengths, block)


def test_rows_stay_where_they_lie_but_for_the_seams():
    # A cut moves by no more than a 32nd of the rows beside it.
    shared = shared_out([1000, 1000, 1000, 1000], ["b", "b", "a", "a"], ["a", "b"], 7)
    assert [(one.start, one.stop) for one in shared[1]] == [(0, 2016)]
    assert [one.stop - one.start for one in shared[1][0].slices] == [1000, 1000, 16]


def test_a_heap_is_shared():
    shared = shared_out([1000], ["a"], ["a", "b"], 10)
    assert all(some for some in shared)
