"""Run folders: a generation is there whole, or not at all. Every file is named in a manifest with its size and SHA-256."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

from PIL import Image

from imgcollapse import files, locks, progress
from imgcollapse.errors import DataProblem, InUseProblem, OtherStudyProblem, SettingsProblem, placed_at
from imgcollapse.files import MANIFEST, append_line, damage, digest, first_difference, read_json, sync, to_json, write_text
from imgcollapse.images import ImageSet
from imgcollapse.npz import read_images as read_images
from imgcollapse.npz import write_images
from imgcollapse.settings import read_file
from imgcollapse.shelf import Shelf
from imgcollapse.yaml12 import load

STUDY, REFERENCE, ENVIRONMENT, HISTORY, LOCK = "study.yaml", "reference.json", "environment.json", "history.jsonl", ".lock"
SAMPLES, LATENTS, SCORES, PROVENANCE, GRID, MODEL = "samples.npz", "latents.npz", "scores.json", "provenance.json", "grid.png", "model"
_OLDER_PARTS = [f"{name}.part" for name in (STUDY, REFERENCE, ENVIRONMENT, "worker.json", "failed.json")]  # older versions' way of writing
GENERATION, MENDS = re.compile(r"gen_(\d{3,})"), "run the run's own command again, which mends it"
JUDGED_BY = ("data", "judge")  # of a run's reference, what decides its numbers
OWN = ("generation", "model", "samples", "seed", "reference")  # of what made a generation, all that does not follow from the ones before


def generation_folder(run: Path, generation: int) -> Path:
    """Where that generation lies."""
    return run / f"gen_{generation:03d}"


@contextmanager
def opened(run: Path, study: str, shared: Path | None = None) -> Iterator["Kept"]:
    """The run folder, made where there is none, and closed to every other writer meanwhile.

    `shared` is a folder of generations that several runs have in common: what another run made there is linked, not made again.
    Raises OtherStudyProblem where it holds another study (or files of something else), InUseProblem where another process writes it.
    """
    if run.is_dir() and not (run / STUDY).exists() and any(not _ours(entry) for entry in run.iterdir()):
        raise OtherStudyProblem(f"{run}: this folder holds other files, and nothing is ever overwritten; choose another --out")
    run.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.locked(run / LOCK, seconds=1))  # `in_use` holds it for a moment
        except locks.Timeout:
            raise InUseProblem(f"{run}: another process is writing this run; wait for its end, or choose another --out") from None
        files.sweep(run)
        for left in _OLDER_PARTS:
            (run / left).unlink(missing_ok=True)  # by an older version that was killed
        for draft in run.glob("gen_*.draft"):
            shutil.rmtree(draft)  # left by a process that was killed; never a finished generation
        _same_study(run, study)
        yield Kept(run, shared)


def in_use(run: Path) -> bool:
    """Whether a process is writing this run now."""
    return locks.is_locked(run / LOCK)


def _ours(path: Path) -> bool:
    """Whether a run that was stopped before its study was written may have left this file."""
    return path.name == LOCK or files.is_part(path) or path.name in _OLDER_PARTS


class Kept:
    """What a run has finished, and where it puts what it finishes next. Got from `opened`."""

    def __init__(self, run: Path, shared: Path | None = None) -> None:
        self.run = run
        self.shelf = Shelf(shared) if shared else None
        self._recipe: dict[str, Any] = {}

    @contextmanager
    def turn(self, generation: int, recipe: dict[str, Any]) -> Iterator[bool]:
        """Whether that generation must be made now. If so the block makes and keeps it, and nobody else makes the same one meanwhile.

        `recipe` is all that decides the generation (JSON-ready; `provenance` among it): where another run that shares the same folder
        made one by the same recipe, that one is linked.
        """
        self._recipe = recipe
        if self._has(generation):
            yield False
            return
        began = time.monotonic()
        if self.shelf is None:
            yield True
            self._note(generation, "made", began)
            return
        key, place = digest(recipe), generation_folder(self.run, generation)
        with self.shelf.turn(key, f"generation {generation}"):
            if self.shelf.lend(key, place, self._made_by()):
                self._note(generation, "shared", began, key)
                yield False
                return
            began = time.monotonic()
            yield True
            self.shelf.put(key, place)
            self._note(generation, "made", began, key)

    def _has(self, generation: int) -> bool:
        """Whether it is there, undamaged, and made by this very recipe from these very samples; if not, what is there is set aside."""
        folder = generation_folder(self.run, generation)
        if not folder.exists():
            return False
        wrong = damage(folder) or _unlike(made_by(folder), self._made_by())
        if wrong is None:
            return True
        aside = files.set_aside(folder)
        progress.say(f"{folder.name}: {wrong}; made again (the old folder is kept as {aside.relative_to(self.run)})")
        return False

    def _made_by(self) -> dict[str, Any]:
        """What makes the generation whose turn it is: settings, and digests of the reference, the training set and the samples in it."""
        recipe = json.loads(to_json(self._recipe))
        provenance, reference = recipe.pop("provenance"), recipe.pop("reference")
        origins = [int(name.split()[-1]) for name in provenance["made_of"] if name != "real"]
        parents = {str(origin): samples_digest(generation_folder(self.run, origin)) for origin in origins}
        return {**recipe, "reference": digest(reference), "training_set": provenance["training_set"], "parents": parents}

    def samples(self, before: int) -> Sequence[ImageSet]:
        """The samples of generations 0 to `before` - 1, each read when it is asked for."""
        return _Samples(self.run, before)

    def keep(
        self,
        generation: int,
        *,
        samples: ImageSet,
        latents: ImageSet,
        scores: dict[str, Any],
        provenance: dict[str, Any],
        grid: Image.Image,
        save_model: Callable[[Path], None],
    ) -> None:
        """Writes one generation into a draft folder, the manifest last, and puts it in its place with one rename."""
        place = generation_folder(self.run, generation)
        draft = place.with_suffix(".draft")
        try:
            with placed_at(draft):
                draft.mkdir()
                write_images(draft / SAMPLES, samples)
                write_images(draft / LATENTS, latents)
                write_text(draft / SCORES, to_json(scores))
                write_text(draft / PROVENANCE, to_json(provenance))
                grid.save(draft / GRID, optimize=True)
                save_model(draft / MODEL)
                files.as_usual(draft)
                files.write_manifest(draft, self._made_by())
                draft.rename(place)
                sync(self.run)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def fix(self, name: str, record: dict[str, Any], beside: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Writes a record of the run, once. Raises OtherStudyProblem where it was written before and said something else.

        What there is in `beside` is written with it, and may be another later.
        """
        path = self.run / name
        before, now = readable(path), json.loads(to_json(record))
        if before is None:
            write_text(path, to_json({**record, **{key: value for key, value in beside.items() if value}}))
        elif (before := {key: value for key, value in before.items() if key not in beside}) != now:
            begun = first_difference(before, now)
            raise OtherStudyProblem(f"{path}: the run was begun with {begun}; put the data and classifiers back, or choose another --out")

    def note_environment(self, environment: dict[str, Any]) -> None:
        """Adds the versions and hardware of this session to the run's record, where they differ from the last session's."""
        path, study = self.run / ENVIRONMENT, _study_digest(read_file(self.run / STUDY))
        record = readable(path) or {}
        past = record.get("sessions", [])
        if not past or past[-1] != environment:
            if past:
                progress.say(f"{path}: {first_difference(past[-1], environment)}; last digits may differ from an uninterrupted run")
            write_text(path, to_json({"study": study, "sessions": [*past, environment]}))

    def _note(self, generation: int, how: str, began: float, key: str | None = None) -> None:
        line = {"generation": generation, "how": how, "seconds": round(time.monotonic() - began, 3), **({"key": key} if key else {})}
        append_line(self.run / HISTORY, line)


