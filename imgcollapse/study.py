"""A study: everything that decides the outcome, and the loop that executes it."""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from imgcollapse import datasets, grids, plugins, store
from imgcollapse.corrections import AnyCorrection, corrected, refuse_model
from imgcollapse.datasets import AnyDataset
from imgcollapse.datasets.dataset import check_all
from imgcollapse.datasets.digits import Digits
from imgcollapse.gates import AnyGate, RunGates, admitted, candidates, chains, drawn_anew, published, refuse_stream
from imgcollapse.gates.chains import AnyEnsemble
from imgcollapse.images import ImageSet, ImageStream, World, promises
from imgcollapse.judges.beside import InOrder
from imgcollapse.judges.judge import Judge
from imgcollapse.judges.judging import Judging, training_sets
from imgcollapse.machine import environment, processes
from imgcollapse.metrics.record import Scores
from imgcollapse.models import AnyModel, Likely
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.folders import INIT, Init, from_folder, named
from imgcollapse.models.network import refuse_without_weights
from imgcollapse.models.sampling import of_generation
from imgcollapse.models.stream import streamed
from imgcollapse.plugins import WithPlugins
from imgcollapse.regimes import AnyRegime, Have, Real, Replace, generations_in, made_of, provenance
from imgcollapse.seeds import derive
from imgcollapse.settings import to_yaml
from imgcollapse.store import run_folder
from imgcollapse.store.checks import data_digest
from imgcollapse.store.identity import identity, study_digest
from imgcollapse.store.keep import Keep
from imgcollapse.store.past import Past, Start

Landed = Callable[[int, Scores], None]
Record = dict[str, Any]
Steps = Generator[int]  # generation by generation


MOST = 10_000  # pictures of a generation where nobody chose: 60,000 cost six times as much, and the number alone loses little


