"""Metrics: plain functions of `Evidence`. To add one, write a function and add its line to the table."""

from collections.abc import Callable

from imgcollapse.metrics.classes import class_variety
from imgcollapse.metrics.distances import frechet_distance, kernel_distance
from imgcollapse.metrics.evidence import Evidence, Seen
from imgcollapse.metrics.neighbours import neighbourhood

Metric = Callable[[Evidence], dict[str, float]]

METRICS: dict[str, Metric] = {
    "frechet_distance": frechet_distance,
    "kernel_distance": kernel_distance,
    "neighbourhood": neighbourhood,
    "class_variety": class_variety,
}

__all__ = ["METRICS", "Evidence", "Metric", "Seen"]
