"""How models draw what they have learned: options that decide nothing of what is learned, sampling bias among them."""

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from imgcollapse.settings import Settings


class Tempered(Settings):
    """How a fitted density draws."""

    temperature: PositiveFloat = Field(1.0, description="scales the standard deviation of every draw: below 1 buys quality with diversity")


class DiffusionSampling(Settings):
    """How a denoising network draws."""

    sampler: Literal["ddpm", "ddim", "dpm++"] = Field("dpm++", description="ancestral over all T; DDIM (eta 0); DPM-Solver++(2M)")
    steps: int = Field(0, ge=0, description="evaluations a picture for ddim and dpm++; 0: by picture size")
    temperature: PositiveFloat = Field(1.0, description="scales the noise that ddim and dpm++ begin with")

    LATER: ClassVar = ("temperature",)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sampler == "ddpm" and self.temperature != 1:
            raise ValueError("temperature is of ddim and dpm++, which add no noise on the way; the sampler is ddpm")
        return self
