"""What one pass over all pairs of a generated and a held-out picture finds: all that neighbour metrics and KID need of them.

Every comparison of a distance with a radius is `<=`: a copy of a picture lies inside that picture's ball even where its radius is 0. (The
`prdc` package says `<` and finds precision 0 for a set of duplicates against itself.)
"""

from dataclasses import dataclass, fields

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.kernel import KernelMean, by_moments
from imgcollapse.metrics.nearest import Neighbours
from imgcollapse.metrics.tiles import BLUR, SURE, Pairs, Tile

GROWTH = 1.2  # of the mean distance to the k-th neighbour: the one radius of probabilistic precision and recall (Park & Kim: a)
SLACK = 1e-9  # relative: two computations of one distance must not differ by which side of the radius they round to
TINY = 1e-300  # in place of the square of a radius of 0: then copies alone lie in a ball
FEW = 256  # float32 factors in a product: of a thousand it would come among the denormal numbers, which are slow
FINEST = 1e30  # units in a squared radius of probabilistic precision and recall, at most: nothing beyond it is a number in float32


@dataclass(frozen=True)
class Radii:
    """Of the balls around the pictures of a set.

    precision:     float64 [N], for improved precision and recall
    coverage:      float64 [N], for density and coverage
    probabilistic: one for all balls, for probabilistic precision and recall
    """

    precision: Tensor
    coverage: Tensor
    probabilistic: float


@dataclass(frozen=True)
class PairStatistics:
    """The statistics of all pairs of one of N held-out (real) and one of M generated (made) pictures; all tensors on the CPU.

    precise_M:      bool, whether a sample lies in some real picture's ball for precision
    recalled_N:     bool, whether a real picture lies in some sample's ball for precision
    covered_N:      bool, whether some sample lies in a real picture's ball for coverage
    complement_M:   bool, whether some real picture lies in a sample's own ball for precision
    complement_N:   bool, whether some sample lies in a real picture's own ball for precision
    inside_M:       int64, number of real pictures' balls for coverage that a sample lies in
    nearest_real_M: float64, distance of a sample to its nearest real picture
    likely_M:       float64, probability that a sample lies in the support of the real pictures, see `probabilistic_precision_recall`
    likely_N:       float64, probability that a real picture lies in the support of the samples
    kernel:         mean of KID's kernel over all pairs; None where it is had from moments (`by_moments`)
    """

    precise_M: Tensor
    recalled_N: Tensor
    covered_N: Tensor
    complement_M: Tensor
    complement_N: Tensor
    inside_M: Tensor
    nearest_real_M: Tensor
    likely_M: Tensor
    likely_N: Tensor
    kernel: float | None

    def repeated(self, real_N: Tensor, made_M: Tensor, kernel: float | None) -> "PairStatistics":
        """The same of sets whose pictures are these, some of them several times: int64, which one each is; with their own kernel's mean."""
        found = {part.name: getattr(self, part.name) for part in fields(self)}
        for name, value in found.items():
            if name != "kernel":
                found[name] = value[made_M if name.endswith("_M") else real_N]
        return PairStatistics(**found | {"kernel": kernel})


