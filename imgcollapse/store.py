"""Run folders: a generation is there whole, or not at all. Every file is named in a manifest with its size and SHA-256."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import yaml
from filelock import FileLock, Timeout
from PIL import Image

from imgcollapse import progress
from imgcollapse.errors import DataProblem, InUseProblem, OtherStudyProblem, SettingsProblem
from imgcollapse.files import MANIFEST, append_line, damage, first_difference, read_json, sync, to_json, write_manifest, write_text
from imgcollapse.images import ImageSet
from imgcollapse.npz import read_images as read_images
from imgcollapse.npz import write_images
from imgcollapse.shelf import Shelf, address

STUDY, REFERENCE, ENVIRONMENT, HISTORY, LOCK = "study.yaml", "reference.json", "environment.json", "history.jsonl", ".lock"
SAMPLES, LATENTS, SCORES, PROVENANCE, GRID, MODEL = "samples.npz", "latents.npz", "scores.json", "provenance.json", "grid.png", "model"


def generation_folder(run: Path, generation: int) -> Path:
    """Where that generation lies."""
    return run / f"gen_{generation:03d}"


@contextmanager
def opened(run: Path, study: str, shared: Path | None = None) -> Iterator["Kept"]:
    """The run folder, made where there is none, and closed to every other writer meanwhile.

    `shared` is a folder of generations that several runs have in common: what another run made there is linked, not made again.
    Raises OtherStudyProblem where it holds another study (or files of something else), InUseProblem where another process writes it.
    """
    if run.is_dir() and not (run / STUDY).exists() and any(entry.name != LOCK for entry in run.iterdir()):
        raise OtherStudyProblem(f"{run}: this folder holds other files, and nothing is ever overwritten; choose another --out")
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / LOCK)
    try:
        lock.acquire(timeout=1)  # `in_use` holds it for a moment
    except Timeout:
        raise InUseProblem(f"{run}: another process is writing this run; wait for its end, or choose another --out") from None
    try:
        if not (run / STUDY).exists():
            write_text(run / STUDY, study)
        _same_study(run / STUDY, study)
        for draft in run.glob("gen_*.draft"):
            shutil.rmtree(draft)  # left by a process that was killed; never a finished generation
        yield Kept(run, shared)
    finally:
        lock.release()


def in_use(run: Path) -> bool:
    """Whether a process is writing this run now."""
    if not (run / LOCK).exists():
        return False
    lock = FileLock(run / LOCK)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


class Kept:
    """What a run has finished, and where it puts what it finishes next. Got from `opened`."""

    def __init__(self, run: Path, shared: Path | None = None) -> None:
        self.run = run
        self.shelf = Shelf(shared) if shared else None

    @contextmanager
    def turn(self, generation: int, recipe: dict[str, Any]) -> Iterator[bool]:
        """Whether that generation must be made now. If so the block makes and keeps it, and nobody else makes the same one meanwhile.

        `recipe` is all that decides the generation (JSON-ready; `provenance` among it): where another run that shares the same folder
        made one by the same recipe, that one is linked.
        """
        if self._has(generation, recipe["provenance"]["training_set"]):
            yield False
            return
        began = time.monotonic()
        if self.shelf is None:
            yield True
            self._note(generation, "made", began)
            return
        key, place = address(recipe), generation_folder(self.run, generation)
        with self.shelf.turn(key, f"generation {generation}"):
            if self.shelf.lend(key, place):
                self._note(generation, "shared", began, key)
                yield False
                return
            began = time.monotonic()
            yield True
            self.shelf.put(key, place)
            self._note(generation, "made", began, key)

    def _has(self, generation: int, training_set: str) -> bool:
        """Whether it is there, undamaged, and learned from the training set of that digest; if not, what is there is set aside."""
        folder = generation_folder(self.run, generation)
        if not folder.exists():
            return False
        wrong = damage(folder)
        if wrong is None and read_json(folder / PROVENANCE)["training_set"] != training_set:
            wrong = "learned from samples that have since been made anew"
        if wrong is None:
            return True
        aside = self._aside(folder)
        progress.say(f"{folder.name}: {wrong}; made again (the old folder is kept as {aside.relative_to(self.run)})")
        return False

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
            draft.mkdir()
            write_images(draft / SAMPLES, samples)
            write_images(draft / LATENTS, latents)
            write_text(draft / SCORES, to_json(scores))
            write_text(draft / PROVENANCE, to_json(provenance))
            grid.save(draft / GRID, optimize=True)
            save_model(draft / MODEL)
            write_manifest(draft)
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
        if not path.exists():
            write_text(path, to_json({**record, **{key: value for key, value in beside.items() if value}}))
        before, now = {key: value for key, value in read_json(path).items() if key not in beside}, json.loads(to_json(record))
        if before != now:
            begun = first_difference(before, now)
            raise OtherStudyProblem(f"{path}: the run was begun with {begun}; put the data and classifiers back, or choose another --out")

    def note_environment(self, environment: dict[str, Any]) -> None:
        """Adds the versions and hardware of this session to the run's record, where they differ from the last session's."""
        path = self.run / ENVIRONMENT
        sessions = read_json(path)["sessions"] if path.exists() else []
        if not sessions or sessions[-1] != environment:
            if sessions:
                progress.say(f"{path}: {first_difference(sessions[-1], environment)}; last digits may differ from an uninterrupted run")
            write_text(path, to_json({"sessions": [*sessions, environment]}))

    def _note(self, generation: int, how: str, began: float, key: str | None = None) -> None:
        line = {"generation": generation, "how": how, "seconds": round(time.monotonic() - began, 3), **({"key": key} if key else {})}
        append_line(self.run / HISTORY, line)

    def _aside(self, folder: Path) -> Path:
        shelf = self.run / "set_aside"
        shelf.mkdir(exist_ok=True)
        aside = shelf / f"{folder.name}-{sum(1 for _ in shelf.glob(folder.name + '-*')) + 1}"
        folder.rename(aside)
        return aside


def finished(run: Path) -> list[int]:
    """The generations that are there, in order. Raises DataProblem where the folder is no run."""
    if not (run / STUDY).is_file():
        raise DataProblem(f"{run}: is no run folder ({STUDY} is missing); name a folder that `imgcollapse run` made")
    return sorted(int(path.parent.name[4:]) for path in run.glob("gen_[0-9]*/" + MANIFEST) if path.parent.name[4:].isdigit())


def chosen(run: Path, generation: int | None = None) -> int:
    """That generation, or the last finished one. Raises SettingsProblem where it is not finished, DataProblem where there is no run."""
    there = finished(run)
    if not there:
        raise SettingsProblem(f"{run}: no generation is finished yet; let `imgcollapse run` finish one first")
    if generation is not None and generation not in there:
        raise SettingsProblem(f"--gen: generation {generation} of {run} is not finished; choose among {', '.join(map(str, there))}")
    return there[-1] if generation is None else generation


def history(run: Path) -> list[dict[str, Any]]:
    """How each generation came to be, in the order in which they did: `made` or `shared`, and in how many seconds."""
    try:
        lines = (run / HISTORY).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def scores(run: Path) -> list[dict[str, Any]]:
    """The scores of all finished generations, in order."""
    return [scores_of(run, generation) for generation in finished(run)]


def scores_of(run: Path, generation: int) -> dict[str, Any]:
    """The scores of one finished generation."""
    return read_json(generation_folder(run, generation) / SCORES)


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


def _same_study(path: Path, study: str) -> None:
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        before = None
    now = yaml.safe_load(study)
    if not isinstance(before, dict):
        raise OtherStudyProblem(f"{path}: is damaged, so it cannot be told which study the folder holds; choose another --out")
    if before != now:
        raise OtherStudyProblem(f"{path.parent}: holds another study ({first_difference(before, now)}); choose another --out")
