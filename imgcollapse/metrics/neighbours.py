"""Precision and recall by nearest neighbours: improved, density and coverage, symmetric, probabilistic; from one pass over all pairs."""

from imgcollapse.heavy import Tensor
from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.score import POSITIVE, UNIT, Score

NEIGHBOURHOOD: dict[str, Score] = {
    "precision": Score(
        "precision",
        "share of samples that look real",
        "higher",
        "log",
        3,
        "The share of samples that lie within some real picture's distance to its k-th nearest different real picture. It does not see "
        "lost variety: a single good picture, repeated, scores 1. Kynkäänniemi et al. 2019.",
        bounds=UNIT,
        rank=5,
        from_zero=True,
        axis="quality",
    ),
    "recall": Score(
        "recall",
        "share of the real variety still there",
        "higher",
        "log",
        3,
        "The share of real pictures that lie within some sample's distance to its k-th nearest different sample. It falls when modes are "
        "lost or shrink, but hardly when only few different samples are left, spread like real ones; and it is 1 for samples that are "
        "spread too widely: read it beside precision and coverage. Kynkäänniemi et al. 2019.",
        bounds=UNIT,
        rank=6,
        from_zero=True,
        halved=True,
        axis="variety",
    ),
    "density": Score(
        "density",
        "samples near each real picture; real: about 1",
        "higher",
        "log",
        3,
        "How many different real pictures' k-nearest-neighbour balls a sample lies in, on average, divided by k. It can exceed 1 and "
        "favours the modes that a model knows well. Naeem et al. 2020.",
        bounds=POSITIVE,
        from_zero=True,
    ),
    "coverage": Score(
        "coverage",
        "share of real pictures with a sample nearby",
        "higher",
        "log",
        3,
        "The share of real pictures that have a sample within the distance to their own k-th nearest different real picture. It finds "
        "lost modes, and that only few different samples are left, but not shrinking within a mode. Naeem et al. 2020.",
        bounds=UNIT,
        rank=2,
        from_zero=True,
        halved=True,
    ),
    "min_recall_coverage": Score(
        "min(recall, coverage)",
        "the smaller of the two: finds both kinds of lost variety",
        "higher",
        "log",
        3,
        "Recall finds shrinking but is fooled by samples spread too widely, coverage finds lost modes but not shrinking: the smaller "
        "of the two falls in either case.",
        bounds=UNIT,
        rank=1,
        from_zero=True,
        halved=True,
        panels=("slope",),
    ),
}


def neighbourhood(evidence: Evidence) -> dict[str, float]:
    """Precision, recall and coverage (shares, 0 to 1), density (it may exceed 1), and the smaller of recall and coverage.

    With NND_k(x) the distance of x to the k-th nearest of the different pictures of its own set, real r (held-out) and generated g,
    k = k_precision for precision and recall:

        precision = mean over g of [some r: |g - r| <= NND_k(r)]           Kynkäänniemi et al. 2019, eq. 2-3
        recall    = mean over r of [some g: |g - r| <= NND_k(g)]
        density   = 1/k mean over g of #{different r: |g - r| <= NND_k(r)} Naeem et al. 2020, eq. 4
        coverage  = mean over r of [some g: |g - r| <= NND_k(r)]           Naeem et al. 2020, eq. 5

    Repeats. The papers assume that no two pictures are equal: then this is their definition, to the last digit. A repeated picture says
    nothing new about the support of its distribution, but would make the distance to its "neighbour" 0 and so take the ball away from the
    very picture that was drawn most often. So balls are those of different pictures, each counted once; means are over all pictures.
    A set in which every picture is repeated scores as it does without repeats, and one drawn with replacement has the recall and coverage
    of its different pictures. Where there are at most k different pictures, their balls hold copies only.
    With n real pictures and m different samples of one distribution, a real picture lies in the balls of k samples in expectation,
    whatever m is: recall does not see how few samples there are. Coverage does: it is about 1 - (n / (n + m))^k.

    Higher is better, except for density, which rises far above real vs real when samples shrink. Coverage finds lost modes, not shrinking
    within a mode; recall finds shrinking but reads 1 for an inflated, wrong generator; their minimum finds both. In high dimension all
    are below 1 for two samples of one distribution: read them beside real vs real.
    Cost: O(N^2 D) time, O(N D) memory, in one pass over all pairs for all metrics of neighbours and KID.
    """
    pairs = evidence.pair_statistics
    recall, coverage = _share(pairs.recalled_N), _share(pairs.covered_N)
    return {
        "precision": _share(pairs.precise_M),
        "recall": recall,
        "density": float(pairs.inside_M.double().mean()) / evidence.k,
        "coverage": coverage,
        "min_recall_coverage": min(recall, coverage),
    }