def finished(run: Path) -> list[int]:
    """The generations that are there, in order. Raises DataProblem where the folder is no run."""
    if not (run / STUDY).is_file():
        raise DataProblem(f"{run}: is no run folder ({STUDY} is missing); name a folder that `imgcollapse run` made")
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


def history(run: Path) -> list[dict[str, Any]]:
    """How each generation came to be, in the order in which they did: `made` or `shared`, and in how many seconds.

    A line that is damaged is said, and passed over: it counts in no sum.
    """
    try:
        lines = (run / HISTORY).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
            found.append(
                {**record, "generation": int(record["generation"]), "how": str(record["how"]), "seconds": float(record["seconds"])}
            )
        except (ValueError, KeyError, TypeError):
            if line.strip():
                progress.say_once(
                    f"{run / HISTORY}:{number + 1}: this line is damaged and passed over; times and counts of this run lack it"
                )
    return found


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
    beside = (MANIFEST, SAMPLES, LATENTS, SCORES, PROVENANCE, GRID, f"../{STUDY}", f"../{REFERENCE}")
    stamps = tuple(_stamp(folder / name) for name in beside)
    return _misfit(run, generation, weights, stamps if not weights else (*stamps, *map(_stamp, sorted(folder.rglob("*"))))) or _misled(
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
    return _unlike(made, own if reference is None else {**own, "reference": digest({name: reference.get(name) for name in JUDGED_BY})})


def _misled(run: Path, generation: int) -> str | None:
    """Whether the samples that it learned from are others than those that are there."""
    made = made_by(generation_folder(run, generation))
    if made is None:
        return None
    parents = {origin: samples_digest(generation_folder(run, int(origin))) for origin in made["parents"]}
    return _unlike(made, {**made, "parents": parents})


def made_by(folder: Path) -> dict[str, Any] | None:
    """What made a finished generation; None where an older version of this program wrote it, which kept no word of that."""
    made: dict[str, Any] | None = files.read_manifest(folder)["made_by"]
    return made


def samples_digest(folder: Path) -> str | None:
    """The SHA-256 of a generation's samples, from its manifest; None where that cannot be told."""
    try:
        entry = files.read_manifest(folder)["files"].get(SAMPLES)
    except DataProblem:
        return None
    return None if entry is None else str(entry["sha256"])


def _unlike(made: dict[str, Any] | None, now: dict[str, Any]) -> str | None:
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


def scores(run: Path) -> list[dict[str, Any]]:
    """The scores of all finished generations that fit, in order."""
    return [scores_of(run, generation) for generation in sound(run)]


def scores_of(run: Path, generation: int) -> dict[str, Any]:
    """The scores of one finished generation."""
    return read_json(generation_folder(run, generation) / SCORES)


def reference(run: Path) -> dict[str, Any] | None:
    """The run's record of data and judge; None where there is none yet, or where it is damaged, which is said."""
    return readable(run / REFERENCE, quiet=True)


def sessions(run: Path) -> list[dict[str, Any]]:
    """With what versions and hardware each session of the run worked, in order; none where that is not known."""
    return list((readable(run / ENVIRONMENT, quiet=True) or {}).get("sessions", []))


class _Samples(Sequence[ImageSet]):
    def __init__(self, run: Path, count: int) -> None:
        self._run, self._count = run, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ImageSet: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageSet]: ...
    def __getitem__(self, index: int | slice) -> ImageSet | list[ImageSet]:
        if isinstance(index, slice):
            return [self[one] for one in range(self._count)[index]]
        return read_images(generation_folder(self._run, range(self._count)[index]) / SAMPLES)


