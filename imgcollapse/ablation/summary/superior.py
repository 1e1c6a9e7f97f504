"""P(better) of every paired difference, and its words."""

from imgcollapse.ablation.comparisons import Difference
from imgcollapse.ablation.summary.numbers import QUANTITIES, Judged, Key, differences
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.superiority import better_way, probability_better

BETTER = "P(better)"


def with_probabilities(record: Record, a: Key, b: Key, judged: Judged) -> Record:
    """The record of the differences a - b, each with its `probability_better`."""
    for extractor, metrics in record["extractors"].items():
        for name, found in metrics.items():
            for quantity in [one for one in QUANTITIES if one in found]:
                _, by_seed = differences(name, judged[a][extractor][name], judged[b][extractor][name], quantity)
                better = probability_better(Difference.of(by_seed), better_way(name, quantity))
                found[quantity] = {**found[quantity], "probability_better": better}
    return record


def likely(span: Record) -> str:
    """` (P(better) 0.98)`; empty where there is none."""
    words = in_words(span["probability_better"])
    return f" ({BETTER} {words})" if words else ""


def in_words(probability: float | None) -> str:
    """`0.98`, or above 0.999 and below 0.001 that; empty where there is none."""
    if probability is None:
        return ""
    return "> 0.999" if probability > 0.9995 else "< 0.001" if probability < 0.0005 else f"{probability:.3f}"
