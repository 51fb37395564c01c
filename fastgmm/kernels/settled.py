"""Settled rows: all of their weight is their home's, so that what they add to its sums need not be computed again.

A row that was alone with a component may be *settled*: its γ = 1 there is part of sums about an origin that stays
(`bounded_task`). Its bound there is kept beyond all reach, so that the pair is never listed. While no other pair of the
row is, nothing of it is computed, and its distance from home is only known to be less than so much. Where others are
listed, it is *looked at*: they are evaluated, and may turn out to be beyond reach after all. Else the row is *opened*:
evaluated in its settled home too. If it is still alone, nothing is to be added; else it *owes* w (1 − γ) there, which
is taken off that component's sums. In log-likelihood a settled row counts as w log_joint of its settled home, which the
settled sums tell; an opened one owes that, and gets its own instead.
"""

from __future__ import annotations

import numpy as np

from fastgmm.kernels.compile import part
from fastgmm.kernels.moments import SINGLE, add_listed
from fastgmm.kernels.survivors import BEYOND, evaluate_listed, largest_constant
from fastgmm.kernels.vector import store, zeros

REAL = np.float64
"""Set by `compile.build`: the numbers that are computed with."""

SAFETY = 1.0 - 2.0**-20
"""Set by `compile.build`: factor on a distance before it becomes a bound, for the rounding of what is computed."""

FARTHEST = 1e300
"""Set by `compile.build`: the largest squared distance."""

CLOSED, OPENED, SEEN = 0, 1, 2
"""A row is not looked at; it is evaluated in all that matters; it was looked at, and is as it was."""


@part
def any_settled(start, n, stride, n_components, settle, renew, bounds, settled):
    """Return whether rows of a strip are settled, and put their bounds beyond reach if these were just renewed.

    Where rows `settle` anew, none is before.
    """
    some = False
    for p in range(n):
        k = settled[start + p]
        if k >= 0:
            if settle:
                bounds[start * n_components + k * stride + p] = 0.0
                settled[start + p] = -1
            else:
                some = True
                if renew:
                    bounds[start * n_components + k * stride + p] = BEYOND
    return some


@part
def open_listed(start, n, end, listed, settled, opened, top, sums, looked):
    """Mark rows of a strip that are not settled, or are listed; list the settled of them and return how many.

    The others count for nothing. A store a pair.
    """
    count = 0
    for p in range(n):
        opened[p] = np.int32(settled[start + p] < 0)
    for j in range(end):
        opened[listed[j]] = OPENED
    for p in range(n):  # a branch here is a wrong guess for every third row
        closed = opened[p] == CLOSED
        top[p] = 0.0 if closed else top[p]
        sums[p] = 1.0 if closed else sums[p]
        looked[count] = p
        count += np.int64((settled[start + p] >= 0) & (not closed))
    return count


@part
def look_at(n_looked, log_constants, reach, opened, top, sums, looked, owing):
    """List the looked at rows that are to be evaluated at home too; return how many.

    The others are beyond reach: the nearest density, 2 top, is below −reach. What was computed of them is made 0 by a
    top above all.
    """
    count, largest = 0, largest_constant(log_constants)
    for j in range(n_looked):
        p = looked[j]
        if -2.0 * top[p] - 2.0 * (1.0 - SAFETY) * (np.abs(top[p]) + largest) >= reach[p]:
            opened[p] = SEEN
            top[p] = FARTHEST
            sums[p] = 1.0
        else:
            owing[count] = p
            count += 1
    return count


@part
def count_homes(start, count, owing, settled, owns):
    """Count listed rows by the components that they are settled with."""
    owns[:] = 0
    for a in range(count):
        owns[settled[start + owing[a]]] += 1


@part
def list_own(k, start, count, owing, settled, listed, end, at):
    """Append the rows to be evaluated that are settled with component k to the lists; keep their places."""
    for a in range(count):
        p = owing[a]
        if settled[start + p] == k:
            listed[end] = p
            at[p] = end
            end += 1


