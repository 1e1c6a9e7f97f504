"""Real vs real: what a metric reads of real pictures that no extractor has learned from, against other such pictures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from imgcollapse import progress
from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics import Evidence, FeatureSet, Metric
from imgcollapse.metrics.record import RealVsReal
from imgcollapse.seeds import derive, torch_generator

SPLITS = 39  # then the range from the least to the greatest holds one more split with probability 1 - 2 / 40 = 95 %

Measured = Mapping[str, float]


def over_splits(pictures: int, n: int, measure: Callable[[Tensor, Tensor, int], Measured], what: str = "") -> dict[str, RealVsReal]:
    """Mean and range of what `measure` finds in SPLITS random splits of that many held-out pictures into n, and n others.

    measure: (rows of the n that stand for samples, rows of the n that they are compared with, number of the split) -> values by name

    All ways of parting pictures of one distribution are equally likely, so one more split lies between the least and the greatest value of
    39 with probability 95 %, whatever the metric's distribution (as in a permutation test: Fisher 1935, sec. 21). So do n new pictures of
    the distribution against the n first that are held out, but for terms of order 1/n, as they are not among those that are parted: the
    Fréchet distance of normal numbers lies there in 94 % of cases at n = 50 and 95 % at n = 300, of exponential ones in 91 % and 94 %.
    A value that not all splits have (of a class with so few pictures that some halves hold none) is left out.
    """
    assert 2 * n <= pictures, (n, pictures)
    found = []
    for split in progress.steps(SPLITS, what):
        order = torch.randperm(pictures, generator=torch_generator(derive(0, "real vs real", split)))
        found.append(measure(order[:n], order[n : 2 * n], split))
    return _over(found)


def of_classes(unseen: FeatureSet, shares: Tensor, drawn: int, measure: Callable[[Tensor], Measured]) -> dict[str, RealVsReal]:
    """Mean and range of what `measure` finds in the classes of as many new real pictures as were drawn, which may be more than there are.

    unseen: all held-out pictures, with the classes found in them and their true ones
    shares: float64 [classes], of the real training part

    Each of SPLITS times a random half of the held-out pictures is drawn from, with replacement, each class as often as its share of the
    training part: the classes of independent pictures are a multinomial, and the halves differ as the classifier's errors among other
    pictures would.
    """
    found, labels, values = unseen.classes, unseen.labels, []
    assert found is not None and labels is not None
    for split in range(SPLITS):
        generator = torch_generator(derive(0, "real vs real", "classes", split))
        half = torch.randperm(len(found), generator=generator)[: (len(found) + 1) // 2]
        counts = torch.bincount(labels[half], minlength=len(shares)).clamp(min=1)
        weights = (shares / counts)[labels[half]]
        values.append(measure(found[half][torch.multinomial(weights, drawn, replacement=True, generator=generator)]))
    return _over(values)


def taken(pictures: FeatureSet, rows: Tensor) -> FeatureSet:
    """Those pictures, as a set of their own."""
    classes, labels = (None if part is None else part[rows] for part in (pictures.classes, pictures.labels))
    return FeatureSet(pictures.features[rows.to(pictures.features.device)], classes, labels)


def measured(metrics: Iterable[Metric], evidence: Evidence) -> dict[str, float]:
    """Everything that these metrics find."""
    return {name: value for metric in metrics for name, value in metric.measure(evidence).items()}


def _over(found: list[Measured]) -> dict[str, RealVsReal]:
    there = [name for name in found[0] if all(name in one for one in found)]
    return {name: RealVsReal.of([one[name] for one in found]) for name in there}


def plain(real: Mapping[str, RealVsReal]) -> dict[str, Any]:
    """Plain JSON values."""
    return {name: asdict(one) for name, one in real.items()}


def ranges(record: Mapping[str, Any]) -> dict[str, RealVsReal]:
    """What `plain` made."""
    return {name: RealVsReal(**one) for name, one in record.items()}
