"""How strong details of every size are: the power of a picture by wavelength, radially averaged.

Blur takes the power of short waves away before anything else, noise adds to it. Power spectra of generated pictures: Durall, Keuper &
Keuper 2020; by the cosine transform: Frank et al. 2020.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from imgcollapse.errors import DataProblem
from imgcollapse.files import digest
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import World, to_unit
from imgcollapse.settings import Settings

WAVES = (16, 8, 4, 3, 2)  # pixels: the shortest wave of each band; in the last one are those that are shorter along a diagonal, too
ROUNDING = 1 / 12 / 255**2  # the power of rounding to grey levels, of pixels in 0..1: without any power a picture has this much
BLOCK = 512  # pictures that are float64 at a time
LAYOUT = 1  # part of the digest: raise it when what is computed changes


class Spectrum(Settings):
    """The logarithm of a picture's power in bands of wavelength: shows fine structure that fades, or noise that appears."""

    METRICS: ClassVar = ("power_spectrum",)
    kind: Literal["spectrum"] = "spectrum"

    def check(self, world: World) -> None:
        """Raises DataProblem for points, and for pictures of one pixel."""
        if world.train.are_points:
            raise DataProblem(f"{world.name}: the extractor 'spectrum' needs pictures; use 'pixels'")
        if world.train.shape[1:] == (1, 1):
            raise DataProblem(f"{world.name}: the extractor 'spectrum' needs pictures of more than one pixel; use 'pixels'")

    def fit(self, world: World) -> "FittedSpectrum":
        """Nothing is learned: the size of the pictures is all of it. Raises DataProblem for what has no spectrum."""
        self.check(world)
        return FittedSpectrum(world.train.shape[1:])


@dataclass(frozen=True)
class FittedSpectrum:
    """size: height and width of the pictures."""

    size: tuple[int, int]
    name: str = "spectrum"

    @property
    def bands(self) -> tuple[int, ...]:
        """The shortest wave of each band, in pixels, from long to short; without bands that so small pictures do not have."""
        there = _band(*self.size)
        return tuple(wave for number, wave in enumerate(WAVES) if (there == number).any())

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, bands]: ln(power + ROUNDING), pixels in 0..1."""
        return torch.cat([(band_power(to_unit(block).double()) + ROUNDING).log().float() for block in pixels.split(BLOCK)])

    def probabilities(self, features_ND: Tensor) -> None:
        """None: it knows no classes."""

    def record(self) -> dict[str, object]:
        """What identifies this extractor: digest of the rule and of the size of the pictures, number of features, bands."""
        rule = {"layout": LAYOUT, "waves": WAVES, "size": self.size}
        return {"digest": digest(rule), "dim": len(self.bands), "bands": list(self.bands)}


def band_power(x_NCHW: Tensor) -> Tensor:
    """float64 [N, C, H, W] -> float64 [N, bands]: the mean square of a picture's coefficients in each band, over its channels too.

    The coefficients are those of the orthonormal cosine transform (type II: the spectrum of the picture mirrored at its borders, so that
    these make no jump, and every pixel counts alike, where a window would leave little of an 8 x 8 picture). The coefficient (u, v) is a
    wave of 1 / sqrt((u / 2H)^2 + (v / 2W)^2) pixels; (0, 0), the mean, is in no band. White noise of variance s has power s in every
    band, and

        sum over bands of (coefficients in the band) (power) = H W variance                                              Parseval
    """
    height, width = x_NCHW.shape[2:]
    coefficients = _cosines(height) @ x_NCHW @ _cosines(width).T
    power, band = coefficients.square().mean(1).flatten(1), _band(height, width).flatten()
    return torch.stack([power[:, band == number].mean(1) for number in range(len(WAVES)) if (band == number).any()], 1)


def _cosines(n: int) -> Tensor:
    """float64 [n, n], orthonormal: row u is the wave that goes u / 2 times up and down over n pixels."""
    places = torch.arange(n, dtype=torch.float64)
    rows = torch.cos(math.pi / n * places[:, None] * (places + 0.5)) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return rows


def _band(height: int, width: int) -> Tensor:
    """int64 [H, W]: the place in WAVES of each coefficient's band, by whole numbers, so that no rounding decides; -1: the mean."""
    u, v = torch.arange(height)[:, None], torch.arange(width)
    # a wave is at least w pixels long where (u / 2H)^2 + (v / 2W)^2 <= 1 / w^2
    longer = [(wave * wave * ((u * width) ** 2 + (v * height) ** 2)) <= (2 * height * width) ** 2 for wave in WAVES[:-1]]
    band = len(WAVES) - 1 - torch.stack(longer).sum(0)
    band[0, 0] = -1
    return band
