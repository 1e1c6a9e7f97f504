"""What a metric may see: features and classes, never pictures, paths or models."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

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
    def covariance(self) -> Tensor:
        """float64 [D, D], unbiased."""
        x_ND = self.features - self.mean
        return x_ND.T @ x_ND / max(1, len(self) - 1)

    @cached_property
    def root_covariance(self) -> Tensor:
        """float64 [D, D]: the symmetric square root of the covariance."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return (vectors * values.clamp(min=0).sqrt()) @ vectors.T

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
    false_hits:  float64 [classes], rate at which the classifier confidently finds a class in held-out pictures of other classes
    k:           number of nearest neighbours for precision, recall, density and coverage
    """

    train: Seen
    held_out: Seen
    generated: Seen
    real_shares: Tensor | None = None
    false_hits: Tensor | None = None
    k: int = 5
