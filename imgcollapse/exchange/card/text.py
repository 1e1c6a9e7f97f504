"""The cards in words: what it is, how to open it, where its training pictures came from, scores, and how to make it again."""

from imgcollapse.datasets.layouts import NO_CLASS, Export, folder_names
from imgcollapse.exchange.card.heads import LICENSE, data_head, model_head
from imgcollapse.exchange.card.markdown import card, fenced, plain, table
from imgcollapse.exchange.card.subject import Lineage, Subject
from imgcollapse.heavy import torch
from imgcollapse.images import inside
from imgcollapse.judges.titles import REAL, counted, judge_of, metric_title, neighbours
from imgcollapse.metrics.record import Value, ranged, what_of
from imgcollapse.metrics.scores import SCORES
from imgcollapse.models import MODELS
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.folders import FOLDER

COLOURS = {1: "grey", 3: "RGB"}
PACKAGES = ("torch", "diffusers", "numpy", "scikit-learn")
COPIES = {
    "bootstrap": "So every sample is a copy of a real one, and the folder of the model holds its training set itself.",
    "smooth": "So every sample is nearly a copy of a real one, and the folder of the model holds its training set itself.",
}
EXECUTES = "To draw executes the command line `model.sample` of `study.yaml`, with the program that it names: open only what you trust."

OWN = """\
from pathlib import Path

from imgcollapse import models

model = models.load(Path("model"))  # this folder
drawn = model.sample(16, seed=0)
print(drawn.pixels.shape, drawn.labels)  # [N, C, H, W]; label -1: no class"""
PIPELINE = """\
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("model")  # this folder, or "USER/NAME" on the hub"""
PATCHED = """\
from diffusers import DDPMPipeline

from imgcollapse.models.ddpm_network import PatchedUNet  # diffusers knows no network that folds patches into channels

pipeline = DDPMPipeline.from_pretrained("model", unet=PatchedUNet.from_pretrained("model/unet"))  # this folder"""
DRAW = "\npictures = pipeline(batch_size=16, num_inference_steps=pipeline.scheduler.config.num_train_timesteps).images"
CROP = "\npictures = [picture.crop({box}) for picture in pictures]  # {side}x{side} -> {width}x{height}: left, upper, right, lower"
DATASETS = """\
from datasets import load_dataset

# or, once it is on the hub: load_dataset("USER/NAME", split="train")
samples = load_dataset("imagefolder", data_files={{"train": "dataset/train/**"}}, split="train", drop_labels={drop_labels})
print(samples[0])"""
PICTURES = """\
from pathlib import Path

import numpy as np
from PIL import Image

files = sorted(Path("dataset/train").rglob("*.png"), key=lambda file: file.name)  # in the order in which they were drawn
pixels = np.stack([np.asarray(Image.open(file)) for file in files])  # uint8 [N, H, W], or [N, H, W, 3] in colour
folders = [file.parent.name for file in files]"""
ARRAYS = """\
import numpy as np

with np.load("dataset/samples.npz") as arrays:
    pixels, labels, born = arrays["pixels"], arrays["labels"], arrays["born"]  # [N, C, H, W]; -1: no class; the generation"""


def model_card(subject: Subject) -> str:
    """The README.md of the weights."""
    blocks = [f"# Generation {subject.generation} of {plain(subject.study.title())}", _warning("model"), f"This is {_about(subject)}"]
    return card(model_head(subject), [*blocks, "## How to open it", *_model_opened(subject), *_common(subject)])


def data_card(subject: Subject, export: Export) -> str:
    """The README.md of the samples, exported in that way."""
    channels, height, width = subject.samples.shape
    colours = COLOURS.get(channels, f"{channels} channels")
    of = f"{width} coordinates (float32)" if subject.samples.are_points else f"{width}x{height} pixels, {colours}, uint8"
    through = _through(subject.lineages[-1].drawn(), subject.things)
    what = f"{len(subject.samples):,} {subject.things} of {of}. A model drew all of them: **{through}**. It is {_about(subject)}"
    title = f"# Samples of generation {subject.generation} of {plain(subject.study.title())}"
    blocks = [title, _warning("data set"), what, "## How to open them", *_samples_opened(subject, export)]
    return card(data_head(subject, export), [*blocks, *_classes(subject, export), *_common(subject)])


