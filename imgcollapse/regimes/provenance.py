"""Of what a training set is made: numbers for programs, and a few words."""

from collections.abc import Mapping
from typing import Any

import torch

from imgcollapse.images import REAL, UNLABELLED, ImageSet


def provenance(images: ImageSet, classes: tuple[str, ...], gates: Mapping[str, Any] | None = None, regime: object = None) -> dict[str, Any]:
    """Of what a training set is made: its size, its digest and its `origins`. Plain JSON values.

    gates:  where there are any, whom they were offered and whom they let in (see `imgcollapse.gates`)
    regime: that made it; how its real pictures are not like others is then said as `pool_bias`
    """
    made = {"size": len(images), "training_set": images.digest(), "made_of": origins(images, classes), **bias_of(regime)}
    return made if gates is None else {**made, "gates": dict(gates)}


def bias_of(regime: object) -> dict[str, Any]:
    """The `pool_bias` of a regime that has one, in a provenance; else nothing. Plain JSON values."""
    bias = getattr(regime, "pool_bias", None)
    return {} if bias is None else {"pool_bias": {**bias.model_dump(mode="json", exclude_defaults=True), "words": bias.title()}}


def origins(images: ImageSet, classes: tuple[str, ...]) -> dict[str, Any]:
    """For `real` and each generation that made some of the pictures, in this order: their number, in all and per class.

    Pictures that their maker gave no class are counted as `unlabelled`, or `(unlabelled)` where a class has that name. Plain JSON values.
    """
    if not len(images):
        return {}
    width = len(classes) + 2  # no class, each class, and what is in none of them, which counts only in all
    column = torch.where((images.labels < UNLABELLED) | (images.labels >= len(classes)), len(classes), images.labels) - UNLABELLED
    first = int(images.born.min())
    counted = torch.bincount((images.born - first) * width + column).tolist()
    names = ["(unlabelled)" if "unlabelled" in classes else "unlabelled", *classes]
    order = [*range(1, width - 1), 0]  # the classes first
    found = {}
    for born, start in enumerate(range(0, len(counted), width), first):
        counts = (counted[start : start + width] + [0] * width)[:width]  # the last row ends with its last picture
        if sum(counts):
            per_class = {names[at]: counts[at] for at in order if counts[at]}
            found["real" if born == REAL else f"generation {born}"] = {"pictures": sum(counts), "classes": per_class}
    return found


def generations_in(provenance: Mapping[str, Any]) -> list[int]:
    """The generations whose samples are in a training set, in order."""
    return [int(name.split()[-1]) for name in provenance["made_of"] if name != "real"]


def made_of(provenance: dict[str, Any]) -> str:
    """A set's origins in words: `learned from 10 % real, 90 % generation 3`."""
    parts, size = provenance["made_of"], provenance["size"]
    shares = {name: f"{100 * part['pictures'] / size:.3g} %" for name, part in parts.items()}
    biased = f" ({provenance['pool_bias']['words']})" if "pool_bias" in provenance and "real" in parts else ""
    if len(parts) == 1:
        return f"learned from {f'real pictures{biased}' if 'real' in parts else next(iter(parts))}"
    if len(parts) > 3:
        made = [name for name in parts if name != "real"]
        rest = f"generations {made[0].split()[-1]} to {made[-1].split()[-1]}"
        return f"learned from {shares['real']} real, the rest {rest}" if "real" in parts else f"learned from {rest}"
    return "learned from " + ", ".join(f"{share} {name}{biased if name == 'real' else ''}" for name, share in shares.items())
