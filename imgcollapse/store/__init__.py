"""Reading run folders: what is finished there, and whether it is what the run says that it is."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse import files, progress
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.files import digest, first_difference, locks, stamp
from imgcollapse.metrics.record import Scores
from imgcollapse.settings import read_file
from imgcollapse.settings.yaml12 import load
from imgcollapse.store import history, manifest, records
from imgcollapse.store.manifest import MANIFEST, damage
from imgcollapse.store.npz import read_images as read_images
from imgcollapse.store.records import read_json

STUDY, REFERENCE, ENVIRONMENT, LOCK = "study.yaml", "reference.json", "environment.json", ".lock"
SAMPLES, LATENTS, SCORES, PROVENANCE, GRID, MODEL = "samples.npz", "latents.npz", "scores.json", "provenance.json", "grid.png", "model"
GENERATION, MENDS = re.compile(r"gen_(\d{3,})"), "run the run's own command again, which mends it"
JUDGED_BY = ("data", "judge")  # of a run's reference, what decides its numbers
OWN = ("generation", "model", "samples", "seed", "reference")  # of what made a generation, all that does not follow from the ones before


def generation_folder(run: Path, generation: int) -> Path:
    """Where that generation lies."""
    return run / f"gen_{generation:03d}"


def in_use(run: Path) -> bool:
    """Whether a process is writing this run now."""
    return locks.is_locked(run / LOCK)


def finished(run: Path) -> list[int]:
    """The generations that are there, in order. Raises DataProblem where the folder is no run."""
    if not (run / STUDY).is_file():
        raise DataProblem(f"{run}: is no run folder ({STUDY} is missing); name a folder that `imgcollapse run` made")
    return numbers(run)


def numbers(run: Path) -> list[int]:
    """The generations that lie in a folder, whatever else is there or is lacking, in order."""
    names = (GENERATION.fullmatch(path.parent.name) for path in run.glob("gen_[0-9]*/" + MANIFEST))
    return sorted(int(name[1]) for name in names if name)


def chosen(run: Path, generation: int | None = None) -> int:
    """That generation, or the last finished one. Raises SettingsProblem where it is not finished, DataProblem where there is no run."""
    there = finished(run)
    if not there:
        raise SettingsProblem(f"{run}: no generation is finished yet; let `imgcollapse run` finish one first")
    if generation is not None and generation not in there:
        raise SettingsProblem(f"--gen: generation {generation} of {run} is not finished; choose among {', '.join(map(str, there))}")
    return there[-1] if generation is None else generation


def sound(run: Path) -> list[int]:
    """The finished generations whose files are as they were written, by what this run says that made them, in order.

    For whoever shows them; a generation that does not fit is said once, and left out. Weights are not looked at.
    """
    found = []
    for generation in finished(run):
        if wrong := misfit(run, generation):
            progress.say_once(f"{generation_folder(run, generation)}: {wrong}; left out ({MENDS})")
        else:
            found.append(generation)
    return found


def check(folder: Path) -> None:
    """Raises DataProblem where a finished generation is damaged, weights too, or does not fit into its run; a copy has no run."""
    name = GENERATION.fullmatch(folder.name)
    of_run = name is not None and (folder.parent / STUDY).is_file()
    wrong = misfit(folder.parent, int(name[1]), weights=True) if name and of_run else damage(folder)
    if wrong:
        raise DataProblem(f"{folder}: {wrong}; {MENDS}")


def misfit(run: Path, generation: int, weights: bool = False) -> str | None:
    """What does not fit in a finished generation, in words: damage, or something else that made it. `weights`: also the model's files."""
    folder = generation_folder(run, generation)
    if wrong := changed(run):
        return wrong
    beside = (MANIFEST, SAMPLES, LATENTS, SCORES, PROVENANCE, GRID, f"../{STUDY}", f"../{REFERENCE}")
    stamps = tuple(stamp(folder / name) for name in beside)
    return _misfit(run, generation, weights, stamps if not weights else (*stamps, *map(stamp, sorted(folder.rglob("*"))))) or _misled(
        run, generation
    )


@cache
def _misfit(run: Path, generation: int, weights: bool, stamps: tuple[tuple[int, int], ...]) -> str | None:
    """Damage, or other settings than the run's. The digests of unchanged files (by their stamps) are taken once."""
    folder = generation_folder(run, generation)
    if wrong := damage(folder, but="" if weights else MODEL):
        return wrong
    made = made_by(folder)
    if made is None:
        return None  # by an older version, which kept no word of it
    study, reference = read_file(run / STUDY), readable(run / REFERENCE, quiet=True)
    own = {**made, "generation": generation, **{name: study.get(name) for name in ("model", "samples", "seed")}}
    return unlike(made, own if reference is None else {**own, "reference": digest({name: reference.get(name) for name in JUDGED_BY})})


