"""Models: what learns pictures and draws new ones. To add one, write a class with its options as fields and add its line to the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.models.command import Command
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.gmm import GMM
from imgcollapse.models.network import Network as Network
from imgcollapse.models.nulls import Bootstrap, Gaussian, Smooth
from imgcollapse.models.vae import VAE
from imgcollapse.models.weights import read_about
from imgcollapse.settings import build, one_of


class Model(Protocol):
    """A generator. Its options are its fields; `fit` gives a copy that has learned and can draw."""

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """The same, with every automatic choice made for pictures of (C, H, W), or points of (1, 1, D), of that many classes.

        Raises DataProblem for a world that it cannot learn. A study asks before anything is written.
        """

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy that has learned from these pictures and from nothing else; beginning with the weights of `start`.

        Raises SettingsProblem for a stream or a start where the model is no `Network`, DataProblem for a start of another architecture.
        """

    def sample(self, n: int, seed: int) -> ImageSet:
        """n pictures, with labels drawn from the class shares it learned, or unlabelled."""

    def save(self, folder: Path) -> None:
        """Writes the weights (safetensors) and what is needed to open them again."""

    def load(self, folder: Path) -> Self:
        """A fitted copy from what `save` wrote."""


@runtime_checkable
class Likely(Protocol):
    """A model that knows how likely a picture is. Of what it has learned: no temperature, no way to draw is in it."""

    def log_likelihood(self, images: ImageSet, seed: int, draws: int) -> Tensor:
        """float64 [N], finite, in nats: the log probability of each picture among the 256^D, or a lower bound of it; of a point, the log
        density. A function of the seed; `draws`: of a latent code for each picture, where a bound needs them.

        Raises DataProblem where what was saved of it does not suffice.
        """


@runtime_checkable
class Coded(Protocol):
    """A model that sees in a picture a code of a few numbers, and makes a picture of a code."""

    def codes(self, images: ImageSet) -> tuple[Tensor, Tensor]:
        """float64 [N, latent], the mean code of each picture, and float64 [N], how far what it makes of that is from the picture: the mean
        over its values, in 0..1, of the squared difference."""


MODELS: dict[str, type[Model]] = {
    "ddpm": DDPM,
    "vae": VAE,
    "gmm": GMM,
    "gaussian": Gaussian,
    "bootstrap": Bootstrap,
    "smooth": Smooth,
    "command": Command,
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