def _common(subject: Subject) -> list[str]:
    return [*_provenance(subject), *_scores(subject), *_making(subject)]


def _warning(what: str) -> str:
    return (
        f"> **This {what} comes from a study of model collapse.** Models were trained on what earlier models drew, to see what gets lost: "
        "variety, rare classes, in the end everything. Do not take it for a picture of the real world, and do not train on it unawares."
    )


def _about(subject: Subject) -> str:
    kind, size, own = subject.study.model.kind, subject.provenance["size"], subject.lineages[-1]
    doc = (MODELS[kind].__doc__ or "").strip().splitlines()[0]
    copies = f" {COPIES[kind]}" if kind in COPIES else ""
    if (correction := subject.study.correction) is not None:
        copies += f" Then it was corrected by {correction.title()}, without any other pictures than its own."
    if subject.study.init.startswith(FOLDER):
        copies += " It began with the weights of another model (`init`); what that one has learned from is not known here."
    return (
        f"generation {subject.generation} of a chain of models that begins with generation 0, and learned from {size:,} {subject.things}, "
        f"**{_through(own, subject.things)}**. Its kind is `{kind}`. {doc}{copies}"
    )


def _model_opened(subject: Subject) -> list[str]:
    model = subject.study.model
    if not isinstance(model, DDPM):
        return [fenced(OWN, "python"), *([EXECUTES] if model.kind == "command" else [])]
    opened = PIPELINE if model.patch == 1 else PATCHED
    if model.class_conditional:
        return [
            fenced(opened, "python"),
            "The pipeline opens, but tells the network no class, which this one needs. To draw:",
            fenced(OWN, "python"),
        ]
    correction = subject.study.correction
    if correction is not None and not correction.in_weights:
        return [
            fenced(opened, "python"),
            f"The pipeline opens, but draws from the model as it was before {correction.kind} corrected it. To draw as the study did:",
            fenced(OWN, "python"),
        ]
    shape = subject.samples.shape
    side = model.for_world(shape, len(subject.classes)).padded(shape)
    note, draw = f"That takes all {model.timesteps:,} steps.", DRAW
    if shape[1:] != (side, side):
        draw += CROP.format(side=side, width=shape[2], height=shape[1], box=inside(shape, side))
        own = f"{shape[2]}x{shape[1]}"
        note += f" The network draws {side}x{side} pixels, a border around the {own} of the study, which the last line cuts away."
    return [fenced(opened + draw, "python"), f"{note} As the study drew ({model.sampling.sampler}):", fenced(OWN, "python")]


def _samples_opened(subject: Subject, export: Export) -> list[str]:
    if export == "npz":
        return [fenced(ARRAYS, "python")]
    return [fenced(DATASETS.format(drop_labels=not subject.labelled), "python"), "Or without that library:", fenced(PICTURES, "python")]


def _classes(subject: Subject, export: Export) -> list[str]:
    if not subject.labelled:
        return ["## Classes", f"The model gives its {subject.things} no classes."]
    names = [*subject.classes, NO_CLASS]
    counts = torch.bincount(subject.samples.labels + 1, minlength=len(names)).roll(-1).tolist()  # UNLABELLED, -1, comes last
    as_folders = export == "imagefolder"
    places = [f"`{name}`" for name in folder_names(names)] if as_folders else [*map(str, range(len(names) - 1)), "-1"]
    rows = [(plain(name), place, f"{n:,}") for name, place, n in zip(names, places, counts, strict=True)]
    shown = table(("class", "folder" if as_folders else "label", subject.things), rows if counts[-1] else rows[:-1])
    note = "A class without pictures has no folder. `datasets` numbers the folders in the order of their names."
    return ["## Classes", shown, *([note] if as_folders else [])]


def _provenance(subject: Subject) -> list[str]:
    size, things, g = subject.provenance["size"], subject.things, subject.generation
    rows = []
    for origin, part in subject.provenance["made_of"].items():
        classes = " · ".join(f"{plain(name)}: {n:,}" for name, n in part["classes"].items())
        rows.append((origin, f"{part['pictures']:,}", _percent(part["pictures"] / size), classes))
    own = subject.lineages[-1]
    rows.append(("**synthetic in all**", f"{round(own.synthetic * size):,}", f"**{_percent(own.synthetic)}**", ""))
    past = [(str(number), *_cells(lineage)) for number, lineage in enumerate(subject.lineages)]
    return [
        "## Provenance",
        f"What generation {g} learned from:",
        table(("origin", things, "share", "classes"), rows),
        "And all generations up to it. *Depth* counts the models between the real world and one of the "
        f"{things}: 0 for a real one; for one that generation j drew, 1 more than the mean depth of what generation j learned from. "
        "*Longest chain* is the greatest number of models between the real world and any of them.",
        table(("generation", "synthetic share", "longest chain", "mean depth"), [*past, (f"samples of {g}", *_cells(own.drawn()))]),
    ]


