"""What an extractor sees: of any pictures, and of the real ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imgcollapse.extractors import FittedExtractor
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import devices
from imgcollapse.metrics import FeatureSet
from imgcollapse.metrics.classes import CONFIDENT
from imgcollapse.metrics.evidence import NO_CLASS, confusion_of


@dataclass(frozen=True, eq=False)
class View:
    """One extractor with everything it saw of the real world: N training and N held-out pictures, and where it knows classes, the class
    found in each picture of the whole training part, and the confusions in all that is held out."""

    extractor: FittedExtractor
    train: FeatureSet
    held_out: FeatureSet
    found: Tensor | None
    confusion: Tensor | None


def real_view(extractor: FittedExtractor, world: World, n: int) -> View:
    """What an extractor sees of the real world; N = n."""
    knows = extractor.probabilities(extractor.features(world.held_out.pixels[:1])) is not None
    held_out = feature_set(extractor, world.held_out if knows else world.held_out[:n])  # confusions are counted in all of them
    confusion = None if held_out.classes is None else confusion_of(held_out.classes, world.held_out.labels, len(world.classes))
    train = feature_set(extractor, world.train[:n])
    found = train.classes
    if found is not None and len(world.train) > n:
        rest = _classes(extractor, extractor.features(world.train.pixels[n:]))
        found = found if rest is None else torch.cat([found, rest])
    return View(
        extractor,
        FeatureSet(train.features, train.classes, world.train.labels[:n]),
        FeatureSet(held_out.features, held_out.classes, world.held_out.labels[: len(held_out)]).first(n),
        found,
        confusion,
    )


def feature_set(extractor: FittedExtractor, images: ImageSet) -> FeatureSet:
    """The features of pictures, and where it knows classes the one found in each."""
    features = extractor.features(images.pixels)
    return FeatureSet(placed(features), _classes(extractor, features))


def _classes(extractor: FittedExtractor, features_ND: Tensor) -> Tensor | None:
    """int64 [N], the class found, or NO_CLASS where the extractor is not confident; None where it knows none."""
    sure = extractor.probabilities(features_ND)
    if sure is None:
        return None
    most = sure.max(1)
    return torch.where(most.values >= CONFIDENT, most.indices, NO_CLASS)


def placed(features: Tensor) -> Tensor:
    """float64, on the GPU where there is one that computes in it."""
    device = devices.current().torch_device()
    return features.double().to(device if device.type == "cuda" else "cpu")
