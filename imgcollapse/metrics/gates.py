"""What gates do, as scores: how well a detector tells, what a mark costs, and how far from the mean lies what is let in."""

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.distances import frechet, kernel
from imgcollapse.metrics.evidence import Evidence, FeatureSet
from imgcollapse.metrics.score import POSITIVE, UNIT, Score

AUC, LET_IN, KEPT, DROPPED, FAR = "auc", "let_in_share", "distance_kept", "distance_dropped", "kept_far"
ROC = "roc_"  # with a false-positive rate in thousandths: the share of samples found at it
RATES = (0, 1, 2, 5, 10, 20, 50, *range(100, 1000, 100))  # thousandths
QUARTER = "kept_quarter_"  # with 1 (the nearest to the mean) to 4: the share of that quarter that is let in

DETECTION: dict[str, Score] = {
    AUC: Score(
        "detection AUC",
        "how well the gate's detector tells samples from held-out real pictures; higher is better, 0.5 is chance",
        "higher",
        "linear",
        3,
        "The area under the ROC curve: the probability that a published sample gets a greater score than a held-out real picture, ties "
        "counted half (Mann and Whitney 1947; Hanley and McNeil 1982). Over all that was published, marked or not, and all that is held "
        "out, but no samples that the detector has learned from (detect at generation 0: one that learned from every other sample).",
        bounds=UNIT,
        short="AUC",
        rank=12,
    ),
    LET_IN: Score(
        "samples let in",
        "share of the samples offered to the gate that it lets in; lower is better",
        "lower",
        "linear",
        3,
        "Of the samples of this generation that came to the gate, the share that its (constant) threshold lets into training sets. "
        "Real vs real: the share of held-out real pictures that is let in: 1 minus the false-positive rate.",
        bounds=UNIT,
        rank=13,
        from_zero=True,
    ),
}
MARK: dict[str, Score] = {
    "psnr": Score(
        "PSNR of the mark",
        "mean peak signal-to-noise ratio of marked pictures, in decibels; higher is better",
        "higher",
        "linear",
        1,
        "10 log10(255² / mean squared change), the mean over those of the first N pictures that the mark changed, before any attack.",
        short="PSNR (dB)",
        rank=14,
    ),
    "fd_paid": Score(
        "FD paid",
        "by how much the gate's changes to pictures raise their Fréchet distance to real ones; lower is better",
        "lower",
        "linear",
        3,
        "FD of the first N pictures as published to N held-out real ones, minus that of the same pictures before, by the first extractor: "
        "mark and attack together. The bias of about 1/N is the same in both and cancels. Negative: the pictures came nearer.",
        rank=15,
    ),
    "kid_paid": Score(
        "KID paid",
        "by how much the gate's changes to pictures raise their kernel distance to real ones; lower is better",
        "lower",
        "linear",
        4,
        "As FD paid, with the kernel distance (KID).",
        rank=16,
    ),
    "fd_of_mark": Score(
        "FD of the mark",
        "Fréchet distance between the same pictures with and without the gate's changes; lower is better",
        "lower",
        "linear",
        3,
        "FD between the first N pictures as published and as they were before, by the first extractor. They are the same pictures: "
        "there is no bias of about 1/N: exactly 0 where nothing changes, the squared length of the shift where all features shift alike.",
        bounds=POSITIVE,
        rank=17,
        from_zero=True,
    ),
}
SELECTION: dict[str, Score] = {
    KEPT: Score(
        "distance of what is let in",
        "mean distance from the mean of all offered, in standard deviations; higher is better, up to the value of a random choice",
        "higher",
        "linear",
        3,
        "Among the first N samples, of those that came to the gate: the mean distance of what it lets in from the mean of all, in features "
        "of the first extractor, divided by the root mean square of the distances of all. Below that of a random choice, the gate cuts "
        "off the rim of the distribution, which leads to the loss of modes.",
        bounds=POSITIVE,
        short="distance kept",
        rank=18,
    ),
    DROPPED: Score(
        "distance of what is turned away",
        "mean distance from the mean of all offered, in standard deviations; lower is better, down to the value of a random choice",
        "lower",
        "linear",
        3,
        "The same for what the gate turns away; left out where that is nothing.",
        bounds=POSITIVE,
        short="distance dropped",
        rank=19,
    ),
    FAR: Score(
        "let in of the farthest quarter",
        "share let in of the quarter of samples farthest from the mean, divided by the share of all; higher is better, 1: as by chance",
        "higher",
        "linear",
        3,
        "Among the first N samples, of those that came to the gate: the share let in of the quarter farthest from their mean, divided by "
        "the share let in of all: 1 where distance plays no part, 0 where the whole rim is cut off, at most about 4.",
        bounds=POSITIVE,
        rank=20,
        from_zero=True,
    ),
}