def _scores(subject: Subject) -> list[str]:
    judge, found = subject.reference["judge"], ["## Scores"]
    for extractor, values in subject.scores.sources.items():
        rows = [_score(name, extractor, values[name]) for name in SCORES if name in values]
        own = judge_of(judge, extractor)
        match of := what_of(extractor):
            case "model":
                draws = judge["models"][extractor]["latent_draws"]
                how = f"likelihoods by the models themselves (`{extractor}`; of a VAE by {draws} latent codes a picture)"
            case "gate":
                how = f"what a gate did (`{extractor}`)"
            case "features":
                how = f"features `{extractor}` (weights `{judge['extractors'][extractor]['digest']}`); {neighbours(own)}"
        size = counted(own, values.values(), f" samples against as many held-out real {subject.things}", of)
        found += [
            f"{size}; {how}. "
            f"{REAL.capitalize()}: what real {subject.things} that no network has learned from score against as many others: the mean, "
            "the least and greatest of many random splits.",
            table(("score", f"generation {subject.generation}", REAL, "better"), rows) if rows else "Nothing was measured by them.",
        ]
    return found if len(found) > 1 else [*found, "No judge has judged this generation."]


def _score(name: str, extractor: str, value: Value) -> tuple[str, str, str, str]:
    score = SCORES[name]
    real = "" if value.real is None else ranged(value.real, score.decimals)
    return metric_title(name, extractor), f"{value.value:.{score.decimals}f}", real, score.better


def _making(subject: Subject) -> list[str]:
    data, made = subject.reference["data"], subject.environment
    parts = " and ".join(
        f"{data[part]['pictures']:,} {use} (SHA-256 `{data[part]['sha256']}`)"
        for part, use in (("train", "to learn from"), ("held_out", "held out"))
    )
    packages = [f"{name} {version}" for name in PACKAGES if (version := made["packages"].get(name))]
    commit = f" (commit {plain(made['git_commit'])})" if made["git_commit"] else ""
    where = f"on {plain(made['device'])} ({plain(made['device_name'])}) in {made['precision']}, threads: {made['threads']}"
    source = f"They derive from real data ({plain(data['name'])}), whose licence and terms apply."
    if subject.samples.are_points:
        source = f"They derive from points that imgcollapse itself draws ({plain(data['name'])})."
    own = "The real pictures are the user's own; `dataset.path` says where they lay. " if hasattr(subject.study.dataset, "path") else ""
    return [
        "## How it was made",
        f"{own}`imgcollapse run --config study.yaml` makes the whole chain again. `study.yaml`:",
        fenced(subject.settings.rstrip("\n"), "yaml"),
        "\n".join(
            (
                f"- Seed of everything random: {subject.study.seed}.",
                f"- Real data: {plain(data['name'])}, {parts}.",
                f"- Training set of generation {subject.generation}: SHA-256 `{subject.provenance['training_set']}`.",
                f"- Made with imgcollapse {plain(made['imgcollapse'])}{commit}, Python {made['python']}, {', '.join(packages)}, {where}; "
                "another machine or another version changes last digits.",
            )
        ),
        "## Licence",
        f"`license: {LICENSE}` in the head of this card: imgcollapse does not know under which licence these files may be passed on. "
        f"{source} Name the licence there before you publish them.",
    ]


def _through(lineage: Lineage, things: str) -> str:
    if not lineage.longest:
        return f"0 % synthetic: real {things} only"
    models = "1 generation of models" if lineage.longest == 1 else f"{lineage.longest} generations of models"
    return f"{_percent(lineage.synthetic)} synthetic, through up to {models} ({lineage.mean:.4g} on average)"


def _cells(lineage: Lineage) -> tuple[str, str, str]:
    return _percent(lineage.synthetic), str(lineage.longest), f"{lineage.mean:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
