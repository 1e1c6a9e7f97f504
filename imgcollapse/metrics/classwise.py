"""Recall and coverage class by class: which class lost its variety, and the worst of them."""

from imgcollapse.heavy import torch
from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.score import UNIT, Score

CLASSWISE: dict[str, Score] = {
    "min_class_recall": Score(
        "recall of the worst class",
        "share of the real variety still there, in the class that lost most",
        "higher",
        "log",
        3,
        "The smallest, over the classes, of the share of a class's real pictures that lie within some sample's distance to its k-th "
        "nearest different sample. It is 0 as soon as one class is lost, where recall over all classes hardly moves. Biased downwards, as "
        "the smallest of several noisy shares: read it beside real vs real.",
        bounds=UNIT,
    ),
    "min_class_coverage": Score(
        "coverage of the worst class",
        "share of real pictures with a sample nearby, in the class that lost most",
        "higher",
        "log",
        3,
        "The smallest, over the classes, of the share of a class's real pictures that have a sample within the distance to their own k-th "
        "nearest different real picture. Biased downwards, as the smallest of several noisy shares: read it beside real vs real.",
        bounds=UNIT,
    ),
}


def class_neighbourhood(evidence: Evidence) -> dict[str, float]:
    """Recall and coverage of each class's real pictures, and of the worst class; empty for worlds with fewer than two classes.

    With the held-out pictures r and generated g of `neighbourhood`, c the true class of r:

        recall_c            mean over the r of class c of [some g: |g - r| <= NND_k(g)], k = k_precision
        coverage_c          mean over the r of class c of [some g: |g - r| <= NND_k(r)]
        min_class_recall    min over c of recall_c
        min_class_coverage  min over c of coverage_c

    All from 0 to 1; higher is better. Their means over the held-out pictures are recall and coverage. No classifier has a part in it, so
    it is there with any extractor; which class a sample is of does not matter, so a class may be recalled by samples of its neighbours.
    A class without a picture among the held-out N has no values and no part in the minimum. A class with few of them has noisy values,
    and a minimum of noisy values is biased downwards: read it beside real vs real. Cost: O(N) after the pass that `neighbourhood` makes.
    """
    labels, real = evidence.held_out.labels, evidence.real_shares
    if labels is None or real is None or len(real) < 2:
        return {}
    pictures = torch.bincount(labels, minlength=len(real))
    there = [c for c, count in enumerate(pictures.tolist()) if count]
    values: dict[str, float] = {}
    for name, found_N in (("recall", evidence.pair_statistics.recalled_N), ("coverage", evidence.pair_statistics.covered_N)):
        shares = (torch.bincount(labels[found_N], minlength=len(real)) / pictures.double()).tolist()
        values |= {f"min_class_{name}": min(shares[c] for c in there)} | {f"{name}_{c}": shares[c] for c in there}
    return values
