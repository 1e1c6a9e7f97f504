"""Nearest neighbours, exact, in O(block x N) memory.

Squared distances are computed block by block as |x|^2 + |y|^2 - 2 x.y in float64 after both sets have been shifted to a common centre
(the subtraction would otherwise cancel digits where features lie far from 0); what lies below the rounding error counts as 0, so that
exact copies are at distance 0.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 128  # rows of the distance matrix that are in memory at once: few enough to stay in the processor's cache
SLACK = 1e-12  # of the squared norms: the rounding error of a squared distance


def squared_distances(x_ND: Tensor, y_MD: Tensor, block: int = BLOCK) -> Iterator[tuple[slice, Tensor]]:
    """Rows `x[rows]` against all of y, block by block: (rows, float64 [block, M]). Distances below the rounding error are 0."""
    centre = y_MD.mean(0)
    x_ND, y_MD = x_ND - centre, y_MD - centre
    xx_N, yy_M = x_ND.square().sum(1), y_MD.square().sum(1)
    for start in range(0, len(x_ND), block):
        rows = slice(start, start + block)
        scale_bM = xx_N[rows, None] + yy_M
        apart_bM = torch.addmm(scale_bM, x_ND[rows], y_MD.T, alpha=-2)
        yield rows, apart_bM.masked_fill_(apart_bM <= SLACK * scale_bM, 0.0)


def kth_distance(x_ND: Tensor, k: int, block: int = BLOCK) -> Tensor:
    """float64 [N]: distance of each row to its k-th nearest other row (the row itself is left out by its place, not by its distance)."""
    assert 1 <= k < len(x_ND), f"k = {k} neighbours need more than {k} rows, there are {len(x_ND)}"
    found = x_ND.new_empty(len(x_ND))
    for rows, apart_bM in squared_distances(x_ND, x_ND, block):
        own = torch.arange(rows.start, rows.start + len(apart_bM))
        apart_bM[own - rows.start, own] = torch.inf
        found[rows] = apart_bM.kthvalue(k, dim=1).values if k > 32 else apart_bM.topk(k, dim=1, largest=False).values[:, -1]
    return found.sqrt()
