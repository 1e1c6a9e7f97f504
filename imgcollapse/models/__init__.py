"""Models: what learns pictures and draws new ones. To add one, write a class with its options as fields and add its line to the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from imgcollapse.errors import DataProblem
from imgcollapse.images import ImageSet
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.gmm import GMM
from imgcollapse.models.nulls import Bootstrap, Gaussian
from imgcollapse.models.vae import VAE
from imgcollapse.models.weights import read_about
from imgcollapse.settings import build, one_of


class Model(Protocol):
    """A generator. Its options are its fields; `fit` gives a copy that has learned and can draw."""

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def for_shape(self, shape: tuple[int, int, int]) -> Self:
        """The same, with what follows the picture size chosen for pictures of (C, H, W)."""

    def fit(self, images: ImageSet, seed: int) -> Self:
        """A fitted copy that has learned from these pictures and from nothing else."""

    def sample(self, n: int, seed: int) -> ImageSet:
        """n pictures, with labels drawn from the class shares it learned, or unlabelled."""

    def save(self, folder: Path) -> None:
        """Writes the weights (safetensors) and what is needed to open them again."""

    def load(self, folder: Path) -> Self:
        """A fitted copy from what `save` wrote."""


MODELS: dict[str, type[Model]] = {
    "ddpm": DDPM,
    "vae": VAE,
    "gmm": GMM,
    "gaussian": Gaussian,
    "bootstrap": Bootstrap,
}

if TYPE_CHECKING:
    AnyModel = Model
else:
    AnyModel = one_of(MODELS)  # built from the table, which a type checker cannot follow


def load(folder: Path) -> Model:
    """The fitted model that a generation left in its `model` folder. Raises DataProblem where there is none."""
    options = read_about(folder)["options"]
    kind = options.get("kind", "")
    if kind not in MODELS:
        raise DataProblem(f"{folder}: holds a model of the unknown kind '{kind}'; there are: {', '.join(MODELS)}")
    return build(MODELS[kind], options).load(folder)
