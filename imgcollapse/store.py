"""Run folders: a generation is there whole, or not at all. Every file is named in a manifest with its size and SHA-256."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
import yaml
from filelock import FileLock, Timeout
from PIL import Image

from imgcollapse import progress
from imgcollapse.errors import DataProblem, InUseProblem, OtherStudyProblem
from imgcollapse.files import MANIFEST, damage, first_difference, read_json, sync, to_json, write_manifest, write_text
from imgcollapse.images import ImageSet

STUDY, REFERENCE, ENVIRONMENT = "study.yaml", "reference.json", "environment.json"
SAMPLES, LATENTS, SCORES, PROVENANCE, GRID, MODEL = "samples.npz", "latents.npz", "scores.json", "provenance.json", "grid.png", "model"


def generation_folder(run: Path, generation: int) -> Path:
    """Where that generation lies."""
    return run / f"gen_{generation:03d}"


@contextmanager
def opened(run: Path, study: str) -> Iterator["Kept"]:
    """The run folder, made where there is none, and closed to every other writer meanwhile.

    Raises OtherStudyProblem where it holds another study (or files of something else), InUseProblem where another process writes it.
    """
    if run.is_dir() and not (run / STUDY).exists() and any(entry.name != ".lock" for entry in run.iterdir()):
        raise OtherStudyProblem(f"{run}: this folder holds other files, and nothing is ever overwritten; choose another --out")
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InUseProblem(f"{run}: another process is writing this run; wait for its end, or choose another --out") from None
    try:
        if not (run / STUDY).exists():
            write_text(run / STUDY, study)
        _same_study(run / STUDY, study)
        for draft in run.glob("gen_*.draft"):
            shutil.rmtree(draft)  # left by a process that was killed; never a finished generation
        yield Kept(run)
    finally:
        lock.release()


class Kept:
    """What a run has finished, and where it puts what it finishes next. Got from `opened`."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def has(self, generation: int, training_set: ImageSet) -> bool:
        """Whether that generation is there, undamaged, and learned from this very training set; if not, what is there is set aside."""
        folder = generation_folder(self.run, generation)
        if not folder.exists():
            return False
        wrong = damage(folder)
        if wrong is None and read_json(folder / PROVENANCE)["training_set"] != training_set.digest():
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
            _write_images(draft / SAMPLES, samples)
            _write_images(draft / LATENTS, latents)
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

    def fix(self, name: str, record: dict[str, Any]) -> None:
        """Writes a record of the run, once. Raises OtherStudyProblem where it was written before and said something else."""
        path = self.run / name
        if not path.exists():
            write_text(path, to_json(record))
        before, now = read_json(path), json.loads(to_json(record))
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


def scores(run: Path) -> list[dict[str, Any]]:
    """The scores of all finished generations, in order."""
    return [read_json(generation_folder(run, generation) / SCORES) for generation in finished(run)]


def read_images(path: Path) -> ImageSet:
    """The pictures in an `.npz` that this package wrote. Raises DataProblem where it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return ImageSet(*(torch.from_numpy(arrays[name]) for name in ("pixels", "labels", "born")))
    except Exception as error:  # zipfile, zlib, numpy and the checks of ImageSet each raise their own
        raise DataProblem(f"{path}: cannot be read ({error}); run the same command again, which mends damaged generations") from None


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


def _write_images(path: Path, images: ImageSet) -> None:
    np.savez(path, pixels=images.pixels.numpy(), labels=images.labels.numpy(), born=images.born.numpy())