def detection(evidence: Evidence) -> dict[str, float]:
    """How well a gate's detector tells published samples s from held-out real pictures r, by its score t (larger: more surely synthetic).

        auc           P(t(s) > t(r)) + P(t(s) = t(r)) / 2 over all pairs: 0 to 1
        let_in_share  share of the samples offered to the gate that it lets in: 0 to 1
        roc_k         share of samples found where k thousandths of real pictures are: the ROC curve

    auc: higher is better; let_in_share: lower. Across ties the curve is a straight line. Empty for a gate without a detector. In their
    real-vs-real values held-out pictures stand for samples. Bias: none. Cost: O(n log n).
    """
    gated = evidence.gated
    if gated is None or gated.told is None or gated.told_of_real is None or not len(gated.told):
        return {}
    curve = {f"{ROC}{rate}": found for rate, found in zip(RATES, roc(gated.told, gated.told_of_real, RATES), strict=True)}
    share = {LET_IN: _share(gated.let_in, gated.offered)} if bool(gated.offered.any()) else {}
    return {AUC: area(gated.told, gated.told_of_real), **share, **curve}


def area(found_N: Tensor, real_M: Tensor) -> float:
    """The area under the ROC curve, ties counted half."""
    real_M = real_M.sort().values
    below, upto = (torch.searchsorted(real_M, found_N, right=right).double() for right in (False, True))
    return float((below + upto).mean()) / (2 * len(real_M))


def roc(found_N: Tensor, real_M: Tensor, rates: tuple[int, ...]) -> list[float]:
    """The share found at each false-positive rate, in thousandths: the greatest at that rate; across ties a straight line, as is usual."""
    thresholds = torch.cat([found_N, real_M]).unique().flip(0)
    (false, true) = (
        torch.cat([torch.zeros(1), (len(one) - torch.searchsorted(one.sort().values, thresholds)).double() / len(one)]).double()
        for one in (real_M, found_N)
    )
    at = torch.tensor(rates, dtype=torch.float64) / 1000
    left = torch.searchsorted(false, at, right=True) - 1
    right = (left + 1).clamp(max=len(false) - 1)
    along = (at - false[left]) / (false[right] - false[left]).clamp(min=1 / (2 * len(real_M)))
    return (true[left] + along * (true[right] - true[left])).tolist()


def marking(evidence: Evidence) -> dict[str, float]:
    """The cost of a gate's changes to pictures, x to x', before they are published: PSNR, FD and KID; h are the held-out real pictures.

        psnr        mean of 10 log10(255^2 / mean squared change) over the marked ones of the first N, in decibels
        fd_paid     FD(h, x') - FD(h, x), in squared feature units
        kid_paid    KID(h, x') - KID(h, x)
        fd_of_mark  FD(x, x'), in squared feature units, from 0 up

    psnr: higher is better; the others: lower. Empty for a gate that changes nothing, and where x is not kept. They have no real-vs-real
    value. Bias: that of FD, about 1/N, is the same in both and cancels. Cost: O(N D^2 + D^3) and O(N^2 D), as FD and KID.
    """
    gated = evidence.gated
    if gated is None or gated.before is None or gated.after is None:
        return {}
    real, before, after = evidence.held_out, FeatureSet(gated.before), FeatureSet(gated.after)
    found = {} if gated.psnr is None or not len(gated.psnr) else {"psnr": float(gated.psnr.mean())}
    return found | {
        "fd_paid": frechet(real, after) - frechet(real, before),
        "kid_paid": kernel(real, after) - kernel(real, before),
        "fd_of_mark": frechet(before, after),
    }


def selection(evidence: Evidence) -> dict[str, float]:
    """How far the samples x that a gate lets in lie from the mean m of all offered to it: d(x) = |x - m| / (mean |x - m|^2)^(1/2).

        distance_kept     mean d of those let in
        distance_dropped  mean d of those turned away
        kept_far          share let in of the quarter of greatest d, over the share let in of all: 0 to about 4
        kept_quarter_q    share let in of the q-th quarter by d, 1 the nearest: 0 to 1

    Of the first N samples, in features. distance_kept and kept_far: higher is better, up to what chance gives (the mean d of all, and 1);
    distance_dropped: lower. What is undefined is left out: the mean of no pictures, quarters of fewer than four. They have no
    real-vs-real value. Bias: none to speak of. Cost: O(N D).
    """
    if evidence.gated is None:
        return {}
    x_ND, n = evidence.generated.features, len(evidence.generated)
    offered = evidence.gated.offered[:n].nonzero()[:, 0]
    if not len(offered):
        return {}
    x_ND, kept = x_ND[offered.to(x_ND.device)], evidence.gated.let_in[:n][offered]
    distance = (x_ND - x_ND.mean(0)).norm(dim=1).cpu()
    distance = distance / distance.square().mean().sqrt().clamp(min=1e-300)
    means = {KEPT: distance[kept], DROPPED: distance[~kept]}
    found = {name: float(one.mean()) for name, one in means.items() if len(one)}
    if len(offered) < 4:
        return found
    quarters = [float(kept[part].double().mean()) for part in distance.argsort(stable=True).tensor_split(4)]
    far = {FAR: quarters[3] / float(kept.double().mean())} if bool(kept.any()) else {}
    return found | far | {f"{QUARTER}{number}": share for number, share in enumerate(quarters, 1)}


def _share(those: Tensor, of: Tensor) -> float:
    return int((those & of).sum()) / int(of.sum())
