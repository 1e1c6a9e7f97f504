"""Writing a run folder: closed to other writers, a generation there whole or not at all, and nothing in it trusted by its place alone."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

from PIL import Image

from imgcollapse import files, progress
from imgcollapse.errors import OtherStudyProblem, placed_at
from imgcollapse.files import append_line, digest, digest_of, first_difference, ledger, locks, sync, to_json, write_text
from imgcollapse.images import ImageSet
from imgcollapse.settings import read_file
from imgcollapse.store import (
    ENVIRONMENT,
    GRID,
    LATENTS,
    LOCK,
    MODEL,
    PROVENANCE,
    SAMPLES,
    SCORES,
    STUDY,
    begun,
    generation_folder,
    history,
    leftovers,
    made_by,
    manifest,
    parsed,
    readable,
    samples_digest,
    study_digest,
    unlike,
)
from imgcollapse.store.identity import same_study
from imgcollapse.store.manifest import MANIFEST, damage
from imgcollapse.store.npz import read_images, write_images
from imgcollapse.store.records import plain, write_sealed
from imgcollapse.store.shelf import Shelf


@contextmanager
def opened(run: Path, study: str, shared: Path | None = None) -> Iterator["Kept"]:
    """The run folder, made where there is none, and closed to every other writer meanwhile.

    `shared` is a folder of generations that several runs have in common: what another run made there is linked, not made again.
    Raises OtherStudyProblem where it holds another study (or files of something else), InUseProblem where another process writes it.
    """
    foreign = run.is_dir() and not os.path.lexists(run / STUDY) and any(not leftovers.is_ours(entry) for entry in run.iterdir())
    if foreign and begun(run) != study_digest(parsed(study)):
        raise OtherStudyProblem(f"{run}: this folder holds other files, and nothing is ever overwritten; choose another --out")
    run.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(run / LOCK) and not leftovers.is_lock(run / LOCK):
        ledger.clear(run / LOCK, run)  # before it is locked, which would follow a link, and empty a file
    with locks.alone(run / LOCK, f"{run}: another process is writing this run; wait for its end, or choose another --out"):
        files.sweep(run)
        for path in sorted(run.iterdir()):
            leftovers.clear(path, study)
        same_study(run, study)
        yield Kept(run, shared)


class Kept:
    """What a run has finished, and where it puts what it finishes next. Got from `opened`."""

    def __init__(self, run: Path, shared: Path | None = None) -> None:
        self.run = run
        self.shelf = Shelf(shared) if shared else None
        self._made_by: dict[str, Any] = {}  # of the generation whose turn it is

    @contextmanager
    def turn(self, generation: int, recipe: dict[str, Any]) -> Iterator[bool]:
        """Whether that generation must be made now. If so the block makes and keeps it, and nobody else makes the same one meanwhile.

        `recipe` is all that decides the generation (JSON-ready; `provenance` among it): where another run that shares the same folder
        made one by the same recipe, that one is linked.
        """
        self._made_by = self._made_from(recipe)
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
            if self.shelf.lend(key, place, self._made_by):
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
        wrong = damage(folder) or unlike(made_by(folder), self._made_by)
        if wrong is None:
            if history.manifests(self.run).get(generation) != digest_of(folder / MANIFEST):
                self._note(generation, "kept", time.monotonic())
            return True
        aside = files.set_aside(folder)
        progress.say(f"{folder.name}: {wrong}; made again (the old folder is kept as {aside.relative_to(self.run)})")
        return False

    def _made_from(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """What makes a generation, in short: settings, and digests of the reference, the training set and the samples in it."""
        recipe = plain(recipe)
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
                manifest.write_manifest(draft, self._made_by)
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
        before, now = readable(path), plain(record)
        if before is None:
            write_sealed(path, {**record, **{key: value for key, value in beside.items() if value}})
        elif (before := {key: value for key, value in before.items() if key not in beside}) != now:
            begun = first_difference(before, now)
            raise OtherStudyProblem(f"{path}: the run was begun with {begun}; put the data and classifiers back, or choose another --out")

    def note_environment(self, environment: dict[str, Any]) -> None:
        """Adds the versions and hardware of this session to the run's record, where they differ from the last session's."""
        path, study = self.run / ENVIRONMENT, study_digest(read_file(self.run / STUDY))
        record = readable(path) or {}
        past = record.get("sessions", [])
        if not past or past[-1] != environment:
            if past:
                progress.say(f"{path}: {first_difference(past[-1], environment)}; last digits may differ from an uninterrupted run")
            write_sealed(path, {"study": study, "sessions": [*past, environment]})

    def _note(self, generation: int, how: str, began: float, key: str | None = None) -> None:
        line = {"generation": generation, "how": how, "seconds": round(time.monotonic() - began, 3), **({"key": key} if key else {})}
        append_line(self.run / history.HISTORY, {**line, "manifest": digest_of(generation_folder(self.run, generation) / MANIFEST)})


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
