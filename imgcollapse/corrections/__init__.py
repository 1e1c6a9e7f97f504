"""Corrections: what is done to a model between learning and drawing. To add one, write a class and add its line to the table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgcollapse.corrections.correction import Correction
from imgcollapse.corrections.self_training import Neon, Sims
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.machine import processes
from imgcollapse.settings import one_of

__all__ = ["CORRECTIONS", "AnyCorrection", "Correction", "Neon", "Sims", "corrected", "refuse_model"]

CORRECTIONS: dict[str, type[Correction]] = {
    "neon": Neon,
    "sims": Sims,
}

if TYPE_CHECKING:
    AnyCorrection = Correction
else:
    AnyCorrection = one_of(CORRECTIONS)  # built from the table, which a type checker cannot follow


def corrected(correction: Correction | None, model: Any, training_set: ImageSet | ImageStream, seed: int) -> Any:
    """The corrected model, in which all processes of the run take part; the model itself where there is no correction."""
    return model if correction is None else processes.fit(_Corrector(correction), training_set, seed, model)


def refuse_model(correction: Correction | None, model: Any) -> None:
    """Raises SettingsProblem for a model that the correction can do nothing with."""
    if correction is not None:
        correction.check(model)


@dataclass(frozen=True)
class _Corrector:
    """A correction as something to be fitted, as which processes do it together: it learns a model from a model."""

    correction: Correction

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Any = None) -> Any:
        return self.correction(start, images, seed)

    def sample(self, n: int, seed: int) -> ImageSet:
        raise AssertionError("what is drawn from is the model that it gives")
