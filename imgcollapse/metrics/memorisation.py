"""Whether a generator repeats what it has learned from: the real training pictures, and its own training set."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import Evidence, FeatureSet
from imgcollapse.metrics.nearest import nearest
from imgcollapse.metrics.score import UNIT, Score
from imgcollapse.metrics.tiles import squared_distances

SLACK = 1e-9  # relative: two computations of one distance must not differ by which side of the other they round to
SAME = 1e-5  # of the features' length: a network that looks twice at one picture may round otherwise (float32, batches of another size)

RATIO = (
    "The mean of 2 d / (d + d'), d the distance of a sample to the nearest of N pictures of {of}, d' that to the nearest of N held-out "
    "real pictures. 1 where both are equally near, 0 for copies. {beware}It smooths Platzer & Reutterer's (2021) share of samples that are "
    "nearer to training pictures."
)
AUTHENTIC = (
    "The share of samples that are farther from the nearest picture of {of} than that picture is from the nearest other one there. Copies "
    "and near copies are not authentic; nor are many fresh real pictures (two of three in one dimension, fewer in many): read it beside "
    "real vs real. Alaa et al. 2022."
)
COPIES = "The share of samples that are pixel for pixel a picture of {of}, of all of it rather than of the N that are compared."
REAL, OWN = "the real training part", "the generation's own training set"
DRIFT = "Where that set has drifted from the real pictures it falls without any copying, so read own authenticity beside it. "


def _scores(prefix: str, name: str, of: str, beware: str = "") -> dict[str, Score]:
    return {
        f"{prefix}copy_ratio": Score(
            f"{name}copy ratio",
            f"nearness to {of} against held-out pictures; fresh: about 1",
            "higher",
            "linear",
            3,
            RATIO.format(of=of, beware=beware),
            bounds=(0.0, 2.0),
        ),
        f"{prefix}authenticity": Score(
            f"{name}authenticity",
            f"share of samples that are not near copies from {of}",
            "higher",
            "linear",
            3,
            AUTHENTIC.format(of=of),
            bounds=UNIT,
        ),
        f"{prefix}copies": Score(
            f"{name}copies",
            f"share of samples that are copies from {of}; lower is better",
            "lower",
            "linear",
            3,
            COPIES.format(of=of),
            bounds=UNIT,
        ),
    }


MEMORY: dict[str, Score] = _scores("", "", REAL) | _scores("own_", "own ", OWN, DRIFT)


def memorised(evidence: Evidence) -> dict[str, float]:
    """How near samples g lie to pictures r of a training set: the real training part, and the generation's own training set (own_...).

        copy_ratio    mean over g of 2 d(g, train) / (d(g, train) + d(g, held_out)), d to the nearest; 0/0 is 1/2: 0 (copies) to 2
        authenticity  share of g with d(g, r) > d(r, nearest other r'), r the training picture nearest to g: 0 to 1
        copies        share of g that are pixel for pixel a picture of the whole training set: 0 to 1
        own_copy_ratio, own_authenticity, own_copies   the same of the generation's own training set; left out where it is not known

    copies: lower is better. The others: higher is better, up to real vs real; samples that are like nothing real pass it.
    copy_ratio is 1 in expectation whenever training and held-out pictures come from one distribution and samples do not depend on
    either; with a share p of copies it is about 1 - p. It is a mean of bounded terms: then no far sample hides the copies (as in a ratio
    of means), and no share of copies is too small to move it (as in a median). It smooths the share of samples that are nearer to the
    training part (Platzer & Reutterer 2021). Both distances are to equally many pictures: the larger set would be nearer.
    own_copy_ratio also falls when the own training set has drifted from the real pictures; own_authenticity does not.
    authenticity: Alaa et al. 2022, sec. 4 (their code goes from each r to its nearest g instead). Equal distances are not authentic, so
    copies never are. The nearest other picture is one that differs by more than rounding (`SAME`): what a set drawn with replacement
    holds twice counts once. For fresh real pictures it is the chance that a picture and its nearest neighbour are not each other's
    nearest: 1/3 in one dimension, 0.38 in two, more in many (0.8 for normal clusters in 64): read it beside real vs real.
    Bias: no bias in N where nothing is copied. The first two see only the N training pictures that are compared: of M in all, copies lower
    them by N/M of their share. copies sees all M, but no copy with a single changed pixel.
    Cost: O(N^2 D) time, three passes over all pairs and one that other metrics share, and one for the real training pictures once.
    """
    values = _against(evidence, evidence.train, evidence.copies, "")
    return values if evidence.learned is None else values | _against(evidence, evidence.learned, evidence.learned_copies, "own_")


def _against(evidence: Evidence, training: FeatureSet, copies: Tensor | None, prefix: str) -> dict[str, float]:
    made, count = evidence.generated.features, min(len(training), len(evidence.held_out))
    apart_N, which_N = nearest(made, training.features)
    equal_N = apart_N if count == len(training) else nearest(made, training.features[:count])[0]
    real = evidence.held_out
    whole = count == len(real)
    fresh_N = evidence.pair_statistics.nearest_real_M if whole else nearest(made, real.features[:count])[0]
    ratio_N = torch.where(equal_N + fresh_N > 0, 2 * equal_N / (equal_N + fresh_N), 1.0)
    authentic_N = apart_N > training.once(to_another)[which_N] * (1 + SLACK)
    values = {f"{prefix}copy_ratio": float(ratio_N.mean()), f"{prefix}authenticity": float(authentic_N.double().mean())}
    return values if copies is None else values | {f"{prefix}copies": float(copies.double().mean())}


def to_another(pictures: FeatureSet) -> Tensor:
    """float64 [N] on the CPU: distance of each picture to the nearest one that differs by more than rounding; the rounding if none does."""
    same_N = SAME**2 * pictures.features.square().sum(1)
    if len(pictures) < 2:
        return (2 * same_N).sqrt().cpu()
    found_N = pictures.radii(1).square()
    near_R = (found_N <= same_N + same_N.max()).nonzero().squeeze(1)  # the nearest may not differ
    for rows, apart_bN in squared_distances(pictures.features[near_R], pictures.features):
        found_N[near_R[rows]] = apart_bN.masked_fill_(apart_bN <= same_N[near_R[rows], None] + same_N, torch.inf).amin(1)
    return torch.where(found_N.isinf(), 2 * same_N, found_N).sqrt().cpu()
