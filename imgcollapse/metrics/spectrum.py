"""The power of samples by wavelength, against real pictures: which details fade first, or whether noise arrives."""

import math

from imgcollapse.heavy import Tensor
from imgcollapse.metrics.evidence import Evidence, FeatureSet
from imgcollapse.metrics.score import POSITIVE, Score

POWER = "power_"  # and the shortest wave of a band: what is of one band

SPECTRUM: dict[str, Score] = {
    "spectral_distance": Score(
        "spectral distance",
        "how far the power of details of every size is from that of real pictures, in decibels",
        "lower",
        "linear",
        2,
        "The root mean square, over the bands of wavelength, of 10 log10 of the mean power of the samples over that of held-out real "
        "pictures (the log spectral distance of Gray & Markel 1976, of mean spectra). 3 dB: twice or half the power. The power of each "
        "band by itself, with its sign, stands beside it. Biased upwards in small samples: read it beside real vs real.",
        bounds=POSITIVE,
        from_zero=True,
    ),
}


def power_spectrum(evidence: Evidence) -> dict[str, float]:
    """Power of the samples by wavelength relative to held-out real pictures, in decibels; empty where features are not powers by band.

        power_c            10 log10(mean over samples of P_c / mean over held-out pictures of P_c), P_c the power of waves of c pixels and
                           more, up to those of the next band: exp of the feature (`extractors/spectrum.py`)
        spectral_distance  root mean square over the bands of power_c                                                Gray & Markel 1976

    power_c is 0 for real pictures, below it where details of that size fade (blur takes short waves first), above it where there are more
    (noise); from -infinity to infinity, and no less than what rounding to grey levels leaves. spectral_distance is 0 or more; lower is
    better. It sees mean power alone: pictures that have theirs in the wrong places have the same. power_c is nearly without bias in N,
    spectral_distance is biased upwards: read both beside real vs real. Cost: O(N).
    """
    if not evidence.bands:
        return {}
    assert len(evidence.bands) == evidence.generated.features.shape[1], evidence.bands
    made_K, real_K = evidence.generated.once(_mean_power), evidence.held_out.once(_mean_power)
    apart = (10 * (made_K / real_K).log10()).tolist()
    distance = math.sqrt(math.fsum(one * one for one in apart) / len(apart))
    return {"spectral_distance": distance} | {f"{POWER}{band}": one for band, one in zip(evidence.bands, apart, strict=True)}


def _mean_power(pictures: FeatureSet) -> Tensor:
    """float64 [bands], over the pictures."""
    return pictures.features.exp().mean(0)
