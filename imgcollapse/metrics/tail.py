"""Which classes have lost half of their share: a question that few pictures can answer, and so one for the tail of the classes."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.classes import class_counts
from imgcollapse.metrics.evidence import LEVEL, Evidence
from imgcollapse.metrics.score import POSITIVE, Score

PART = 0.5  # of its real share: a class that keeps less has lost half
LOST = "share_lost_"  # and the number of a class
QUANTILES = tuple((i + 0.5) / 8 for i in range(8))  # by which a posterior is integrated over

TAIL: dict[str, Score] = {
    "classes_kept": Score(
        "classes kept",
        "classes that have not lost half of their share",
        "higher",
        "log",
        0,
        "Classes for which the posterior probability that less than half of their real share is left is below 95 %. It takes into account "
        "all pictures drawn, the true class shares of the whole training part, and the classifier's false positives and misses (Jeffreys' "
        "prior throughout). A class that is rare among real pictures may be rare here; a lost one goes unnoticed only where so few "
        "pictures were drawn that its absence says nothing.",
        bounds=POSITIVE,
        of="classes",
        rank=11,
        from_zero=True,
    ),
}


def kept_classes(evidence: Evidence) -> dict[str, float]:
    """Which classes have lost half of their real share, and how sure that is; empty for worlds with fewer than two classes.

        share_lost_c  posterior probability that less than half of class c's real share is left: 0 to 1
        classes_kept  number of classes with share_lost_c below 95 %

    classes_kept: higher is better, up to the number of classes with training pictures; others have no value. Without a confident sample
    every share_lost_c is 1 and no class is kept. See `lost_probability`.
    Error rate (of a single class, exact binomial): a class with exactly half of its share left counts as lost in about 5 % of cases (2 to
    14 %, as small counts come in steps); one with its whole share left in 0.2 % or fewer, from 6 expected pictures on.
    Power: with 418 pictures drawn and a classifier without errors, a class of 6, 9, 12, 17 expected pictures is always found lost when it
    is gone, and in 22, 34, 42, 58 % of cases when a quarter of it is left. With fewer than about 4 expected pictures even none is too
    little evidence, and the class counts as kept: biased towards kept in small samples. Cost: O(N), and 512 quantiles per class.
    """
    found, real, confusion = evidence.found, evidence.real_shares, evidence.confusion
    if found is None or real is None or confusion is None or len(real) < 2:
        return {}
    counts = class_counts(found, len(real))
    n = int(counts.sum())
    there = [c for c, share in enumerate(real.tolist()) if share]
    lost = {f"{LOST}{c}": lost_probability(int(counts[c]), n, float(real[c]), confusion, c) if n else 1.0 for c in there}
    return {"classes_kept": float(sum(one < LEVEL for one in lost.values()))} | lost


def lost_probability(hits: int, n: int, real_share: float, confusion: Tensor, c: int) -> float:
    """Posterior probability that class c has less than PART of its real share, of which `hits` of n confident samples were found.

    With q its share, a and b the rates at which the classifier is confident of pictures of c and of others, and h and f those at which it
    finds c in the confident ones (hits and false hits), the share of the confident samples in which c is found is

        p(q) = (q a h + (1 - q) b f) / (q a + (1 - q) b)

    which grows with q where h > f, so that q < s is p < p(s), s = PART * real_share. All are known from counts, `hits` of n for p and the
    held-out pictures for the others, with Jeffreys' prior: Beta(k + 1/2, m - k + 1/2) after k of m (Brown, Cai & DasGupta 2001). The
    posterior probability of p < p(s) is averaged over 8 quantiles each of a, h and f; b is of so many pictures that its mean serves.
    It supposes that samples of a class are mistaken as its real pictures are, and that the classifier is less sure of all samples alike.
    confusion: int64 [classes, classes + 1], see `Evidence`.
    """
    from scipy import special

    own, others = confusion[c], confusion.sum(0) - confusion[c]
    sure, others_sure = int(own[:-1].sum()), int(others[:-1].sum())
    a, h, f = torch.meshgrid(
        _quantiles(sure, int(own.sum())), _quantiles(int(own[c]), sure), _quantiles(int(others[c]), others_sure), indexing="ij"
    )
    b = (others_sure + 0.5) / (int(others.sum()) + 1)
    share = PART * real_share
    weight = share * a / (share * a + (1 - share) * b)
    bound = weight * h + (1 - weight) * f
    return float(special.betainc(hits + 0.5, n - hits + 0.5, bound.numpy()).mean())


def _quantiles(k: int, m: int) -> Tensor:
    """float64 [8]: of what is known of a rate after k of m, regularly spaced by their probability."""
    from scipy import special

    return torch.from_numpy(special.betaincinv(k + 0.5, m - k + 0.5, QUANTILES))
