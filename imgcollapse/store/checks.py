"""Is what lies in a run folder what the run says that it is? Damage, and what was made by or from something else, are said."""

from functools import cache
from pathlib import Path
from typing import Any

from imgcollapse import files, progress
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.files import digest, stamp
from imgcollapse.settings import read_file
from imgcollapse.store import history
from imgcollapse.store.begun import changed
from imgcollapse.store.identity import identity, is_older, unlike
from imgcollapse.store.layout import (
    DATA,
    GENERATION,
    LATENTS,
    MENDS,
    MODEL,
    PROVENANCE,
    SAMPLES,
    START,
    STUDY,
    generation_folder,
    origin_folder,
)
from imgcollapse.store.manifest import MANIFEST, damage, made_by, part_digest
from imgcollapse.store.records import plain, readable


def numbers(run: Path) -> list[int]:
    """The generations that lie in a folder, whatever else is there or is lacking, in order."""
    names = (GENERATION.fullmatch(path.parent.name) for path in run.glob("gen_[0-9]*/" + MANIFEST))
    return sorted(int(name[1]) for name in names if name)


def finished(run: Path) -> list[int]:
    """The generations that are there, in order. Raises DataProblem where the folder is no run."""
    if not (run / STUDY).is_file():
        raise DataProblem(f"{run}: is not a run folder ({STUDY} is missing); name a folder that `imgcollapse run` made")
    return numbers(run)


def chosen(run: Path, generation: int | None = None) -> int:
    """That generation, or the last finished one. Raises SettingsProblem where it is not finished, DataProblem where there is no run."""
    there = finished(run)
    if not there:
        raise SettingsProblem(f"{run}: no generation is finished yet; let `imgcollapse run` finish one first")
    if generation is not None and generation not in there:
        raise SettingsProblem(f"--gen: generation {generation} of {run} is not finished; choose among {_in_short(there)}")
    return there[-1] if generation is None else generation


def _in_short(numbers: list[int]) -> str:
    """`0, 1, 2`; of very many the first and the last: `0, 1, ..., 1999`."""
    return ", ".join(map(str, numbers if len(numbers) <= 20 else [*numbers[:2], "...", numbers[-1]]))


def sound(run: Path) -> list[int]:
    """The finished generations whose files are as they were written, by what this run says that made them, in order.

    For whoever shows them; a generation that does not fit is reported once, and left out. Weights are not looked at.
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
    beside = (MANIFEST, SAMPLES, LATENTS, PROVENANCE, f"../{STUDY}", f"../{DATA}")
    stamps = tuple(stamp(folder / name) for name in beside)
    if weights:
        stamps = (*stamps, *map(stamp, sorted(folder.rglob("*"))))
    if wrong := _misfit(run, generation, weights, stamps):
        return wrong
    made = made_by(folder)
    if is_older(made):
        return None  # it kept other words of what made it
    assert made is not None
    if wrong := unlike(made, parents(run, made)):
        return wrong
    noted = history.manifests(run).get(generation)
    return None if noted in (None, files.digest_of(folder / MANIFEST)) else "is not the one that this run has made"


@cache
def _misfit(run: Path, generation: int, weights: bool, stamps: tuple[tuple[int, int], ...]) -> str | None:
    """Damage, or other settings than the run's. The digests of unchanged files (by their stamps) are taken once."""
    folder = generation_folder(run, generation)
    if wrong := damage(folder, but="" if weights else MODEL):
        return wrong
    made = made_by(folder)
    return None if is_older(made) else unlike(made, own(run, settings(run), generation))


def settings(run: Path) -> dict[str, Any]:
    """The settings in a run's study. They are asked for with every generation, and read once. Raises as `settings.read_file` does."""
    return _settings(run, stamp(run / STUDY))


@cache
def _settings(run: Path, stamp: tuple[int, int]) -> dict[str, Any]:
    return read_file(run / STUDY)


def own(run: Path, study: dict[str, Any], generation: int) -> dict[str, Any]:
    """What of a generation's identity does not follow from the ones before: settings, its number, and the real pictures where known."""
    data = readable(run / DATA, quiet=True)
    known = {} if data is None else {"data": data_digest(data)}
    return plain({**identity(study), "generation": generation, **known})


def data_digest(data: dict[str, Any]) -> str:
    """Of the record of the real pictures; what was not read beside them decides nothing."""
    return digest(plain({name: value for name, value in data.items() if name != "passed_over"}))


def parents(run: Path, made: dict[str, Any]) -> dict[str, Any]:
    """The digests of what a generation was made from, as it lies there now: samples of its training set, weights that it began from.

    What has been thrown away since, and said so in its manifest, counts as it was.
    """
    samples = {origin: part_digest(origin_folder(run, origin), SAMPLES) for origin in made["parents"]}
    return {"parents": samples, "start": _start(run, made.get("start"))}


def _start(run: Path, made: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same of the weights that it began from: of a generation, or of a folder elsewhere, of which the run keeps a record."""
    if made is None or "generation" in made:
        return made and {**made, "sha256": part_digest(generation_folder(run, made["generation"]), MODEL)}
    record = readable(run / START, quiet=True)
    return made if record is None else {"sha256": record.get("weights")}
