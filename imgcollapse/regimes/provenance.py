"""What a training set is made of: numbers for programs, and a few words."""

from collections.abc import Mapping
from typing import Any

from imgcollapse.heavy import torch
from imgcollapse.images import CHAINS, REAL, UNLABELLED, ImageSet


def provenance(images: ImageSet, classes: tuple[str, ...], gates: Mapping[str, Any] | None = None, regime: object = None) -> dict[str, Any]:
    """What a training set is made of: its size, its digest and its `origins`. Plain JSON values.

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
    """For `real` and each generation (`generation 3`, of another chain `generation 3 of chain 1`) that made some of the pictures, in this
    order: their number, in all and per class.

    Pictures that their maker gave no class are counted as `unlabelled`, or `(unlabelled)` where a class has that name. Plain JSON values.
    """
    if not len(images):
        return {}
    width = len(classes) + 2  # no class, each class, and what is in none of them, which counts only in all
    column = torch.where((images.labels < UNLABELLED) | (images.labels >= len(classes)), len(classes), images.labels) - UNLABELLED
    made, place = images.born.unique(return_inverse=True)
    counted = torch.bincount(place * width + column, minlength=len(made) * width).view(-1, width).tolist()
    names = ["(unlabelled)" if "unlabelled" in classes else "unlabelled", *classes]
    order = [*range(1, width - 1), 0]  # the classes first
    return {
        _origin(born): {"pictures": sum(counts), "classes": {names[at]: counts[at] for at in order if counts[at]}}
        for born, counts in zip(made.tolist(), counted, strict=True)
    }


def of_chain(images: ImageSet, chain: int) -> ImageSet:
    """The samples of one generation, marked as those of that chain of an ensemble."""
    return ImageSet(images.pixels, images.labels, images.born + (chain + 1) * CHAINS)


def _origin(born: int) -> str:
    chain, generation = divmod(born, CHAINS)
    return "real" if born == REAL else f"generation {generation}" + (f" of chain {chain - 1}" if chain else "")


def generations_in(provenance: Mapping[str, Any]) -> list[str]:
    """The generations whose samples are in a training set, in order: `3`, or `3 of chain 1`, where another chain drew them."""
    return [name.removeprefix("generation ") for name in provenance["made_of"] if name != "real"]


def made_of(provenance: dict[str, Any]) -> str:
    """A set's origins in words: `learned from 10 % real, 90 % generation 3`."""
    parts, size = provenance["made_of"], provenance["size"]
    shares = {name: f"{100 * part['pictures'] / size:.3g} %" for name, part in parts.items()}
    biased = f" ({provenance['pool_bias']['words']})" if "pool_bias" in provenance and "real" in parts else ""
    if len(parts) == 1:
        return f"learned from {f'real pictures{biased}' if 'real' in parts else next(iter(parts))}"
    if len(parts) > 3 or sum(" of chain " in name for name in parts) > 1:
        rest = _ranged(generations_in(provenance))
        return f"learned from {shares['real']} real, the rest {rest}" if "real" in parts else f"learned from {rest}"
    return "learned from " + ", ".join(f"{share} {name}{biased if name == 'real' else ''}" for name, share in shares.items())


def _ranged(origins: list[str]) -> str:
    """`generations 0 to 3`, `generation 3 of chains 0 to 4`."""
    generations, chains = [sorted({int(one.split()[at]) for one in origins if len(one.split()) > at}) for at in (0, -1)]
    which = f"generations {generations[0]} to {generations[-1]}" if len(generations) > 1 else f"generation {generations[0]}"
    return which if " of chain " not in origins[0] else f"{which} of chains {chains[0]} to {chains[-1]}"
