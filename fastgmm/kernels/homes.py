"""Homes first: a row's density at home, as it is now, says what other components must reach to matter to it.

What is known of it before, by an upper bound of its distance there, says less: of a photograph's patches 0.24 of the
pairs were evaluated by that, and 0.22 are. The pair of a row and its home is not listed by its bound, but put first.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.strips import take_row
from fastgmm.kernels.survivors import BEYOND, SLACK, evaluate_listed, largest_constant, list_survivors
from fastgmm.kernels.vector import prefetch

SAFETY = 1.0 - 2.0**-20
"""Set by `compile.build`: factor on a distance before it becomes a bound, for the rounding of what is computed."""

EARLY = 16
"""Rows by which memory is asked for before they are read: rows in between are left out, which no cache foresees."""


@part
def list_unsettled(start, n, settled, looked):
    """List the rows of a strip that are not settled; return how many. Without a branch: every third guess is wrong."""
    count = 0
    for p in range(n):
        looked[count] = p
        count += np.int64(settled[start + p] < 0)
    return count


@part
def load_listed(X, start, count, looked, centre, scale, row_length, rows):
    """Load some rows of a strip as `load_rows` does. O(D) a row."""
    n_features = X.shape[1]
    for j in range(min(EARLY, count)):
        prefetch(X, (start + looked[j]) * n_features, n_features)
    for j in range(count):
        p = looked[j]
        prefetch(X, (start + looked[min(j + EARLY, count - 1)]) * n_features, n_features)
        take_row(X, (start + p) * n_features, centre, scale, rows, p * row_length)


@part
def sort_homes(start, count, looked, homes, ends, homed):
    """Sort listed rows by their homes: those of component k lie in places ends[k] … ends[k + 1] − 1. O(n + K).

    Rows without a home come before ends[0]. `ends` has two places more than there are components.
    """
    ends[:] = 0
    for j in range(count):
        ends[homes[start + looked[j]] + 2] += 1
    for k in range(1, ends.shape[0]):
        ends[k] += ends[k - 1]
    for j in range(count):
        k = homes[start + looked[j]] + 1
        homed[ends[k]] = looked[j]
        ends[k] += 1


@part
def evaluate_homes(
    ends, homed, rows, row_length, padded_means, log_constants, columns, z, near, fresh, new_factors, new_offsets,
    log_skip, top, reach,
):  # fmt: skip
    """Compute all rows' homes: log-densities by places, bounds by rows, and how far the rows reach."""
    n_components, largest = log_constants.shape[0], largest_constant(log_constants)
    for k in range(n_components):
        evaluate_listed(
            k, ends[k], ends[k + 1] - ends[k], homed, rows, row_length, padded_means, log_constants, columns, z, near,
            fresh, 0, new_factors[k], new_offsets[k], top,
        )  # fmt: skip
    for j in range(ends[0], ends[n_components]):
        p = homed[j]
        floor = 2.0 * (log_skip - top[p])
        room = 2.0 * (1.0 - SAFETY) * (np.abs(top[p]) + largest)
        reach[p] = floor + room + SLACK * (np.abs(floor) + 2.0 * largest)


@part
def list_strip(
    start, stride, bounds, factors, offsets, log_constants, log_skip, allowance, reach, spare, renew, ends, homed,
    fresh, listed, begins,
):  # fmt: skip
    """List each component's rows, those at home there and those that its bounds do not rule out; return their number.

    One list lies behind the other. Bounds of rows at home are renewed.
    """
    n_components, end = log_constants.shape[0], 0
    gain = np.float32(2.0 * (np.log(0.5 * allowance) + log_skip) if allowance > 0.0 else 0.0)
    for k in range(n_components):
        place = start * n_components + k * stride
        begins[k] = end
        for j in range(ends[k], ends[k + 1]):
            listed[end] = homed[j]
            bounds[place + homed[j]] = BEYOND
            end += 1
        end += list_survivors(
            bounds, place, stride, np.float32(factors[k]), np.float32(offsets[k]),
            np.float32(-2.0 * log_constants[k]), reach, gain, spare, renew, listed, end,
        )  # fmt: skip
        for j in range(ends[k], ends[k + 1]):
            bounds[place + homed[j]] = fresh[homed[j]]
    begins[n_components] = end
    return end


@part
def evaluate_strip(
    start, stride, begins, ends, near, listed, rows, row_length, padded_means, log_constants, columns, z, values,
    bounds, new_factors, new_offsets, top,
):  # fmt: skip
    """Compute all components for the rows in their lists; what is known of those at home is taken over."""
    n_components = log_constants.shape[0]
    for k in range(n_components):
        begin = begins[k]
        for j in range(ends[k], ends[k + 1]):
            values[begin] = near[j]
            begin += 1
        evaluate_listed(
            k, begin, begins[k + 1] - begin, listed, rows, row_length, padded_means, log_constants, columns, z, values,
            bounds, start * n_components + k * stride, new_factors[k], new_offsets[k], top,
        )  # fmt: skip