def _same_study(run: Path, study: str) -> None:
    """Writes the study where there is none. Raises OtherStudyProblem where the folder was begun with another one."""
    now = parsed(study)
    before = readable(run / STUDY, quiet=True)
    if before is not None and before != now:
        raise OtherStudyProblem(f"{run}: holds another study ({first_difference(before, now)}); choose another --out")
    _fitting(run, now)
    if before is None:
        readable(run / STUDY)
        write_text(run / STUDY, study)
    begun = (readable(run / ENVIRONMENT, quiet=True) or {}).get("study")
    if begun is not None and begun != _study_digest(now):
        raise OtherStudyProblem(f"{run / STUDY}: was changed after the run was begun; change it back, or choose another --out")


def parsed(study: str) -> dict[str, Any]:
    """The settings in a study's YAML."""
    return dict(load(study))


def _fitting(run: Path, study: dict[str, Any]) -> None:
    """Raises OtherStudyProblem where there are generations, and none of them was made by these settings."""
    there = []
    for folder in sorted(run.glob("gen_[0-9]*")):
        with suppress(DataProblem):
            there.append(made_by(folder))
    if None in there:
        older = "holds generations of an older version of imgcollapse, which kept no word of what made them"
        raise OtherStudyProblem(f"{run}: {older}; choose another --out")
    wanted = json.loads(to_json({name: study[name] for name in OWN if name in study}))
    known = [{name: made.get(name) for name in wanted} for made in there if made]
    if known and wanted not in known:
        said = first_difference(known[0], wanted)
        raise OtherStudyProblem(f"{run}: holds generations of another study ({said}); choose another --out")


def _study_digest(study: dict[str, Any]) -> str:
    """Of all that a run may not change under way; how many generations it has is no part of it."""
    return digest({name: value for name, value in study.items() if name != "gens"})


def readable(path: Path, quiet: bool = False) -> dict[str, Any] | None:
    """A record of a run or an ablation; None where there is none, and where it cannot be read, which is said.

    Such a one is set aside, for whoever asks makes it anew; `quiet`: it is left where it is, for whoever only looks.
    """
    if not path.exists():
        return None
    try:
        return read_file(path) if path.suffix == ".yaml" else read_json(path)
    except (DataProblem, SettingsProblem):
        why = "is empty" if files.is_empty(path) else "is damaged"
    if quiet:
        progress.say_once(f"{path}: {why} and left out ({MENDS})")
        return None
    aside = files.set_aside(path)
    progress.say(f"{path}: {why}; made anew (the old one is kept as {aside.relative_to(path.parent)})")
    return None


def _stamp(path: Path) -> tuple[int, int]:
    """Tells a file from a changed one, mostly."""
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)
