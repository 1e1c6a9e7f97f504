"""What scores without an entry in `SCORES` are called and say: of one class, of one band of waves, of one rate."""

from imgcollapse.metrics.classes import ALIVE, HIGH, LOW, SHARE
from imgcollapse.metrics.gates import QUARTER, ROC
from imgcollapse.metrics.spectrum import POWER
from imgcollapse.metrics.tail import LOST

DETAILS: dict[str, tuple[str, str]] = {
    SHARE: ("class_variety", "share of the confident pictures that are of class {}"),
    LOW: ("class_variety", "lower end of the 95 % interval of that share of class {}"),
    HIGH: ("class_variety", "upper end of the 95 % interval of that share of class {}"),
    ALIVE: ("class_variety", "1 where class {} is alive (more found than the classifier's false hits explain), else 0"),
    "share_corrected_": ("corrected_shares", "share of class {}, corrected for the classifier's confusions"),
    "share_corrected_low_": ("corrected_shares", "lower end of the 95 % interval of the corrected share of class {}"),
    "share_corrected_high_": ("corrected_shares", "upper end of the 95 % interval of the corrected share of class {}"),
    LOST: ("kept_classes", "probability that class {} has lost more than half of its real share; lower is better"),
    "recall_": ("class_neighbourhood", "recall of the held-out pictures of class {} alone; higher is better"),
    "coverage_": ("class_neighbourhood", "coverage of the held-out pictures of class {} alone; higher is better"),
    "within_class_distance_": ("within_class_distance", "within-class distance of class {} alone, over that of real pictures"),
    ROC: ("detection", "share of samples found at a false-positive rate of {} thousandths"),
    QUARTER: ("selection", "share let in of the samples in quarter {} by distance from their mean; 1 is the nearest"),
    POWER: ("power_spectrum", "power of waves from {} pixels up to the next band, relative to real pictures, in decibels; real: 0"),
}
"""Prefix of a name, behind which a number stands -> the metric that gives it, and its meaning with a place for that number."""


def detail(name: str) -> tuple[str, str] | None:
    """The metric and the meaning of a score such as `share_3`; None for a name that is none of them."""
    prefix, number = name.rstrip("0123456789."), name[len(name.rstrip("0123456789.")) :]
    if prefix not in DETAILS or not number:
        return None
    metric, meaning = DETAILS[prefix]
    return metric, meaning.format(number)
