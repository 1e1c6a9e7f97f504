"""Squared distances of all pairs of two sets, tile by tile, and the nearest neighbours within one set.

Both sets are shifted to a common centre (where features lie far from 0, digits would cancel), then |x|^2 + |y|^2 - 2 x.y is the one float64
product of the rows (-2x, |x|^2, 1) with the rows (y, 1, |y|^2). A tile stays in the processor's cache while all that is asked of it is
read. Memory: O(N D) and one tile.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from imgcollapse.metrics.kernel import half_root, kernel

TILE = 768  # pictures on each side of a tile: small enough for the processor's cache, large enough that starting an operation costs nothing
BLOCK = 128  # rows of a strip
BLUR = 2e-12  # of a picture's squared distance to the centre: the rounding error of the squared distance to a picture beside it


def blur(x_ND: Tensor, centre_D: Tensor) -> Tensor:
    """float64 [N], the squared distance up to which another picture counts as a copy, at distance 0."""
    return BLUR * (x_ND - centre_D).square().sum(1)


def tiles(
    x_ND: Tensor, y_MD: Tensor, centre_D: Tensor, height: int, width: int, upper: bool = False
) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Tile by tile: (rows, columns, apart, spare): squared distances of x[rows] and y[columns], and room for the reader's own sums.

    Both float64 [<= height, <= width], and written over by the next tile. Rounding errors (`blur`) are left in them, and may be negative.
    upper: of a set with itself, only the tiles on the diagonal and above.
    """
    (n, d), m = x_ND.shape, len(y_MD)
    columns_ME = torch.ones(m, d + 2, dtype=y_MD.dtype, device=y_MD.device)
    columns_ME[:, :d] = y_MD - centre_D
    columns_ME[:, d + 1] = columns_ME[:, :d].square().sum(1)
    apart, spare = (x_ND.new_empty(min(height, n) * min(width, m)) for _ in range(2))
    for top in range(0, n, height):
        x_bD = x_ND[top : top + height] - centre_D
        rows_bE = torch.cat([-2 * x_bD, x_bD.square().sum(1, keepdim=True), torch.ones_like(x_bD[:, :1])], 1)
        for left in range(top if upper else 0, m, width):
            columns_cE = columns_ME[left : left + width]
            b, c = len(rows_bE), len(columns_cE)
            apart_bc = torch.mm(rows_bE, columns_cE.T, out=apart[: b * c].view(b, c))
            yield slice(top, top + b), slice(left, left + c), apart_bc, spare[: b * c].view(b, c)


def squared_distances(x_ND: Tensor, y_MD: Tensor, block: int = BLOCK) -> Iterator[tuple[slice, Tensor]]:
    """Rows `x[rows]` against all of y, strip by strip: (rows, float64 [block, M], written over by the next). Copies are at distance 0."""
    centre_D = y_MD.mean(0)
    blur_N = blur(x_ND, centre_D)
    for rows, _, apart_bM, _ in tiles(x_ND, y_MD, centre_D, block, max(1, len(y_MD))):
        yield rows, apart_bM.masked_fill_(apart_bM <= blur_N[rows, None], 0.0)


@dataclass(frozen=True)
class Within:
    """What one pass over all pairs of a set finds.

    nearest_Nk: float64 [N, k], distances of each picture to its k nearest others, ascending
    kernel:     mean of KID's kernel over all pairs of different pictures
    """

    nearest_Nk: Tensor
    kernel: float


def within(x_ND: Tensor, k: int) -> Within:
    """The pass over half of the pairs; a picture itself is left out by its place, not by its distance."""
    n, d = x_ND.shape
    assert 1 <= k < n, f"k = {k} neighbours need more than {k} pictures, there are {n}"
    centre_D, half_N, total = x_ND.mean(0), half_root(x_ND), x_ND.new_zeros(())
    nearest_Nk = x_ND.new_full((n, k), torch.inf)

    def keep(rows: slice, apart_bc: Tensor) -> None:
        found = apart_bc.topk(min(k, apart_bc.shape[1]), dim=1, largest=False, sorted=False).values
        nearest_Nk[rows] = torch.cat([nearest_Nk[rows], found], 1).topk(k, dim=1, largest=False).values

    for rows, columns, apart_bc, spare_bc in tiles(x_ND, x_ND, centre_D, TILE, TILE, upper=True):
        k_bc = kernel(apart_bc, half_N[rows], half_N[columns], d, out=spare_bc)
        if rows == columns:
            total += k_bc.sum() - k_bc.diagonal().sum()
            keep(rows, apart_bc.fill_diagonal_(torch.inf))
        else:
            total += 2 * k_bc.sum()
            keep(rows, apart_bc)
            keep(columns, spare_bc.view(apart_bc.T.shape).copy_(apart_bc.T))
    nearest_Nk = torch.where(nearest_Nk <= blur(x_ND, centre_D)[:, None], 0.0, nearest_Nk)
    return Within(nearest_Nk.sqrt(), float(total) / (n * (n - 1)))
