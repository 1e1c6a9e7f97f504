"""Reference classifiers: trained once, shipped with the package, the same for everybody who judges by a standard data set.

Each is two files in `references/`: NAME.safetensors, the weights, and NAME.json, what they are. `scripts/train_reference.py` makes them.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcollapse.errors import DataProblem
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World, fingerprints
from imgcollapse.machine.cache import digest

if TYPE_CHECKING:
    from imgcollapse.extractors.classifier_network import ClassifierNetwork

FOLDER = Path(__file__).with_name("references")


@dataclass(frozen=True)
class Reference:
    """What a shipped classifier is.

    name:        of the data set that it serves
    version:     raised when the weights change
    held_out:    what names the held-out part, none of which it has learned from: `contents`
    shape:       (C, H, W) of a picture
    classes:     how many
    widths:      channels of the network's levels
    temperature: see `FittedClassifier`
    accuracy:    share of the held-out pictures of which it finds the class
    digest:      of the weights
    made:        how: settings, command, pictures that it has learned from
    symmetric:   whether its features are the mean over a picture and its mirror image
    """

    name: str
    version: int
    held_out: str
    shape: tuple[int, int, int]
    classes: int
    widths: tuple[int, ...]
    temperature: float
    accuracy: float
    digest: str
    made: dict[str, Any]
    symmetric: bool = False

    def network(self) -> "ClassifierNetwork":
        """With its weights. Raises DataProblem where the files are not those that were shipped."""
        from safetensors.torch import load_file

        from imgcollapse.extractors.classifier_network import ClassifierNetwork

        net = ClassifierNetwork(self.shape, self.widths, self.classes, self.symmetric)
        place = FOLDER / f"{self.name}.safetensors"
        try:
            net.load_state_dict(load_file(place))
            sound = digest(net.state_dict()) == self.digest
        except Exception:  # safetensors raises its own, OSError and more, by version
            sound = False
        if not sound:
            raise DataProblem(f"{place}: is not the file that came with the package; install imgcollapse again")
        return net.eval().requires_grad_(False)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@lru_cache(maxsize=4)
def contents(images: ImageSet) -> str:
    """SHA-256 (hexadecimal) of what pictures of what classes there are, in whatever order."""
    pairs = torch.stack([fingerprints(images.pixels), images.labels], 1)
    return sha256(repr(images.shape).encode() + torch.unique(pairs, dim=0).numpy().tobytes()).hexdigest()


@cache
def references() -> dict[str, Reference]:
    """All that are shipped, by the held-out part that they serve."""
    found = {}
    for place in sorted(FOLDER.glob("*.json")):
        record = json.loads(place.read_text(encoding="utf-8"))
        one = Reference(**{**record, "shape": tuple(record["shape"]), "widths": tuple(record["widths"])})
        found[one.held_out] = one
    return found


def reference_of(world: World) -> Reference | None:
    """The one that serves a world: by its held-out pictures and their classes, in whatever form and order they came; None where none does.

    What of the training part a study uses, and whether a long tail was cut, makes no difference.
    """
    return None if world.train.are_points else references().get(contents(world.all_held_out))
