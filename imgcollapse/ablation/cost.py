"""What a study costs on this machine, before anything of it is made: pictures, operations, time, memory and disk."""

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from imgcollapse.ablation import ensemble
from imgcollapse.ablation.cost_files import FOLDER, MANIFEST, Beside
from imgcollapse.errors import Problem, explained
from imgcollapse.gates import chains
from imgcollapse.grids import COLUMNS
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World
from imgcollapse.judges import costs as judging
from imgcollapse.judges.judge import Judge
from imgcollapse.machine import devices
from imgcollapse.models import Likely
from imgcollapse.models import costs as models
from imgcollapse.regimes import Have, Real
from imgcollapse.store.judged import is_due
from imgcollapse.store.keep import keeps
from imgcollapse.study import Study, prepare

LOOKED_AT = 4  # generations whose training sets are made; those of later ones grow as these do
KEEPING = 0.1  # seconds in which a generation is written, with digests and records; a guess, which matters for the smallest alone
LIKELIHOODS = 5  # scores of a model that knows how likely pictures are
GRID = 1.25  # bytes of a grid of noisy samples, of what one of real pictures has
BESIDE = 16  # bytes of a picture's label and of its birth


@dataclass(frozen=True)
class Generation:
    """Of one generation of all chains: pictures learned from and drawn, operations of networks, seconds, and bytes.

    disk:   bytes that stay of it in a run
    own:    of these, what every run of an ablation has for itself: scores and grid
    made:   bytes that runs share, whatever each of them keeps, without
    fitted: weights as they were learned, which all that draw from them share
    """

    learned: int
    drawn: int
    flop: float
    learn: float
    draw: float
    judge: float
    disk: float
    own: float = 0.0
    made: float = 0.0
    fitted: float = 0.0

    @property
    def seconds(self) -> float:
        """Of all of it."""
        return self.learn + self.draw + self.judge


@dataclass
class Known:
    """What was measured, so that it is measured once for all studies that have it in common."""

    works: dict[str, models.Work] = field(default_factory=dict)
    judges: dict[str, judging.JudgeWork] = field(default_factory=dict)

    def work(self, study: Study, model: Any, images: ImageSet) -> models.Work:
        """Of a model of the study."""
        key = f"{model.model_dump_json()} {study.dataset.model_dump_json()} {len(images)} {study.judge.latent_draws}"
        if key not in self.works:
            self.works[key] = models.work_of(model, images, study.judge.latent_draws)
        return self.works[key]

    def judge(self, judge: Judge, study: Study, world: World) -> judging.JudgeWork:
        """Of the study's judge."""
        key = f"{judge.model_dump_json()} {study.dataset.model_dump_json()} {study.drawn()}"
        if key not in self.judges:
            self.judges[key] = judging.work_of(judge, world, study.drawn())
        return self.judges[key]


@dataclass(frozen=True)
class Cost:
    """What a study costs.

    real:        real pictures that it takes
    generations: one by one; empty where nothing can be said
    first:       seconds before generation 0: an extractor's training, real vs real, where the data folder lacks them
    memory:      bytes at the peak, of the main memory
    unknown:     what cannot be said, in lines
    beside:      records, scores, grids, figures and page
    """

    real: int
    generations: tuple[Generation, ...]
    first: float
    memory: int
    unknown: tuple[str, ...] = ()
    beside: Beside = field(default_factory=Beside)

    @property
    def work(self) -> float:
        """Seconds of all generations, one after the other."""
        return self.first + sum(one.seconds for one in self.generations)

    @property
    def seconds(self) -> float:
        """Seconds until the command has ended, if the run is one by itself."""
        return self.work + self.beside.seconds

    @property
    def disk(self) -> float:
        """Bytes that lie in the run folder then."""
        return sum(one.disk for one in self.generations) + self.beside.records + self.beside.pages


def cost_of(study: Study, known: Known | None = None, prepared: tuple[Study, World, Real] | None = None) -> Cost:
    """Of a study, by a second or two of its work. prepared: what `study.prepare` gave, for whoever has it at hand.

    Raises the Problems of `prepare`. Nothing is written, but for temporary files.
    """
    study, world, real = prepared or prepare(study)
    known, seen = known or Known(), _real(study, world)
    parts = ensemble.chains_of(study) or [study]
    if not all(models.is_known(one.model) for one in parts):
        return Cost(seen, (), 0.0, 0, ("what a program needs (model 'command') cannot be known before it has run",))
    if devices.launched() > 1:
        return Cost(seen, (), 0.0, 0, ("what several processes need together is not measured; ask one process",))
    try:
        works = [known.work(study, one.model, _first(real, study)) for one in parts]
        judge = known.judge(study.judge, study, world)
    except Problem as problem:
        return Cost(seen, (), 0.0, 0, (str(problem),))
    except (RuntimeError, ValueError, MemoryError) as error:  # a device without room, say
        return Cost(seen, (), 0.0, 0, (f"nothing could be measured: {explained(error) or error}",))
    beside = _beside(study, judge, world)
    found = generations(study, works, judge.each, sizes(study, real), world, beside)
    gates = ("what gates need is not counted",) if study.gates else ()
    pixels = _bytes(world.train)
    memory = _peak() + round(max(one.learned + one.drawn for one in found) * pixels)
    return Cost(seen, tuple(found), judge.first, memory, (*judge.unknown, *gates), beside)


