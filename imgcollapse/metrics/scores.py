"""How every score is read: its name in plain words, which way is better, and the scale on which its collapse is a straight line."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]
Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Score:
    """How one score is read.

    title:      its name as people write it
    meaning:    what it says, in plain words
    better:     whether lower or higher values are better
    scale:      on which its collapse is a straight line over the generations, see SCORES
    decimals:   worth printing of a single value
    definition: how it is computed, what to beware of, and its source
    """

    title: str
    meaning: str
    better: Better
    scale: Scale
    decimals: int
    definition: str


# The scale is the one on which finite-sampling theory makes the beginning of a collapse a straight line (Shumailov et al. 2024).
# linear: FD and KID are squared distances. Estimating again and again makes the mean a random walk of uncorrelated steps, so the
#   expected square of its drift grows like t. Total variation is a distance, not squared: it grows like t while a model errs the same
#   way every time, and like sqrt(t) by chance alone, so compare it at equal t; it starts near 0, where a logarithm would see only noise.
# log: what is still there. Every generation of n draws loses the same expected share of what is left of the variance (and of the
#   heterozygosity of class shares), (1 - 1/n)^t, a straight line of its logarithm. For precision, density and confident this is an
#   analogy (the share of samples that still fit falls by a constant factor), not a theorem; effective_classes and classes_alive end at 1
#   and not at 0, so their line bends at the end.
# share_c, its bounds and share_alive_c have no entry: whether a class should rise or fall is a matter of the class.
SCORES: dict[str, Score] = {
    "fd": Score(
        "Fréchet distance (FD)",
        "distance to the real pictures; lower is better",
        "lower",
        "linear",
        2,
        "|m_r - m_g|² + tr(C_r + C_g - 2 (C_r C_g)^(1/2)) of the means and covariances of real and generated features. It sees two "
        "moments only, and is biased upwards by about 1/N: compare at one N. It is called FID with Inception features alone. Heusel "
        "et al. 2017.",
    ),
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
    "coverage": Score(
        "coverage",
        "share of real pictures with a sample near",
        "higher",
        "log",
        3,
        "The share of real pictures that have a sample within the distance to their own k-th nearest real neighbour. It finds lost "
        "modes and is blind to shrinking within a mode. Naeem et al. 2020.",
    ),
    "classes_alive": Score(
        "classes alive",
        "classes that are still drawn",
        "higher",
        "log",
        0,
        "Classes whose share of the confident samples has a one-sided 95 % lower bound (Clopper & Pearson 1934) above what the "
        "classifier's false hits may explain (the 95 % upper bound of their rate among held-out real pictures of other classes).",
    ),
    "effective_classes": Score(
        "effective classes",
        "exp(entropy) of the class shares",
        "higher",
        "log",
        2,
        "exp(-Σ p ln p) of the class shares p among the confident samples: 1 when only one class is left, the number of classes when "
        "all are equally often. Biased downwards in small samples.",
    ),
    "kid": Score(
        "kernel distance (KID)",
        "distance without bias in N; lower is better",
        "lower",
        "linear",
        3,
        "The squared maximum mean discrepancy of the features under the kernel (xᵀy / D + 1)³, estimated without bias, so that small "
        "values can be negative. Bińkowski et al. 2018.",
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
    "total_variation": Score(
        "total variation",
        "of class shares to the real ones; lower is better",
        "lower",
        "linear",
        3,
        "½ Σ |p_c - real_c| over the classes: 0 for the real shares, 1 for nothing in common. Biased upwards in small samples.",
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
    "confident": Score(
        "confident",
        "share of samples in which the classifier is sure of a class",
        "higher",
        "log",
        3,
        "The share of samples to which the classifier gives a class with a probability of at least 0.9. Class shares are of these alone.",
    ),
}
