"""What an extractor sees: of any pictures, and of the real ones."""

import functools
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from imgcollapse.extractors import FittedExtractor
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, World, promises
from imgcollapse.machine import devices
from imgcollapse.metrics import FeatureSet
from imgcollapse.metrics.classes import CONFIDENT
from imgcollapse.metrics.evidence import NO_CLASS, confusion_of


@dataclass(frozen=True, eq=False)
class View:
    """One extractor with everything it saw of the real world.

    train:     N training pictures, which it may have learned from: they stand for nothing but themselves
    unseen:    all held-out pictures, which it has not learned from
    held_out:  the first N of these: what samples are compared with
    confusion: of all that is held out, where the extractor knows classes
    """

    extractor: FittedExtractor
    train: FeatureSet
    unseen: FeatureSet
    held_out: FeatureSet
    confusion: Tensor | None


def real_view(extractor: FittedExtractor, world: World, n: int) -> View:
    """What an extractor sees of the real world; N = n."""
    train = FeatureSet(placed(_seen(extractor, world.train.pixels[:n])))
    return view_of(extractor, world, train, feature_set(extractor, world.held_out), n)


def view_of(extractor: FittedExtractor, world: World, train: FeatureSet, unseen: FeatureSet, n: int) -> View:
    """The same, of pictures that it has seen: N of the training part, and all that are held out."""
    labels = world.held_out.labels
    confusion = None if unseen.classes is None else confusion_of(unseen.classes, labels, len(world.classes))
    unseen = FeatureSet(unseen.features, unseen.classes, labels)
    return View(extractor, train, unseen, unseen.first(n), confusion)


def feature_set(extractor: FittedExtractor, images: ImageSet) -> FeatureSet:
    """The features of pictures, and where it knows classes the one found in each."""
    features = _seen(extractor, images.pixels)
    return FeatureSet(placed(features), _classes(extractor, features))


def _seen(extractor: FittedExtractor, pixels: Tensor) -> Tensor:
    """float32 [N, D]. Raises ProgramProblem for an extractor that gives something else."""
    return promises.features(extractor.features(pixels), len(pixels), f"extractor '{extractor.name}': features")


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


def source(*parts: object) -> str:
    """A digest of the code that measures: what an older version measured is measured again. Also of the files of these parts, classes or
    functions, where they are none of ours."""
    modules = {getattr(part, "__module__", type(part).__module__) for part in parts}
    others = sorted(str(getattr(sys.modules.get(name), "__file__", None)) for name in modules if name.partition(".")[0] != "imgcollapse")
    there = [sha256(Path(file).read_bytes()).hexdigest() for file in others if Path(file).is_file()]
    return " ".join([_own(), *there])


@functools.cache
def _own() -> str:
    place = Path(__file__)
    files = [
        *(place.with_name(name) for name in ("judge.py", "view.py", "real.py")),
        *sorted((place.parent.parent / "metrics").glob("*.py")),
    ]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
