"""Extractors: what turns pictures into features. To add one, write a class with `fit` and add its line to the table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imgcollapse.errors import WeightsProblem
from imgcollapse.extractors.classifier import Classifier
from imgcollapse.extractors.dinov2 import DinoV2
from imgcollapse.extractors.inception import Inception
from imgcollapse.extractors.pca import PCA
from imgcollapse.extractors.pixels import Pixels
from imgcollapse.extractors.random import Random
from imgcollapse.extractors.spectrum import Spectrum
from imgcollapse.extractors.weights import Published, find
from imgcollapse.heavy import Tensor
from imgcollapse.images import World
from imgcollapse.settings import one_of


class FittedExtractor(Protocol):
    """An extractor that is ready: fixed before generation 0, never changed after."""

    @property
    def name(self) -> str:
        """Its kind, or a name of its own where that would promise too much (other weights than the published ones)."""

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] (or the float32 points of a toy world) -> float32 [N, D] on the CPU."""

    def probabilities(self, features_ND: Tensor) -> Tensor | None:
        """float32 [N, D] -> float32 [N, classes], or None where it knows no classes."""

    def record(self) -> dict[str, object]:
        """What identifies this extractor: `digest` of its weights, `dim`, and what else a reader should know."""


class Extractor(Protocol):
    """An extractor's options. What it calls the Fréchet distance with its features may stand in FRECHET, by `FittedExtractor.name`, and
    what metrics are of its features alone, to be measured where nobody chose any, in METRICS."""

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def fit(self, world: World) -> FittedExtractor:
        """The extractor, ready for this world."""


@runtime_checkable
class Banded(Protocol):
    """A fitted extractor whose features are logarithms of a picture's power by wavelength."""

    @property
    def bands(self) -> tuple[int, ...]:
        """The shortest wave of each feature's band, in pixels, from long to short."""


@runtime_checkable
class Weighted(Protocol):
    """An extractor that needs published weights. The command line reads from its source the kind in `Published(kind=...)`."""

    @staticmethod
    def published() -> Published:
        """The file of weights that it needs."""


EXTRACTORS: dict[str, type[Extractor]] = {
    "classifier": Classifier,
    "random": Random,
    "pixels": Pixels,
    "pca": PCA,
    "spectrum": Spectrum,
    "inception": Inception,
    "dinov2": DinoV2,
}

if TYPE_CHECKING:
    AnyExtractor = Extractor
else:
    AnyExtractor = one_of(EXTRACTORS)  # built from the table, which a type checker cannot follow


def by_default(world: World) -> tuple[Extractor, ...]:
    """What judges where nobody chose: of pictures two spaces that know nothing of each other, as what one is blind to the other may see."""
    if world.train.are_points:
        return (Pixels(),)
    return (Classifier(), Random()) if len(world.classes) > 1 else (Random(), PCA())


def own_metrics(extractors: Iterable[Extractor]) -> set[str]:
    """The metrics that are of the features of one of these alone."""
    return {name for extractor in extractors for name in getattr(extractor, "METRICS", ())}


def frechet_name(extractor: str) -> str:
    """What the Fréchet distance is called with the features of an extractor of that name: FD, unless the table has another name."""
    names: dict[str, str] = {}
    for options in EXTRACTORS.values():
        names |= getattr(options, "FRECHET", {})
    return names.get(extractor.partition(" (")[0], "FD")  # of another judge: `inception (n 5000)`


def fetch_weights(extractors: Iterable[Extractor]) -> list[WeightsProblem]:
    """Fetches the weights that these extractors need, so that workers find them; what is in the way of those that cannot be had."""
    missing = []
    for extractor in extractors:
        if isinstance(extractor, Weighted):
            try:
                find(extractor.published())
            except WeightsProblem as problem:
                missing.append(problem)
    return missing


def with_weights() -> dict[str, type[Weighted]]:
    """The extractors of the table that need published weights."""
    found: dict[str, type[Weighted]] = {}
    for kind, extractor in EXTRACTORS.items():
        if issubclass(extractor, Weighted):
            found[kind] = extractor
    return found
