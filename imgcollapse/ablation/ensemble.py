"""Several chains at once: every generation of each, and then what they draw together, in one run folder."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from imgcollapse import progress, store
from imgcollapse.errors import Problem, SettingsProblem
from imgcollapse.files import digest, ledger
from imgcollapse.gates.chains import is_union, shares
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World, concatenate
from imgcollapse.machine import environment
from imgcollapse.metrics.record import Scores
from imgcollapse.models.folders import from_folder
from imgcollapse.seeds import derive
from imgcollapse.settings import to_yaml
from imgcollapse.store import chain_folder, generation_folder, run_folder
from imgcollapse.store.manifest import part_digest
from imgcollapse.store.records import read_json
from imgcollapse.study import Landed, Steps, Study, generations, judging_of, prepare

Record = dict[str, Any]
OfChain = Callable[[int, int, Scores], None]  # a chain, a generation of it, and its scores
Over = Callable[[int], bool]


def run(
    study: Study,
    folder: Path,
    landed: Landed = lambda generation, scores: None,
    shared: Path | None = None,
    beside: bool = False,
    of_chain: OfChain = lambda chain, generation, scores: None,
    world: World | None = None,
    over: Over = lambda generation: False,
) -> None:
    """Executes a study of one chain, or of several, in its run folder: `study.run` says how.

    Of several, each chain has a run folder of its own in the run folder (`chain_0`, ...), whose generations `of_chain` is told of; a
    generation of the run is what all of them show together, as many pictures as one of them draws and equal shares of each, and it is
    judged as any other. `world`: as `prepare` has it. `over(generation)` is asked of every generation that is made and judged, those of
    earlier sessions too: whether the run ends there (not `beside`, where later ones may be made already). Raises the Problems of
    `imgcollapse.errors`.
    """
    refuse_part(study)
    given = (study, folder, landed, shared, beside, world)
    with closing(_union(*given, of_chain) if is_union(study.ensemble) else generations(*given)) as steps:
        next(filter(over, steps), None)


def _union(study: Study, folder: Path, landed: Landed, shared: Path | None, beside: bool, world: World | None, of_chain: OfChain) -> Steps:
    """`run` of several chains, in steps: a generation of all of them is made once it is asked for."""
    study, world, real = prepare(study, world)
    check_folder(study, world)
    with run_folder.opened(folder, to_yaml(study)) as kept, ExitStack() as running:
        kept.note_environment(environment.describe())
        kept.fix(store.DATA, world.record(), {"passed_over": dict(world.passed_over)})
        judge = judging_of(study, study.judge, folder, world, real, shared)
        _clear(folder, study)
        chains = []
        for k, one in enumerate(chains_of(study)):
            steps = generations(one, chain_folder(folder, k), partial(of_chain, k), shared, beside, world)
            chains.append(running.enter_context(closing(steps)))
        for generation in range(study.gens):
            began = time.monotonic()
            # every chain learns from the generations before this one alone: which of them is the first decides nothing
            _step(chains)
            # what the world sees
            if not (there := kept.has(generation, study.identity(generation, world))):
                Union.of(study, folder, generation).keep(kept, study, world, began)
            if not (there and judge.has(generation)):
                landed(generation, judge(generation))
            yield generation
        _step(chains)  # lands what is still being judged beside them


def check_folder(study: Study, world: World) -> None:
    """Raises for weights in the folder that `init` names with which the model, or one of the chains' models, cannot begin."""
    for one in chains_of(study) or [study]:
        from_folder(one.init, one.model, world.train.shape)


def _step(chains: Sequence[Steps]) -> None:
    """The next generation of every chain, or its end."""
    for k, chain in enumerate(chains):
        with _told_of(k):
            next(chain, None)


def _clear(folder: Path, study: Study) -> None:
    """Sets aside, and says so, what lies in the place of a chain and is no folder: a link would be followed, and another run written."""
    for place in (chain_folder(folder, k) for k, _ in enumerate(chains_of(study))):
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            ledger.clear(place, folder)


def refuse_part(study: Study) -> None:
    """Raises SettingsProblem for a single chain of an ensemble, which is nothing without the others."""
    if study.ensemble is not None and study.ensemble.chain is not None:
        raise SettingsProblem(
            "ensemble.chain: a chain is made beside the others; give the study.yaml of its ensemble, or leave chain and seed out"
        )


