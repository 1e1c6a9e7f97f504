"""Real vs real: closed forms of what two samples of one distribution score, the range, and what no extractor can learn by heart."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from features import normal
from numpy.typing import NDArray
from torch import Tensor

from imgcollapse import seeds
from imgcollapse.extractors.pixels import FittedPixels
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.judges.judge import Judge, Reference
from imgcollapse.judges.real import SPLITS, of_classes, over_splits
from imgcollapse.machine import devices
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.classes import class_counts
from imgcollapse.metrics.distances import frechet_distance, kernel_distance
from imgcollapse.metrics.evidence import NO_CLASS, confusion_of
from imgcollapse.metrics.neighbours import neighbourhood
from imgcollapse.metrics.record import RealVsReal

pytestmark = pytest.mark.splits

Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def evidence(held_out_ND: Tensor, samples_ND: Tensor, **k: int) -> Evidence:
    held_out = FeatureSet(held_out_ND)
    return Evidence(held_out, held_out, FeatureSet(samples_ND), **k)


def agrees(values: NDArray[np.float64], expected: float, systematic: float = 0.0) -> bool:
    """Whether the mean of independent values is what it should be, within four standard errors."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return bool(abs(values.mean() - expected) <= 4 * error + systematic)


# --- what two samples of one distribution score


def means_over_splits(metric: str, pools: int, n: int, d: int) -> NDArray[np.float64]:
    """float64 [pools]: the mean over the splits of as many independent held-out parts of 2 n normal pictures."""
    measure = {"fd": frechet_distance, "kid": kernel_distance}[metric]
    found = []
    for pool in range(pools):
        x_ND = normal(2 * n, d, pool)
        found.append(over_splits(2 * n, n, lambda some, others, split, x_ND=x_ND: measure(evidence(x_ND[others], x_ND[some])))[metric])
    return np.array([one.mean for one in found])


def expected_fd(n: int, d: int) -> float:
    """Of two samples of n from the standard normal distribution in d dimensions.

    Means: 2 d / n. Covariances, d^2(C1, C2) = |C1 - C2|^2 / 4 to second order around the identity: d (d + 1) / (2 (n - 1)), as the entries
    of a Wishart matrix over its n - 1 degrees have the variance (1 + delta_ij) / (n - 1). Of one dimension exactly: 2 (1 - E[s]^2).
    """
    if d == 1:
        mean = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
        return 2 / n + 2 * (1 - mean**2)
    return 2 * d / n + d * (d + 1) / (2 * (n - 1))


@pytest.mark.parametrize(("n", "d"), [(10, 1), (100, 2), (200, 8), (400, 16)])
def test_the_frechet_distance_of_two_samples_of_one_normal_distribution(n: int, d: int) -> None:
    expected = expected_fd(n, d)
    found = means_over_splits("fd", 10, n, d)
    third_order = 0.0 if d == 1 else expected * d / n
    assert agrees(found, expected, third_order) and found.std(ddof=1) < expected, (found.mean(), expected)


def test_the_kernel_distance_of_two_samples_of_one_distribution_is_0_on_average() -> None:
    found = means_over_splits("kid", 20, 40, 3)
    assert agrees(found, 0) and found.std(ddof=1) > 0


def two_samples(n: int, d: int, draws: int, **k: int) -> dict[str, NDArray[np.float64]]:
    """Precision, recall, density and coverage of n uniform pictures against n others, drawn anew each time."""
    generator = torch.Generator().manual_seed(n + d)
    both = [torch.rand(2 * n, d, generator=generator, dtype=torch.float64) for _ in range(draws)]
    found = [neighbourhood(evidence(x_ND[n:], x_ND[:n], **k)) for x_ND in both]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 5), (8, 3), (64, 5)])
