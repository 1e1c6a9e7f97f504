"""Whether classes lose alike or some lose all: the spread of recall and coverage between classes."""

import math

from imgcollapse.metrics.classwise import class_neighbourhood
from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.score import Bounds, Score

HALF: Bounds = (0.0, 0.5)  # the standard deviation of what lies between 0 and 1

POLARISATION: dict[str, Score] = {
    "recall_spread": Score(
        "spread of recall between classes",
        "whether recall falls alike in all classes (low) or much more in some (high)",
        "lower",
        "linear",
        3,
        "The standard deviation, over the classes, of the share of a class's real pictures that lie within some sample's distance to its "
        "k-th nearest different sample. 0 where all classes are recalled alike, also where none is: read it beside recall. 0.5 where half "
        "of the classes have all and half nothing. Biased upwards, more for classes with few pictures: read it beside real vs real.",
        bounds=HALF,
        from_zero=True,
    ),
    "coverage_spread": Score(
        "spread of coverage between classes",
        "whether coverage falls alike in all classes (low) or much more in some (high)",
        "lower",
        "linear",
        3,
        "The standard deviation, over the classes, of the share of a class's real pictures that have a sample within the distance to their "
        "own k-th nearest different real picture. Read it as the spread of recall between classes.",
        bounds=HALF,
        from_zero=True,
    ),
}


def class_polarisation(evidence: Evidence) -> dict[str, float]:
    """Standard deviation of recall and of coverage between classes; empty for worlds with fewer than two classes.

        recall_spread    sqrt(mean over c of (recall_c - mean over c of recall_c)^2), recall_c that of `class_neighbourhood`
        coverage_spread  the same of coverage_c

    Every class that has a held-out picture counts alike, however rare it is. From 0 (alike) to 0.5 (half of the classes have all, half
    nothing); lower is better, down to real vs real. It rises while classes diverge and falls again when the last are lost: it says
    nothing without recall itself. Biased upwards: of a class with n held-out pictures, recall r alone is off by r (1 - r) / n in the mean
    square, or more as neighbours share samples. That feedback widens the gap between groups: Taori & Hashimoto 2023, Wyllie, Shumailov &
    Papernot 2024. Cost: O(N) after the pass that `neighbourhood` makes.
    """
    shares = class_neighbourhood(evidence)
    if not shares:
        return {}
    by_class = {what: [value for name, value in shares.items() if name.startswith(f"{what}_")] for what in ("recall", "coverage")}
    return {f"{what}_spread": _spread(values) for what, values in by_class.items()}


def _spread(values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
