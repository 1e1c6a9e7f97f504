"""Metrics: plain functions of `Evidence`. To add one, write a function and the scores it gives, and add its line to the table."""

from collections.abc import Callable
from dataclasses import dataclass

from imgcollapse.metrics.classes import VARIETY, class_variety
from imgcollapse.metrics.distances import FRECHET, KERNEL, frechet_distance, kernel_distance
from imgcollapse.metrics.evidence import Evidence, Seen
from imgcollapse.metrics.neighbours import NEIGHBOURHOOD, neighbourhood
from imgcollapse.metrics.score import Score


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is read.

    measure:  the function: Evidence -> the values, the same names whatever the samples; empty where the metric has no meaning
    scores:   how each value is read; a value without an entry is a detail (of one class, a bound), in the table of all scores only
    default:  whether it is measured where nobody chose metrics
    memory:   whether it looks at training sets. In its floor, held-out pictures stand for samples, and a held-out picture is not compared
              with itself; in the floor of any other metric it is pictures of the real training part
    """

    measure: Callable[[Evidence], dict[str, float]]
    scores: dict[str, Score]
    default: bool = True
    memory: bool = False


METRICS: dict[str, Metric] = {
    "frechet_distance": Metric(frechet_distance, FRECHET),
    "kernel_distance": Metric(kernel_distance, KERNEL),
    "neighbourhood": Metric(neighbourhood, NEIGHBOURHOOD),
    "class_variety": Metric(class_variety, VARIETY),
}

__all__ = ["METRICS", "Evidence", "Metric", "Score", "Seen"]
