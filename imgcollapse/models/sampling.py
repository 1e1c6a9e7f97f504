"""How models draw what they have learned: options that decide nothing of what is learned, sampling bias among them."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from imgcollapse.heavy import Tensor, torch
from imgcollapse.settings import Settings


class Tempered(Settings):
    """How a fitted density draws: first the temperature widens or narrows it, then the draws of least density under that are left out."""

    temperature: PositiveFloat = Field(1.0, description="scales the standard deviation of every draw: below 1 trades diversity for quality")
    keep: float = Field(1.0, ge=0.01, le=1, description="share of the draws that is kept: those of greatest density (truncation); 1: all")

    LATER: ClassVar = ("keep",)


def densest(noise: Tensor, keep: float) -> Tensor:
    """float64 [N, D], standard normal -> the same directions, with lengths as the share `keep` of greatest density has them.

    The squared length r^2 of a draw has the chi-square distribution F of D degrees of freedom, and density falls with it: what is kept lies
    within c, F(c^2) = keep. F^-1(keep F(r^2)) has that distribution, exactly, without a draw that is thrown away, so that the same noise
    gives the same place, nearer to the middle. Each coordinate's variance becomes F_{D+2}(c^2) / F_D(c^2) (Tallis 1963, elliptical
    truncation; for D = 1: 1 - 2 c phi(c) / keep).
    """
    from scipy.special import gammainc, gammaincinv

    if keep == 1:
        return noise
    half, squared = noise.shape[1] / 2, noise.square().sum(1)
    inner = 2 * torch.from_numpy(gammaincinv(half, keep * gammainc(half, (squared / 2).numpy())))
    return noise * (inner / squared.clamp(min=torch.finfo(torch.float64).tiny)).sqrt()[:, None]


class DiffusionSampling(Settings):
    """How a denoising network draws."""

    sampler: Literal["ddpm", "ddim", "dpm++"] = Field(
        "dpm++", description="ddpm (ancestral, all T steps), ddim (eta 0) or dpm++ (DPM-Solver++ 2M)"
    )
    steps: int = Field(0, ge=0, description="steps of ddim and dpm++ without an early stop; 0: by picture size")
    temperature: PositiveFloat = Field(1.0, description="scales the initial noise of ddim and dpm++")
    stop: float = Field(
        0.0,
        ge=0,
        le=0.99,
        description="early stop: standard deviation of the noise left when sampling ends, pixels being -1 to 1; 0: no early stop",
    )
    anneal: float = Field(1.0, gt=0, le=1, description="factor on stop from one generation to the next; below 1 it falls to 0")
    guidance: NonNegativeFloat = Field(
        0.0,
        description="w of classifier-free guidance (Ho & Salimans 2022): (1 + w) conditional - w unconditional prediction, at twice the "
        "evaluations; needs class_conditional and condition_dropout; called a sampling bias of 1 / (1 + w) in Alemohammad et al. 2024",
    )

    LATER: ClassVar = ("temperature", "stop", "anneal", "guidance")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sampler == "ddpm" and self.temperature != 1:
            raise ValueError("temperature applies to ddim and dpm++, which add no noise on the way, and the sampler is ddpm")
        if self.anneal != 1 and not self.stop:
            raise ValueError("anneal makes stop smaller from generation to generation; give stop too")
        return self

    def evaluations(self, timesteps: int) -> int:
        """Of a network, for each picture drawn, were it not stopped early; after `for_world`. `timesteps`: T."""
        return (timesteps if self.sampler == "ddpm" else self.steps) * (2 if self.guidance else 1)

    def of_generation(self, generation: int) -> Self:
        """The same with what follows the generation's number settled: stop times anneal^g, and nothing to anneal."""
        return self if self.anneal == 1 else self.model_copy(update={"stop": self.stop * self.anneal**generation, "anneal": 1.0})


def of_generation(model: Any, generation: int) -> Any:
    """The model as it draws in that generation; the model itself where that does not depend on it."""
    sampling = getattr(model, "sampling", None)
    settled = sampling.of_generation(generation) if isinstance(sampling, DiffusionSampling) else sampling
    return model if settled is sampling else model.model_copy(update={"sampling": settled})
