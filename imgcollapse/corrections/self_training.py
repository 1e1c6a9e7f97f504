"""Corrections away from what a model becomes when it learns from its own pictures."""

from typing import Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from imgcollapse.errors import SettingsProblem
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.models.network import Extrapolated, Steered
from imgcollapse.seeds import derive
from imgcollapse.settings import Settings
from imgcollapse.training import Training


class SelfTraining(Settings):
    """How a copy of a model is trained on what the model draws."""

    kind: str
    weight: NonNegativeFloat = Field(1.0, description="w, how far to extrapolate away from the copy; 0: not at all, and no copy is trained")
    samples: PositiveInt | None = Field(
        None, description="pictures that the copy learns from; none: as many as the model did, at most steps x batch"
    )
    steps: PositiveInt | None = Field(None, description="optimisation steps of the copy; none: a tenth of the model's")
    learning_rate: PositiveFloat | None = Field(None, description="the copy's peak learning rate; none: a tenth of the model's")

    def title(self) -> str:
        """Name, weight, and what is not as usual."""
        given = {name: value for name in ("samples", "steps", "learning_rate") if (value := getattr(self, name)) is not None}
        return f"{self.kind} w {self.weight:g}" + "".join(f", {name} {value:g}" for name, value in given.items())


def self_trained(model: Any, how: SelfTraining, training_set: ImageSet | ImageStream, seed: int) -> Any:
    """A copy of the model that went on learning, from its own pictures and the classes it drew for them, by its own way of training."""
    steps = how.steps or max(1, model.steps // 10)
    most = steps * model.batch
    n = how.samples or (min(len(training_set), most) if isinstance(training_set, ImageSet) else most)
    options = {"steps": steps, "learning_rate": how.learning_rate or model.learning_rate / 10}
    return model.model_copy(update=options).fit(model.sample(n, derive(seed, "draw")), derive(seed, "fit"), start=model)


class Neon(SelfTraining):
    """Extrapolate the weights away from those of a copy that was trained on the model's own samples.

    Negative extrapolation from self-training (Alemohammad, Wang & Baraniuk 2025): theta + w (theta - theta_s) = (1 + w) theta - w theta_s.
    """

    kind: Literal["neon"] = "neon"
    in_weights: ClassVar[bool] = True

    def check(self, model: Any) -> None:
        """Raises SettingsProblem for a model without weights."""
        if not isinstance(model, Training) or not isinstance(model, Extrapolated):
            raise SettingsProblem(f"correction: model '{_kind(model)}' has no weights to correct; leave it out, or take ddpm or vae")

    def __call__(self, model: Any, training_set: ImageSet | ImageStream, seed: int) -> Any:
        """The model with the moved weights."""
        if not self.weight:
            return model
        copy = self_trained(model, self, training_set, seed)
        return model.extrapolated(copy, self.weight, training_set, derive(seed, "extrapolate"))


class Sims(SelfTraining):
    """Extrapolate the score away from that of a copy that was trained on the model's own samples: two evaluations a step.

    Self-improving diffusion models with synthetic data (Alemohammad et al. 2024): the score is (1 + w) s - w s_s. The copy is kept beside
    the model.
    """

    kind: Literal["sims"] = "sims"
    in_weights: ClassVar[bool] = False

    def check(self, model: Any) -> None:
        """Raises SettingsProblem for a model without scores."""
        if not isinstance(model, Training) or not isinstance(model, Steered):
            raise SettingsProblem(
                f"correction: model '{_kind(model)}' has no scores that sims could extrapolate; leave it out, or take ddpm"
            )

    def __call__(self, model: Any, training_set: ImageSet | ImageStream, seed: int) -> Any:
        """The model with the copy beside it."""
        if not self.weight:
            return model
        return model.steered(self_trained(model, self, training_set, seed), self.weight)


def _kind(model: Any) -> str:
    return str(getattr(model, "kind", type(model).__name__))
