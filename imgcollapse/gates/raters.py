"""Raters: what people who choose among pictures may go by. To add one, write a function and add its line to the table."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from imgcollapse.extractors.classifier import Classifier, FittedClassifier, logits
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, concatenate
from imgcollapse.machine import cache
from imgcollapse.metrics.nearest import nearest
from imgcollapse.regimes import Real
from imgcollapse.seeds import derive, torch_generator

if TYPE_CHECKING:
    from imgcollapse.extractors.classifier_network import ClassifierNetwork

NEIGHBOUR = 5  # the k-th nearest real picture tells how dense real pictures are about a sample
MOST = 2000  # real pictures that tell what is usual among them
STEPS = 300  # of a rater's network
LAYOUT = 1  # part of the cache key: raise it when what is trained changes

Rate = Callable[[ImageSet, Real, int], Tensor]  # samples, the study's real pictures, seed -> float64 [N]: the greater, the better liked


class Rater(NamedTuple):
    """How pictures are rated.

    rate:     see `Rate`
    pictures: whether it rates pictures alone, and no points
    classes:  how many classes real pictures must have
    """

    rate: Rate
    pictures: bool = True
    classes: int = 0


def confidence(offered: ImageSet, real: Real, seed: int) -> Tensor:
    """The largest class probability of a classifier that has learned from the real pictures of the study: what is plainly of its class.

    Trained apart from the judge's: with a seed of its own, on what generation 0 learned from."""
    return _logits(network_of(real.seen, int(real.seen.labels.max()) + 1, "confidence"), offered.pixels).softmax(1).amax(1)


def discriminator(offered: ImageSet, real: Real, seed: int) -> Tensor:
    """The log odds of being real by a network that was trained to tell real pictures from samples of this generation.

    Each half of the samples is rated by a network that has learned from the other half, and from half of the real pictures.
    """
    found = torch.empty(len(offered), dtype=torch.float64)
    order = torch.randperm(len(offered), generator=torch_generator(seed))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    for place, (learn_from, rated) in enumerate((halves, halves[::-1])):
        pictures = real.seen[torch.arange(place, len(real.seen), 2)]
        network = network_of(against(pictures, offered[learn_from]), 2, "discriminator")
        found[rated] = odds(network, offered.pixels[rated])
    return found


def density(offered: ImageSet, real: Real, seed: int) -> Tensor:
    """Minus the distance to the k-th nearest real picture, pixel by pixel: what lies where many real pictures do."""
    return -_distances(real.seen, offered)


def typicality(offered: ImageSet, real: Real, seed: int) -> Tensor:
    """Minus how far that distance is from the one usual among real pictures: neither a rarity nor the most common of all."""
    return -(_distances(real.seen, offered).log() - _usual(real.seen)).abs()


def brightness(offered: ImageSet, real: Real, seed: int) -> Tensor:
    """The mean of all values: a taste that has nothing to do with what is real."""
    return offered.pixels.flatten(1).double().mean(1)


def random(offered: ImageSet, real: Real, seed: int) -> Tensor:
    """By chance: the control."""
    order = torch.randperm(len(offered), generator=torch_generator(seed))
    return torch.empty(len(offered), dtype=torch.float64).index_copy(0, order, -torch.arange(len(offered), dtype=torch.float64))


RATERS: dict[str, Rater] = {
    "random": Rater(random, pictures=False),
    "confidence": Rater(confidence, classes=2),
    "discriminator": Rater(discriminator),
    "density": Rater(density),
    "typicality": Rater(typicality),
    "brightness": Rater(brightness, pictures=False),
}


def against(real: ImageSet, samples: ImageSet) -> ImageSet:
    """Both together, labelled 1 where real and 0 where not."""
    both = concatenate([real, samples])
    return ImageSet.of(both.pixels, torch.cat([torch.ones(len(real)), torch.zeros(len(samples))]))


def odds(network: "ClassifierNetwork", pixels: Tensor) -> Tensor:
    """float64 [N]: the log odds of class 1 against class 0."""
    found = _logits(network, pixels)
    return found[:, 1] - found[:, 0]


def network_of(images: ImageSet, classes: int, what: str) -> "ClassifierNetwork":
    """A small classifier that has learned the labels of these pictures; from the data folder where it is there."""
    options, seed = Classifier(steps=STEPS), derive(0, "rater", what)
    key = f"{LAYOUT}{what}{images.digest()}{options.model_dump_json()}"
    weights, _ = cache.remembered("raters", what, key, lambda: (options.train(images, classes, seed=seed).state_dict(), {}))
    network = options.network(images.shape, classes, seed)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _logits(network: "ClassifierNetwork", pixels: Tensor) -> Tensor:
    return logits(network, FittedClassifier(network, 1.0).features(pixels)).double()


def _distances(real: ImageSet, offered: ImageSet) -> Tensor:
    x, y = (images.pixels.flatten(1).double() for images in (offered, real))
    return nearest(x, y, NEIGHBOUR)[0].clamp(min=1e-12)


@lru_cache(maxsize=1)
def _usual(real: ImageSet) -> float:
    """The median among real pictures of the log distance to the k-th nearest other one."""
    own = real.pixels[:MOST].flatten(1).double()
    return float(nearest(own, real.pixels.flatten(1).double(), NEIGHBOUR + 1)[0].clamp(min=1e-12).log().median())  # itself is the first
