"""Judging what a run has kept, from that alone: now, later, or again by another judge; what was found is kept beside the run."""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

from imgcollapse import grids, progress, store
from imgcollapse.datasets.names import class_title
from imgcollapse.errors import DataProblem
from imgcollapse.files import digest, ledger
from imgcollapse.heavy import Tensor
from imgcollapse.images import ImageSet, World
from imgcollapse.judges.asked import Said
from imgcollapse.judges.judge import Judge, Reference
from imgcollapse.judges.likelihoods import RunLikelihoods
from imgcollapse.machine import programs
from imgcollapse.metrics.gated import Gated
from imgcollapse.metrics.record import MODEL, Scores
from imgcollapse.models import Likely
from imgcollapse.regimes import generations_in
from imgcollapse.store import judged
from imgcollapse.store.checks import data_digest
from imgcollapse.store.past import Load, Past
from imgcollapse.store.records import read_json, readable, write_sealed
from imgcollapse.store.shared import SharedStore

Record = dict[str, Any]


class Gates(Protocol):
    """What tells what a run's gates did; see `imgcollapse.gates.RunGates`."""

    def record(self) -> Record:
        """By source, what decides what is found; empty where there are no gates."""

    def __call__(self, generation: int, samples: ImageSet, n: int, features: Callable[[ImageSet], Tensor]) -> Mapping[str, Gated]:
        """By source, what each gate did to the samples of a finished generation."""


def training_sets(run: Path, made: Callable[[Past], tuple[Any, Record]] | None, load: Load) -> Callable[[int], ImageSet | None]:
    """Builds the training set of a generation again, where it was a set and is there. made: of the generations before it; None: of none."""

    def one(generation: int) -> ImageSet | None:
        if made is None:
            return None
        learned_from = read_json(store.generation_folder(run, generation) / store.PROVENANCE)
        if gone := [origin for origin in generations_in(learned_from) if not store.has(run, origin, store.SAMPLES)]:
            names = ", ".join(gone)
            progress.say_once(
                f"generation {generation} cannot be compared with its own training set: samples of generation {names} are "
                "no longer kept (keep.samples, or imgcollapse prune)"
            )
            return None
        found, _ = made(Past(run, generation, load))
        return found if isinstance(found, ImageSet) else None

    return one


class Judging:
    """One judge of one run.

    judge:        with every choice made
    training_set: the training set of a generation, built when a metric asks for it; None where it is not there any more
    model:        opens the model of a generation, where a metric asks for it; None where models know no likelihoods
    gates:        those of the run; None: it has none
    drawn:        how many pictures a generation draws
    gens:         how many generations the run has: the last is judged, whatever judge.every says
    caption:      the title of a generation's sample grid, by its provenance; None: no grids are drawn
    shared:       a folder in which several runs keep the scores that they have in common
    """

    def __init__(
        self,
        run: Path,
        judge: Judge,
        world: World,
        training_set: Callable[[int], ImageSet | None],
        model: Callable[[int], Likely] | None = None,
        gates: Gates | None = None,
        *,
        drawn: int,
        gens: int,
        caption: Callable[[Record], str] | None = None,
        shared: Path | None = None,
    ) -> None:
        self.run, self.name, self._world = run, judged.judge_name(judge.model_dump(mode="json")), world
        self._training_set, self._caption, self._every, self._gens = training_set, caption, judge.every, gens
        self._shared = SharedStore(shared / "scores") if shared else None
        with progress.part("the judge's reference"):
            self._reference: Reference = judge.open(world, drawn)
        self._likelihoods: RunLikelihoods | None = None
        if model is not None and self._reference.likelihoods:
            self._likelihoods = RunLikelihoods(model, world.held_out, judge.latent_draws)
        record = self._reference.record()
        self._gates = gates if gates is not None and record["extractors"] and gates.record() else None
        record |= {"gates": self._gates.record()} if self._gates else {}
        for extractor in record["extractors"].values():
            for metric, real in extractor["real"].items():
                if not all(map(math.isfinite, real.values())):
                    raise DataProblem(
                        f"{run}: {metric} of real pictures is {real['mean']}, which is not a number; leave it out of judge.metrics"
                    )
        self._record = judged.fix_reference(run, self.name, record, data_digest(world.record()))

    def has(self, generation: int) -> bool:
        """Whether it has judged that generation as it lies there, or is not to judge it."""
        due = judged.is_due(generation, self._every, self._gens)
        return not due or judged.found_by(self.run, self.name, generation) is not None

    def __call__(self, generation: int) -> Scores:
        """The scores of a finished generation: those that are there, where they are of it, else measured and kept now.

        Scores of nothing where that generation is not to be judged.
        """
        if not judged.is_due(generation, self._every, self._gens):
            return Scores(generation, {})
        if (there := judged.found_by(self.run, self.name, generation)) is not None:
            return there
        key = digest(judged.of(self.run, generation, self._record))
        with self._shared.lock(key, f"the scores of generation {generation}") if self._shared else nullcontext():
            drawn = store.read_images(store.generation_folder(self.run, generation) / store.SAMPLES)
            with progress.part(f"judging generation {generation}"):
                found = self._found(key) or self._measure(generation, drawn)
            scores = Scores.of(found)  # nothing else is ever kept
            if self._caption:
                self._draw(generation, drawn, found, self._caption)
            judged.write(self.run, self.name, generation, found, self._record)  # last: by this a generation has landed
            if self._shared and not (place := self._shared.folder / f"{key}.json").exists():
                write_sealed(place, found)
        return scores

    def _found(self, key: str) -> Record | None:
        """What another run found in the same samples by the same reference."""
        return readable(self._shared.folder / f"{key}.json") if self._shared else None

    def _measure(self, generation: int, drawn: ImageSet) -> Record:
        with programs.working_in(self.run / store.PROGRAMS / "judge"):  # a model may be asked to draw it again
            learned_from = self._training_set(generation) if self._reference.memory else None
        n, said = self._reference.n, dict[str, Said]()
        if self._likelihoods:
            said[MODEL] = self._likelihoods(generation, drawn[:n])
        if self._gates:
            said |= self._gates(generation, drawn, n, self._reference.features)
        judged_now = self._reference(drawn, learned_from, said)
        shown = grids.first_of_each(judged_now.classes, len(self._world.classes))
        return {**judged_now.scores.of_generation(generation).record(), "shown": shown}

    def _draw(self, generation: int, drawn: ImageSet, found: Record, caption: Callable[[Record], str]) -> None:
        title = caption(read_json(store.generation_folder(self.run, generation) / store.PROVENANCE))
        page = grids.by_class(title, drawn, found["shown"], [class_title(name) for name in self._world.classes])
        ledger.put(self.run, {store.grid(generation): grids.png(page)})