@part
def evaluate_own(
    start, stride, count, owing, owns, settled, end, listed, at, rows, row_length, padded_means, log_constants, columns,
    z, values, bounds, new_factors, new_offsets, top,
):  # fmt: skip
    """Compute settled homes for the rows that are opened, on lists behind the others; return the lists' end."""
    n_components = log_constants.shape[0]
    for k in range(n_components):
        if owns[k] > 0:
            list_own(k, start, count, owing, settled, listed, end, at)
            place = start * n_components + k * stride
            evaluate_listed(
                k, end, owns[k], listed, rows, row_length, padded_means, log_constants, columns, z, values, bounds,
                place, new_factors[k], new_offsets[k], top,
            )  # fmt: skip
            for j in range(end, end + owns[k]):
                bounds[place + listed[j]] = BEYOND
            end += owns[k]
    return end


@part
def owed_likelihood(count, owing, at, values, row_weights):
    """Sum what opened rows count for in the log-likelihood of the settled sums: w log_joint of their settled homes."""
    owed = 0.0
    for a in range(count):
        p = owing[a]
        owed += np.float64(row_weights[p]) * np.float64(values[at[p]])
    return owed


@part
def close_seen(n_looked, looked, opened, top):
    """Let rows that were only looked at count for nothing."""
    for j in range(n_looked):
        p = looked[j]
        top[p] = 0.0 if opened[p] == SEEN else top[p]


@part
def settle_debts(start, count, owing, settled, at, values, sums, skip_below, homes, owed):
    """Keep those opened rows listed that are not alone in their settled homes; return how many.

    `sums` are made whole: before, they have none of the settled homes. owed[p] becomes the others' density.
    """
    stay = 0
    for a in range(count):
        p = owing[a]
        k, own, others = settled[start + p], np.float64(values[at[p]]), sums[p]
        sums[p] = others + own
        if own == 1.0:
            homes[start + p] = k
        if own < 1.0 or others > skip_below * sums[p]:
            owed[p] = others
            owing[stay] = p
            stay += 1
    return stay


@part
def pay_debts(
    k, start, count, owing, settled, owed, factor, active, shares, n_features, rows, row_length, means, z, node, entry,
    record,
):  # fmt: skip
    """Take w (1 − γ) of the rows that owe it off the record of the component in which they are settled."""
    mine = 0
    for a in range(count):
        p = owing[a]
        if settled[start + p] == k:
            active[mine] = p
            shares[mine] = owed[p] * factor[p]
            mine += 1
    store(zeros(REAL, 1, SINGLE), shares, mine, 0)
    for i in range(entry, entry + record):
        node[i] = -node[i]
    add_listed(k, active, shares, mine, n_features, rows, row_length, means, z, node, entry)
    for i in range(entry, entry + record):
        node[i] = -node[i]


@part
def mark_alone(start, n, sums, skip_below, settled, alone):
    """Mark rows, not settled ones, of which no component but the best has a share that counts; return how many."""
    count = 0
    for p in range(n):
        here = np.int32((sums[p] - 1.0 <= skip_below * sums[p]) & (settled[start + p] < 0))
        alone[p] = here
        count += here
    return count


@part
def settle_rows(k, start, place, count, active, shares, alone, row_weights, settled, bounds, entering, weights):
    """List those of component k's kept rows that are alone, with all their weight; return how many others stay."""
    stay = entered = 0
    for j in range(count):
        p, share = active[j], shares[j]
        if alone[p] == 1 and 2.0 * share > row_weights[p]:
            settled[start + p] = k
            bounds[place + p] = BEYOND
            entering[entered] = p
            weights[entered] = row_weights[p]
            entered += 1
        else:
            active[stay] = p
            shares[stay] = share
            stay += 1
    store(zeros(REAL, 1, SINGLE), shares, stay, 0)
    store(zeros(REAL, 1, SINGLE), weights, entered, 0)
    return stay
