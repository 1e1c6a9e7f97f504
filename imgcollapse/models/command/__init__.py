"""Any program as the generator: one command line learns from a training set, another draws, and the loop does the rest."""

import os
import shutil
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PrivateAttr, field_validator

from imgcollapse.errors import DataProblem, ProgramProblem, SettingsProblem
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.machine import devices, processes, programs
from imgcollapse.models.command import line, pictures, places
from imgcollapse.models.command.pictures import LAYOUTS, Layout
from imgcollapse.models.network import set_only
from imgcollapse.models.weights import read_about, write_about
from imgcollapse.settings import Settings
from imgcollapse.store.manifest import write_manifest

LARGEST = 2**28  # of `{seed}`: what is smaller every program takes, those too that multiply it by their number of GPUs
FITTED = "fitted"  # in a workplace: what `fit` has left, kept until the generation is, so that a failing `sample` costs no training


class Command(Settings):
    """Any external program: one command line that trains on a training set, and one that draws samples."""

    kind: Literal["command"] = "command"
    fit_line: str = Field(
        alias="fit", description="command line that trains: reads {training_set}, writes what it has learned to the folder {model}"
    )
    sample_line: str = Field(
        alias="sample", description="command line that draws: reads {model}, writes {n} pictures to {samples}, by the random seed {seed}"
    )
    training_set: Layout = Field("npz", description=f"layout of {{training_set}}; {LAYOUTS}")
    samples: Layout = Field("npz", description="layout of {samples}")
    timeout: PositiveFloat | None = Field(
        None,
        description="seconds that either program may take; changes no result, and may be changed when a run is resumed; none: no limit",
    )
    version: str = Field("", description="version of the program, in any words: another version makes another study")
    files: tuple[str, ...] | None = Field(
        None, description="files that decide what the program does, known by their SHA-256; none: every file named in the command lines"
    )
    sha256: dict[str, str] = Field({}, description="SHA-256 of these files: written when a run begins, and compared from then on")

    _folder: Path | None = PrivateAttr(None)
    _shape: tuple[int, int, int] = PrivateAttr((0, 0, 0))
    _classes: int = PrivateAttr(0)
    _scratch: places.Scratch | None = PrivateAttr(None)

    @field_validator("fit_line")
    @classmethod
    def _fits(cls, given: str) -> str:
        return line.checked(given, line.FIT, line.OF_FIT)

    @field_validator("sample_line")
    @classmethod
    def _samples(cls, given: str) -> str:
        return line.checked(given, line.SAMPLE, line.OF_SAMPLE)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """The same, told of the world, with the digests of the files that decide what the programs do.

        Where it has these, nothing more is asked: what was drawn can be judged where there is no such program any more. Raises DataProblem
        for points and for files that are not there, SettingsProblem where there is no such program.
        """
        if are_points:
            raise DataProblem("model 'command' learns pictures; for a world of points use gaussian, gmm or bootstrap")
        if os.name != "posix":
            raise SettingsProblem("model: 'command' needs process groups, which this system lacks; use Linux or macOS")
        chosen = self.model_copy(update={"sha256": self.sha256 or self._found()})
        chosen._shape, chosen._classes = shape, classes
        return chosen

    def check_start(self) -> None:
        """Raises SettingsProblem where the program is not told with what to begin."""
        if "{previous}" not in self.fit_line:
            wrong = "model.fit has no {previous}, the folder of the model to begin with"
            raise SettingsProblem(f"init: {wrong}; put it where the program takes that, or set init to scratch")

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy, whose folder the program has filled. Of several processes the first one starts it, and the others wait.

        Raises DataProblem for points, SettingsProblem for a stream or a start of which the program is not told, ProgramProblem where it
        fails.
        """
        images = set_only(self, images, start)
        classes = self._classes or int(images.labels.max()) + 1
        chosen = self.for_world(images.shape, classes, images.are_points)
        chosen._check_files()
        if not _is_first():
            return chosen
        place = places.workplace()
        learned = {
            **chosen.model_dump(mode="json", include={"fit_line", "training_set", "version", "sha256"}),
            "classes": classes,
            "pictures": images.digest(),
            "seed": seed,
            "start": None if start is None else places.contents(start._there()),
        }
        if not places.holds(place / FITTED, learned):
            chosen._learn(images, seed, start, place)
            write_manifest(place / FITTED, learned)
        chosen._folder, chosen._scratch = place / FITTED / "model", places.Scratch.of(place)
        return chosen

    def _learn(self, images: ImageSet, seed: int, start: Self | None, place: Path) -> None:
        """Lets the program fill `fitted/model` in its workplace."""
        work, model = places.empty(place / "fit"), places.empty(place / FITTED) / "model"
        model.mkdir()
        given = pictures.place_of("training_set", self.training_set, work)
        pictures.write(images, self._classes, self.training_set, given)
        before = "" if start is None else str(shutil.copytree(start._there(), work / "previous").absolute())
        values = {"training_set": given.absolute(), "model": model.absolute(), "previous": before, "classes": self._classes}
        self._run("fit", self.fit_line, values, seed, place)
        places.check_left(model, place / "fit.log")
        write_about(model, self, shape=self._shape, classes=self._classes)
        shutil.rmtree(work)

    def sample(self, n: int, seed: int) -> ImageSet:
        """The n pictures that the program draws, from a copy of its folder: nothing that it does there changes what is kept.

        Of several processes the first one draws all of them. Raises ProgramProblem where the program fails, or draws something else than
        was asked for.
        """
        if not _is_first():
            return ImageSet.of(torch.empty((0, *self._shape), dtype=torch.uint8))
        self._check_files()
        place = places.workplace()
        work = places.empty(place / "sample")
        drawn = pictures.place_of("samples", self.samples, work)
        if self.samples in ("folder", "imagefolder"):
            drawn.mkdir()
        model = shutil.copytree(self._there(), work / "model")
        values = {"model": model.absolute(), "samples": drawn.absolute(), "n": n, "classes": self._classes}
        self._run("sample", self.sample_line, values, seed, place)
        try:
            images = pictures.read(drawn, self.samples, n, self._shape, self._classes)
        except DataProblem as problem:
            raise ProgramProblem(f"model.sample: {problem} (what it printed: {place / 'sample.log'}); {programs.FIX}") from None
        shutil.rmtree(work)
        places.Scratch.of(place)  # gone at once
        return images

    def _run(self, option: str, given: str, values: dict[str, Any], seed: int, place: Path) -> None:
        seed %= LARGEST
        programs.run(f"model.{option}", line.filled(given, {**values, "seed": seed}), seed, place / f"{option}.log", self.timeout)

    def save(self, folder: Path) -> None:
        """Writes the model's folder: what the program left there, and the options."""
        shutil.copytree(self._there(), folder, dirs_exist_ok=True)
        write_about(folder, self, shape=self._shape, classes=self._classes)

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder, which must stay where it is. To sample from it executes its command line."""
        state, opened = read_about(folder)["state"], self.model_copy()
        opened._folder, opened._shape, opened._classes = folder, tuple(state["shape"]), int(state["classes"])
        return opened

    def _there(self) -> Path:
        assert self._folder is not None, "fit or load the model first"
        return self._folder

    def _found(self) -> dict[str, str]:
        """The SHA-256 of each file that decides what the programs do, which must be there, as the programs must."""
        folder = devices.current().folder
        for option, given in (("fit", self.fit_line), ("sample", self.sample_line)):
            program = line.split(given)[0]
            if not programs.found(program):
                cure = f"name one that is on the PATH, or a path seen from {folder.absolute()}"
                raise SettingsProblem(f"model.{option}: there is no program '{program}'; {cure}")
        named = self.files
        if named is None:
            named = tuple(dict.fromkeys(word for one in (self.fit_line, self.sample_line) for word in line.files_in(one, folder)))
        if absent := [name for name in named if not (folder / name).is_file()]:
            raise DataProblem(f"model.files: there is no file '{absent[0]}' in {folder.absolute()}; name one that is there")
        return {name: places.digest(folder / name) for name in named}

    def _check_files(self) -> None:
        """Raises DataProblem where one of the files is not what it was when the study began."""
        for name, before in self.sha256.items():
            path = devices.current().folder / name
            now = places.digest(path) if path.is_file() else ""
            if now != before:
                how = f"{before[:12]}..., " + (f"now {now[:12]}..." if now else "and is not there")
                cure = "put that file back, or begin another run"
                raise DataProblem(f"model.sha256: '{name}' is not the file that this study began with ({how}); {cure}")


def _is_first() -> bool:
    """Whether this process starts programs: one that works alone, or the first of several that are at this work."""
    return processes.share().start in (None, 0)
