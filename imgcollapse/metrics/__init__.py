"""Metrics: plain functions of `Evidence`. To add one, write a function and the scores it gives, and add its line to the table."""

from collections.abc import Callable
from dataclasses import dataclass

from imgcollapse.metrics.classes import RARE, VARIETY, class_variety, rare_classes
from imgcollapse.metrics.classwise import CLASSWISE, class_neighbourhood
from imgcollapse.metrics.corrected import CORRECTED, corrected_shares
from imgcollapse.metrics.distances import FRECHET, FRECHET_INFINITY, KERNEL, frechet_distance, frechet_infinity, kernel_distance
from imgcollapse.metrics.evidence import Evidence, FeatureSet
from imgcollapse.metrics.gates import DETECTION, MARK, SELECTION, detection, marking, selection
from imgcollapse.metrics.likelihood import LIKELIHOOD, likelihood
from imgcollapse.metrics.memorisation import MEMORY, memorised
from imgcollapse.metrics.modes import BINS, different_bins
from imgcollapse.metrics.neighbours import (
    NEIGHBOURHOOD,
    PROBABILISTIC,
    SYMMETRIC,
    neighbourhood,
    probabilistic_precision_recall,
    symmetric_precision_recall,
)
from imgcollapse.metrics.polarisation import POLARISATION, class_polarisation
from imgcollapse.metrics.record import Of
from imgcollapse.metrics.score import Score
from imgcollapse.metrics.spectrum import SPECTRUM, power_spectrum
from imgcollapse.metrics.tail import TAIL, kept_classes
from imgcollapse.metrics.variety import SPREAD, VENDI, vendi_score, within_class_distance

# torchmetrics has FID, KID and the inception score of its own network's features, and computes them in the dtype of the features; these
# are of any extractor's, in float64, with bounds, and of what it has none of. It is their oracle in the tests.


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is read.

    measure:  the function: Evidence -> the values, the same names whatever the samples; empty where the metric has no meaning
    scores:   how each value is read; a value without an entry is a detail (of one class, a bound), in the table of all scores only
    default:  whether it is measured where nobody chose metrics; what is of one extractor alone (its METRICS) is where that judges
    real:     whether it has a real-vs-real value
    trained:  whether it looks at what models have learned from: real pictures, and the generation's own training set
    of_all:   whether its values are of the classes of all that was drawn, not of the N pictures compared
    of:       of what it is: features; model: the likelihoods that models themselves know; gate: what a gate did. The real-vs-real value of
              the latter two is measured with them, and what is of gates is measured of every study that has some, by every judge
    version:  of its definition: raised when its number can change
    """

    measure: Callable[[Evidence], dict[str, float]]
    scores: dict[str, Score]
    default: bool = True
    real: bool = True
    trained: bool = False
    of_all: bool = False
    of: Of = "features"
    version: int = 1


METRICS: dict[str, Metric] = {
    "frechet_distance": Metric(frechet_distance, FRECHET),
    "frechet_infinity": Metric(frechet_infinity, FRECHET_INFINITY, default=False),
    "kernel_distance": Metric(kernel_distance, KERNEL),
    "neighbourhood": Metric(neighbourhood, NEIGHBOURHOOD, version=2),
    "symmetric_precision_recall": Metric(symmetric_precision_recall, SYMMETRIC, version=2),
    "probabilistic_precision_recall": Metric(probabilistic_precision_recall, PROBABILISTIC, version=2),
    "class_variety": Metric(class_variety, VARIETY, of_all=True, version=2),
    "rare_classes": Metric(rare_classes, RARE, of_all=True, version=2),
    "kept_classes": Metric(kept_classes, TAIL, of_all=True),
    "corrected_shares": Metric(corrected_shares, CORRECTED, of_all=True, version=2),
    "class_neighbourhood": Metric(class_neighbourhood, CLASSWISE, version=2),
    "different_bins": Metric(different_bins, BINS),
    "vendi_score": Metric(vendi_score, VENDI),
    "within_class_distance": Metric(within_class_distance, SPREAD),
    "memorisation": Metric(memorised, MEMORY, trained=True),
    "likelihood": Metric(likelihood, LIKELIHOOD, of="model"),
    "detection": Metric(detection, DETECTION, of_all=True, of="gate"),
    "marking": Metric(marking, MARK, real=False, of="gate"),
    "selection": Metric(selection, SELECTION, real=False, of="gate"),
    "class_polarisation": Metric(class_polarisation, POLARISATION, default=False),
    "power_spectrum": Metric(power_spectrum, SPECTRUM, default=False),
}

ON_REQUEST = ", ".join(name for name, metric in METRICS.items() if not metric.default) + " (only where you or an extractor ask for them)"
"""What the setting `judge.metrics` says of the metrics that are left out where nobody chose any."""


def askable() -> list[str]:
    """The metrics that a judge can be asked for: those of gates come with the gates."""
    return [name for name, metric in METRICS.items() if metric.of != "gate"]


def metric_of(score: str) -> str:
    """The metric that gives a score of `SCORES`."""
    return next(name for name, metric in METRICS.items() if score in metric.scores)


__all__ = ["METRICS", "ON_REQUEST", "Evidence", "FeatureSet", "Metric", "Score", "askable", "metric_of"]
