"""How varied the samples are, as against as many real pictures: all of them together, and those of each class."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import NO_CLASS, Evidence, FeatureSet
from imgcollapse.metrics.score import POSITIVE, Score
from imgcollapse.metrics.tiles import squared_distances

VENDI: dict[str, Score] = {
    "vendi": Score(
        "Vendi score / real",
        "effective number of different samples, relative to real pictures; real: about 1",
        "higher",
        "log",
        3,
        "exp(-Σ λ ln λ) of the eigenvalues λ of K/N, K the cosine similarities of the features of all pairs of samples, divided by the "
        "same of as many real pictures. It needs no classes and falls when modes are lost or shrink; noise raises it above 1. Friedman & "
        "Dieng 2023.",
        bounds=POSITIVE,
    ),
}


def effective_pictures(pictures: FeatureSet) -> float:
    """Vendi score: exp(-sum l ln l), l the eigenvalues of K/N, K the cosines of all pairs: 1 (all one direction) to min(N, D).

    A zero vector has no direction. All of them count as one picture that is unlike every other: they add one eigenvalue, their share
    (then up to min(N, D + 1)). From whichever of X X^T and X^T X is smaller, for both have the same eigenvalues but zeros.
    """
    x_ND, n = pictures.features, len(pictures)
    length_N = torch.linalg.vector_norm(x_ND, dim=1)
    x_ND = x_ND[length_N > 0] / length_N[length_N > 0, None]
    gram = x_ND.T @ x_ND if x_ND.shape[1] < len(x_ND) else x_ND @ x_ND.T
    shares = torch.linalg.eigvalsh(gram / n).clamp(min=0)
    shares = torch.cat([shares, (length_N == 0).double().mean()[None]])
    return float(torch.exp(-torch.special.xlogy(shares, shares).sum()))


def vendi_score(evidence: Evidence) -> dict[str, float]:
    """vendi: the Vendi score of the samples divided by that of the held-out pictures (Friedman & Dieng 2023, TMLR, def. 3.1).

    The Vendi score is exp(-sum l ln l), l the eigenvalues of K/N, K the cosines of the features of all pairs: the effective number of
    different pictures (`effective_pictures`). vendi ranges from above 0 (one picture) upwards and is 1 for samples as varied as real
    pictures. Higher is better, up to real vs real: noise and inflated samples pass 1. It falls when modes are lost and when samples
    shrink to prototypes in different directions; it does not see where they are.
    The Vendi score itself is biased downwards in small samples; in the ratio of two sets of N pictures the bias nearly cancels.
    Cost: O(N D min(N, D) + min(N, D)^3), of the real pictures once.
    """
    return {"vendi": effective_pictures(evidence.generated) / evidence.held_out.once(effective_pictures)}


SPREAD: dict[str, Score] = {
    "within_class_distance": Score(
        "within-class distance / real",
        "how unlike the samples of one class are; real: about 1",
        "higher",
        "log",
        3,
        "The mean distance between the features of two samples of a class, divided by the same of real pictures; the mean over the "
        "classes. It falls when every class shrinks to a prototype though all classes are alive. A class with fewer than two confident "
        "samples counts as 0.",
        bounds=POSITIVE,
    ),
}


def mean_apart(x_ND: Tensor) -> float:
    """Mean Euclidean distance of all N (N - 1) pairs of different rows."""
    total = sum(float(apart_bN.sqrt_().sum()) for _, apart_bN in squared_distances(x_ND, x_ND))
    return total / (len(x_ND) * (len(x_ND) - 1))


def spreads(pictures: FeatureSet) -> dict[int, float]:
    """Mean distance between two pictures of a class, for each class that is found at least twice; in order of the classes."""
    if pictures.classes is None:
        return {}
    found, counts = pictures.classes[pictures.classes != NO_CLASS].unique(return_counts=True)
    members = {c: (pictures.classes == c).to(pictures.features.device) for c in found[counts > 1].tolist()}
    return {c: mean_apart(pictures.features[member_N]) for c, member_N in members.items()}


def within_class_distance(evidence: Evidence) -> dict[str, float]:
    """How far apart the samples of one class are, relative to real pictures; empty where no class has two different real pictures.

        within_class_distance_c  mean |x - y| over all pairs of different samples of class c, divided by the same of held-out pictures
        within_class_distance    the mean of these over the classes

    Classes are those that the classifier finds with confidence in samples and in held-out pictures; a class counts where at least two
    different held-out pictures are found of it, so that the names do not depend on the samples. From 0 (every class is one picture)
    upwards; 1: as spread as real pictures. Higher is better, up to real vs real: inflated samples pass 1.
    A class with fewer than two samples has no spread and counts as 0, the limit of shrinking: left out, the mean would rise as soon as
    the most shrunken class dies out. So read it beside classes_alive; with equal spread it is the share of the classes left.
    Bias: none in the means; the ratio's is the squared relative error of the real mean, upwards: of order 1/N_c, mostly below 0.1 %.
    Cost: O(sum N_c^2 D) for classes of N_c pictures, of the real pictures once; O(block N_c) memory.
    """
    real = {c: apart for c, apart in evidence.held_out.once(spreads).items() if apart > 0}
    if not real or evidence.generated.classes is None:
        return {}
    made = spreads(evidence.generated)
    of_class = {c: made.get(c, 0.0) / apart for c, apart in real.items()}
    return {"within_class_distance": sum(of_class.values()) / len(of_class)} | {
        f"within_class_distance_{c}": ratio for c, ratio in of_class.items()
    }