SYMMETRIC: dict[str, Score] = {
    "symmetric_precision": Score(
        "symmetric precision",
        "share of samples that look real, by either side's balls",
        "higher",
        "log",
        3,
        "The smaller of precision and of the share of samples that have a real picture within their own distance to their k-th nearest "
        "sample. In high dimension precision alone is near 1 for samples that are too close together; this is not. Khayatkhoei & "
        "AbdAlmageed 2023.",
        bounds=UNIT,
    ),
    "symmetric_recall": Score(
        "symmetric recall",
        "share of the real variety still there, by either side's balls",
        "higher",
        "log",
        3,
        "The smaller of recall and of the share of real pictures that have a sample within their own distance to their k-th nearest real "
        "picture. In high dimension recall alone is near 1 for samples that are spread too widely; this is not. Khayatkhoei & "
        "AbdAlmageed 2023.",
        bounds=UNIT,
    ),
}


def symmetric_precision_recall(evidence: Evidence) -> dict[str, float]:
    """Precision and recall that treat both sets alike: the smaller of each and its complement, with the balls of the other set.

    With NND_k, r and g as in `neighbourhood` and k = k_precision (Khayatkhoei & AbdAlmageed 2023):

        symmetric_precision = min(precision, mean over g of [some r: |g - r| <= NND_k(g)])
        symmetric_recall    = min(recall,    mean over r of [some g: |g - r| <= NND_k(r)])

    From 0 to 1; higher is better. In high dimension a set that lies a little inside of the other has all of the other's balls around it,
    and one that lies a little outside has none: precision and recall then tell inside from outside rather than good from bad. The
    minimum falls on either side. (The paper compares by `<`, this by `<=`.) Below 1 for two samples of one distribution, the more so the
    fewer pictures there are: read them beside real vs real. Cost: O(N) after the pass that `neighbourhood` makes.
    """
    pairs = evidence.pair_statistics
    return {
        "symmetric_precision": min(_share(pairs.precise_M), _share(pairs.complement_M)),
        "symmetric_recall": min(_share(pairs.recalled_N), _share(pairs.complement_N)),
    }


PROBABILISTIC: dict[str, Score] = {
    "p_precision": Score(
        "P-precision",
        "how likely samples are to look real",
        "higher",
        "log",
        3,
        "The mean probability that a sample lies in some real picture's ball, where a ball's probability falls from 1 at its centre to 0 "
        "at R, and R, the same for all balls, is 1.2 times the mean distance to the k-th nearest real neighbour: no single outlier has a "
        "large ball. Park & Kim 2023.",
        bounds=UNIT,
    ),
    "p_recall": Score(
        "P-recall",
        "how likely real pictures are to be among what is drawn",
        "higher",
        "log",
        3,
        "The mean probability that a real picture lies in some sample's ball, with R of the samples. It falls when modes are lost and "
        "when they shrink, and not when samples are spread too widely: read it beside P-precision. Park & Kim 2023.",
        bounds=UNIT,
    ),
}


def probabilistic_precision_recall(evidence: Evidence) -> dict[str, float]:
    """P-precision and P-recall: precision and recall with soft balls of one size for the whole set (Park & Kim 2023).

    With NND_k, r and g as in `neighbourhood` and k = k_probabilistic (4, the picture itself not counted, as in the authors' code):

        p_precision = mean over g of 1 - prod over r of (1 - max(0, 1 - |g - r| / R_r)),  R_r = 1.2 mean over r of NND_k(r)
        p_recall    = mean over r of 1 - prod over g of (1 - max(0, 1 - |g - r| / R_g)),  R_g = 1.2 mean over g of NND_k(g)

    Means and products that are of balls are over the different pictures, as in `neighbourhood`. From 0 to 1; higher is better. Where at
    most k pictures of a set are different, R is 0 and its balls hold copies only.
    In high dimension, where distances hardly differ, a picture lies in the soft rims of very many balls and both come near 1 whatever is
    drawn; they rise with the number of pictures: compare at one N, beside real vs real. Of products over float32 pairs: they keep
    six digits.
    Cost: O(N) after the pass that `neighbourhood` makes.
    """
    pairs = evidence.pair_statistics
    return {"p_precision": float(pairs.likely_M.mean()), "p_recall": float(pairs.likely_N.mean())}


def _share(found_N: Tensor) -> float:
    return float(found_N.double().mean())
