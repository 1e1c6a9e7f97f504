"""What a correction is."""

from typing import Any, ClassVar, Protocol

from imgcollapse.images import ImageSet, ImageStream


class Correction(Protocol):
    """What is done to a model between learning and drawing, without any more real pictures."""

    in_weights: ClassVar[bool]  # whether all of it is in the weights, so that whoever draws from those draws from the corrected model

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def title(self) -> str:
        """The correction in a few words."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Its options (see `Settings`)."""

    def check(self, model: Any) -> None:
        """Raises SettingsProblem for a model that it can do nothing with. A study asks before anything is written."""

    def __call__(self, model: Any, training_set: ImageSet | ImageStream, seed: int) -> Any:
        """The corrected model, a fitted copy; the given one stays as it is.

        model:        fitted, of a kind that `check` lets pass
        training_set: what it learned from
        """
