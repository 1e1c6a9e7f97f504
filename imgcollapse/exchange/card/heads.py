"""The heads (YAML front matter) of the cards: what the Hugging Face hub files them under (its modelcard.md and datasetcard.md)."""

from bisect import bisect_right
from dataclasses import asdict

from imgcollapse.datasets.layouts import Export
from imgcollapse.exchange.card.markdown import line
from imgcollapse.exchange.card.subject import Record, Subject
from imgcollapse.judges.titles import NEIGHBOURS, metric_title
from imgcollapse.metrics.record import Value, what_of
from imgcollapse.metrics.scores import SCORES
from imgcollapse.models.ddpm import DDPM

HUB = {"mnist": "ylecun/mnist", "fashion-mnist": "zalando-datasets/fashion_mnist", "cifar10": "uoft-cs/cifar10"}  # the real data there
TASK = "unconditional-image-generation"
TAGS = ("imgcollapse", "model-collapse", "synthetic", "synthetic-data", "self-consuming-training")
SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")  # bounds of `size_categories`, 1,000 and so on by tens
LICENSE = "unknown"  # an identifier of the hub's: imgcollapse does not know under which licence a user's data stand


def model_head(subject: Subject) -> Record:
    """The head of the model card."""
    model, hub = subject.study.model, HUB.get(subject.study.dataset.kind)
    return {
        "license": LICENSE,
        "library_name": "diffusers" if isinstance(model, DDPM) and model.patch == 1 else "imgcollapse",
        **({} if subject.samples.are_points else {"pipeline_tag": TASK}),
        "tags": [*TAGS, model.kind],
        **({"datasets": [hub]} if hub else {}),
        "provenance": subject.summary(),
        **_model_index(subject),
    }


def data_head(subject: Subject, export: Export) -> Record:
    """The head of the data set card, for samples exported in that way."""
    n, hub = len(subject.samples), HUB.get(subject.study.dataset.kind)
    files = {"config_name": "default", "drop_labels": not subject.labelled, "data_files": [{"split": "train", "path": "train/**"}]}
    return {
        "license": LICENSE,
        "pretty_name": f"{n} samples of generation {subject.generation} of {subject.study.title()}",
        "task_categories": ["other" if subject.samples.are_points else TASK],
        "size_categories": [size_category(n)],
        "annotations_creators": ["machine-generated" if subject.labelled else "no-annotation"],
        "tags": [*TAGS, subject.study.model.kind],
        **({"source_datasets": [hub]} if hub else {}),
        **({"configs": [files]} if export == "imagefolder" else {"viewer": False}),  # the hub's viewer does not read npz
        "provenance": subject.summary(),
    }


def size_category(n: int) -> str:
    """What the hub calls a set of n: `n<1K`, `1K<n<10K`, ..."""
    step = min(bisect_right([10 ** (3 + i) for i in range(len(SIZES))], n), len(SIZES) - 1)
    return f"{SIZES[step - 1]}<n<{SIZES[step]}" if step else f"n<{SIZES[0]}"


def _model_index(subject: Subject) -> Record:
    """The scores; where there are none, nothing."""
    study, scores, data = subject.study, subject.scores, subject.reference["data"]
    metrics = [
        {
            "type": name,
            "value": values[name].value,
            "name": f"{metric_title(name, extractor)}, {_by(extractor)}, N = {values[name].n}",
            "args": _args(subject, extractor, values[name]),
        }
        for extractor, values in scores.sources.items()
        for name in SCORES
        if name in values
    ]
    hub = HUB.get(study.dataset.kind)
    cut = {name: value for name in ("subset", "imbalance") if (value := getattr(study.dataset, name)) not in (None, 1)}
    dataset = {
        "type": hub or study.dataset.kind,
        "name": line(data["name"]),
        **({"split": "test"} if hub else {}),  # what is held out
        **({"args": cut} if cut else {}),
    }
    name = f"{study.dataset.kind}-{study.model.kind}-{study.regime.kind}-seed{study.seed}-gen{subject.generation:03d}"
    task = {"type": "other" if subject.samples.are_points else TASK}
    return {"model-index": [{"name": name, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}]} if metrics else {}


def _by(source: str) -> str:
    return f"{source} features" if what_of(source) == "features" else source


def _args(subject: Subject, extractor: str, value: Value) -> Record:
    """How a value was measured, and real vs real where it has that."""
    judge = subject.reference["judge"]
    k = {name: judge[name] for name in NEIGHBOURS if name in judge} if what_of(extractor) == "features" else {}
    about = {"extractor": extractor, "n": value.n, **k}
    return about if value.real is None else {**about, "real_vs_real": asdict(value.real)}