def chains_of(study: Study) -> list[Study]:
    """The study of every chain of an ensemble; of a single chain, none."""
    if not is_union(ensemble := study.ensemble):
        return []
    models = ensemble.models or (study.model,) * ensemble.chains
    parts = [
        {"model": model, "seed": ensemble.seed_of(k, study.seed), "ensemble": ensemble.placed(k, study.seed)}
        for k, model in enumerate(models)
    ]
    return [study.model_copy(update=part) for part in parts]


def whole(study: Study) -> Study:
    """The study of the ensemble that a chain is of; any other study itself."""
    ensemble = study.ensemble
    if ensemble is None or ensemble.chain is None:
        return study
    models = {"model": ensemble.models[0]} if ensemble.models else {}
    return study.model_copy(update={**models, "seed": ensemble.seed, "ensemble": ensemble.model_copy(update={"chain": None, "seed": None})})


@contextmanager
def _told_of(chain: int) -> Iterator[None]:
    """What is said inside the block, and what goes wrong there, is of that chain."""
    with progress.named(f"chain {chain}: "):
        try:
            yield
        except Problem as problem:
            problem.args = (f"chain {chain}: {problem}",)
            raise


class Union:
    """What the chains of an ensemble show together of one generation.

    samples:      as many as one chain has, in equal shares: picture i is one of chain i mod K
    latents:      the few from the same noise, each by the chain of its place
    learned_from: of what all their training sets together were made
    """

    def __init__(self, generation: int, parts: Sequence[Path], seed: int) -> None:
        self.generation, self._parts = generation, parts
        drawn = [store.read_images(part / store.SAMPLES) for part in parts]
        self.samples = shares(drawn, derive(seed, generation, "union"))
        self.latents = _in_turn([store.read_images(part / store.LATENTS) for part in parts])
        self.learned_from = _together([read_json(part / store.PROVENANCE) for part in parts])

    @classmethod
    def of(cls, study: Study, folder: Path, generation: int) -> "Union":
        """Of the ensemble in the folder, whose chains have all made that generation."""
        assert study.ensemble is not None
        parts = [generation_folder(chain_folder(folder, k), generation) for k in range(study.ensemble.chains)]
        return cls(generation, parts, study.seed)

    def keep(self, kept: run_folder.RunFolder, study: Study, world: World, began: float) -> None:
        """Writes it as a generation of the ensemble, where another one lies there, or none. began: when work on it did."""
        with kept.claim(self.generation, self.recipe(study, world), began) as to_be_made:
            if to_be_made:
                kept.write(self.generation, None, self.samples, self.latents, self.learned_from)

    def recipe(self, study: Study, world: World) -> Record:
        """All that decides it."""
        parents = {f"{self.generation} of chain {k}": part_digest(part, store.SAMPLES) for k, part in enumerate(self._parts)}
        made = {"drawn": study.drawn(), "training_set": self.learned_from["training_set"], "parents": parents, "start": None}
        return {**study.identity(self.generation, world), **made}


def _in_turn(sets: Sequence[ImageSet]) -> ImageSet:
    """The i-th picture of set i mod K, for every place i."""
    rows = torch.arange(len(sets[0]))
    return concatenate([sets[int(i) % len(sets)][i : i + 1] for i in rows])


def _together(learned_from: Sequence[Mapping[str, Any]]) -> Record:
    """Of what the training sets of all chains were made, every picture in each of them counted: a provenance as those have it."""
    made_of: dict[str, Record] = {}
    for k, one in enumerate(learned_from):
        for name, part in one["made_of"].items():
            origin = name if name == "real" or " of chain " in name else f"{name} of chain {k}"
            so_far = made_of.setdefault(origin, {"pictures": 0, "classes": {}})
            so_far["pictures"] += part["pictures"]
            for label, count in part["classes"].items():
                so_far["classes"][label] = so_far["classes"].get(label, 0) + count
    size, ordered = sum(one["size"] for one in learned_from), sorted(made_of, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    sets = digest([one["training_set"] for one in learned_from])
    return {"size": size, "training_set": sets, "made_of": {name: made_of[name] for name in ordered}}
