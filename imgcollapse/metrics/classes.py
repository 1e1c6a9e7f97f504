"""What became of the classes: shares, the living and the lost, variety, and distance to the real shares."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import LEVEL, NO_CLASS, Evidence
from imgcollapse.metrics.score import POSITIVE, UNIT, Score

CLASSES_ALIVE = "classes_alive"
CONFIDENT = 0.9  # the probability from which the classifier is confident
SHARE, LOW, HIGH, ALIVE = "share_", "share_low_", "share_high_", "share_alive_"  # and the number of a class: what is of one class


def class_counts(classes_N: Tensor, count: int) -> Tensor:
    """int64 [count]: confident pictures of each class."""
    return torch.bincount(classes_N[classes_N != NO_CLASS], minlength=count)


def interval(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Two-sided Wilson score interval for a share (Wilson 1927): keeps its coverage near 0 and 1, where collapse lives."""
    from scipy import special

    z = float(special.ndtri((1 + level) / 2))  # scipy's own takes a hundred times as long, for it makes a test first
    middle, half = hits + z * z / 2, z * (hits * (n - hits) / n + z * z / 4) ** 0.5
    return max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z))


def lower_bound(hits: int, n: int, level: float = LEVEL) -> float:
    """One-sided lower confidence bound for a share (Clopper & Pearson 1934): exact, never above the truth too often."""
    from scipy import stats

    return float(stats.beta.ppf(1 - level, hits, n - hits + 1)) if hits else 0.0


VARIETY: dict[str, Score] = {
    CLASSES_ALIVE: Score(
        "classes alive",
        "classes that are still drawn",
        "higher",
        "log",
        0,
        "Classes whose share of the confident samples has a one-sided 95 % lower bound (Clopper & Pearson 1934) above what the "
        "classifier's false hits may explain (the 95 % upper bound of their rate among held-out real pictures of other classes).",
        bounds=POSITIVE,
        of="classes",
        rank=4,
        from_zero=True,
        halved=True,
    ),
    "effective_classes": Score(
        "effective classes",
        "exp(entropy) of the class shares",
        "higher",
        "log",
        2,
        "exp(-Σ p ln p) of the class shares p among the confident samples: 1 when only one class is left, the number of classes when "
        "all are equally often. Biased downwards in small samples.",
        bounds=POSITIVE,
        of="classes",
        rank=7,
        from_zero=True,
        halved=True,
        panels=("last",),
    ),
    "total_variation": Score(
        "total variation",
        "distance of the class shares from the real ones; lower is better",
        "lower",
        "linear",
        3,
        "½ Σ |p_c - real_c| over the classes: 0 for the real shares, 1 for nothing in common. Biased upwards in small samples.",
        bounds=UNIT,
        rank=9,
        from_zero=True,
    ),
    "confident": Score(
        "confident",
        "share of samples in which the classifier is sure of a class",
        "higher",
        "log",
        3,
        "The share of samples to which the classifier gives a class with a probability of at least 0.9. Class shares are of these alone; "
        "1 minus it is the part of the samples in no class.",
        bounds=UNIT,
        rank=10,
    ),
}


ALIVE_RULE = VARIETY[CLASSES_ALIVE].definition


def class_variety(evidence: Evidence) -> dict[str, float]:
    """Shares of the classes among the samples of which the classifier is confident, and numbers that sum these shares up.

        share_c            share of class c, with its 95 % Wilson interval share_low_c, share_high_c
        share_alive_c      1 where class c is alive by the rule of classes_alive, else 0
        confident          share of all samples in which the classifier is confident of some class: 1 - the part of them in no class
        classes_alive      number of classes whose share has a one-sided 95 % lower bound above its false-hit rate (`false_hit_rates`)
        effective_classes  exp(H) of the shares, H = -sum p ln p: 1 (one class) to the number of classes (all equally often)
        total_variation    1/2 sum |p_c - real_c|: 0 (the real shares) to 1 (nothing in common)

    total_variation: lower is better; classes_alive and effective_classes: higher is better, up to real vs real.
    Empty for worlds with fewer than two classes that have held-out pictures. Without a single confident sample, shares, classes_alive and
    effective_classes are 0 and total_variation is 1.
    total_variation is biased upwards by sampling, effective_classes downwards: read them beside real vs real. Cost: O(N).
    """
    found, real, false = evidence.found, evidence.real_shares, evidence.false_hits
    if found is None or real is None or false is None or len(real) < 2:
        return {}
    counts = class_counts(found, len(real))
    n = int(counts.sum())
    shares = counts.double() / max(1, n)
    entropy = -torch.special.xlogy(shares, shares).sum()
    alive = [float(lower_bound(int(hits), n) > rate) for hits, rate in zip(counts, false.tolist(), strict=True)]
    values = {
        CLASSES_ALIVE: sum(alive),
        "effective_classes": float(entropy.exp()) if n else 0.0,
        "total_variation": float((shares - real).abs().sum() / 2) if n else 1.0,
        "confident": n / len(found),
    }
    for c, hits in enumerate(counts.tolist()):
        low, high = interval(hits, n) if n else (0.0, 1.0)
        values |= {f"{SHARE}{c}": float(shares[c]), f"{LOW}{c}": low, f"{HIGH}{c}": high, f"{ALIVE}{c}": alive[c]}
    return values


RARE: dict[str, Score] = {
    "rare_share": Score(
        "rare share",
        "share of the rarest classes over their real share; kept: 1, lost: 0",
        "higher",
        "log",
        3,
        "The rarest classes' share of the confident samples, divided by their real share. Rare are the quarter of the classes with the "
        "smallest real shares (rounded up, and all that tie with them, but never a class of the largest share). It can exceed 1. A "
        "classifier that takes other classes for rare ones keeps it from reaching 0.",
        bounds=POSITIVE,
    ),
}


def rare_classes(evidence: Evidence) -> dict[str, float]:
    """The rarest classes' share among the confident samples, relative to their real share: what becomes of the tail of the classes.

        rare_share  sum over rare c of p_c / sum over rare c of real_c, p_c the share of class c among the confident samples

    Rare are the classes whose real share is no larger than the ceil(C/4)-th smallest of the C real shares (ties are rare together) and
    smaller than the largest. From 0 (lost) over 1 (kept) to 1 / their real share; higher is better, up to real vs real, which is not
    exactly 1 where the classifier is less often sure of rare pictures than of others. Without a confident sample it is 0.
    Empty for worlds with fewer than two classes, or in which all are equally frequent. Without bias in N. Cost: O(N).
    """
    found, real = evidence.found, evidence.real_shares
    rare = torch.zeros(0) if real is None else rarest(real)
    if found is None or real is None or not rare.any():
        return {}
    counts = class_counts(found, len(real)).double()
    return {"rare_share": float(counts[rare].sum() / counts.sum().clamp(min=1) / real[rare].sum())}


def rarest(real_shares: Tensor) -> Tensor:
    """bool [classes]: the rare ones, see `rare_classes`; none where all are equally frequent."""
    quarter = -(-len(real_shares) // 4)
    return (real_shares <= real_shares.sort().values[quarter - 1]) & (real_shares < real_shares.max())