def test_coverage_and_density_of_two_samples_in_any_number_of_dimensions(d: int, k: int) -> None:
    # of the 2 n - 1 other pictures all are equally likely to be the nearest ones: a picture is not covered where the k nearest are real
    n = 30
    uncovered = math.prod((n - 1 - i) / (2 * n - 1 - i) for i in range(k))
    found = two_samples(n, d, 80, k=k)
    assert agrees(found["coverage"], 1 - uncovered)
    assert agrees(found["density"], 1.0)  # a sample is as likely as any real picture to be among the k nearest of n


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_of_two_samples_on_a_line(k: int) -> None:
    """A sample on a line is in no ball of the k real pictures to its left where the nearest of these is farther than half as far as the one
    behind them, with probability 2^-k as they lie uniformly; so to its right. At an end there is one side alone; where a side has 1 to k
    pictures, their balls reach over to the other."""
    n = 20
    outside = (2 * 2**-k + (n - 1 - 2 * k) * 4**-k) / (n + 1)
    found = two_samples(n, 1, 150, k_precision=k)
    assert agrees(found["precision"], 1 - outside) and agrees(found["recall"], 1 - outside)
    assert found["precision"].std(ddof=1) > 0


# --- the range


def fd_of_1d(samples_PN: NDArray[np.float64], held_out_PN: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [P]: of the pictures, numbers, in each row."""
    means, spreads = samples_PN.mean(1) - held_out_PN.mean(1), samples_PN.std(1, ddof=1) - held_out_PN.std(1, ddof=1)
    return np.asarray(means**2 + spreads**2)


def spread_of_1d(samples_PN: NDArray[np.float64], held_out_PN: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(samples_PN.var(1, ddof=1) / held_out_PN.var(1, ddof=1)))


@pytest.mark.parametrize("metric", [fd_of_1d, spread_of_1d])
@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
def test_one_more_set_of_real_pictures_lies_in_the_range_in_95_of_100_cases(draw: str, metric: Measure) -> None:
    n, pools = 50, 3000
    generator = np.random.default_rng(0)
    x_PN, new_PN = getattr(generator, draw)((pools, 2 * n)), getattr(generator, draw)((pools, n))

    def measure(some: Tensor, others: Tensor, split: int) -> Mapping[str, float]:
        return {str(pool): float(value) for pool, value in enumerate(metric(x_PN[:, some.numpy()], x_PN[:, others.numpy()]))}

    ranges = over_splits(2 * n, n, measure).values()
    low_P, high_P = (np.array([getattr(one, end) for one in ranges]) for end in ("low", "high"))
    order = generator.permutation(2 * n)  # a split that is none of the 39
    of_a_split, of_new_ones = (
        np.mean((low_P <= value_P) & (value_P <= high_P))
        for value_P in (metric(x_PN[:, order[:n]], x_PN[:, order[n:]]), metric(new_PN, x_PN[:, :n]))
    )
    error = (0.95 * 0.05 / pools) ** 0.5
    assert abs(of_a_split - (1 - 2 / (SPLITS + 1))) <= 4 * error, of_a_split
    # new pictures are not among those that were parted, which costs a little, of order 1 / n, the more the heavier the tail
    assert abs(of_new_ones - 0.95) <= 4 * error + (0.5 if draw == "standard_normal" else 2.5) / n, of_new_ones


def test_every_split_parts_the_held_out_pictures_in_two_and_all_splits_differ() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def measure(some: Tensor, others: Tensor, split: int) -> Mapping[str, float]:
        assert split == len(seen)
        seen.append((some, others))
        return {"always": float(split)} | ({"at times": 1.0} if split else {})

    found = over_splits(90, 40, measure)
    assert found == {"always": RealVsReal((SPLITS - 1) / 2, 0, SPLITS - 1)}, "what not all splits have is left out"
    assert len(seen) == SPLITS and len({tuple(some.tolist()) for some, _ in seen}) == SPLITS
    for some, others in seen:
        assert len(some) == len(others) == 40 and len(set(some.tolist()) | set(others.tolist())) == 80
    before = list(seen)
    seen.clear()
    over_splits(90, 40, measure)
    assert all(torch.equal(a, b) for one, other in zip(seen, before, strict=True) for a, b in zip(one, other, strict=True)), "for ever"


# --- what an extractor has learned


SIDE, N = 3, 60
CLASSES = ("dark", "light")


def pictures(n: int, place: str) -> ImageSet:
    """Noise, darker or lighter by its class."""
    generator = seeds.torch_generator(seeds.derive(0, "real", place))
    labels = torch.arange(n) % 2
    pixels = torch.randint(0, 150, (n, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return ImageSet.of(pixels + (60 * labels).to(torch.uint8).view(-1, 1, 1, 1), labels)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with devices.use(devices.Machine(device="cpu", data_dir=tmp_path)):
        yield World("dark and light", pictures(10 * N, "train"), pictures(2 * N, "held out"), CLASSES)


class Honest(FittedPixels):
    """Tells the class by how light a picture is, and is as sure as that lets it be."""

    def probabilities(self, features_ND: Tensor) -> Tensor:
        light = ((features_ND.mean(1) - 0.41) * 60).sigmoid()
        return torch.stack([1 - light, light], 1)

    def record(self) -> dict[str, object]:
        return {**super().record(), "digest": type(self).__name__}


class ByHeart(Honest):
    """Knows the pictures of its training part by heart: each is the code of its class to it, and it is sure. Of all others it sees what
    the other sees."""

    def __init__(self, train: ImageSet) -> None:
        super().__init__(train.shape)
        object.__setattr__(self, "known", {int(of): int(label) for of, label in zip(fingerprints(train.pixels), train.labels, strict=True)})

    def features(self, pixels: Tensor) -> Tensor:
        seen = super().features(pixels)
        for row, of in zip(seen, fingerprints(pixels).tolist(), strict=True):
            if of in self.known:
                row.copy_(torch.full_like(row, float(self.known[of])))
        return seen


Found = tuple[dict[str, float], dict[str, RealVsReal]]


def judging(extractor: FittedPixels, world: World, drawn: int = N) -> Callable[[ImageSet], Found]:
    """Gives what the extractor finds in pictures, and what is real vs real."""
    metrics = ("frechet_distance", "neighbourhood", "class_variety", "corrected_shares")
    reference = Reference(Judge(n=N, k=2, metrics=metrics), world, [extractor], drawn)

    def judged(images: ImageSet) -> Found:
        found = reference(images).scores.sources["pixels"]
        return {name: one.value for name, one in found.items()}, {name: one.real for name, one in found.items() if one.real}

    return judged


def test_an_extractor_that_knows_its_training_part_by_heart_moves_nothing_but_what_training_pictures_score(world: World) -> None:
    honest, by_heart = judging(Honest(world.train.shape), world), judging(ByHeart(world.train), world)
    new, known = pictures(N, "drawn"), world.train[:N]
    assert honest(new) == by_heart(new)
    (plain, real), (fooled, same) = honest(known), by_heart(known)
    assert real == same and {"fd", "precision", "recall", "coverage", "confident", "share_0"} <= real.keys()
    for name in ("fd", "precision", "recall", "coverage", "confident"):
        assert real[name].low <= plain[name] <= real[name].high, f"{name}: to an honest one they are real pictures like any others"
    # the old way, training pictures in the place of samples: many times as far as real pictures are, and surer than any
    assert fooled["fd"] > 10 * real["fd"].high and fooled["recall"] < 0.1 < real["recall"].low
    assert fooled["confident"] == 1 > real["confident"].high


def test_copies_score_better_than_real_pictures_so_that_these_are_no_bound(world: World) -> None:
    extractor = Honest(world.train.shape)
    judged = judging(extractor, world)
    copied, real = judged(world.held_out[:N])
    assert copied["fd"] == pytest.approx(0, abs=1e-9) and real["fd"].low > 0
    assert copied["precision"] == 1 > real["precision"].high and copied["coverage"] == 1 > real["coverage"].high
    # those training pictures that are nearest to the held-out ones, as a memory that is looked through for them finds
    apart_NM = torch.cdist(extractor.features(world.held_out[:N].pixels), extractor.features(world.train.pixels))
    near, _ = judged(world.train[apart_NM.argmin(1)])
    assert near["coverage"] > real["coverage"].high and near["precision"] > real["precision"].high


# --- of as many new pictures as were drawn


def errors_of(shares: Tensor, confusion: Tensor, drawn: int) -> tuple[Tensor, Tensor]:
    """float64 [classes + 1], twice: expectation and variance of the share found of each class, of `drawn` pictures drawn from a random half
    of the held-out ones in the shares of the training part.

    With r the rates of the confusion: the mean is q = shares r. The halves draw m = n / 2 of the n held-out pictures of a class without
    replacement, whose rate varies by r (1 - r) n / (n - 1) (1 - m / n) / m; the pictures drawn from a half are a multinomial.
    """
    counts = confusion.sum(1, keepdim=True).double()
    rates = confusion.double() / counts
    of_halves = (shares[:, None] ** 2 * rates * (1 - rates) / (counts - 1)).sum(0)  # n / (n - 1) (1 - 1/2) / (n / 2) = 1 / (n - 1)
    mean = shares @ rates
    return mean, (mean * (1 - mean) - of_halves) / drawn + of_halves


def unseen(found: Tensor, labels: Tensor) -> FeatureSet:
    """Held-out pictures with these classes; what else is seen of them does not matter here."""
    return FeatureSet(torch.zeros(len(found), 1, dtype=torch.float64), found, labels)


@pytest.mark.parametrize("drawn", [40, 300, 5000])
def test_the_classes_of_new_real_pictures_have_the_real_shares_and_spread(drawn: int) -> None:
    """Of a long tail, of which as much is held out of each class, with a classifier that errs and is not always sure; also of many more
    than are held out."""
    shares, repeats = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64), 25
    labels = torch.arange(300) % 3
    generator = torch.Generator().manual_seed(drawn)
    found = torch.where(torch.rand(300, generator=generator) < 0.85, labels, torch.randint(NO_CLASS, 3, (300,), generator=generator))
    values: list[Tensor] = []

    def measure(classes: Tensor) -> dict[str, float]:
        assert len(classes) == drawn
        values.append(class_counts(classes, 3) / drawn)
        return {"share_0": float(values[-1][0])}

    for _ in range(repeats):  # in another order there are other halves
        order = torch.randperm(300, generator=generator)
        real = of_classes(unseen(found[order], labels[order]), shares, drawn, measure)
        ours = [float(value[0]) for value in values[-SPLITS:]]
        assert real["share_0"] == RealVsReal(pytest.approx(np.mean(ours)), min(ours), max(ours))
    mean, variance = (part[:3] for part in errors_of(shares, confusion_of(found, labels, 3), drawn))
    shown, count = torch.stack(values).double(), repeats * SPLITS
    assert count == len(shown) and (abs(shown.mean(0) - mean) <= 4 * (variance / count).sqrt()).all()
    assert ((shown.var(0) / variance - 1).abs() <= 4 * (2 / count) ** 0.5 + 0.02).all()  # halves hold 50 of a class on average


def test_of_a_sure_and_right_classifier_the_classes_are_those_of_independent_pictures() -> None:
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    labels = torch.arange(90) % 3
    mean, variance = errors_of(shares, confusion_of(labels, labels, 3), 1000)
    assert torch.allclose(mean[:3], shares) and torch.allclose(variance[:3], shares * (1 - shares) / 1000)
    real = of_classes(
        unseen(labels, labels), shares, 1000, lambda classes: {f"{c}": float((classes == c).double().mean()) for c in range(3)}
    )
    for c, share in enumerate(shares.tolist()):
        error = (share * (1 - share) / 1000) ** 0.5
        assert abs(real[str(c)].mean - share) <= 4 * error / SPLITS**0.5
        assert 2 * error < real[str(c)].high - real[str(c)].low < 8 * error


def test_real_shares_are_those_of_the_training_part_also_where_it_has_a_long_tail(world: World) -> None:
    tail = world.train[torch.cat([torch.arange(0, 2 * N, 2), torch.arange(1, 21, 2)])]
    _, real = judging(Honest(world.train.shape), replace(world, train=tail), 1000)(pictures(1000, "drawn"))
    assert real["total_variation_corrected"].mean < 0.05
    assert real["share_corrected_1"].mean == pytest.approx(10 / 70, abs=0.03), "not the half that it is of the held-out part"
