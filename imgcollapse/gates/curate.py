"""Curation: people who keep what they like of what models have made."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from imgcollapse.images import REAL, ImageSet
from imgcollapse.regimes import Real
from imgcollapse.seeds import torch_generator
from imgcollapse.settings import Settings


class Curate(Settings):
    """Keep a share of what was drawn, chosen at random: the control for people who keep what they like."""

    kind: Literal["curate"] = "curate"
    by: Literal["random"] = Field("random", description="how the pictures that are kept are chosen")
    keep: float = Field(0.5, gt=0, le=1, description="share of the pictures drawn that is kept")

    def title(self) -> str:
        """Name, share and rule."""
        return f"{self.kind} {100 * self.keep:g} % ({self.by})"

    def candidates(self, n: int) -> int:
        """n / keep, rounded up: of so many, exactly n are let in."""
        return math.ceil(n / self._share())

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The same pictures."""
        return drawn

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """keep N of the N samples, rounded down, and every real picture."""
        # People choose among what models have made. Real pictures were chosen when the data set was made: it is what is left.
        samples = (offered.born != REAL).nonzero()[:, 0]
        chosen = torch.randperm(len(samples), generator=torch_generator(seed))[: math.floor(len(samples) * self._share())]
        mask = offered.born == REAL
        mask[samples[chosen]] = True
        return mask

    def _share(self) -> Fraction:
        return Fraction(str(self.keep))  # as it is written: in floats, 0.1 of 30 may be less than 3
