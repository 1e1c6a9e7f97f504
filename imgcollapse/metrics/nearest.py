"""Nearest neighbours within one set and in another one: found in float32, with the distances of float64 (see `tiles`)."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.kernel import KernelMean, by_moments
from imgcollapse.metrics.tiles import SURE, Pairs, squared_distances

SPARE = 2  # neighbours kept beyond the k-th, for float32 may take the k-th for one of the next


class Neighbours:
    """The pictures of y that are nearest to each picture of x, gathered tile by tile.

    Of each the float32 squared distances and the numbers of the nearest ones are kept, SPARE more than are asked for. Those whose order
    float32 leaves open are then compared in float64. Where even those may not be all that come into question, all of y is looked through.
    same: y is x, and no picture is a neighbour of itself
    """

    def __init__(self, pairs: Pairs, k: int, same: bool = False) -> None:
        n, m = len(pairs.x_ND), len(pairs.y_MD)
        self._others = m - 1 if same else m  # neighbours that a picture may have
        self.pairs, self.same = pairs, same
        self.apart_NK = torch.full((n, min(k + SPARE, self._others)), torch.inf, device=pairs.x_ND.device)
        self.which_NK = torch.zeros_like(self.apart_NK, dtype=torch.int64)
        self._kth: dict[int, tuple[Tensor, Tensor]] = {}

    def reaches(self, k: int) -> bool:
        """Whether the k-th neighbour can be told."""
        kept = self.apart_NK.shape[1]
        return k + SPARE <= kept or kept == self._others

    def take(self, rows: slice, first: int, apart_bc: Tensor, least_b: Tensor) -> None:
        """Keep what is near in a tile of these rows, whose first column is y[first]; `least_b`: the smallest of each row."""
        kept = self.apart_NK.shape[1]
        better_R = (least_b < self.apart_NK[rows][:, -1]).nonzero().squeeze(1)
        found = apart_bc[better_R].topk(min(kept, apart_bc.shape[1]), dim=1, largest=False, sorted=False)
        at_R = better_R + rows.start
        both = torch.cat([self.apart_NK[at_R], found.values], 1).topk(kept, dim=1, largest=False)
        self.which_NK[at_R] = torch.cat([self.which_NK[at_R], found.indices + first], 1).gather(1, both.indices)
        self.apart_NK[at_R] = both.values

    def kth(self, k: int) -> tuple[Tensor, Tensor]:
        """float64 and int64 [N]: distance of each picture to its k-th nearest neighbour, and which one that is."""
        assert 1 <= k and self.reaches(k), (k, self.apart_NK.shape)
        if k not in self._kth:
            squares_N, which_N = self._find(k)
            self._kth[k] = squares_N.sqrt(), which_N
        return self._kth[k]

    def _find(self, k: int) -> tuple[Tensor, Tensor]:
        pairs, apart_NK = self.pairs, self.apart_NK.double()
        error_NK = SURE * pairs.x_error(apart_NK, pairs.x_N[:, None])
        low_NK, high_NK = apart_NK - error_NK, apart_NK + error_NK
        # the k-th is between the k-th of the lower and that of the upper bounds; what lies outside keeps its place
        open_NK = (high_NK >= low_NK[:, k - 1, None]) & (low_NK <= high_NK[:, k - 1, None])
        i_P, j_P = (open_NK & apart_NK.isfinite()).nonzero(as_tuple=True)
        apart_NK = (apart_NK * pairs.unit).index_put_((i_P, j_P), pairs.exact(i_P, self.which_NK[i_P, j_P]))
        found = apart_NK.kthvalue(k, dim=1)
        squares_N, which_N = found.values, self.which_NK.gather(1, found.indices[:, None]).squeeze(1)
        open_R = (squares_N > low_NK[:, -1].clamp(min=0) * pairs.unit).nonzero().squeeze(1)
        if apart_NK.shape[1] < self._others and len(open_R):
            squares_N[open_R], which_N[open_R] = self._among_all(open_R, k)
        return squares_N, which_N

    def _among_all(self, chosen_R: Tensor, k: int) -> tuple[Tensor, Tensor]:
        found = []
        for rows, apart_bM in squared_distances(self.pairs.x_ND[chosen_R], self.pairs.y_MD):
            if self.same:
                apart_bM.scatter_(1, chosen_R[rows, None], torch.inf)
            found.append(apart_bM.kthvalue(k, dim=1))
        return torch.cat([block.values for block in found]), torch.cat([block.indices for block in found])


class OwnPairStatistics:
    """The statistics of all pairs of pictures within one set, from one pass over half of them.

    A picture itself is left out by its place, not by its distance.

    neighbours: the k nearest others of each picture
    kernel:     mean of KID's kernel over all pairs of different pictures; None where it is had from moments (`by_moments`)
    """

    def __init__(self, x_ND: Tensor, k: int) -> None:
        assert 1 <= k < len(x_ND), f"k = {k} neighbours need more than {k} pictures, there are {len(x_ND)}"
        pairs = Pairs(x_ND, None, x_ND.mean(0))
        self.neighbours = Neighbours(pairs, k, same=True)
        kernel = None if by_moments(x_ND) else KernelMean(pairs, same=True)
        for tile in pairs.tiles(same=True, upper=True):
            twice = tile.rows != tile.columns
            if kernel is not None:
                kernel.add(tile, twice)
            self.neighbours.take(tile.rows, tile.columns.start, tile.apart_bc, tile.least_b)
            if twice:
                self.neighbours.take(tile.columns, tile.rows.start, tile.apart_bc.T, tile.least_c)
        self.kernel = None if kernel is None else kernel.mean()

    def radii(self, k: int) -> Tensor:
        """float64 [N]: the distance of each picture to its k-th nearest neighbour."""
        return self.neighbours.kth(k)[0]


def nearest(x_ND: Tensor, y_MD: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """float64 and int64 [N] on the CPU: distance of each row of x to the nearest (k-th nearest) row of y, and which one it is.

    Of rows that are equally near but for float64 rounding it may be any.
    """
    pairs = Pairs(x_ND, y_MD, y_MD.mean(0))
    found = Neighbours(pairs, k)
    for tile in pairs.tiles():
        found.take(tile.rows, tile.columns.start, tile.apart_bc, tile.least_b)
    apart_N, which_N = found.kth(k)
    return apart_N.cpu(), which_N.cpu()
