"""What a metric may see: features and classes, never pictures, paths or models."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import torch
from scipy import stats
from torch import Tensor

from imgcollapse.metrics.nearest import OwnPairStatistics
from imgcollapse.metrics.pairs import GROWTH, PairStatistics, Radii, pair_statistics

NO_CLASS = -1  # a picture in which the classifier finds no class with confidence
LEVEL = 0.95  # of every interval and bound
REACH = 5  # nearest neighbours that a pass finds at least; looking for more than these repeats it
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """One set of pictures as an extractor sees it. What is costly is computed at first use and kept, so that real sets pay once.

    features: float64 [N, D], on the CPU or a GPU
    classes:  int64 [N] on the CPU, the class found by the extractor's classifier, or NO_CLASS where it is not confident; None where it has
              none
    labels:   int64 [N] on the CPU, the true classes of real pictures; None where they are not known
    """

    features: Tensor
    classes: Tensor | None = None
    labels: Tensor | None = None
    _passes: list[OwnPairStatistics] = field(default_factory=list, repr=False)
    _once: dict[Callable[["FeatureSet"], Any], Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        assert self.features.dtype == torch.float64 and self.features.ndim == 2, (self.features.dtype, self.features.shape)
        assert self.classes is None or self.classes.shape == (len(self),), self.classes
        assert self.labels is None or self.labels.shape == (len(self),), self.labels

    def __len__(self) -> int:
        return len(self.features)

    def first(self, n: int) -> "FeatureSet":
        """The first n pictures."""
        classes = None if self.classes is None else self.classes[:n]
        return FeatureSet(self.features[:n], classes, None if self.labels is None else self.labels[:n])

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
    def factor(self) -> Tensor:
        """float64 [min(N, D), D], R with R^T R = the unbiased covariance; from the features themselves, as squaring halves the digits."""
        x_ND = (self.features - self.mean) / max(1, len(self) - 1) ** 0.5
        return torch.linalg.qr(x_ND, mode="r").R

    def own_pairs(self, k: int) -> OwnPairStatistics:
        """What one pass over all pairs of these pictures finds, with the distances to k neighbours or more."""
        if not self._passes or not self._passes[-1].neighbours.reaches(k):
            self._passes.append(OwnPairStatistics(self.features, max(k, min(REACH, len(self) - 1))))
        return self._passes[-1]

    def radii(self, k: int) -> Tensor:
        """float64 [N]: distance of each picture to its k-th nearest neighbour among the others."""
        assert 1 <= k < len(self), f"k = {k} neighbours need more than {k} pictures, there are {len(self)}"
        return self.own_pairs(k).radii(k)

    def once(self, measure: Callable[["FeatureSet"], Found]) -> Found:
        """What a function finds in this set, computed at first use and kept: a metric's own costly part for the real pictures."""
        if measure not in self._once:
            self._once[measure] = measure(self)
        return self._once[measure]


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """What the models of a chain say of pictures: float64 [N] on the CPU, log-likelihoods in nats; None where a model is not kept.

    dimensions:        values of a picture, C * H * W
    held_out:          of the held-out pictures, by the generation's own model
    first_of_held_out: of the same, by the model of generation 0
    first_of_samples:  of the generation's samples, by the model of generation 0
    """

    dimensions: int
    held_out: Tensor | None
    first_of_held_out: Tensor | None
    first_of_samples: Tensor | None

    @property
    def of_real(self) -> "Likelihoods":
        """Those of the real-vs-real values: held-out pictures in place of samples, generation 0's model in place of the own one."""
        real_N = self.first_of_held_out
        return Likelihoods(self.dimensions, real_N, real_N, real_N)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the metrics of one generation are computed from; all sets hold N pictures, but for `drawn`.

    train:           real pictures of the training part
    held_out:        real pictures that no model has learned from: the reference
    generated:       the generation's samples (for the floor: other real pictures)
    drawn:           int64 [drawn] on the CPU, as `FeatureSet.classes`, of all that was drawn, of which `generated` are the first N (for the
                     floor: of as many other real pictures); None: those of `generated`
    real_shares:     float64 [classes], share of each class among all real training pictures, by their true labels; None without classes
    confusion:       int64 [classes, classes + 1], of all held-out pictures: row true class, column class found, the last one NO_CLASS
    learned:         pictures of the generation's own training set; None where it is not known
    copies:          bool [N] on the CPU, whether a sample is pixel for pixel a picture of the whole real training part; None where unknown
    learned_copies:  the same of the generation's whole own training set
    likelihoods:     what the models themselves say; None where that is not asked
    k:               nearest neighbours for density and coverage
    k_precision:     nearest neighbours for (improved and symmetric) precision and recall
    k_probabilistic: nearest neighbours for probabilistic precision and recall
    """

    train: FeatureSet
    held_out: FeatureSet
    generated: FeatureSet
    real_shares: Tensor | None = None
    confusion: Tensor | None = None
    learned: FeatureSet | None = None
    drawn: Tensor | None = None
    copies: Tensor | None = None
    learned_copies: Tensor | None = None
    likelihoods: Likelihoods | None = None
    k: int = 5
    k_precision: int = 3
    k_probabilistic: int = 4

    @cached_property
    def pair_statistics(self) -> PairStatistics:
        """What one pass over all pairs of a generated and a held-out picture finds; all neighbour metrics and KID read from it."""
        real, made = self.held_out, self.generated
        return pair_statistics(real.features, made.features, self._radii(real), self._radii(made))

    def _radii(self, pictures: FeatureSet) -> Radii:
        pictures.own_pairs(max(self.k, self.k_precision, self.k_probabilistic))  # one pass for all three
        probabilistic = GROWTH * float(pictures.radii(self.k_probabilistic).mean())
        return Radii(pictures.radii(self.k_precision), pictures.radii(self.k), probabilistic)

    @property
    def found(self) -> Tensor | None:
        """int64 [drawn], the class found in each picture that was drawn; None where the extractor has no classifier."""
        return self.generated.classes if self.drawn is None else self.drawn

    @cached_property
    def false_hits(self) -> Tensor | None:
        """float64 [classes], bound for the rate at which the classifier takes confident pictures of other classes for this one.

        None where not two classes have held-out pictures: of the only one, no other class's pictures say how often it is hit falsely.
        """
        known = self.confusion is not None and int((self.confusion.sum(1) > 0).sum()) > 1
        return false_hit_rates(self.confusion) if self.confusion is not None and known else None


def confusion_of(classes_N: Tensor, labels_N: Tensor, count: int) -> Tensor:
    """int64 [count, count + 1]: real pictures by their true class (row) and the class found (column; the last one: NO_CLASS)."""
    # By hand: torchmetrics' matrix has no column for pictures of no class, and takes seconds to import. A test compares the two.
    found_N = torch.where(classes_N == NO_CLASS, count, classes_N)
    return torch.bincount(labels_N * (count + 1) + found_N, minlength=count * (count + 1)).reshape(count, count + 1)


def false_hit_rates(confusion: Tensor) -> Tensor:
    """float64 [classes]: an upper bound for the share of class c among confident pictures when all of them are of other classes.

    The 95 % quantile of Beta(k + 1/2, n - k + 1/2), the posterior under Jeffreys' prior after k of n confident real pictures of other
    classes were taken for c. A bound, for an estimate would often be too low by chance, and k = 0 would let a single confused sample
    keep a dead class alive. It averages over the other classes as they are in the real world.
    """
    confident = confusion[:, :-1]
    bounds = []
    for c in range(len(confident)):
        hits = int(confident[:, c].sum() - confident[c, c])
        n = int(confident.sum() - confident[c].sum())
        bounds.append(stats.beta.ppf(LEVEL, hits + 0.5, n - hits + 0.5))
    return torch.tensor(bounds, dtype=torch.float64)