def _misled(run: Path, generation: int) -> str | None:
    """Whether another run made it, or the samples that it learned from are others than those that are there."""
    folder = generation_folder(run, generation)
    made = made_by(folder)
    if made is None:
        return None
    parents = {origin: samples_digest(generation_folder(run, int(origin))) for origin in made["parents"]}
    if wrong := unlike(made, {**made, "parents": parents}):
        return wrong
    noted = history.manifests(run).get(generation)
    return None if noted in (None, files.digest_of(folder / MANIFEST)) else "is not the one that this run has made"


def changed(run: Path) -> str | None:
    """What has been changed in a run's settings since it was begun, in words."""
    return _changed(run, (stamp(run / ENVIRONMENT), stamp(run / STUDY)))


@cache
def _changed(run: Path, stamps: tuple[tuple[int, int], ...]) -> str | None:
    """The same; it is asked for every generation, and the files are read once."""
    known = begun(run)
    same = known is None or known == study_digest(read_file(run / STUDY))
    return None if same else f"{STUDY} has been changed since the run was begun"


def begun(run: Path) -> str | None:
    """The digest of the study with which the run was begun, by its own record; None where that is not known."""
    found = (readable(run / ENVIRONMENT, quiet=True) or {}).get("study")
    return None if found is None else str(found)


def study_digest(study: dict[str, Any]) -> str:
    """Of all that a run may not change under way; how many generations it has is no part of it."""
    return digest({name: value for name, value in study.items() if name != "gens"})


def made_by(folder: Path) -> dict[str, Any] | None:
    """What made a finished generation; None where an older version of this program wrote it, which kept no word of that."""
    made: dict[str, Any] | None = manifest.read_manifest(folder)["made_by"]
    return made


def samples_digest(folder: Path) -> str | None:
    """The SHA-256 of a generation's samples, from its manifest; None where that cannot be told."""
    try:
        entry = manifest.read_manifest(folder)["files"].get(SAMPLES)
    except DataProblem:
        return None
    return None if entry is None else str(entry["sha256"])


def unlike(made: dict[str, Any] | None, now: dict[str, Any]) -> str | None:
    """How what made a generation differs from what should have, in words."""
    if made is None:
        return "is by an older version of imgcollapse, which kept no word of what made it"
    for name in OWN:
        if made.get(name) != now[name]:
            said = first_difference({name: made.get(name)}, {name: now[name]})
            return "was judged by another reference" if name == "reference" else f"was made by other settings ({said})"
    if made.get("training_set") != now["training_set"] or made.get("parents") != now["parents"]:
        return "learned from samples that have since been made anew"
    return None


def scores(run: Path) -> list[Scores]:
    """The scores of all finished generations that fit, in order."""
    return [scores_of(run, generation) for generation in sound(run)]


def scores_of(run: Path, generation: int) -> Scores:
    """The scores of one finished generation. Raises DataProblem where they cannot be read or are no finite numbers."""
    path = generation_folder(run, generation) / SCORES
    record = read_json(path)
    try:
        return Scores.of(record)
    except DataProblem as problem:
        raise DataProblem(f"{path}: {problem}; {MENDS}") from None


def reference(run: Path) -> dict[str, Any] | None:
    """The run's record of data and judge; None where there is none yet, or where it is damaged, which is said."""
    return readable(run / REFERENCE, quiet=True)


def classes(run: Path) -> list[str]:
    """The names of the classes; labels index them. Raises DataProblem where the record of them is damaged."""
    return list(records.read_sealed(run / REFERENCE)["data"]["classes"])


def sessions(run: Path) -> list[dict[str, Any]]:
    """With what versions and hardware each session of the run worked, in order; none where that is not known."""
    return list((readable(run / ENVIRONMENT, quiet=True) or {}).get("sessions", []))


def whole(run: Path) -> bool:
    """Whether the run's own records can be read, so that nothing is left to mend in them."""
    return all(readable(run / name, quiet=True) is not None for name in (REFERENCE, ENVIRONMENT))


def parsed(study: str) -> dict[str, Any]:
    """The settings in a study's YAML."""
    return dict(load(study))


def readable(path: Path, quiet: bool = False) -> dict[str, Any] | None:
    """A record of a run or an ablation; None where there is none, and where it cannot be read, which is said.

    Such a one is set aside, for whoever asks makes it anew; `quiet`: it is left where it is, for whoever only looks.
    """
    if not os.path.lexists(path):
        return None
    try:
        return read_file(path) if path.suffix == ".yaml" else records.read_sealed(path)
    except (DataProblem, SettingsProblem):
        pass
    if quiet:
        progress.say_once(f"{path}: {_wrong(path)} and left out ({MENDS})")
    else:
        make_way(path)
    return None


def make_way(path: Path) -> None:
    """Sets aside a record that cannot be read, and says that it is made anew."""
    wrong, aside = _wrong(path), files.set_aside(path)
    progress.say(f"{path}: {wrong}; made anew (the old one is kept as {aside.relative_to(path.parent)})")


def _wrong(path: Path) -> str:
    return "is empty" if files.is_empty(path) else "is damaged"
