"""What a metric may see: features and classes, never pictures, paths or models."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from imgcollapse.metrics.kernel import mean_within
from imgcollapse.metrics.nearest import kth_distance


@dataclass(frozen=True, eq=False)
class Seen:
    """One set of pictures as an extractor sees it. What is costly is computed at first use and kept, so that real sets pay once.

    features: float64 [N, D]
    classes:  int64 [N], the class found by the extractor's classifier, or NO_CLASS where it is not confident; None where it has none
    """

    features: Tensor
    classes: Tensor | None = None
    _radii: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        assert self.features.dtype == torch.float64 and self.features.ndim == 2, (self.features.dtype, self.features.shape)
        assert self.classes is None or self.classes.shape == (len(self),), self.classes

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def mean(self) -> Tensor:
        """float64 [D]."""
        return self.features.mean(0)

    @cached_property
    def factor(self) -> Tensor:
        """float64 [min(N, D), D], R with R^T R = the unbiased covariance; from the features themselves, as squaring halves the digits."""
        x_ND = (self.features - self.mean) / max(1, len(self) - 1) ** 0.5
        return torch.linalg.qr(x_ND, mode="r").R

    @cached_property
    def kernel_within(self) -> float:
        """Mean of KID's kernel over all pairs of different pictures."""
        return mean_within(self.features)

    def radii(self, k: int) -> Tensor:
        """float64 [N]: distance of each picture to its k-th nearest neighbour among the others."""
        if k not in self._radii:
            self._radii[k] = kth_distance(self.features, k)
        return self._radii[k]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the metrics of one generation are computed from; the three sets hold N pictures each.

    train:       real pictures of the training part
    held_out:    real pictures that no model has learned from: the reference
    generated:   the generation's samples (for the floor: other real pictures, from the training part)
    real_shares: float64 [classes], share of each class among all real training pictures, by their true labels; None without classes
    false_hits:  float64 [classes], bound for the rate at which the classifier takes confident pictures of other classes for this one
    k:           number of nearest neighbours for precision, recall, density and coverage
    """

    train: Seen
    held_out: Seen
    generated: Seen
    real_shares: Tensor | None = None
    false_hits: Tensor | None = None
    k: int = 5