def generations(
    study: Study, works: Sequence[models.Work], judging: float, sizes: Sequence[int], world: World, beside: Beside
) -> list[Generation]:
    """Each generation of a prepared study, of all its chains and of what they show together.

    works: of each chain's model; judging: seconds, without likelihoods; sizes: pictures in the training set of each generation
    """
    parts, found = ensemble.chains_of(study) or [study], []
    for number in range(study.gens):
        due = is_due(number, study.judge.every, study.gens)
        kept, drawn = _samples(study, number, world)
        own = beside.own(due)
        each = [_made(one, work, number, sizes[number], len(world.held_out)) for one, work in zip(parts, works, strict=True)]
        of_chains = [
            replace(one, judge=(one.judge + judging) * due, disk=one.disk + kept + own, own=own, made=one.made + drawn) for one in each
        ]
        if chains.is_union(study.ensemble):  # what it is made of, runs share; it is not shared itself
            of_chains.append(Generation(0, 0, 0.0, 0.0, 0.0, judging * due, kept + own, kept + own))
        names = Generation.__dataclass_fields__
        found.append(Generation(**{name: sum(getattr(one, name) for one in of_chains) for name in names}))
    return found


def _made(study: Study, work: models.Work, number: int, size: int, held_out: int) -> Generation:
    """A generation of one chain; what judging it takes are the likelihoods alone, what stays is the model and what is said of it."""
    model, steps, drawn = study.model, int(getattr(study.model, "steps", 0)), study.drawn()
    evaluated, extra = float(drawn + COLUMNS), 0.0  # pictures that are drawn to be kept, and to be learned from at once
    how: Any = study.correction
    batch = int(getattr(model, "batch", 0))
    if number and study.regime.streams:
        extra += steps * batch
    if number and study.regime.from_teacher:
        extra += drawn
    weights, rest = work.size[0] + work.size[1] * size, MANIFEST + 4 * FOLDER
    copies, more = 1, 0  # of the weights in a generation, and beside those that were learned
    weight = getattr(how, "weight", 0)
    if weight:
        own = getattr(how, "steps", None) or max(1, steps // 10)
        more = 1
        steps, extra = steps + own, extra + (getattr(how, "samples", None) or min(size, own * batch))
        if not getattr(how, "in_weights", True):  # two networks draw
            evaluated, copies = 2 * evaluated, 2
    count = work.operations or models.Operations(0.0, 0.0)
    pictures = study.judge.n or 0
    likely = work.likely * ((held_out if number == 0 else pictures) + pictures) * bool(study.judge.extractors)
    kept = MANIFEST + copies * weights * keeps(study.keep.models, number, number == study.gens - 1)
    flop = count.step * steps + count.picture * (evaluated + extra)
    learn = work.begin + work.step * steps + work.learned * size + work.drawn * extra
    return Generation(size, drawn, flop, learn, work.drawn * evaluated + KEEPING, likely, kept, made=rest + more * weights, fitted=weights)


def _samples(study: Study, number: int, world: World) -> tuple[float, float]:
    """Bytes of the samples of a generation that stay, and that are written."""
    kept = keeps(study.keep.samples, number, number == study.gens - 1)
    drawn = study.drawn() * (1 + any(bool(gate.changes) for gate in study.gates))
    each = _bytes(world.train) + BESIDE
    return (drawn * kept + COLUMNS) * each, (drawn + COLUMNS) * each


def _beside(study: Study, judge: judging.JudgeWork, world: World) -> Beside:
    parts = ensemble.chains_of(study)
    likely = bool(study.judge.extractors) and any(isinstance(one.model, Likely) for one in parts or [study])
    judged = sum(is_due(number, study.judge.every, study.gens) for number in range(study.gens))
    return Beside(judge.values + LIKELIHOODS * likely, GRID * judge.grid, _bytes(world.train), judged, 1 + len(parts))


def sizes(study: Study, real: Real) -> list[int]:
    """How many pictures the training set of each generation of a prepared study has, if every gate lets all in."""
    assert study.samples is not None
    if study.regime.streams:
        return [len(real.seen)] + [study.samples] * (study.gens - 1)
    drawn = real.seen[torch.arange(study.samples) % len(real.seen)]
    found = [len(study.regime(real, [drawn] * number, study.samples, 0)) for number in range(min(study.gens, LOOKED_AT))]
    growth = found[-1] - found[-2] if len(found) == LOOKED_AT else 0
    return found + [found[-1] + growth * (1 + more) for more in range(study.gens - len(found))]


def _real(study: Study, world: World) -> int:
    assert study.samples is not None
    return sum(study.regime.plan(study.samples, study.gens, Have(len(world.train), world.name, world.train.are_points, world.train)))


def _first(real: Real, study: Study) -> ImageSet:
    return real.seen[: study.samples] if study.samples else real.seen


def _bytes(images: ImageSet) -> int:
    return images.pixels[0].nbytes


def _peak() -> int:
    """Bytes that this process has held at most, the measured work included."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
