"""Watermarks: publishers mark what their models draw, and whoever collects pictures to learn from leaves out what is marked."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from imgcollapse.errors import DataProblem
from imgcollapse.gates.attacks import ATTACKS
from imgcollapse.gates.mark import Detector, marked, pattern
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, World
from imgcollapse.regimes import Real
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.settings import Settings

MOST_CANDIDATES = 4  # times as many pictures as are wanted: so many are drawn where nearly all are marked


class Watermark(Settings):
    """An invisible mark that tells synthetic pictures from real ones, and a detector that keeps marked ones out of training sets.

    The mark is a keyed spread-spectrum pattern (Cox et al. 1997; see `imgcollapse.gates.mark`). Real pictures pass the same detector, so
    that its false alarms count.
    """

    kind: Literal["watermark"] = "watermark"
    changes: ClassVar[bool] = True
    adoption: float = Field(1.0, ge=0, le=1, description="share of the samples that their publishers mark, chosen by the seed")
    psnr: float = Field(38.0, ge=10, le=60, description="lowest peak signal-to-noise ratio of a marked picture, in decibels")
    attack: Literal["none", "noise", "shift", "crop", "jpeg", "blur", "requantise"] = Field(
        "none", description="what is done to all published pictures: noise, shift, crop, jpeg, blur, requantise, or none"
    )
    strength: float | None = Field(
        None,
        description="of the attack: grey levels (noise), pixels (shift, crop, blur), quality (jpeg) or levels (requantise); none: "
        + ", ".join(f"{name} {usual:g}" for name, (_, usual, _) in ATTACKS.items()),
    )
    marks: Literal["all", "first"] = Field("all", description="samples that are marked: all, or first (those of generation 0 alone)")
    filter: bool = Field(True, description="whether pictures in which the mark is found are kept out of training sets")
    supply: Literal["enough", "fixed"] = Field(
        "enough",
        description="enough: draw more samples, so that about as many as are wanted carry no mark; fixed: draw as many as are wanted, and "
        "do without those left out (see regime.refill)",
    )
    false_positives: float = Field(0.01, gt=0, lt=1, description="false-positive rate: share of real pictures that may be taken for marked")
    key: NonNegativeInt = Field(0, description="key from which the pattern is made")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.strength is None:
            return self
        if self.attack == "none":
            raise ValueError("strength belongs to an attack, and attack is none; name one, or leave strength out")
        _, usual, (least, most) = ATTACKS[self.attack]
        if not least <= self.strength <= most:
            raise ValueError(f"strength of {self.attack} must be {least:g} to {most:g}, for example {usual:g}; it is {self.strength:g}")
        return self

    def title(self) -> str:
        """Name, adoption, and what is not usual about it."""
        more = [f"{self.psnr:g} dB"] if self.psnr != 38 else []
        more += [f"{self.attack} {self._strength():g}"] if self.attack != "none" else []
        more += ["generation 0 alone"] if self.marks == "first" else []
        more += ["not filtered"] if not self.filter else ["fixed supply"] if self.supply == "fixed" else []
        return ", ".join([f"{self.kind} {100 * self.adoption:g} %", *more])

    def check(self, world: World) -> None:
        """Raises DataProblem for points, and for pictures too few or too small for it."""
        if world.train.are_points:
            raise DataProblem("gates: 'watermark' marks pictures; a world of points has none")
        side = min(world.train.shape[1:])
        if self.attack == "crop" and 2 * round(self._strength()) >= side:
            raise DataProblem(f"gates: attack crop takes {self._strength():g} pixels from each side of {side}; take a smaller strength")

    def candidates(self, n: int) -> int:
        """n / (1 - adoption), of which about n are not marked, but at most MOST_CANDIDATES n.

        n where the supply is fixed, or all are let in.
        """
        more = self.filter and self.supply == "enough"
        return math.ceil(n / max(1 - self.adoption, 1 / MOST_CANDIDATES)) if more else n

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The pictures, those of publishers who mark them with the mark in them, after the attack."""
        pixels = self._marked(drawn, seed)
        if self.attack != "none":
            attack, *_ = ATTACKS[self.attack]
            pixels = attack(pixels, self._strength(), derive(seed, "attack"))
        return ImageSet(pixels, drawn.labels, drawn.born)

    def _marked(self, drawn: ImageSet, seed: int) -> Tensor:
        pixels = drawn.pixels
        if len(drawn) and (self.marks == "all" or int(drawn.born[0]) == 0):
            pixels = pixels.clone()
            chosen = self.chosen(len(drawn), seed)
            pixels[chosen] = marked(pixels[chosen], pattern(drawn.shape, self.key), self.psnr)
        return pixels

    def before_attack(self, drawn: ImageSet, published: ImageSet, seed: int) -> ImageSet:
        """The pictures with the mark alone: what was published, where nobody attacked."""
        return published if self.attack == "none" else ImageSet(self._marked(drawn, seed), drawn.labels, drawn.born)

    def chosen(self, n: int, seed: int) -> Tensor:
        """int64 [round(adoption n)]: which of n pictures are marked."""
        order = torch.randperm(n, generator=torch_generator(derive(seed, "adoption")))
        return order[: int(self.adoption * n + 0.5)].sort().values

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """All in which the detector does not find the mark, real or not."""
        if not self.filter:
            return torch.ones(len(offered), dtype=torch.bool)
        return ~_detector(real.seen, self.key, self.false_positives).finds(offered.pixels)

    def told_apart(self, samples: ImageSet, held_out: ImageSet, real: Real, past: Sequence[ImageSet]) -> tuple[Tensor, Tensor]:
        """The detector's correlations, of all samples: it knows the key and real pictures."""
        detector = _detector(real.seen, self.key, self.false_positives)
        return detector.correlations(samples.pixels), detector.correlations(held_out.pixels)

    def _strength(self) -> float:
        return ATTACKS[self.attack][1] if self.strength is None else self.strength


_detector = lru_cache(maxsize=2)(Detector.of)  # of the one set of real pictures that a run has
