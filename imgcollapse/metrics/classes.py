"""What became of the classes: shares, the living and the lost, variety, and distance to the real shares."""

import torch
from scipy import stats
from torch import Tensor

from imgcollapse.metrics.evidence import Evidence

NO_CLASS = -1  # a picture in which the classifier finds no class with confidence
CONFIDENT = 0.9  # the probability from which the classifier is confident
LEVEL = 0.95  # of every interval and bound here


def class_counts(classes_N: Tensor, count: int) -> Tensor:
    """int64 [count]: confident pictures of each class."""
    return torch.bincount(classes_N[classes_N != NO_CLASS], minlength=count)


def interval(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Two-sided Wilson score interval for a share (Wilson 1927): keeps its coverage near 0 and 1, where collapse lives."""
    found = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def lower_bound(hits: int, n: int, level: float = LEVEL) -> float:
    """One-sided lower confidence bound for a share (Clopper & Pearson 1934): exact, never above the truth too often."""
    return float(stats.beta.ppf(1 - level, hits, n - hits + 1)) if hits else 0.0


def false_hit_rates(classes_N: Tensor, labels_N: Tensor, count: int) -> Tensor:
    """float64 [count]: an upper bound for the share of class c among confident pictures when all of them are of other classes.

    The 95 % quantile of Beta(k + 1/2, n - k + 1/2), the posterior under Jeffreys' prior after k of n confident real pictures of other
    classes were taken for c. A bound, for an estimate would often be too low by chance, and k = 0 would let a single confused sample
    keep a dead class alive. It averages over the other classes as they are in the real world.
    """
    bounds = []
    for c in range(count):
        others = (labels_N != c) & (classes_N != NO_CLASS)
        hits, n = int((classes_N[others] == c).sum()), int(others.sum())
        bounds.append(stats.beta.ppf(LEVEL, hits + 0.5, n - hits + 0.5))
    return torch.tensor(bounds, dtype=torch.float64)


def class_variety(evidence: Evidence) -> dict[str, float]:
    """Shares of the classes among the confident samples, and what they add up to; empty for worlds with fewer than two classes.

        share_c            share of class c, with its 95 % Wilson interval share_low_c, share_high_c
        share_alive_c      1 where class c is alive by the rule of classes_alive, else 0
        confident          share of all samples in which the classifier is confident of some class
        classes_alive      number of classes whose share has a one-sided 95 % lower bound above its false-hit rate (`false_hit_rates`)
        effective_classes  exp(H) of the shares, H = -sum p ln p: 1 (one class) to the number of classes (all equally often)
        total_variation    1/2 sum |p_c - real_c|: 0 (the real shares) to 1 (nothing in common)

    total_variation: lower is better; classes_alive and effective_classes: higher is better, up to their floor's value.
    Without a single confident sample, shares, classes_alive and effective_classes are 0 and total_variation is 1.
    total_variation is biased upwards by sampling, effective_classes downwards: read them beside the floor. Cost: O(N).
    """
    found, real, false = evidence.generated.classes, evidence.real_shares, evidence.false_hits
    if found is None or real is None or false is None or len(real) < 2:
        return {}
    counts = class_counts(found, len(real))
    n = int(counts.sum())
    shares = counts.double() / max(1, n)
    entropy = -torch.special.xlogy(shares, shares).sum()
    alive = [float(lower_bound(int(hits), n) > rate) for hits, rate in zip(counts, false.tolist(), strict=True)]
    values = {
        "classes_alive": sum(alive),
        "effective_classes": float(entropy.exp()) if n else 0.0,
        "total_variation": float((shares - real).abs().sum() / 2) if n else 1.0,
        "confident": n / len(found),
    }
    for c, hits in enumerate(counts.tolist()):
        low, high = interval(hits, n) if n else (0.0, 1.0)
        values |= {f"share_{c}": float(shares[c]), f"share_low_{c}": low, f"share_high_{c}": high, f"share_alive_{c}": alive[c]}
    return values
