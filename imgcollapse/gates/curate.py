"""Curation: people who keep what they like of what models have made."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, PositiveInt, model_validator

from imgcollapse.errors import DataProblem
from imgcollapse.gates.raters import RATERS
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import REAL, UNLABELLED, ImageSet, World
from imgcollapse.regimes import Real
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.settings import Settings

By = Literal["random", "confidence", "discriminator", "density", "typicality", "brightness"]


class Curate(Settings):
    """Keep the best rated share of the samples, as people might choose among them, or a random one: the control.

    People choose among what models have made. Real pictures were chosen when the data set was made, and pass.
    """

    kind: Literal["curate"] = "curate"
    by: By = Field("random", description="how samples are rated: " + ", ".join(get_args(By)))
    keep: float = Field(0.5, gt=0, le=1, description="share of the samples that is kept: the best rated")
    raters: tuple[By, ...] = Field((), description="several, in place of `by`: each chooses from an equal part of the samples")
    error: float = Field(0.0, ge=0, le=1, description="share of the kept samples that are replaced by rejected ones")
    choice_of: PositiveInt | None = Field(
        None,
        ge=2,
        description="K, in place of `keep`: one of every K samples is kept, with probability proportional to exp(rating / standard "
        "deviation of the ratings) (Bradley-Terry; the K-choice of Ferbach et al. 2024)",
    )

    changes: ClassVar[bool] = False
    LATER: ClassVar = ("raters", "error", "choice_of")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.raters and self.by != "random":
            raise ValueError("raters stands in place of by: give one of them")
        if self.choice_of and self.error:
            raise ValueError("error is for keeping the best; choices by Bradley-Terry have errors of their own: give one of them")
        return self

    def title(self) -> str:
        """Name, share and rule."""
        how = f"1 of {self.choice_of}" if self.choice_of else f"{100 * self.keep:g} %"
        wrong = f", {100 * self.error:g} % wrong" if self.error else ""
        return f"{self.kind} {how} ({' and '.join(self._raters())}{wrong})"

    def check(self, world: World) -> None:
        """Raises DataProblem for a world that a rater cannot rate."""
        for name in self._raters():
            rater = RATERS[name]
            if rater.pictures and world.train.are_points:
                raise DataProblem(f"gates: curate by {name} rates pictures; of points take random or brightness")
            if rater.classes and (len(world.classes) < rater.classes or bool((world.train.labels == UNLABELLED).any())):
                raise DataProblem(f"gates: curate by {name} needs real pictures of {rater.classes} classes or more; take another rater")

    def candidates(self, n: int) -> int:
        """n over the share kept, rounded up: of so many, exactly n are let in."""
        return math.ceil(n / self._share())

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The same pictures."""
        return drawn

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """Of N samples keep N, rounded down, and every real picture."""
        mask = offered.born == REAL
        samples = (~mask).nonzero()[:, 0]
        if not len(samples):
            return mask
        raters = self._raters()
        dealt = torch.arange(len(samples))
        if len(raters) > 1:
            dealt = torch.randperm(len(samples), generator=torch_generator(derive(seed, "dealt")))
        whole, before = math.floor(len(samples) * self._share()), 0
        for place, name in enumerate(raters):
            part = samples[dealt[place :: len(raters)].sort().values]
            upto = whole * (place + 1) // len(raters)  # so that all of them together keep the whole
            own = seed if len(raters) == 1 else derive(seed, "rater", place)
            rating = RATERS[name].rate(offered[part], real, own)
            mask[part[self._chosen(rating, upto - before, own)]] = True
            before = upto
        return mask

    def _chosen(self, rating: Tensor, kept: int, seed: int) -> Tensor:
        """int64 [kept]: which of the rated pictures."""
        if self.choice_of:
            return _by_choice(rating, kept, self.choice_of, derive(seed, "choice"))
        order = rating.argsort(descending=True, stable=True)
        best, others = order[:kept], order[kept:]
        wrong = min(int(self.error * kept + 0.5), len(others))
        generator = torch_generator(derive(seed, "error"))
        dropped, taken = (torch.randperm(len(part), generator=generator)[:wrong] for part in (best, others))
        return torch.cat([best[~torch.isin(torch.arange(kept), dropped)], others[taken]])

    def _raters(self) -> tuple[By, ...]:
        return self.raters or (self.by,)

    def _share(self) -> Fraction:
        if self.choice_of:
            return Fraction(1, self.choice_of)
        return Fraction(str(self.keep))  # as it is written: in floats, 0.1 of 30 may be less than 3


def _by_choice(rating: Tensor, kept: int, k: int, seed: int) -> Tensor:
    """int64 [kept]: one of each k pictures that chance puts together.

    The one whose rating plus a standard Gumbel number is the largest: it has probability proportional to exp(rating) (Luce 1959).
    """
    generator = torch_generator(seed)
    reward = rating / rating.std().clamp(min=1e-12) if len(rating) > 1 else rating
    gumbel = -(-torch.rand(len(rating), generator=generator, dtype=torch.float64).clamp(min=1e-300).log()).log()
    groups = torch.randperm(len(rating), generator=generator)[: kept * k].view(kept, k)
    best = (reward + gumbel)[groups].argmax(1, keepdim=True)
    return groups.gather(1, best)[:, 0]
