"""Precision, recall, density and coverage.

Every comparison of a distance with a radius is `<=`: a copy of a picture lies inside that picture's ball even where duplicates have made
its radius 0. (The `prdc` package says `<` and finds precision 0 for a set of duplicates against itself.)
"""

import torch

from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.nearest import squared_distances
from imgcollapse.metrics.score import Score

SLACK = 1e-9  # relative: two computations of one distance must not differ by which side of the radius they round to


NEIGHBOURHOOD: dict[str, Score] = {
    "precision": Score(
        "precision",
        "share of samples that look real",
        "higher",
        "log",
        3,
        "The share of samples that lie within some real picture's distance to its k-th nearest real neighbour. It does not see lost "
        "variety: a single good picture, repeated, scores 1. Kynkäänniemi et al. 2019.",
    ),
    "recall": Score(
        "recall",
        "share of the real variety still there",
        "higher",
        "log",
        3,
        "The share of real pictures that lie within some sample's distance to its k-th nearest sample. It falls when modes are lost "
        "and when they shrink, and reads 1 for samples that are spread too widely: read it beside precision. Kynkäänniemi et al. "
        "2019.",
    ),
    "density": Score(
        "density",
        "samples near each real picture; real: about 1",
        "higher",
        "log",
        3,
        "How many real pictures' k-nearest-neighbour balls a sample lies in, on average, divided by k. It can exceed 1 and favours "
        "the modes that a model knows well. Naeem et al. 2020.",
    ),
    "coverage": Score(
        "coverage",
        "share of real pictures with a sample near",
        "higher",
        "log",
        3,
        "The share of real pictures that have a sample within the distance to their own k-th nearest real neighbour. It finds lost "
        "modes and is blind to shrinking within a mode. Naeem et al. 2020.",
    ),
    "min_recall_coverage": Score(
        "min(recall, coverage)",
        "the smaller of the two: finds both kinds of lost variety",
        "higher",
        "log",
        3,
        "Recall finds shrinking but is fooled by samples spread too widely, coverage finds lost modes but not shrinking: the smaller "
        "of the two falls in either case.",
    ),
}


def neighbourhood(evidence: Evidence) -> dict[str, float]:
    """Precision, recall, density, coverage (share of ..., 0 to 1; density may pass 1), and the smaller of recall and coverage.

    With NND_k(x) the distance of x to its k-th nearest neighbour in its own set, real r (held-out) and generated g:

        precision = mean over g of [some r: |g - r| <= NND_k(r)]           Kynkäänniemi et al. 2019, eq. 2-3
        recall    = mean over r of [some g: |g - r| <= NND_k(g)]
        density   = 1/k mean over g of #{r: |g - r| <= NND_k(r)}           Naeem et al. 2020, eq. 4
        coverage  = mean over r of [some g: |g - r| <= NND_k(r)]           Naeem et al. 2020, eq. 5

    Higher is better, but for density, which rises far above its floor when samples shrink. Coverage finds lost modes but not shrinking
    within a mode; recall finds shrinking but reads 1 for an inflated, wrong generator; their minimum finds both. In high dimension all
    are below 1 for two samples of one law: read them beside the floor.
    Cost: O(N^2 D) time, O(block N) memory.
    """
    real, made, k = evidence.held_out, evidence.generated, evidence.k
    real_N, made_M = real.radii(k).square(), made.radii(k).square()
    recalled_N, covered_N = torch.zeros(len(real), dtype=torch.bool), torch.zeros(len(real), dtype=torch.bool)
    precise = inside = 0
    for rows, apart_bN in squared_distances(made.features, real.features):
        in_real_bN = apart_bN <= real_N * (1 + SLACK)
        precise += int(in_real_bN.any(1).sum())
        inside += int(in_real_bN.sum())
        covered_N |= in_real_bN.any(0)
        recalled_N |= (apart_bN <= made_M[rows, None] * (1 + SLACK)).any(0)
    recall, coverage = float(recalled_N.double().mean()), float(covered_N.double().mean())
    return {
        "precision": precise / len(made),
        "recall": recall,
        "density": inside / (k * len(made)),
        "coverage": coverage,
        "min_recall_coverage": min(recall, coverage),
    }
