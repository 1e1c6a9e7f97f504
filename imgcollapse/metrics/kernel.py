"""The kernel of KID, k(x, y) = (x.y / D + 1)^3, summed over all pairs in O(block x N) memory."""

import torch
from torch import Tensor

BLOCK = 128  # rows of the kernel matrix that are in memory at once: few enough to stay in the processor's cache


def mean_between(x_ND: Tensor, y_MD: Tensor) -> float:
    """Mean of k over all N x M pairs."""
    return _total(x_ND, y_MD) / (len(x_ND) * len(y_MD))


def mean_within(x_ND: Tensor) -> float:
    """Mean of k over all N (N - 1) pairs of different rows: leaving out k(x, x) makes it unbiased."""
    n, d = x_ND.shape
    own = float((x_ND.square().sum(1) / d + 1).pow(3).sum())
    return (_total(x_ND, x_ND) - own) / (n * (n - 1))


def _total(x_ND: Tensor, y_MD: Tensor) -> float:
    one = x_ND.new_ones(())
    return sum(float(torch.addmm(one, x_bD, y_MD.T, alpha=1 / x_ND.shape[1]).pow_(3).sum()) for x_bD in x_ND.split(BLOCK))
