"""What a metric may see: features and classes, never pictures, paths or models."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.gated import Gated
from imgcollapse.metrics.kernel import kernel_mean
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

    @cached_property
    def different(self) -> tuple["FeatureSet", Tensor]:
        """The pictures that are different, in order (the set itself where none is repeated), and int64 [N], which of them each one is.

        Repeats are rows that are equal bit for bit. They are looked for only where the pass over the pairs found two at distance 0.
        """
        itself = self, torch.arange(len(self), device=self.features.device)
        if len(self) < 2 or self.radii(1).all():
            return itself
        group_N = torch.unique(self.features, dim=0, return_inverse=True)[1]
        first_N = torch.full_like(itself[1], len(self)).scatter_reduce(0, group_N, itself[1], "amin")[group_N]
        kept_M = first_N.unique()
        return (FeatureSet(self.features[kept_M]), torch.searchsorted(kept_M, first_N)) if len(kept_M) < len(self) else itself

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
    held_out:          of the first N held-out pictures, by the generation's own model
    first_of_held_out: of these (to the judge, of all held-out pictures), by the model of generation 0
    first_of_samples:  of the generation's samples, by the model of generation 0
    codes:             of those held-out pictures, by a model that has such: float64 [N, latent], means of the latent codes, and
                       float64 [N], mean squared errors of what it makes of them, pixels in 0..1
    """

    dimensions: int
    held_out: Tensor | None
    first_of_held_out: Tensor | None
    first_of_samples: Tensor | None
    codes: tuple[Tensor, Tensor] | None = None

    @property
    def of_held_out(self) -> Tensor | None:
        """What is said of all held-out pictures; None: nothing."""
        return self.first_of_held_out

    def compared(self, n: int) -> "Likelihoods":
        """Those that are compared: of the first n held-out pictures."""
        first = self.first_of_held_out
        return replace(self, first_of_held_out=None if first is None else first[:n])

    def between_real(self, samples: Tensor, held_out: Tensor) -> "Likelihoods":
        """Those of a real-vs-real value: held-out pictures in place of samples, generation 0's model in place of the own one.

        samples, held_out: int64 [N], rows of the pictures that stand for these
        """
        assert self.first_of_held_out is not None
        made_N = self.first_of_held_out[samples]
        return Likelihoods(self.dimensions, made_N, self.first_of_held_out[held_out], made_N)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the metrics of one generation are computed from; all sets hold N pictures, but for `drawn`.

    train:           real pictures of the training part
    held_out:        real pictures that no model has learned from: the reference
    generated:       the generation's samples (for real vs real: other held-out pictures)
    drawn:           int64 [drawn] on the CPU, as `FeatureSet.classes`, of all that was drawn, of which `generated` are the first N (for
                     real vs real: of as many real pictures); None: those of `generated`
    real_shares:     float64 [classes], share of each class among all real training pictures, by their true labels; None without classes
    confusion:       int64 [classes, classes + 1], of all held-out pictures: row true class, column class found, the last one NO_CLASS
    learned:         pictures of the generation's own training set; None where it is not known
    copies:          bool [N] on the CPU, whether a sample is pixel for pixel a picture of the whole real training part; None where unknown
    learned_copies:  the same of the generation's whole own training set
    likelihoods:     what the models themselves say; None where that is not asked
    bands:           where features are logarithms of a picture's power by wavelength: the shortest wave of each, in pixels; else empty
    gated:           what one gate did to the samples; None where that is not asked
    k:               nearest neighbours for density and coverage
    k_precision:     nearest neighbours for (improved and symmetric) precision and recall
    k_probabilistic: nearest neighbours for probabilistic precision and recall
    """

    train: FeatureSet
    held_out: FeatureSet
    generated: FeatureSet
    real_shares: Tensor | None = None
    confusion: Tensor | None = None
    _: KW_ONLY  # what may be there or not is given by name
    learned: FeatureSet | None = None
    drawn: Tensor | None = None
    copies: Tensor | None = None
    learned_copies: Tensor | None = None
    likelihoods: Likelihoods | None = None
    bands: tuple[int, ...] = ()
    gated: Gated | None = None
    k: int = 5
    k_precision: int = 3
    k_probabilistic: int = 4

    @cached_property
    def pair_statistics(self) -> PairStatistics:
        """What one pass over all pairs of a generated and a held-out picture finds; all neighbour metrics read from it.

        A set's support is that of its different pictures (`different`): the balls are theirs, each there once, and their radii reach to the
        k-th nearest different one. What is said of pictures is said of all of them, repeats too.
        """
        for pictures in (self.held_out, self.generated):
            self._one_pass(pictures)
        (real, real_N), (made, made_M) = self.held_out.different, self.generated.different
        found = pair_statistics(real.features, made.features, self._radii(real), self._radii(made))
        if len(real) == len(self.held_out) and len(made) == len(self.generated):
            return found
        kernel = None if found.kernel is None else kernel_mean(self.generated.features, self.held_out.features)
        return found.repeated(real_N.cpu(), made_M.cpu(), kernel)

    def _one_pass(self, pictures: FeatureSet) -> None:
        """For the radii of every kind, rather than a pass for each."""
        pictures.own_pairs(max(self.k, self.k_precision, self.k_probabilistic))

    def _radii(self, different: FeatureSet) -> Radii:
        if max(self.k, self.k_precision, self.k_probabilistic) < len(different):
            self._one_pass(different)

        def radii(k: int) -> Tensor:
            """Of at most k different pictures none has a k-th neighbour: they span nothing that could be known, and balls hold copies."""
            return different.radii(k) if k < len(different) else different.features.new_zeros(len(different))

        return Radii(radii(self.k_precision), radii(self.k), GROWTH * float(radii(self.k_probabilistic).mean()))

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
    from scipy import stats

    confident = confusion[:, :-1]
    bounds = []
    for c in range(len(confident)):
        hits = int(confident[:, c].sum() - confident[c, c])
        n = int(confident.sum() - confident[c].sum())
        bounds.append(stats.beta.ppf(LEVEL, hits + 0.5, n - hits + 0.5))
    return torch.tensor(bounds, dtype=torch.float64)
