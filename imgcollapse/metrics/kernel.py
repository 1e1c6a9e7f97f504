"""The mean of KID's kernel, k(x, y) = (x.y / D + 1)^3, over all pairs of two sets: by third moments, or beside a pass over the pairs.

Of many pictures in few dimensions the moments are cheaper, and exact. With z = (x / sqrt(D), 1) it is k = (z.z')^3, the inner product of
the third powers (all products z_i z_j z_k) of both pictures, so that the sum over all pairs is that of the third moments of the two sets.

Otherwise the sum is taken over the pairs, beside the pass that looks at their distances. With c the common centre, u = x - c,
w = y - c and t = u.w / D, the root x.y / D + 1 is f(x) + g(y) + t with f(x) = u.c / D and g(y) = w.c / D + c.c / D + 1. Of
(f + g + t)^3 = (f + g)^3 + 3 (f + g)^2 t + 3 (f + g) t^2 + t^3 the first two are sums over single pictures, in float64. Only t^2 and
t^3, which are small beside them, need the pairs: their float32 errors are without sign and of about 1e-7 of a pair's, so that the sum over
all pairs keeps ten digits of the kernel's mean.
"""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.tiles import BLOCK, Pairs, Tile

MOMENTS = 128  # features up to which third moments are looked at: they take memory in D^3


def by_moments(x_ND: Tensor) -> bool:
    """Whether the mean of the kernel is had from third moments rather than from the pass over the pairs.

    Measured, both take as long at about N = D^2.
    """
    n, d = x_ND.shape
    return d <= MOMENTS and n > d**2


def third_moments(x_ND: Tensor) -> Tensor:
    """float64 [P], P of about D^3 / 3: sums over the pictures of the products z_i z_j z_k, with the roots of how often each occurs.

    The inner product of two sets' is the sum of the kernel over all their pairs.
    """
    z_NE = torch.cat([x_ND / x_ND.shape[1] ** 0.5, torch.ones_like(x_ND[:, :1])], 1)
    found = []
    for i in range(z_NE.shape[1]):  # i <= j, k: one i, two (which stand in the row and in the column), or three
        block_JK = (z_NE[:, i, None] * z_NE[:, i:]).T @ z_NE[:, i:]
        block_JK *= 3**0.5
        block_JK[0] *= 0.5**0.5
        block_JK[:, 0] *= 0.5**0.5
        block_JK[0, 0] *= (4 / 3) ** 0.5
        found.append(block_JK.flatten())
    return torch.cat(found)


class KernelMean:
    """Sums up the tiles of all pairs of x and y, or with `same` of all pairs of different pictures of one set."""

    def __init__(self, pairs: Pairs, same: bool = False) -> None:
        self.pairs, self.same = pairs, same
        self.f_N, self._f_3D = _alone(pairs.x_ND, pairs.centre_D, 0.0)
        self.g_M, self._g_3D = _alone(pairs.y_MD, pairs.centre_D, float(pairs.centre_D @ pairs.centre_D) / len(pairs.centre_D) + 1)
        self._squares = self._cubes = pairs.x_ND.new_zeros(())  # sums of 3 (f + g) p^2 and of p^3, p the products in units

    def add(self, tile: Tile, twice: bool = False) -> None:
        """A tile; `twice` where it stands for its mirror image as well. Writes over `spare_bc`."""
        f_b, g_c = self.f_N[tile.rows], self.g_M[tile.columns]
        power_bc = torch.mul(tile.products_bc, tile.products_bc, out=tile.spare_bc)
        if self.same and not twice:
            power_bc.fill_diagonal_(0)
        if twice:  # (f + g)(i, j) + (f + g)(j, i)
            f_b, g_c = f_b + self.g_M[tile.rows], g_c + self.f_N[tile.columns]
        self._squares = self._squares + 3 * (f_b @ power_bc.sum(1).double() + g_c @ power_bc.sum(0).double())
        self._cubes = self._cubes + (2 if twice else 1) * power_bc.mul_(tile.products_bc).sum(1).double().sum()

    def mean(self) -> float:
        """The mean over the pairs."""
        f_N, g_M, n, m, d = self.f_N, self.g_M, len(self.f_N), len(self.g_M), len(self.pairs.centre_D)
        f, g = ([float((z_N**power).sum()) for power in range(4)] for z_N in (f_N, g_M))
        f_3D, g_3D, step = self._f_3D, self._g_3D, self.pairs.unit / d
        total = m * f[3] + 3 * f[2] * g[1] + 3 * f[1] * g[2] + n * g[3]
        total += 3 / d * float(f_3D[2] @ g_3D[0] + 2 * f_3D[1] @ g_3D[1] + f_3D[0] @ g_3D[2])
        total += float(self._squares) * step**2 + float(self._cubes) * step**3
        if not self.same:
            return total / (n * m)
        root_N, own_N = f_N + g_M, self.pairs.x_N * step  # of a picture with itself, whose t^2 and t^3 are not in the sums
        return (total - float((root_N**3 + 3 * root_N**2 * own_N).sum())) / (n * (n - 1))


def kernel_mean(x_ND: Tensor, y_MD: Tensor) -> float:
    """The mean over all pairs of two sets, in a pass of its own."""
    kernel = KernelMean(pairs := Pairs(x_ND, y_MD, y_MD.mean(0)))
    for tile in pairs.tiles():
        kernel.add(tile)
    return kernel.mean()


def _alone(x_ND: Tensor, centre_D: Tensor, constant: float) -> tuple[Tensor, Tensor]:
    """float64 [N] and [3, D]: f = u.c / D + constant of each picture, and the sums of u, f u and f^2 u over the pictures."""
    found, sums_3D = [], x_ND.new_zeros(3, x_ND.shape[1])
    for x_bD in x_ND.split(BLOCK):
        u_bD = x_bD - centre_D
        f_b = u_bD @ centre_D / len(centre_D) + constant
        sums_3D += torch.stack([torch.ones_like(f_b), f_b, f_b.square()]) @ u_bD
        found.append(f_b)
    return torch.cat(found), sums_3D
