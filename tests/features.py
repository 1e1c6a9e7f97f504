"""Features to measure, and what is asked of series of measurements."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def normal(n: int, d: int, seed: int) -> Tensor:
    """float64 [n, d] from the standard normal distribution."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def apart(x_ND: Tensor, y_MD: Tensor) -> NDArray[np.float64]:
    """float64 [N, M]: distances from differences, so without cancellation."""
    return np.sqrt(np.square(x_ND.numpy()[:, None] - y_MD.numpy()[None]).sum(2))


def sure(count: int, pictures: int = 10**6) -> Tensor:
    """int64 [count, count + 1]: the confusions of a classifier that is sure and right in so many pictures of each class."""
    return torch.nn.functional.one_hot(torch.arange(count), count + 1) * pictures


def falls(values: Sequence[float]) -> bool:
    """Whether each value is lower than the one before."""
    return all(later < before for before, later in pairwise(values))


def rises(values: Sequence[float]) -> bool:
    """Whether each value is higher than the one before."""
    return all(later > before for before, later in pairwise(values))
