"""Squared distances of all pairs of two sets, tile by tile: fast in float32 with a known bound for the error, and exact where that decides.

A float32 product costs half of a float64 one on a CPU, and far less on most GPUs. With u and w the pictures shifted to a common centre and
e = 2^-24, |u|^2 + |w|^2 - 2 u.w in float32 is off from d^2 by at most 2 (D + 4) e |u| |w| + 16 e (|u| + |w|)^2, in whatever order the
products are added (Higham 2002, sec. 3.1; the second term has room for a comparison in float32). As |w| <= |u| + d, one of the two
pictures is enough for a bound, so that a far picture does not blur the others. Whoever asks on which side of a limit a pair lies takes
float32's answer where the pair is farther from the limit than the bound, and asks for the float64 distance of the few other pairs: the
answer is that of float64 throughout.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from imgcollapse.heavy import Tensor, torch

TILE = 1024  # pictures on each side of a tile at most: small enough for the cache, large enough that starting an operation costs nothing
BLOCK = 128  # rows of a strip
BLUR = 2e-12  # of a picture's squared distance to the centre: the rounding error of a float64 squared distance to a picture beside it
ROUNDING = 2.0**-24  # of a float32 number
LEAST = 1e-30  # error of a float32 squared distance at the least, where no picture is farther than 1: smaller products are lost
SURE = 1.25  # bounds by which a pair must miss a limit for float32 to decide; the quarter is for the rounding of the comparison itself
ALONE = 1 << 18  # numbers in a block of differences of pairs that are computed one by one
MANY = 128  # a tile of which more than one pair in so many is asked for is computed in float64 as a whole


@contextmanager
def full_precision(device: "torch.device") -> Iterator[None]:
    """Products of float32 numbers in float32: neither in TensorFloat-32 nor in bfloat16, whatever is set outside."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class Tile:
    """The pairs of x[rows] and y[columns]; written over by the next tile. In units, see `Pairs`.

    apart_bc:    float32 [b, c], squared distances, never negative
    least_b:     float32 [b], the smallest of each row
    products_bc: float32 [b, c], u.w; like `spare_bc` it is the reader's to write over when nothing reads it any more
    spare_bc:    float32 [b, c], room for the reader's own sums
    """

    pairs: "Pairs"
    rows: slice
    columns: slice
    apart_bc: Tensor
    least_b: Tensor
    products_bc: Tensor
    spare_bc: Tensor

    @cached_property
    def least_c(self) -> Tensor:
        """float32 [c], the smallest of each column."""
        return self.apart_bc.amin(0)

    def exact(self, i_P: Tensor, j_P: Tensor) -> Tensor:
        """float64 [P], not in units: squared distances of the rows i and the columns j of this tile."""
        if len(i_P) * MANY > self.apart_bc.numel():
            return self._whole_bc[i_P, j_P]
        return self.pairs.exact(i_P + self.rows.start, j_P + self.columns.start)

    @cached_property
    def _whole_bc(self) -> Tensor:
        x_bD, y_cD, centre_D = self.pairs.x_ND[self.rows], self.pairs.y_MD[self.columns], self.pairs.centre_D
        ((_, apart_bc),) = squared_distances(x_bD, y_cD, len(x_bD), centre_D)
        return apart_bc


