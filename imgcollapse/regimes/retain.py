"""Learn from the newest samples with real pictures among them."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from imgcollapse import seeds
from imgcollapse.errors import SettingsProblem
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, concatenate
from imgcollapse.regimes.pool_bias import PoolBias, biased
from imgcollapse.regimes.regime import Have, Plan, Real
from imgcollapse.settings import Settings


class Retain(Settings):
    """Learn from the newest samples with a share of real pictures mixed in; the total size stays the same.

    Or from so many of each, `n_real` and `n_synthetic`, after a generation 0 of `n_initial`: with the pool `fresh` this is the fresh data
    loop of Alemohammad et al. 2024 (MAD), with `fixed` their synthetic augmentation loop.
    """

    kind: Literal["retain"] = "retain"
    needs_all_samples: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = False
    real_fraction: float = Field(0.1, ge=0, le=1, description="share of real pictures in a training set, whose size stays the same")
    pool: Literal["fixed", "resample", "fresh"] = Field(
        "resample",
        description="real pictures: fixed (always the same), resample (drawn anew each generation), fresh (that no generation has seen)",
    )
    n_initial: PositiveInt | None = Field(
        None, description="real pictures that generation 0 learns from; none: as many as a generation draws"
    )
    n_real: NonNegativeInt | None = Field(None, description="real pictures in every later training set; none: by real_fraction")
    n_synthetic: NonNegativeInt | None = Field(
        None, description="samples in every later training set; none: what is missing to as many pictures as a generation draws"
    )

    refill: bool = Field(False, description="where gates let in too few samples, add real pictures from the pool to make up for them")

    pool_bias: PoolBias | None = Field(
        None, description="make the real pictures mixed in after generation 0 class-skewed or degraded; none: neither"
    )

    stream: bool = Field(False, description="draw the samples of every batch anew from the newest model; only networks can learn so")

    LATER: ClassVar = ("n_initial", "n_real", "n_synthetic", "refill", "pool_bias", "stream")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.n_real is not None and "real_fraction" in self.model_fields_set and self.real_fraction != Retain().real_fraction:
            raise ValueError("real_fraction and n_real both say how many real pictures there are: give one of them")
        if self.refill and self.pool != "resample":
            raise ValueError("refill takes real pictures that are drawn anew each generation: set pool to resample, or refill to false")
        if self.refill and self.stream:
            raise ValueError("refill stands in for samples that gates turn away, and a stream passes no gate: set one of them to false")
        if self.n_real == self.n_synthetic == 0:
            raise ValueError("n_real and n_synthetic are both 0: nothing would be learned from")
        return self

    @property
    def streams(self) -> bool:
        """As asked for."""
        return self.stream

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        """The real pictures, k = round(real_fraction n) or n_real of them, and the first n - k or n_synthetic of the newest samples."""
        if not past:
            return real.seen
        _, m = self._counts(n)
        samples = past[-1][:m]
        return concatenate([self._mixed_in(real, len(past), n, seed, missing=m - len(samples)), samples])

    def beside(self, real: Real, generation: int, n: int, seed: int) -> tuple[ImageSet, int]:
        """The real pictures that a generation learns from, and how many samples a set has beside them."""
        return self._mixed_in(real, generation, n, seed), self._counts(n)[1]

    def _mixed_in(self, real: Real, generation: int, n: int, seed: int, missing: int = 0) -> ImageSet:
        """The real pictures of a generation's training set. `missing`: samples that gates have not let in."""
        k, _ = self._counts(n)
        source = real.unseen if self.pool == "fresh" else real.seen
        source = source if self.pool_bias is None else biased(source, self.pool_bias)
        start = (generation - 1) * k if self.pool == "fresh" else 0
        if self.refill:
            k = min(k + missing, len(source))
        assert start + k <= len(source), "the plan says what the regime needs before the start"
        if self.pool == "resample":
            return source[torch.randperm(len(source), generator=seeds.torch_generator(seed))[:k]]
        return source[start : start + k]

    def title(self) -> str:
        """Name, fraction or numbers, and pool."""
        share = f"{100 * self.real_fraction:g} %" if self.n_real is None else f"{self.n_real:,}"
        more = f" + {self.n_synthetic:,} samples" if self.n_synthetic is not None else ""
        first = f", {self.n_initial:,} at first" if self.n_initial is not None else ""
        refill = ", refilled" if self.refill else ""
        bias = f", {self.pool_bias.title()}" if self.pool_bias else ""
        stream = ", stream" if self.stream else ""
        return f"{self.kind} {share} real{more} ({self.pool}{first}{refill}{bias}{stream})"

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        """k of the seen pictures, or for the pool `fresh` k unseen ones for each generation after 0 (k: as for a training set)."""
        first, (k, m) = self.n_initial or min(n, have.pictures), self._counts(n)
        if first > have.pictures and not have.endless:
            raise SettingsProblem(
                f"regime.n_initial: {first} real pictures are wanted, {have.name} has {have.pictures}; take fewer, or another data set"
            )
        if m > n:
            raise SettingsProblem(
                f"regime.n_synthetic: {m} samples are wanted of a generation that draws {n}; set --samples to at least {m}"
            )
        if m < 0:
            raise SettingsProblem(f"regime.n_real: {k} is more than a training set of {n}; say how many samples there are in n_synthetic")
        if self.pool != "fresh":
            if k > first:
                name, smaller = ("real_fraction", "fraction") if self.n_real is None else ("n_real", "number")
                raise SettingsProblem(
                    f"regime.{name}: {k} real pictures are wanted in every training set of {k + m}, "
                    f"{have.name if self.n_initial is None else 'generation 0'} has {first}; take fewer --samples or a smaller {smaller}"
                )
            return self._of_pool(Plan(seen=first, unseen=0), k, gens, have)
        unseen = (gens - 1) * k
        if first + unseen > have.pictures and not have.endless:
            raise SettingsProblem(
                f"regime.pool: fresh real pictures will not last: generation 0 takes {first}, the {gens - 1} after it {unseen} more, "
                f"{have.name} has {have.pictures}; {self._cure(first, gens, have)}"
            )
        return self._of_pool(Plan(seen=first, unseen=unseen), k, gens, have)

    def _of_pool(self, plan: Plan, k: int, gens: int, have: Have) -> Plan:
        """The plan, where the pool is biased of all unseen pictures there are. Raises SettingsProblem where too few are left in it."""
        bias, fresh = self.pool_bias, self.pool == "fresh"
        if bias is None:
            return plan
        assert have.train is not None, "a plan of a biased pool looks at the real pictures"
        bias.check(have.train)
        if not bias.chooses:
            return plan
        source = have.train[plan.seen :] if fresh else have.train[: plan.seen]
        wanted, there = (gens - 1) * k if fresh else k, len(bias.chosen(source.labels))
        if wanted > there:
            where = f"by the {gens - 1} generations after 0" if fresh else "in every training set"
            cure = "fewer --gens or --pool resample" if fresh else "a less biased pool"
            raise SettingsProblem(
                f"regime.pool_bias: {wanted} real pictures are wanted {where}, {have.name} has {there} of them in the pool "
                f"({bias.title()}), out of {len(source)}; take a smaller real_fraction or n_real, or {cure}"
            )
        return plan._replace(unseen=len(source)) if fresh else plan

    def _cure(self, first: int, gens: int, have: Have) -> str:
        if self.n_real is not None or self.n_initial is not None:
            return "take a smaller n_real or n_initial, fewer --gens, or --pool resample"
        most = next((m for m in range(first, 0, -1) if m + (gens - 1) * self._counts(m)[0] <= have.pictures), 0)
        return f"set --samples to at most {most}, or use --pool resample"

    def _counts(self, n: int) -> tuple[int, int]:
        """Real pictures and samples of a training set, where a generation draws n."""
        # to the nearest, halves up: Python's round() would take 0.5 to 0
        k = self.n_real if self.n_real is not None else int(self.real_fraction * n + 0.5)
        return k, self.n_synthetic if self.n_synthetic is not None else n - k