class Balls:
    """Balls around the pictures of one side, the rows of the tiles (generated) or the columns (real), and what of the other lies in them.

    filled: bool, of each ball, whether anything lies in it
    inside: bool, of each picture of the other side, whether it lies in a ball; where pairs are counted it is left aside
    count:  int64, of each picture of the other side, the number of balls it lies in, where they are counted (of the columns' balls only)
    """

    def __init__(self, pairs: Pairs, radius: Tensor, rows: bool, counted: bool = False) -> None:
        self._rows, self._counted = rows, counted
        ours, others = (pairs.x_N, pairs.y_M) if rows else (pairs.y_M, pairs.x_N)
        self._limit = torch.maximum(radius.square() * (1 + SLACK), BLUR * pairs.unit * ours)
        limit = self._limit / pairs.unit
        error = pairs.x_error(limit) if rows else pairs.y_error(limit)
        self._limit32, self._slope, self._offset = limit.float(), (1 / error).float(), (-limit / error).float()
        self.filled, self.inside = torch.zeros_like(ours, dtype=torch.bool), torch.zeros_like(others, dtype=torch.bool)
        self.count = torch.zeros_like(others, dtype=torch.int64)

    def look(self, tile: Tile) -> None:
        """Find what lies in the balls; float32 decides where it can. Writes over `spare_bc`, and where it counts over `products_bc`."""
        ours, others = (tile.rows, tile.columns) if self._rows else (tile.columns, tile.rows)
        filled, inside = self.filled[ours], self.inside[others]
        least = torch.addcmul(self._offset[ours], tile.least_b if self._rows else tile.least_c, self._slope[ours])
        filled |= least < -SURE
        above_bc = self._above(tile)
        i_P, j_P = _open(above_bc, least.masked_fill(filled, torch.inf), dim=0 if self._rows else 1)
        within_P = self._hold(tile, i_P, j_P)
        filled[(i_P if self._rows else j_P)[within_P]] = True
        if self._counted:
            # 1 for what is inside, 0 for what is not: five times as fast as comparing and counting
            self.count[others] += torch.mul(above_bc, -1e30, out=tile.products_bc).clamp_(0, 1).sum(1).long()
            i_P, j_P = _open(above_bc, torch.abs(above_bc, out=tile.products_bc).amin(1), dim=0)
            self.count[others].index_add_(0, i_P, self._hold(tile, i_P, j_P).long() - (above_bc[i_P, j_P] < 0).long())
            return
        least = above_bc.amin(0 if self._rows else 1)
        inside |= least < -SURE
        i_P, j_P = _open(above_bc, least.masked_fill(inside, torch.inf), dim=1 if self._rows else 0)
        within_P = self._hold(tile, i_P, j_P)
        inside[(j_P if self._rows else i_P)[within_P]] = True

    def _above(self, tile: Tile) -> Tensor:
        """float32 [b, c]: by how many times its error bound a pair is farther apart than the ball's radius."""
        if self._rows:
            above_bc = torch.sub(tile.apart_bc, self._limit32[tile.rows, None], out=tile.spare_bc)
            return above_bc.mul_(self._slope[tile.rows, None])
        return torch.addcmul(self._offset[tile.columns], tile.apart_bc, self._slope[tile.columns], out=tile.spare_bc)

    def _hold(self, tile: Tile, i_P: Tensor, j_P: Tensor) -> Tensor:
        """bool [P], in float64."""
        return tile.exact(i_P, j_P) <= (self._limit[tile.rows][i_P] if self._rows else self._limit[tile.columns][j_P])


def _open(above_bc: Tensor, least: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """int64 [P] and [P]: rows and columns of the pairs that float32 leaves open, in the rows (dim 0) or columns whose least is open."""
    chosen_R = (least.abs() <= SURE).nonzero().squeeze(1)
    i_P, j_P = (above_bc.index_select(dim, chosen_R).abs() <= SURE).nonzero(as_tuple=True)
    return (chosen_R[i_P], j_P) if dim == 0 else (i_P, chosen_R[j_P])


def pair_statistics(real_ND: Tensor, made_MD: Tensor, real: Radii, made: Radii) -> PairStatistics:
    """One pass over all pairs: what each picture has of the other set within its radii, its nearest real picture, KID's kernel."""
    n, m = len(real_ND), len(made_MD)
    pairs = Pairs(made_MD, real_ND, real_ND.mean(0))
    coverage = Balls(pairs, real.coverage, rows=False, counted=True)
    precision = Balls(pairs, real.precision, rows=False)
    own = Balls(pairs, made.precision, rows=True)
    kernel = None if by_moments(real_ND) else KernelMean(pairs)
    neighbours = Neighbours(pairs, 1)
    real_scale, made_scale = (min(FINEST, pairs.unit / max(radii.probabilistic**2, TINY)) for radii in (real, made))
    missed_M, missed_N = real_ND.new_ones(m), real_ND.new_ones(n)  # squared probability of lying in no ball

    for tile in pairs.tiles():
        g, r = tile.rows, tile.columns
        neighbours.take(g, r.start, tile.apart_bc, tile.least_b)
        if kernel is not None:
            kernel.add(tile)
        for balls in (coverage, precision, own):
            balls.look(tile)
        for part_bc in torch.mul(tile.apart_bc, real_scale, out=tile.spare_bc).clamp_(max=1).split(FEW, dim=1):
            missed_M[g] *= part_bc.prod(1)
        for part_bc in torch.mul(tile.apart_bc, made_scale, out=tile.spare_bc).clamp_(max=1).split(FEW, dim=0):
            missed_N[r] *= part_bc.prod(0)

    return PairStatistics(
        precise_M=precision.inside.cpu(),
        recalled_N=own.inside.cpu(),
        covered_N=coverage.filled.cpu(),
        complement_M=own.filled.cpu(),
        complement_N=precision.filled.cpu(),
        inside_M=coverage.count.cpu(),
        nearest_real_M=neighbours.kth(1)[0].cpu(),
        likely_M=(1 - missed_M.sqrt()).cpu(),
        likely_N=(1 - missed_N.sqrt()).cpu(),
        kernel=None if kernel is None else kernel.mean(),
    )
