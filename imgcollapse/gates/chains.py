"""Several chains of one study, each of which learns from samples of its own or of the others: how many, from whom, and which samples."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeGuard

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from imgcollapse.errors import SettingsProblem
from imgcollapse.gates.gate import Gate
from imgcollapse.heavy import torch
from imgcollapse.images import ImageSet, World, concatenate
from imgcollapse.models import AnyModel
from imgcollapse.models.ddpm import DDPM
from imgcollapse.regimes import of_chain
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.settings import Settings
from imgcollapse.store import chain_folder
from imgcollapse.store.past import OnDemand, Past

OTHER = DDPM()  # what a study's model is where nobody named one


class Ensemble(Settings):
    """Chains side by side that learn from each other: of each generation, all learn from the generations before it alone."""

    chains: PositiveInt = Field(description="number of chains; they see the same real pictures, each with a seed of its own")
    mix: Literal["own", "ring", "all"] = Field(
        "all",
        description="whose samples a chain learns from: own (its own: the control), ring (the previous chain's), all (equal parts of each)",
    )
    models: tuple[AnyModel, ...] | None = Field(None, description="one model for each chain; none: the study's model in each")
    chain: NonNegativeInt | None = Field(None, description="written by the program: which chain a run folder holds")
    seed: NonNegativeInt | None = Field(None, description="written by the program: the seed of the whole ensemble")

    LATER: ClassVar = ("models", "chain", "seed")  # where they are none, a study says nothing of them

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if self.models is not None and len(self.models) != self.chains:
            raise ValueError(f"there are {len(self.models)} models for {self.chains} chains; name one for each, or leave models out")
        if (self.chain is None) != (self.seed is None) or (self.chain or 0) >= self.chains:
            raise ValueError("chain and seed are written by the program, into the folders of its chains; leave them out")
        return self

    def title(self) -> str:
        """Number, or which of them, and mix."""
        return f"{self.chains} chains ({self.mix})" if self.chain is None else f"chain {self.chain} of {self.chains} ({self.mix})"

    def seed_of(self, chain: int, seed: int) -> int:
        """Of all that is random in that chain; `seed`: the ensemble's own, which the first chain has too, as a study by itself would."""
        return derive(seed, "chain", chain) if chain else seed

    def placed(self, chain: int, seed: int) -> Self:
        """The same, as one of the chains has it."""
        return self.model_copy(update={"chain": chain, "seed": seed})

    def heard(self) -> list[int]:
        """The chains whose samples stand in this one's past, itself first where it is among them."""
        assert self.chain is not None, "of one of the chains"
        if self.mix == "all":
            return [(self.chain + step) % self.chains for step in range(self.chains)]
        return [(self.chain - 1) % self.chains if self.mix == "ring" else self.chain]

    def past(self, own: Past, samples: Callable[[Past, int], Sequence[ImageSet]], seed: int) -> Sequence[ImageSet]:
        """What stands in a chain's past in place of its own samples, generation by generation.

        own:     the chain's own past, in its folder beside those of the others
        samples: what a chain has published, of its past and its seed
        seed:    of this chain: it decides which pictures of each are taken where several are heard
        """
        if self.mix == "own":
            return samples(own, seed)
        assert self.seed is not None, "of one of the chains"
        heard = {k: samples(self._past_of(own, k), self.seed_of(k, self.seed)) for k in self.heard()}

        def one(generation: int) -> ImageSet:
            sets = [of_chain(found[generation], k) for k, found in heard.items()]
            return shares(sets, derive(seed, generation, "mix")) if len(sets) > 1 else sets[0]

        return OnDemand(len(own), one)

    def _past_of(self, own: Past, chain: int) -> Past:
        return Past(chain_folder(own.run.parent, chain), len(own), self.models[chain].load if self.models else own.load)

    def check(self, n: int, streams: bool, keeps_samples: bool) -> None:
        """Raises SettingsProblem for what an ensemble cannot be. n: pictures that a generation draws."""
        if self.chains > n:
            raise SettingsProblem(
                f"ensemble.chains: {self.chains} chains cannot share {n} pictures, their samples together; take fewer, or more --samples"
            )
        if streams and self.mix != "own":
            raise SettingsProblem(
                f"ensemble.mix: a stream has no set of samples of which others could learn ('{self.mix}'); set it to own, or "
                "regime.stream to false"
            )
        if not keeps_samples:
            raise SettingsProblem("keep.samples: samples of an ensemble are read by all its chains, and together; set it to all")


def shares(sets: Sequence[ImageSet], seed: int) -> ImageSet:
    """As many pictures as each of the K sets has: picture i is one of set i mod K, chosen by seed, none twice.

    So the first m of them, however many, have equal shares too (but for one picture).
    """
    n, k = len(sets[0]), len(sets)
    assert all(len(one) == n for one in sets), "all chains draw as many"
    places = [torch.arange(at, n, k) for at in range(k)]
    chosen = (torch.randperm(n, generator=torch_generator(derive(seed, at)))[: len(place)] for at, place in enumerate(places))
    taken = concatenate([one[rows] for one, rows in zip(sets, chosen, strict=True)])
    return taken[torch.cat(places).argsort()]


def for_world(model: AnyModel, ensemble: Ensemble | None, world: World) -> tuple[AnyModel, Ensemble | None]:
    """Model and ensemble with every choice made that follows the world; the model is the first chain's where every chain has its own.

    Raises SettingsProblem where a model was named that none of the chains has.
    """

    def fitting(one: AnyModel) -> Any:
        return one.for_world(world.train.shape, len(world.classes), world.train.are_points)

    if ensemble is None or ensemble.models is None:
        return fitting(model), ensemble
    fitted = tuple(fitting(one) for one in ensemble.models)
    if repr(model) not in map(repr, (OTHER, *ensemble.models, *fitted)):
        raise SettingsProblem(
            f"model: '{model.kind}' would not be used, as ensemble.models names one for each chain; leave one of them out"
        )
    return fitted[ensemble.chain or 0], ensemble.model_copy(update={"models": fitted})


def is_union(ensemble: Ensemble | None) -> TypeGuard[Ensemble]:
    """Whether a study is of several chains, and not of one of them."""
    return ensemble is not None and ensemble.chain is None


def feeds(ensemble: Ensemble | None) -> TypeGuard[Ensemble]:
    """Whether a chain learns from samples of others."""
    return ensemble is not None and ensemble.mix != "own"


def measured(gates: Sequence[Gate], ensemble: Ensemble | None) -> Sequence[Gate]:
    """The gates whose work is measured: of a chain by itself. Where chains feed each other, what gates let in is in provenance alone."""
    return () if is_union(ensemble) or feeds(ensemble) else gates


def models(model: AnyModel, ensemble: Ensemble | None) -> Sequence[AnyModel]:
    """Those of all chains of a study, or the only one."""
    own = ensemble.models if ensemble is not None and ensemble.chain is None else None
    return own or (model,)


def world_seed(seed: int, ensemble: Ensemble | None) -> int:
    """The seed of a study's real pictures: all chains of an ensemble have them in common."""
    return seed if ensemble is None or ensemble.seed is None else ensemble.seed


def _counted(value: object) -> object:
    return {"chains": value} if type(value) is int else value


AnyEnsemble = Annotated[Ensemble | None, BeforeValidator(_counted)]
"""`3` stands for `{chains: 3}`."""
