"""What makes a generation the one that it is: everything in a study but a named list, and the digests of what it was made from."""

from collections.abc import Mapping, Sequence
from typing import Any

from imgcollapse.files import digest, first_difference

# field of a study -> why it decides no generation, or what in a generation's identity stands for it; everything else is in it
NOT_IDENTITY = {
    "dataset": "the digest of the real pictures is in it",
    "regime": "its outcome, the training set, is in it",
    "gates": "their outcome is in it: the training set, the number of pictures drawn, and what is done to those before they are published",
    "init": "the weights that it began from are in it",
    "judge": "a generation is judged after it is made and kept",
    "ensemble": "a chain's place decides its seed and its model, which are in it, and what it learns from is in the training set",
    "keep": "what is thrown away afterwards changes nothing that was made",
    "plugins": "those of the model and of the correction are in it, and what other parts did is",
    "gens": "how many generations follow changes none of those before",
}
# likewise, of the options of a study's model: they may change under way
NOT_MODEL = {"timeout": "how long a program may take changes nothing of what it makes"}
DRAWS = ("sampling", "sample", "samples")  # options of a model that only decide how pictures are drawn
# of an identity: what only decides how pictures are drawn, beside those, and what is done to the model before
NOT_LEARNING = ("samples", "drawn", "published", "correction")

Identity = dict[str, Any]


def identity(study: Mapping[str, Any]) -> Identity:
    """All of a study that decides what a generation is, once its training set is given. `study`: plain values, with every default."""
    return {name: value for name, value in decided(study).items() if name not in NOT_IDENTITY}


def decided(study: Mapping[str, Any]) -> dict[str, Any]:
    """A study without what of its model, and of where its plug-ins lie, decides nothing."""
    model, plugins = study.get("model"), study.get("plugins")
    if isinstance(plugins, Sequence):
        study = {**study, "plugins": [{**one, "file": None} if isinstance(one, Mapping) else one for one in plugins]}
    kept = {name: value for name, value in model.items() if name not in NOT_MODEL} if isinstance(model, Mapping) else model
    return {**study, "model": kept} if "model" in study else dict(study)


def learning(made_by: Mapping[str, Any]) -> Identity:
    """All that decides what a model has learned: two generations alike in this have the same weights before they are corrected, and may
    draw in other ways."""
    model = {name: value for name, value in made_by["model"].items() if name not in DRAWS}
    return {**{name: value for name, value in made_by.items() if name not in NOT_LEARNING}, "model": model}


def study_digest(study: Mapping[str, Any]) -> str:
    """Of all that a run may not change under way: a larger number of generations goes on."""
    return digest({name: value for name, value in decided(study).items() if name != "gens"})


def unlike(made: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str | None:
    """How what made a generation differs from what should have (as far as `now` says), in words."""
    if is_older(made):
        return "is by an older version of imgcollapse, which kept other words of what made it"
    assert made is not None
    for name, wanted in now.items():
        if made.get(name) == wanted:
            continue
        if name in ("training_set", "parents"):
            return "learned from samples that have since been made again"
        if name == "start":
            return "began from weights that have since been made again"
        if name == "data":
            return "was made from other real pictures"
        return f"was made by other settings ({first_difference({name: made.get(name)}, {name: wanted})})"
    return None


def is_older(made: Mapping[str, Any] | None) -> bool:
    """Whether an older version wrote it: none at first, then one with the reference of the judge in it."""
    return made is None or "reference" in made
