"""The kernel of KID, k(x, y) = (x.y / D + 1)^3, from squared distances, so that one product of two sets serves neighbours and kernel.

As x.y = (|x|^2 + |y|^2 - |x - y|^2) / 2, it is k = (h(x) + h(y) - |x - y|^2 / 2D)^3 with h(x) = (|x|^2 / D + 1) / 2.
"""

import torch
from torch import Tensor


def half_root(x_ND: Tensor) -> Tensor:
    """float64 [N], what one picture alone adds to the root of the kernel: (|x|^2 / D + 1) / 2."""
    return (x_ND.square().sum(1) / x_ND.shape[1] + 1) / 2


def kernel(apart_bc: Tensor, half_b: Tensor, half_c: Tensor, d: int, out: Tensor) -> Tensor:
    """k of every pair of a tile of squared distances, written into `out`."""
    root_bc = torch.add(half_b[:, None], half_c, out=out).sub_(apart_bc, alpha=1 / (2 * d))
    return root_bc.pow_(3)
