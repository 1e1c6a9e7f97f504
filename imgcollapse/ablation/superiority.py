"""How probable it is that an arm is better than the one that it is compared with. Pure functions."""

from imgcollapse.ablation.comparisons import Difference
from imgcollapse.metrics.score import Better, Quantity
from imgcollapse.metrics.scores import SCORES


def better_way(metric: str, quantity: Quantity) -> Better:
    """Which way a collapse number of that score is better: an area is what is lost, all others go as the score itself."""
    return "lower" if quantity == "area" else SCORES[metric].better


def probability_better(difference: Difference, better: Better) -> float | None:
    """P(better): the posterior probability that the expected paired difference favours the arm; None where there is no interval.

        P(mu > 0 | x) = T_{n-1}(mean / (s / sqrt(n))), and 1 minus it where lower is better

    with T the distribution of Student's t: the posterior of the expectation mu of normal differences under the prior 1 / sigma, which has
    the quantiles of the interval (Jeffreys 1961; Benavoli et al. 2017 for comparisons of learners). So it is above 97.5 % or below 2.5 %
    exactly where the 95 % interval leaves out 0, and where arms do not differ it is uniform from 0 to 1. It says how sure the direction is,
    not how large the difference is nor how often a new seed favours the arm. Not adjusted for several comparisons. Where all differences
    are equal it is 0, 1, or of differences of 0 a half. The spread is that of a pilot where the difference has one.
    """
    from scipy.special import stdtr

    if difference.mean is None or difference.error is None:
        return None
    if difference.error:
        up = float(stdtr(difference.freedom, difference.mean / difference.error))
    else:
        up = 0.5 if difference.mean == 0 else float(difference.mean > 0)
    return up if better == "higher" else 1 - up