class Study(WithPlugins):
    """Everything that decides the outcome of a chain of generations."""

    dataset: AnyDataset = Field(Digits(), description="the real pictures")
    model: AnyModel = Field(DDPM(), description="what learns and draws")
    regime: AnyRegime = Field(Replace(), description="what a training set is made of")
    gates: tuple[AnyGate, ...] = Field((), description="what samples go through, one after the other, between drawing and learning")
    init: Init = Field("scratch", description=INIT)
    correction: AnyCorrection | None = Field(None, description="what is done to a model between learning and drawing; none: nothing")
    ensemble: AnyEnsemble = Field(None, description="chains that learn from each other: how many, or {chains, mix, models}; none: one")
    judge: Judge = Field(Judge(), description="how generations are judged")
    keep: Keep = Field(Keep(), description="which samples and weights of finished generations stay on the disk")
    gens: PositiveInt = Field(10, description="number of generations, each with a model of its own: 0 to gens - 1")
    samples: PositiveInt | None = Field(
        None, description=f"pictures a generation draws and learns from; none: as many as there are real ones, at most {MOST:,}"
    )
    seed: NonNegativeInt = Field(0, description="seed of everything random")

    LATER: ClassVar = ("correction", "ensemble", "plugins")

    @model_validator(mode="after")
    def _names_plugins(self) -> Self:
        """Also those whose parts it uses unasked: of installed packages, and of files that another study of this process named."""
        parts = (self.dataset, *chains.models(self.model, self.ensemble), self.regime, *self.gates, self.correction)
        self.__dict__["plugins"] = plugins.named_by(self.plugins, parts, self.judge.extractors, self.judge.metrics)
        return self

    def title(self) -> str:
        """The study in a few words."""
        more = [*(gate.title() for gate in self.gates), *([f"init {named(self.init)}"] if self.init != "scratch" else [])]
        more += [one.title() for one in (self.correction, self.ensemble) if one]
        return f"{self.learner} on {self.dataset.kind}, {', '.join([self.regime.title(), *more])}, seed {self.world_seed}"

    @property
    def learner(self) -> str:
        """What learns, in a word: `gmm`, or `gmm + vae` in an ensemble of both."""
        return " + ".join(dict.fromkeys(model.kind for model in chains.models(self.model, self.ensemble)))

    @property
    def world_seed(self) -> int:
        """Of the real pictures, which all chains of an ensemble have in common."""
        return chains.world_seed(self.seed, self.ensemble)

    def name(self) -> str:
        """A folder's name, the same for the same settings however many generations are asked for."""
        digest = study_digest(self.model_dump(mode="json"))[:6]
        return "-".join((self.dataset.kind, self.learner.replace(" + ", "+"), self.regime.kind, f"seed{self.seed}", digest))

    def size(self, real: int) -> int:
        """Pictures of a generation, where there are so many real ones."""
        return self.samples or min(real, MOST)

    def identity(self, generation: int, world: World) -> Record:
        """What makes a generation the one that it is, but for what it was made from: see `imgcollapse.store.identity`."""
        own = plugins.digests((self.model, self.correction))
        return {**identity(self.model_dump(mode="json")), "generation": generation, "data": data_digest(world.record()), **own}

    def training_set(self, world: World, real: Real, past: Past) -> tuple[ImageSet | ImageStream, Record]:
        """What the generation after these learns from, and its provenance."""
        n, seed = self.size(len(real.seen)), derive(self.seed, len(past), "regime")
        if past and self.regime.streams:
            return streamed(self.regime, real, past[-1], n, seed, self.model, world.classes)
        samples = self.ensemble.past(past, self.offered, self.seed) if self.ensemble else self.offered(past, self.seed)
        let_in = admitted(samples, self.gates, real, self.seed, world.classes)
        made = let_in.with_real(self.regime(real, let_in, n, seed), n)
        return made, provenance(made, world.classes, let_in.account(), self.regime if past else None)

    def offered(self, past: Past, seed: int) -> Sequence[ImageSet]:
        """The samples of a chain's past that others may learn from. seed: of that chain."""
        return drawn_anew(past, self.gates, self.drawn(), seed) if self.regime.from_teacher else past.samples

    def start(self, past: Past, given: Start | None) -> Start | None:
        """With whose weights the generation after these begins; None: with fresh ones. `given`: those of the folder that `init` names."""
        return past[-1] if past and self.init == "previous" else past[0] if past and self.init == "base" else given

    def drawn(self) -> int:
        """How many pictures a generation draws, so that about as many as are learned from get through the gates; of a prepared study."""
        assert self.samples is not None, "prepare the study first"
        return candidates(self.samples, self.gates)

    def drawing(self) -> Record:
        """Of a recipe, how many pictures are drawn, and what is done to them before they are published."""
        changed = [{**gate.model_dump(mode="json"), **plugins.digests((gate,))} for gate in self.gates if gate.changes]
        return {**({"published": changed} if changed else {}), "drawn": self.drawn()}

    def recipe(self, own: Record, past: Past, learned_from: Mapping[str, Any], start: Start | None) -> Record:
        """All that decides the generation after these (`own`: its identity): two with one recipe are the same, of whatever study."""
        return {
            **own,
            **self.drawing(),
            "training_set": learned_from["training_set"],
            "parents": {origin: past.digest(origin) for origin in generations_in(learned_from)},
            "start": start and start.origin(),
        }

    def caption(self, provenance: Record) -> str:
        """The title of a generation's sample grid. `provenance`: of its training set, with its number."""
        generation = f"generation {provenance['generation']}" + (f" of {self.ensemble.title()}" if self.ensemble else "")
        return f"{generation}: {self.learner} on {self.dataset.kind}, seed {self.world_seed}; {made_of(provenance)}"


DEFAULT_KINDS = {name: {"kind": field.default.kind} for name, field in Study.model_fields.items() if hasattr(field.default, "kind")}
"""What a study's parts are where nothing else is said; further settings are merged on top."""


def run(
    study: Study, folder: Path, landed: Landed = lambda generation, scores: None, shared: Path | None = None, beside: bool = False
) -> None:
    """Executes the study, of one chain, in its run folder; what is finished there is not done again. (`ensemble.run`: one or several.)

    `landed(generation, scores)` is called for every generation that was made or judged now, in order, once that is kept. `shared`: a folder
    in which several runs keep the generations that they have in common. `beside`: they are judged in a process of its own while the next
    are made, which changes no result. Raises Problems (imgcollapse.errors).
    """
    for _ in generations(study, folder, landed, shared, beside):
        pass


