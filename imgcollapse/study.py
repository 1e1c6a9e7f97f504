"""A study: everything that decides the outcome, and the loop that carries it out."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

from imgcollapse import datasets, grids, store
from imgcollapse.datasets import AnyDataset
from imgcollapse.datasets.digits import Digits
from imgcollapse.images import Choosy, World
from imgcollapse.judge.judge import Judge
from imgcollapse.machine import environment, processes
from imgcollapse.metrics.record import Scores
from imgcollapse.models import AnyModel
from imgcollapse.models.ddpm import DDPM
from imgcollapse.regimes import AnyRegime, Have, Real, Replace, made_of, provenance
from imgcollapse.seeds import derive
from imgcollapse.settings import Settings, to_yaml
from imgcollapse.store import run_folder

Landed = Callable[[int, Scores], None]


class Study(Settings):
    """Everything that decides the outcome of a chain of generations."""

    dataset: AnyDataset = Field(Digits(), description="the real pictures")
    model: AnyModel = Field(DDPM(), description="what learns and draws")
    regime: AnyRegime = Field(Replace(), description="of what a training set is made")
    judge: Judge = Field(Judge(), description="how generations are judged")
    gens: PositiveInt = Field(10, description="number of models trained, generations 0 to gens - 1")
    samples: PositiveInt | None = Field(
        None, description="pictures a generation draws and learns from; none: as many as there are real ones"
    )
    seed: NonNegativeInt = Field(0, description="of everything random")

    def title(self) -> str:
        """The study in a few words."""
        return f"{self.model.kind} on {self.dataset.kind}, {self.regime.title()}, seed {self.seed}"

    def name(self) -> str:
        """A folder's name, the same for the same settings."""
        digest = sha256(to_yaml(self).encode()).hexdigest()[:6]
        return "-".join((self.dataset.kind, self.model.kind, self.regime.kind, f"seed{self.seed}", digest))

    def recipe(self, generation: int) -> dict[str, Any]:
        """The settings that decide a generation once its training set is given: not the regime, nor how many generations follow."""
        return {"generation": generation, **self.model_dump(mode="json", include={"model", "samples", "seed"})}


DEFAULT_KINDS = {name: {"kind": field.default.kind} for name, field in Study.model_fields.items() if hasattr(field.default, "kind")}
"""What a study's parts are where nothing else is said; further settings are merged on top."""


def run(study: Study, folder: Path, landed: Landed = lambda generation, scores: None, shared: Path | None = None) -> None:
    """Carries the study out in its run folder; what is finished there is not done again.

    `landed(generation, scores)` is called for every generation that was made, once it is kept. `shared`: a folder in which several runs
    keep the generations that they have in common. Raises the Problems of `imgcollapse.errors`.
    """
    study, world, real = prepare(study)
    n = study.samples or len(real.seen)
    with run_folder.opened(folder, to_yaml(study), shared) as kept:
        kept.note_environment(environment.describe())
        ruler = study.judge.open(world, n)
        kept.fix(store.REFERENCE, reference := {"data": world.record(), "judge": ruler.record()}, {"passed_over": dict(world.passed_over)})

        for generation in range(study.gens):
            # choose what this generation may learn from
            training_set = study.regime(real, kept.samples(generation), n, derive(study.seed, generation, "regime"))
            learned_from = provenance(training_set, world.classes)
            # all that decides what comes of it
            recipe = {**study.recipe(generation), "reference": reference, "provenance": learned_from}
            with kept.turn(generation, recipe) as to_be_made:
                if not to_be_made:
                    continue
                # learn
                model = processes.fit(study.model, training_set, derive(study.seed, generation, "fit"))
                # draw: the next generation's training pictures, and a few from noise that is the same in every generation
                drawn = processes.sample(model, n, derive(study.seed, generation, "sample")).born_in(generation)
                same = model.sample(grids.COLUMNS, derive(study.seed, "latents")).born_in(generation)
                # judge
                judged = ruler(drawn, training_set)
                scores = judged.scores.of_generation(generation)
                # keep
                title = f"generation {generation}: {study.model.kind} on {study.dataset.kind}, seed {study.seed}; {made_of(learned_from)}"
                kept.keep(
                    generation,
                    samples=drawn,
                    latents=same,
                    scores=scores.record(),
                    provenance={"generation": generation, **learned_from},
                    grid=grids.by_class(title, drawn, judged.classes, world.classes),
                    save_model=model.save,
                )
            landed(generation, scores)


def prepare(study: Study, world: World | None = None) -> tuple[Study, World, Real]:
    """The study with every automatic choice made, its real world, and what of it generation 0 sees and does not see.

    `world` is that of its data set and seed, for whoever has it at hand. Raises SettingsProblem for what cannot be carried out, DataProblem
    for a model or extractor that can do nothing with this world.
    """
    world = world or datasets.load(study.dataset, study.seed)
    n = study.samples or len(world.train)
    plan = study.regime.plan(n, study.gens, Have(len(world.train), world.name, endless=world.train.are_points))
    if sum(plan) > len(world.train):
        world = datasets.load(study.dataset, study.seed, extra=sum(plan) - len(world.train))  # a toy world makes more
    if sum(plan) > len(world.train):  # its subset or long tail has cut them off again
        study.regime.plan(n, study.gens, Have(len(world.train), world.name))  # raises
    judge = study.judge.resolved(world, n)
    model = study.model.for_world(world.train.shape, len(world.classes), world.train.are_points)
    for extractor in judge.extractors or ():
        if isinstance(extractor, Choosy):
            extractor.check(world)
    chosen = {"samples": n, "judge": judge, "model": model}
    return study.model_copy(update=chosen), world, Real(seen=world.train[: plan.seen], unseen=world.train[plan.seen :])
