"""Model cards and data-set cards as the Hugging Face hub reads them, made from a run folder alone, half-finished ones too."""

import shutil
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.datasets.layouts import Export, write_image_folder
from imgcollapse.exchange.card.subject import Lineage, Subject, lineages
from imgcollapse.exchange.card.text import data_card, model_card
from imgcollapse.files import write_text
from imgcollapse.files.places import placed, tried
from imgcollapse.store.manifest import read_manifest

__all__ = ["Lineage", "Subject", "lineages", "write"]

README, DATASET = "README.md", "dataset"


def write(run: Path, generation: int | None = None, out: Path | None = None, export: Export | None = None) -> dict[str, Any]:
    """Writes `model/` and `dataset/` of one generation, each with its card, whole or not at all; says where, and the lineage.

    generation: None: the last that is finished
    out:        None: `RUN/card/gen_NNN`
    export:     `imagefolder` (None: this one, for pictures) or `npz` (the only one for points)

    Raises SettingsProblem for a generation that is not finished and an export that is not possible, DataProblem for damage,
    OtherStudyProblem where `out` holds anything but what an earlier call wrote for the same generation.
    """
    tried(out or run / "card" / "gen_000")
    subject = Subject.of(run, generation)
    samples = subject.samples
    export = export or ("npz" if samples.are_points else "imagefolder")
    source = store.generation_folder(run, subject.generation)
    out = out or run / "card" / source.name
    with placed(out, subject.record()) as draft:
        _copy_model(source, draft)
        write_text(draft / store.MODEL / README, model_card(subject))
        (draft / DATASET).mkdir()
        if export == "npz":
            shutil.copyfile(source / store.SAMPLES, draft / DATASET / store.SAMPLES)
        else:
            write_image_folder(samples, subject.classes, draft / DATASET / "train")
        write_text(draft / DATASET / README, data_card(subject, export))
    return {**subject.summary(), "export": export, "model": str(out / store.MODEL), "dataset": str(out / DATASET)}


def _copy_model(source: Path, draft: Path) -> None:
    """The generation's model, as its manifest names it: what somebody else put there may not be meant for others.

    The files alone: the modes of a run that is read-only would close the draft to us.
    """
    (draft / store.MODEL).mkdir()
    written = read_manifest(source)["files"]
    for path in sorted((source / store.MODEL).rglob("*")):
        name = path.relative_to(source).as_posix()
        if name in written:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, draft / name)
