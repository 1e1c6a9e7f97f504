"""Learn from real pictures and more than one generation of samples, or all real pictures and the newest."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat

from imgcollapse import seeds
from imgcollapse.errors import SettingsProblem
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, concatenate, gathered
from imgcollapse.regimes.regime import Have, Plan, Real
from imgcollapse.settings import Settings


class Accumulate(Settings):
    """Learn from all real pictures and the samples of every generation so far."""

    kind: Literal["accumulate"] = "accumulate"
    needs_all_samples: ClassVar[bool] = True
    from_teacher: ClassVar[bool] = False
    streams: ClassVar[bool] = False

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The real pictures, then the samples in the order of their generations."""
        return gathered(real.seen, past, most=n) if past else real.seen

    def title(self) -> str:
        """Its name."""
        return self.kind

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0, which all others learn from too."""
        return Plan(seen=min(n, have.pictures), unseen=0)


class AccumulateSubsample(Settings):
    """Learn from a random choice, always of the same size, from all real pictures and the samples of every generation so far.

    Accumulating under a fixed budget of computing (Kazdan et al. 2024, "Collapse or Thrive?").
    """

    kind: Literal["accumulate-subsample"] = "accumulate-subsample"
    needs_all_samples: ClassVar[bool] = True
    from_teacher: ClassVar[bool] = False
    streams: ClassVar[bool] = False

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """n pictures, each at most once and all with one chance; the real ones first, then the samples in the order of their generations.

        Every picture gets a random number, and those with the n smallest are chosen: so only these are in memory, beside one generation.
        """
        if not past:
            return real.seen
        generator, chosen, numbers = seeds.torch_generator(seed), real.seen[:0], torch.empty(0, dtype=torch.float64)
        for index in range(-1, len(past)):
            some = real.seen if index < 0 else past[index][:n]
            drawn = torch.rand(len(some), generator=generator, dtype=torch.float64)
            both = torch.cat([numbers, drawn])
            kept = both.argsort(stable=True)[:n].sort().values
            before = kept < len(numbers)
            chosen = concatenate([chosen[kept[before]], some[kept[~before] - len(numbers)]])
            numbers = both[kept]
        return chosen

    def title(self) -> str:
        """Its name."""
        return self.kind

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0, which all others choose from too."""
        return Plan(seen=min(n, have.pictures), unseen=0)


class Augment(Settings):
    """Learn from all real pictures and the newest samples: a real data set augmented with synthetic pictures.

    The synthetic augmentation loop of Alemohammad et al. 2024 (MAD); Bertrand et al. 2024.
    """

    kind: Literal["augment"] = "augment"
    needs_all_samples: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    synthetic_ratio: PositiveFloat = Field(1.0, description="samples per real picture in a training set")

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The real pictures that generation 0 learned from, and the first round(synthetic_ratio x their number) of the newest samples."""
        return concatenate([real.seen, past[-1][: min(n, self._synthetic(len(real.seen)))]]) if past else real.seen

    def title(self) -> str:
        """Name and ratio."""
        return f"{self.kind} ({self.synthetic_ratio:g} to 1)"

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """Real pictures for generation 0, which all others learn from too. Raises where a generation draws too few samples."""
        seen = min(n, have.pictures)
        if self._synthetic(seen) > n:
            raise SettingsProblem(
                f"regime.synthetic_ratio: {self._synthetic(seen)} samples are wanted beside {seen} real pictures, a generation draws {n}; "
                "take a smaller ratio, or more --samples than there are real pictures"
            )
        return Plan(seen=seen, unseen=0)

    def _synthetic(self, seen: int) -> int:
        return int(self.synthetic_ratio * seen + 0.5)  # to the nearest, halves up
