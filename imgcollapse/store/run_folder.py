"""Writing a run folder: closed to other writers, a generation there whole or not at all, and nothing in it trusted by its place alone."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imgcollapse import files, progress
from imgcollapse.errors import OtherStudyProblem
from imgcollapse.files import (
    append_line,
    bytes_of,
    digest,
    digest_of,
    first_difference,
    folder_in_place,
    ledger,
    locks,
    same_or_refuse,
    to_json,
)
from imgcollapse.images import ImageSet
from imgcollapse.machine import checkpoints, programs
from imgcollapse.settings import read_file
from imgcollapse.store import history, leftovers, log, manifest
from imgcollapse.store.begun import begin, begun, parsed
from imgcollapse.store.checks import parents
from imgcollapse.store.identity import Identity, study_digest, unlike
from imgcollapse.store.layout import (
    ENVIRONMENT,
    LATENTS,
    LOCK,
    MODEL,
    PROGRAMS,
    PROVENANCE,
    SAMPLES,
    STUDY,
    UNFINISHED,
    UNMARKED,
    generation_folder,
)
from imgcollapse.store.manifest import MANIFEST, damage, made_by
from imgcollapse.store.npz import write_images
from imgcollapse.store.past import Load, Past, Start
from imgcollapse.store.records import plain, readable, write_sealed
from imgcollapse.store.shared import SharedStore


@contextmanager
def opened(run: Path, study: str | None = None, load: Load = Path, shared: Path | None = None) -> Iterator["RunFolder"]:
    """The run folder, made where there is none, and closed to every other writer meanwhile.

    `study`: its YAML; None: whatever the folder was begun with, in the words of the version that did so, which may lack newer options.
    `load` opens a model in its folder. `shared` is a folder of generations that several runs have in common: what another run made there is
    linked, not made again. Raises OtherStudyProblem where it holds another study (or files of something else), InUseProblem where another
    process writes it.
    """
    study = (run / STUDY).read_text(encoding="utf-8") if study is None else study
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
        begin(run, study)
        for place in (run / PROGRAMS).glob("gen_*"):
            if (run / place.name).exists():  # it was kept, and the process killed before this
                programs.tidy(place)
        for place in (run / UNFINISHED).glob("gen_*"):
            if (run / place.name).exists():
                checkpoints.forget(place)
        with programs.working_in(run / PROGRAMS), log.kept(run):
            yield RunFolder(run, load, shared)


class RunFolder:
    """What a run has finished, and where it puts what it finishes next. Got from `opened`."""

    def __init__(self, run: Path, load: Load, shared: Path | None = None) -> None:
        self.run, self._load = run, load
        self.shared = SharedStore(shared) if shared else None
        self._noted = dict(history.manifests(run))
        self._recipe: Identity = {}  # of the generation that is being made

    def past(self, generation: int) -> Past:
        """The generations before that one, read when they are asked for."""
        return Past(self.run, generation, self._load)

    def has(self, generation: int, own: Identity) -> bool:
        """Whether that generation is there, undamaged, the one that this run has made, by these settings from what lies there now.

        `own`: what of its identity does not follow from the ones before. Its training set is not built for that: where this run keeps no
        word of having made what lies there, the answer is no, and `claim` looks at it with its whole recipe.
        """
        folder = generation_folder(self.run, generation)
        if not folder.exists() or self._set_aside(folder, plain(own)):
            return False
        return self._noted.get(generation) == digest_of(folder / MANIFEST)

    def _set_aside(self, folder: Path, wanted: Identity) -> bool:
        """Whether a generation is damaged or was made by or from something else; it is then set aside, and that is reported."""
        if (wrong := damage(folder) or self._unlike(folder, wanted)) is None:
            return False
        aside = files.set_aside(folder)
        progress.say(f"{folder.name}: {wrong}; made again (the old folder is kept as {aside.relative_to(self.run)})")
        return True

    def _unlike(self, folder: Path, wanted: Identity) -> str | None:
        made = made_by(folder)
        return unlike(made, wanted) or unlike(made, parents(self.run, made or {}))

    @contextmanager
    def claim(self, generation: int, recipe: Identity, began: float | None = None) -> Iterator[bool]:
        """Whether that generation must be made now. If so the block makes and writes it, and nobody else makes the same one meanwhile.

        `recipe` is all that decides it (JSON-ready): where another run that shares the same folder made one by it, that one is linked.
        `began`: when the work on it began (`time.monotonic()`), where that was before.
        """
        self._recipe, place = plain(recipe), generation_folder(self.run, generation)
        began = time.monotonic() if began is None else began
        if place.exists() and not self._set_aside(place, self._recipe):
            self._note(generation, "kept", began)
            yield False
            return
        if self.shared is None:
            with self._workplace(generation):
                yield True
            self._note(generation, "made", began)
            return
        key = digest(self._recipe)
        with self.shared.lock(key, f"generation {generation}"):
            if self.shared.link(key, place, self._recipe):
                self._note(generation, "shared", began, key)
                yield False
                return
            began = time.monotonic()
            with self._workplace(generation):
                yield True
            self.shared.add(key, place)
            self._note(generation, "made", began, key)

    @contextmanager
    def _workplace(self, generation: int) -> Iterator[None]:
        """Where programs work that make a generation; once that is kept, only their logs stay there."""
        place = self.run / PROGRAMS / generation_folder(self.run, generation).name
        with programs.working_in(place), progress.part(f"generation {generation}", generation=True):
            yield
        programs.tidy(place)
        checkpoints.forget(self._unfinished())

    def learned(self, fit: Callable[[Any], Any], load: Load, start: Start | None = None) -> Any:
        """The fitted model: that of another run where it learned the very same and only draws in another way, else what `fit(start)` gives.

        `fit` is called with the model whose weights it begins with, or None; `load` opens one that draws as this does.
        """
        key = SharedStore.weights_key(self._recipe)
        if self.shared is None:
            with checkpoints.kept_in("fit", self._unfinished(), key, self.run):
                return fit(start and start.model)
        unfinished = self.shared.folder / f"{key}.{UNFINISHED}"  # whichever run goes on with it
        with self.shared.lock(key, "its weights"):
            model = self.shared.fitted_model(key, load)
            if model is None:
                with checkpoints.kept_in("fit", unfinished, key, self.shared.folder):
                    model = fit(start and start.model)
                self.shared.add_model(key, model.save)
            checkpoints.forget(unfinished)
        return model

    def drawn(self, draw: Callable[[], Any]) -> Any:
        """What `draw` gives; a drawing that was stopped goes on, where the model keeps what it has drawn."""
        with checkpoints.kept_in("draw", self._unfinished(), digest(self._recipe), self.run):
            return draw()

    def _unfinished(self) -> Path:
        """Where checkpoints of the generation lie that is being made."""
        return self.run / UNFINISHED / generation_folder(self.run, self._recipe["generation"]).name

    def write(
        self, generation: int, model: Any, samples: ImageSet, latents: ImageSet, provenance: dict[str, Any], drawn: ImageSet | None = None
    ) -> None:
        """Writes one generation into a draft folder, the manifest last, and puts it in its place with one rename.

        model: None for what several models have drawn
        drawn: the samples before gates changed them; kept beside them where that is another set
        """
        with folder_in_place(generation_folder(self.run, generation)) as draft:
            unmarked = {} if drawn is None or drawn is samples else {UNMARKED: drawn}
            sets = {SAMPLES: samples, **unmarked, LATENTS: latents}
            contents = {name: write_images(draft / name, images) for name, images in sets.items()}
            (draft / PROVENANCE).write_bytes(bytes_of(to_json({"generation": generation, **provenance})))
            if model is not None:
                model.save(draft / MODEL)
                if self.shared is not None:
                    self.shared.link_model(SharedStore.weights_key(self._recipe), draft / MODEL)
            files.as_usual(draft)
            manifest.write_manifest(draft, self._recipe, contents)

    def throw_away(self, generation: int, *parts: str, how: str = "thinned") -> None:
        """Removes the samples or the model of a generation that nothing needs any more; the manifest keeps their digests, and says so, and
        the history says `how`."""
        folder = generation_folder(self.run, generation)
        if there := [part for part in parts if manifest.has(folder, part) or os.path.lexists(folder / part)]:
            manifest.throw_away(folder, *there)
            self._note(generation, how, time.monotonic())

    def fix(self, name: str, record: dict[str, Any] | None, beside: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Writes a record of the run, once; None: nothing. Raises OtherStudyProblem where it was written before and said something else.

        What there is in `beside` is written with it, and may be another later.
        """
        if record is None:
            return
        path = self.run / name
        before, now = readable(path), plain(record)
        if before is None:
            write_sealed(path, {**record, **{key: value for key, value in beside.items() if value}})
        else:
            same = {key: value for key, value in before.items() if key not in beside}
            same_or_refuse(path, same, now, "the run was begun with another", "put back what it was begun with, or choose another --out")

    def note_environment(self, environment: dict[str, Any]) -> None:
        """Adds the versions, hardware and command of this session to the run's record, where they differ from the last session's."""
        path, study = self.run / ENVIRONMENT, study_digest(read_file(self.run / STUDY))
        record = readable(path) or {}
        past = record.get("sessions", [])
        if not past or past[-1] != environment:
            before, now = (
                {name: value for name, value in one.items() if name != "command"} for one in (past[-1] if past else {}, environment)
            )
            if past and before != now:
                progress.say(f"{path}: {first_difference(before, now)}; last digits may differ from an uninterrupted run")
            write_sealed(path, {"study": study, "sessions": [*past, environment]})

    def _note(self, generation: int, how: str, began: float, key: str | None = None) -> None:
        self._noted[generation] = digest_of(generation_folder(self.run, generation) / MANIFEST)
        line = {"generation": generation, "how": how, "seconds": round(time.monotonic() - began, 3), **({"key": key} if key else {})}
        append_line(self.run / history.HISTORY, {**line, "manifest": self._noted[generation]})
