"""Nodes: sums of blocks, added in the dyadic tree over block numbers."""

from __future__ import annotations

from fastgmm.kernels.compile import part


@part
def push(nodes, levels, depth, block):
    """Merge the newest node with its left neighbours in the dyadic tree over block numbers; return the new depth.

    Blocks are pushed in order; ``nodes[depth]`` is the newest. So sums depend on block numbers only, not on who forms
    them.
    """
    return merge(nodes, levels, depth, 0, block)


@part
def merge(nodes, levels, depth, level, place):
    """Merge a node of a level, the newest, with its left neighbours; return the new depth.

    A node of level l at place i joins the one below it if that is its sibling: same level and i odd.
    """
    levels[depth] = level
    depth += 1
    while depth > 1 and place & 1 and levels[depth - 2] == levels[depth - 1]:
        for i in range(nodes.shape[1]):
            nodes[depth - 2, i] += nodes[depth - 1, i]
        levels[depth - 2] += 1
        depth -= 1
        place >>= 1
    return depth


@part
def collapse(nodes, levels, depths, stack, stack_levels):
    """Add the stacks that the parts of a pass over all rows left, as `sweep.DyadicSum` does, to ``stack[0]``.

    They are ``nodes[part, :depths[part]]``, with their levels.
    """
    depth = blocks = 0
    for t in range(nodes.shape[0]):
        for i in range(depths[t]):
            for j in range(stack.shape[1]):
                stack[depth, j] = nodes[t, i, j]
            depth = merge(stack, stack_levels, depth, levels[t, i], blocks >> levels[t, i])
            blocks += 1 << levels[t, i]
    for n in range(depth - 1, 0, -1):
        for i in range(stack.shape[1]):
            stack[n - 1, i] += stack[n, i]
