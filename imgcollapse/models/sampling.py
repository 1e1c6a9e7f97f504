"""How models draw what they have learned: options that decide nothing of what is learned, sampling bias among them."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from imgcollapse.settings import Settings


class Tempered(Settings):
    """How a fitted density draws."""

    temperature: PositiveFloat = Field(1.0, description="scales the standard deviation of every draw: below 1 buys quality with diversity")


class DiffusionSampling(Settings):
    """How a denoising network draws."""

    sampler: Literal["ddpm", "ddim", "dpm++"] = Field("dpm++", description="ancestral over all T; DDIM (eta 0); DPM-Solver++(2M)")
    steps: int = Field(0, ge=0, description="evaluations a picture for ddim and dpm++, were they not stopped; 0: by picture size")
    temperature: PositiveFloat = Field(1.0, description="scales the noise that ddim and dpm++ begin with")
    stop: float = Field(
        0.0,
        ge=0,
        le=0.99,
        description="early stop: standard deviation of the noise left in a picture, whose values go from -1 to 1; 0: none",
    )
    anneal: float = Field(1.0, gt=0, le=1, description="what stop is multiplied by from each generation to the next: below 1 it falls to 0")
    guidance: NonNegativeFloat = Field(
        0.0,
        description="w of classifier-free guidance, of class-conditional networks with condition_dropout: draws by (1 + w) conditional - w "
        "unconditional predictions (Ho & Salimans 2022), twice the evaluations; as a sampling bias 1 / (1 + w) (Alemohammad et al. 2024)",
    )

    LATER: ClassVar = ("temperature", "stop", "anneal", "guidance")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sampler == "ddpm" and self.temperature != 1:
            raise ValueError("temperature is of ddim and dpm++, which add no noise on the way; the sampler is ddpm")
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