class Pairs:
    """All pairs of two sets. Tiles are in units: lengths are divided by a power of 2 so that no picture is farther than 1 from the centre.

    x_ND, y_MD: float64 [N, D] and [M, D]; y is x where None is given
    centre_D:   float64 [D], a point in their midst
    unit:       squared length of a unit
    x_N, y_M:   float64, squared distances to the centre, in units
    """

    def __init__(self, x_ND: Tensor, y_MD: Tensor | None, centre_D: Tensor) -> None:
        self.x_ND, self.y_MD, self.centre_D = x_ND, x_ND if y_MD is None else y_MD, centre_D
        largest = max(float(torch.linalg.vector_norm(z, math.inf)) for z in (x_ND, self.y_MD, centre_D))
        self._length = 2.0 ** math.frexp(2 * largest * x_ND.shape[1] ** 0.5)[1]
        self.unit = self._length**2
        placed_ND, self.x_N = self._place(x_ND)
        placed_MD, self.y_M = (placed_ND, self.x_N) if y_MD is None else self._place(y_MD)
        self._placed = [(placed_ND, placed_MD)]  # for the one pass
        self._farthest_x, self._farthest_y = (z_N.max().sqrt() for z_N in (self.x_N, self.y_M))

    def _place(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [N, D] in units, shifted to the centre, and float64 [N], squared lengths; without a second copy in float64."""
        placed_ND, squares_N = torch.empty_like(x_ND, dtype=torch.float32), torch.empty_like(x_ND[:, 0])
        for top in range(0, len(x_ND), BLOCK):
            rows = slice(top, top + BLOCK)
            x_bD = (x_ND[rows] - self.centre_D).mul_(1 / self._length)
            placed_ND[rows], squares_N[rows] = x_bD, torch.linalg.vector_norm(x_bD, dim=1).square_()
        return placed_ND, squares_N

    def x_error(self, apart_N: Tensor, squares_N: Tensor | None = None) -> Tensor:
        """The bound for the error of squared distances of about `apart` from pictures of x, all in units; `squares`: their x_N."""
        return _error(self.x_N if squares_N is None else squares_N, apart_N, self._farthest_y, self.x_ND.shape[1])

    def y_error(self, apart_M: Tensor) -> Tensor:
        """The same from pictures of y."""
        return _error(self.y_M, apart_M, self._farthest_x, self.x_ND.shape[1])

    def exact(self, i_P: Tensor, j_P: Tensor) -> Tensor:
        """float64 [P], not in units: squared distances of the pictures x[i] and y[j]. Copies are at distance 0."""
        step = max(1, ALONE // self.x_ND.shape[1])
        apart_P = torch.empty(len(i_P), dtype=torch.float64, device=i_P.device)
        for start in range(0, len(i_P), step):
            chosen = slice(start, start + step)
            apart_pD = self.x_ND.index_select(0, i_P[chosen]).sub_(self.y_MD.index_select(0, j_P[chosen]))
            apart_P[chosen] = torch.linalg.vector_norm(apart_pD, dim=1).square_()
        return apart_P.masked_fill_(apart_P <= BLUR * self.unit * self.x_N[i_P], 0.0)

    def tiles(self, same: bool = False, upper: bool = False) -> Iterator[Tile]:
        """Tile by tile, once. Pairs that are nearer than the error bound are exact: no near copy's distance is lost in rounding.

        same:  row i of y is row i of x, and is left out: at distance inf
        upper: of a set with itself, only the tiles on the diagonal and above
        """
        x_ND, y_MD = self._placed.pop()
        x_N, y_M, near_N = self.x_N.float(), self.y_M.float(), self.x_error(torch.zeros_like(self.x_N)).float()
        columns_of_tiles = _cut(len(y_M))
        room = [torch.empty(TILE * TILE, dtype=torch.float32, device=self.x_ND.device) for _ in range(3)]
        for rows in _cut(len(x_N)):
            for columns in columns_of_tiles:
                if upper and columns.start < rows.start:
                    continue
                shape = rows.stop - rows.start, columns.stop - columns.start
                products_bc, apart_bc, spare_bc = (part[: shape[0] * shape[1]].view(shape) for part in room)
                with full_precision(products_bc.device):
                    torch.mm(x_ND[rows], y_MD[columns].T, out=products_bc)
                torch.add(x_N[rows, None], y_M[columns], out=apart_bc).sub_(products_bc, alpha=2)
                if same:
                    apart_bc.diagonal(rows.start - columns.start).fill_(torch.inf)
                tile = Tile(self, rows, columns, apart_bc, apart_bc.amin(1), products_bc, spare_bc)
                found = (tile.least_b <= near_N[rows]).nonzero().squeeze(1)
                if len(found):
                    i_P, j_P = (apart_bc[found] <= near_N[rows][found, None]).nonzero(as_tuple=True)
                    i_P = found[i_P]
                    apart_bc[i_P, j_P] = (tile.exact(i_P, j_P) / self.unit).float()
                    tile.least_b.copy_(apart_bc.amin(1))
                yield tile


def _error(squares_N: Tensor, apart_N: Tensor, farthest: Tensor, d: int) -> Tensor:
    u_N = squares_N.sqrt()
    w_N = torch.minimum(u_N + apart_N.sqrt(), farthest)
    return 2 * (d + 4) * ROUNDING * u_N * w_N + 16 * ROUNDING * (u_N + w_N).square() + LEAST


def _cut(n: int) -> list[slice]:
    """Slices of nearly one size, at most TILE."""
    side = math.ceil(n / math.ceil(n / TILE))
    return [slice(top, min(n, top + side)) for top in range(0, n, side)]


def squared_distances(x_ND: Tensor, y_MD: Tensor, block: int = BLOCK, centre_D: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Rows `x[rows]` against all of y, strip by strip: (rows, float64 [block, M], written over by the next). Copies are at distance 0.

    One float64 product of the rows (-2u, |u|^2, 1) with the rows (w, 1, |w|^2). The centre is the mean of y where none is given.
    """
    centre_D = y_MD.mean(0) if centre_D is None else centre_D
    (n, d), m = x_ND.shape, len(y_MD)
    columns_ME = torch.ones(m, d + 2, dtype=y_MD.dtype, device=y_MD.device)
    columns_ME[:, :d] = y_MD - centre_D
    columns_ME[:, d + 1] = columns_ME[:, :d].square().sum(1)
    room = x_ND.new_empty(min(block, n) * m)
    for top in range(0, n, block):
        x_bD = x_ND[top : top + block] - centre_D
        squares_b1 = x_bD.square().sum(1, keepdim=True)
        rows_bE = torch.cat([-2 * x_bD, squares_b1, torch.ones_like(squares_b1)], 1)
        apart_bM = torch.mm(rows_bE, columns_ME.T, out=room[: len(rows_bE) * m].view(len(rows_bE), m))
        yield slice(top, top + len(rows_bE)), apart_bM.masked_fill_(apart_bM <= BLUR * squares_b1, 0.0)
