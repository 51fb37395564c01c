"""Nodes: sums of blocks, added in the dyadic tree over block numbers."""

from __future__ import annotations

from fastgmm.kernels.compile import part


@part
def push(nodes, levels, depth, block):
    """Merge the newest node with its left neighbours in the dyadic tree over block numbers; return the new depth.

    Blocks are pushed in order; ``nodes[depth]`` is the newest. A node of level l at place i joins the one below it if
    that is its sibling: same level and i odd. So sums depend on block numbers only, not on who forms them.
    """
    place = block
    levels[depth] = 0
    depth += 1
    while depth > 1 and place & 1 and levels[depth - 2] == levels[depth - 1]:
        for i in range(nodes.shape[1]):
            nodes[depth - 2, i] += nodes[depth - 1, i]
        levels[depth - 2] += 1
        depth -= 1
        place >>= 1
    return depth