def generations(study: Study, folder: Path, landed: Landed, shared: Path | None, beside: bool, world: World | None = None) -> Steps:
    """`run` in steps: a generation is made once it is asked for. `world`: as `prepare` has it."""
    study, world, real = prepare(study, world)
    assert not chains.is_union(study.ensemble), "imgcollapse.ensemble executes several chains"
    seed, again = study.seed, partial(judging_again, study, folder, shared) if beside else None
    given = from_folder(study.init, study.model, world.train.shape)
    with (
        run_folder.opened(folder, to_yaml(study), study.model.load, shared) as kept,
        InOrder(landed, partial(study.keep.thin, kept, gens=study.gens, gated=bool(study.gates)), again) as in_order,
    ):
        kept.note_environment(environment.describe())
        kept.fix(store.DATA, world.record(), {"passed_over": dict(world.passed_over)})
        kept.fix(store.START, given.record() if given else None)
        judge = judging_of(study, study.judge, folder, world, real, shared)
        for generation in range(study.gens):
            past, own = kept.past(generation), study.identity(generation, world)
            if not (there := kept.has(generation, own)):
                # choose what this generation may learn from, and with what it begins
                (training_set, learned_from), start = study.training_set(world, real, past), study.start(past, given)
                with kept.claim(generation, study.recipe(own, past, learned_from, start)) as to_be_made:
                    if to_be_made:
                        # learn, and correct what was learned
                        now = of_generation(study.model, generation)
                        fit = partial(processes.fit, now, training_set, derive(seed, generation, "fit"))
                        model = kept.learned(fit, now.load, start)
                        model = corrected(study.correction, model, training_set, derive(seed, generation, "correct"))
                        # draw: the next generation's training pictures, and a few from noise that is the same in every generation
                        drawn = kept.drawn(partial(processes.sample, model, study.drawn(), derive(seed, generation, "sample")))
                        drawn = promises.pictures(drawn, study.drawn(), world.train, f"model '{model.kind}': sample").born_in(generation)
                        public = published(drawn, study.gates, derive(seed, generation, "publish"))
                        same = model.sample(grids.COLUMNS, derive(seed, "latents")).born_in(generation)
                        # keep
                        kept.write(generation, model, public, same, learned_from, drawn)
            # judge what is kept: now, beside the making of the next, later, or again by another judge
            in_order(generation, judge, judged=there and judge.has(generation))
            yield generation


def judging_again(study: Study, folder: Path, shared: Path | None = None) -> Judging:
    """The study's own judge of the run in this folder, for a process that has nothing of it at hand."""
    study, world, real = prepare(study)
    return judging_of(study, study.judge, folder, world, real, shared)


def judging_of(study: Study, judge: Judge, folder: Path, world: World, real: Real, shared: Path | None = None) -> Judging:
    """That judge of the run in this folder, from what is kept there alone. Study and judge with every choice made.

    The study's own judge draws the sample grids.
    """

    def model(generation: int) -> Likely:
        return store.kept_model(folder, generation, study.model.load)

    caption = study.caption if judge == study.judge else None
    union = chains.is_union(study.ensemble)
    training_set = training_sets(folder, None if union else partial(study.training_set, world, real), study.model.load)
    gates = RunGates(folder, chains.measured(study.gates, study.ensemble), world, real, study.seed)
    asked = model if isinstance(study.model, Likely) and not union else None, gates
    return Judging(folder, judge, world, training_set, *asked, drawn=study.drawn(), gens=study.gens, caption=caption, shared=shared)


def prepare(study: Study, world: World | None = None) -> tuple[Study, World, Real]:
    """The study with every automatic choice made, its real world, and what of it generation 0 sees and does not see.

    `world` is that of its data set and seed, for whoever has it at hand. Raises SettingsProblem for what cannot be executed, DataProblem
    for a model or extractor that can do nothing with this world.
    """
    world = world or datasets.load(study.dataset, study.world_seed)
    n = study.size(len(world.train))
    plan = study.regime.plan(n, study.gens, Have(len(world.train), world.name, world.train.are_points, world.train))
    if sum(plan) > len(world.train):
        world = datasets.load(study.dataset, study.world_seed, extra=sum(plan) - len(world.train))  # a toy world makes more
    if sum(plan) > len(world.train):  # its subset or long tail has cut them off again
        study.regime.plan(n, study.gens, Have(len(world.train), world.name, train=world.train))  # raises
    judge = study.judge.resolved(world, n, plugins.own_metrics(study.plugins))
    model, ensemble = chains.for_world(study.model, study.ensemble, world)
    check_all([*(judge.extractors or ()), *study.gates], world)
    study = study.model_copy(update={"samples": n, "judge": judge, "model": model, "ensemble": ensemble})
    for learner in chains.models(model, ensemble):
        refuse_without_weights(learner, study.init != "scratch", study.regime.streams)
        refuse_model(study.correction, learner)
    refuse_stream(study.gates, study.regime.streams)
    study.keep.refuse(study.init, study.regime)
    if ensemble is not None:
        ensemble.check(n, study.regime.streams, study.keep.samples == "all")
    return study, world, Real(seen=world.train[: plan.seen], unseen=world.train[plan.seen :])
