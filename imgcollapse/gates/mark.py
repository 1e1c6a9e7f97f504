"""An invisible mark: a keyed pattern that is added to pictures, and the matched filter that finds it.

Spread-spectrum watermarking (Cox et al. 1997) with an additive mark in the pixels and a detector that is whitened against what real
pictures look like: the best linear one for a known pattern in noise of a known covariance (Kay 1998, sec. 4.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from imgcollapse.gates.gate import kth_greatest
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, to_levels
from imgcollapse.seeds import derive, torch_generator

PEAK = 255  # the signal of the peak signal-to-noise ratio
QUIET = 4.0  # grey levels, a standard deviation: in a direction in which real pictures vary less, the filter takes them to vary as much
BISECTIONS = 24  # of an amplitude between 0 and PEAK: to 2e-5 grey levels
BLOCK = 2**22  # values that are float64 at a time: 32 MiB


def pattern(shape: Sequence[int], key: int) -> Tensor:
    """float64 [C, H, W], normal numbers of mean square 1 that only who has the key knows."""
    drawn = torch.randn(tuple(shape), dtype=torch.float64, generator=torch_generator(derive(key, "watermark")))
    return drawn / drawn.square().mean().sqrt()


def marked(pixels: Tensor, mark: Tensor, psnr: float) -> Tensor:
    """uint8 [N, C, H, W]: the pictures with the mark in them, rounded and clipped as any published picture is.

    Of each picture, the mark has the largest amplitude at which the peak signal-to-noise ratio, 10 log10(255^2 / mean squared change), of
    what is published is at least `psnr` decibels: what clipping takes from it is given to the rest. At that amplitude a picture of n pixels
    far from black and white changes by a mean square of 255^2 10^(-psnr / 10).
    """
    most = PEAK**2 * 10 ** (-psnr / 10)
    blocks = [_marked(block.double(), mark, most) for block in pixels.split(max(1, BLOCK // mark.numel()))]
    return torch.cat(blocks) if blocks else pixels


def _marked(clean: Tensor, mark: Tensor, most: float) -> Tensor:
    low, high = torch.zeros(len(clean), 1, 1, 1, dtype=torch.float64), torch.full((len(clean), 1, 1, 1), float(PEAK), dtype=torch.float64)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        change = to_levels(clean + middle * mark).double() - clean  # of no pixel does it fall as the amplitude grows
        fits = change.square().mean((1, 2, 3), keepdim=True) <= most
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return to_levels(clean + low * mark)


def psnr(clean: Tensor, published: Tensor) -> Tensor:
    """float64 [N], in decibels: the peak signal-to-noise ratio of each picture; infinite where nothing changed."""
    change = (published.double() - clean.double()).square().flatten(1).mean(1)
    return 10 * (PEAK**2 / change).log10()


@dataclass(frozen=True, eq=False)
class Detector:
    """The matched filter for one key, normalised: how much of a whitened picture points where the whitened pattern does.

    Normalised by the picture's own length, so that one which is unlike real ones (noisy, badly drawn) is not taken for marked because of
    that alone: to a pattern that has nothing to do with it, it is as one of any length.

    mean:      float64 [D], of real pictures
    whitening: float64 [D, D], W = (S + QUIET^2 I)^-1/2, S their covariance
    filter:    float64 [D], W u over its length, u the key's pattern
    threshold: a picture whose correlation is greater is taken for marked
    """

    mean: Tensor
    whitening: Tensor
    filter: Tensor
    threshold: float

    @classmethod
    def of(cls, real: ImageSet, key: int, false_positives: float) -> "Detector":
        """Made of real pictures alone: what they look like is learned from one half, and the threshold is set by the other, which that has
        not seen: the k-th greatest of its m correlations, k = floor(false_positives (m + 1)), which a new real picture passes with
        probability k / (m + 1), whatever their distribution (of many splits, in the mean). Where k = 0 nothing is taken for marked."""
        half = len(real) // 2
        mean, whitening = _learned(real)
        filter = whitening @ pattern(real.shape, key).flatten()
        detector = cls(mean, whitening, filter / filter.norm(), float("inf"))
        return replace(detector, threshold=kth_greatest(detector.correlations(real.pixels[half:]), false_positives))

    def correlations(self, pixels: Tensor) -> Tensor:
        """float64 [N]: sqrt(D) times the cosine of the angle between W (x - mean) and W u.

        Of white noise without the mark it is nearly standard normal: c sqrt(D - 1) / sqrt(D - c^2) has Student's distribution of D - 1
        degrees of freedom, and with a mark of length d over the noise's standard deviation the noncentral one (Scharf & Friedlander 1994,
        "Matched subspace detectors").
        """
        found = [torch.empty(0, dtype=torch.float64)]
        for block in pixels.split(max(1, BLOCK // len(self.mean))):
            white = (block.flatten(1).double() - self.mean) @ self.whitening
            found.append(len(self.mean) ** 0.5 * (white @ self.filter) / white.norm(dim=1).clamp(min=1e-12))
        return torch.cat(found)

    def finds(self, pixels: Tensor) -> Tensor:
        """bool [N]: which pictures it takes for marked."""
        return self.correlations(pixels) > self.threshold

    def of_set(self, pixels: Tensor, others: int, key: int) -> tuple[float, float]:
        """Whether the pattern is in a set of pictures as a whole: how far, in standard deviations, and the p value.

        The mean picture's correlation with the key's pattern is compared with those with `others` patterns of other keys. To whoever has
        not learned from marked pictures all of these patterns are alike, so that the rank of the key's correlation among them is uniform,
        whatever the pictures are: p = (1 + how many others are at least as great) / (others + 1) is exact (as in a permutation test:
        Fisher 1935, sec. 21).
        """
        white = self.whitening @ (self.whitening @ (_mean(pixels) - self.mean))
        shape = (len(white),)
        own = float(pattern(shape, key) @ white)
        null = torch.stack([pattern(shape, derive(key, "other", number)) for number in range(others)]) @ white
        return float((own - null.mean()) / null.std()), (1 + int((null >= own).sum())) / (others + 1)


@lru_cache(maxsize=1)  # for another key: the D^3 of the eigenvalues is nearly all that a detector costs
def _learned(real: ImageSet) -> tuple[Tensor, Tensor]:
    """Mean and whitening of the first half of real pictures."""
    values = real.pixels[: len(real) // 2].flatten(1).double()
    mean = values.mean(0)
    centred = values - mean
    found = torch.linalg.eigh(centred.T @ centred / max(1, len(values) - 1))
    return mean, found.eigenvectors * (found.eigenvalues.clamp(min=0) + QUIET**2).rsqrt() @ found.eigenvectors.T


def _mean(pixels: Tensor) -> Tensor:
    return sum((block.flatten(1).double().sum(0) for block in pixels.split(4096)), torch.zeros(pixels[0].numel()).double()) / len(pixels)
