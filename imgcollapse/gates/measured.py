"""What the gates of a run did to a generation, told from what is kept of it alone: for the judge."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgcollapse import progress, store
from imgcollapse.errors import DataProblem
from imgcollapse.gates.admitted import passing
from imgcollapse.gates.gate import Detecting, Gate, Marking
from imgcollapse.gates.mark import psnr
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import REAL, ImageSet, World
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.gated import Gated
from imgcollapse.metrics.record import gate_sources
from imgcollapse.regimes import Real
from imgcollapse.seeds import derive
from imgcollapse.store.past import Past

Mark = tuple[Tensor | None, Tensor | None, Tensor | None]  # `psnr`, `before`, `after` of `Gated`


class RunGates:
    """The gates of one run.

    real: the study's real pictures, by which gates are made; those held out in `world` no gate has learned from
    seed: the study's
    """

    def __init__(self, run: Path, gates: Sequence[Gate], world: World, real: Real, seed: int) -> None:
        self._run, self._gates, self._real, self._held_out, self._seed = run, gates, real, world.held_out, seed
        self._sources = gate_sources([gate.kind for gate in gates])

    def record(self) -> dict[str, Any]:
        """For each source what decides what is found: the gate with its options, seed, real pictures, and versions of the metrics."""
        versions = {name: metric.version for name, metric in METRICS.items() if metric.of == "gate"}
        common = {"gate_seed": self._seed, "gate_real": self._real.seen.digest(), "gate_metrics": versions} if self._gates else {}
        return {name: {"gate": gate.model_dump(mode="json"), **common} for name, gate in zip(self._sources, self._gates, strict=True)}

    def __call__(self, generation: int, samples: ImageSet, n: int, features: Callable[[ImageSet], Tensor]) -> dict[str, Gated]:
        """By source, what each gate did to the samples that a finished generation published.

        n: pictures whose features are compared; features: float64 [N, D]. What was thrown away, or an older version did not keep, is said
        once, and left out with what depends on it.
        """
        found = dict[str, Gated]()
        if not self._gates:
            return found
        marks = self._marks(generation, samples, n, features)
        try:
            for source, gated, (of_each, before, after) in zip(self._sources, self._admissions(generation, samples), marks, strict=True):
                found[source] = replace(gated, psnr=of_each, before=before, after=after)
        except DataProblem as problem:
            progress.say_once(f"what {self._sources[len(found)]} did is left out: {problem}")
        return found

    def _admissions(self, generation: int, samples: ImageSet) -> Iterator[Gated]:
        """Of each gate, whom it was offered and let in, and how its detector tells."""
        before, upto = (Past(self._run, count, Path).samples for count in (generation, generation + 1))
        passed = passing(samples, self._gates, self._real, before, self._seed, generation)
        for place, (gate, (rows, mask)) in enumerate(zip(self._gates, passed, strict=True)):
            of_real = gate.admit(self._held_out, self._real, upto, derive(self._seed, REAL, "admit", place))
            none = torch.zeros(len(samples), dtype=torch.bool)
            told, told_of_real = self._told(gate, samples, before)
            yield Gated(none.index_fill(0, rows, True), none.index_fill(0, rows[mask], True), told, told_of_real, of_real)

    def _told(self, gate: Gate, samples: ImageSet, before: Sequence[ImageSet]) -> tuple[Tensor | None, Tensor | None]:
        return gate.told_apart(samples, self._held_out, self._real, before) if isinstance(gate, Detecting) else (None, None)

    def _marks(self, generation: int, samples: ImageSet, n: int, features: Callable[[ImageSet], Tensor]) -> Iterator[Mark]:
        """Of each gate what it changes in pictures."""
        changing = [place for place, gate in enumerate(self._gates) if gate.changes]
        now = self._unmarked(generation) if changing else None
        for place, gate in enumerate(self._gates):
            if now is None or not gate.changes:
                yield None, None, None
                continue
            seed = derive(derive(self._seed, generation, "publish"), place)
            after = samples if place == changing[-1] else gate.publish(now, seed)
            marked = gate.before_attack(now, after, seed) if isinstance(gate, Marking) else after
            of_each = psnr(now.pixels[:n], marked.pixels[:n])
            yield of_each[of_each.isfinite()], features(now[:n]), features(after[:n])
            now = after

    def _unmarked(self, generation: int) -> ImageSet | None:
        """What was drawn, before any gate changed it; None where it is not kept."""
        if store.has(self._run, generation, store.UNMARKED):
            return store.read_images(store.generation_folder(self._run, generation) / store.UNMARKED)
        progress.say_once(
            f"what marks cost is left out: {store.UNMARKED} is no longer kept (keep.samples), or an older version of "
            "imgcollapse made these generations, which did not keep it"
        )
        return None
