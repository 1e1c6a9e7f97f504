"""What one pass over all pairs of a generated and a held-out picture finds: all that neighbour metrics and KID need of them.

Every comparison of a distance with a radius is `<=`: a copy of a picture lies inside that picture's ball even where duplicates have made
its radius 0. (The `prdc` package says `<` and finds precision 0 for a set of duplicates against itself.)
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from imgcollapse.metrics.kernel import half_root, kernel
from imgcollapse.metrics.nearest import TILE, blur, tiles

GROWTH = 1.2  # of the mean distance to the k-th neighbour: the one radius of probabilistic precision and recall (Park & Kim: a)
SLACK = 1e-9  # relative: two computations of one distance must not differ by which side of the radius they round to
TINY = 1e-300  # in place of the square of a radius of 0: then copies alone lie in a ball


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
class Near:
    """The outcome for N held-out (real) and M generated (made) pictures; all tensors on the CPU.

    precise_M:      bool, whether a sample lies in some real picture's ball for precision
    recalled_N:     bool, whether a real picture lies in some sample's ball for precision
    covered_N:      bool, whether some sample lies in a real picture's ball for coverage
    complement_M:   bool, whether some real picture lies in a sample's own ball for precision
    complement_N:   bool, whether some sample lies in a real picture's own ball for precision
    inside:         number of pairs with the sample in the real picture's ball for coverage
    nearest_real_M: float64, distance of a sample to its nearest real picture
    likely_M:       float64, probability that a sample lies in the support of the real pictures, see `probabilistic_precision_recall`
    likely_N:       float64, probability that a real picture lies in the support of the samples
    kernel:         mean of KID's kernel over all pairs
    """

    precise_M: Tensor
    recalled_N: Tensor
    covered_N: Tensor
    complement_M: Tensor
    complement_N: Tensor
    inside: int
    nearest_real_M: Tensor
    likely_M: Tensor
    likely_N: Tensor
    kernel: float


def near(real_ND: Tensor, made_MD: Tensor, real: Radii, made: Radii) -> Near:
    """The pass."""
    n, m, d = len(real_ND), len(made_MD), real_ND.shape[1]
    centre_D = real_ND.mean(0)
    blur_N, blur_M = blur(real_ND, centre_D), blur(made_MD, centre_D)
    half_N, half_M, total = half_root(real_ND), half_root(made_MD), real_ND.new_zeros(())
    precision_N, coverage_N = (_limit(radius_N, blur_N) for radius_N in (real.precision, real.coverage))
    precision_M = _limit(made.precision, blur_M)
    nearest_M, nearest_N = real_ND.new_full((m,), torch.inf), real_ND.new_full((n,), torch.inf)
    above_M, above_N = nearest_M.clone(), nearest_N.clone()  # by how much the ball that comes nearest misses the picture
    real_scale, made_scale = (1 / max(radii.probabilistic**2, TINY) for radii in (real, made))
    missed_M, missed_N = real_ND.new_ones(m), real_ND.new_ones(n)  # squared probability of lying in no ball
    inside = torch.zeros((), dtype=torch.int64, device=real_ND.device)

    for g, r, apart_bc, spare_bc in tiles(made_MD, real_ND, centre_D, TILE, TILE):
        nearest_M[g] = torch.minimum(nearest_M[g], apart_bc.amin(1))
        nearest_N[r] = torch.minimum(nearest_N[r], apart_bc.amin(0))
        above_M[g] = torch.minimum(above_M[g], torch.sub(apart_bc, precision_N[r], out=spare_bc).amin(1))
        above_N[r] = torch.minimum(above_N[r], torch.sub(apart_bc, precision_M[g, None], out=spare_bc).amin(0))
        inside += torch.count_nonzero(apart_bc <= coverage_N[r])
        missed_M[g] *= torch.mul(apart_bc, real_scale, out=spare_bc).clamp_(0, 1).prod(1)
        missed_N[r] *= torch.mul(apart_bc, made_scale, out=spare_bc).clamp_(0, 1).prod(0)
        total += kernel(apart_bc, half_M[g], half_N[r], d, out=spare_bc).sum()

    copied_M, copied_N = nearest_M <= blur_M, nearest_N <= blur_N
    return Near(
        precise_M=(above_M <= 0).cpu(),
        recalled_N=(above_N <= 0).cpu(),
        covered_N=(nearest_N <= coverage_N).cpu(),
        complement_M=(nearest_M <= precision_M).cpu(),
        complement_N=(nearest_N <= precision_N).cpu(),
        inside=int(inside),
        nearest_real_M=torch.where(copied_M, 0.0, nearest_M).sqrt().cpu(),
        likely_M=torch.where(copied_M, 1.0, 1 - missed_M.sqrt()).cpu(),
        likely_N=torch.where(copied_N, 1.0, 1 - missed_N.sqrt()).cpu(),
        kernel=float(total) / (n * m),
    )


def _limit(radius_N: Tensor, blur_N: Tensor) -> Tensor:
    """The squared distances that a ball holds, with room for the rounding error of both sides."""
    return torch.maximum(radius_N.square() * (1 + SLACK), blur_N)
