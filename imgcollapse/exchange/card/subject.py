"""What a generation's cards say, read from its run folder, and how far its training set is from the real world."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from imgcollapse import store
from imgcollapse.errors import SettingsProblem
from imgcollapse.exchange.samples import refuse_thrown_away
from imgcollapse.gates.chains import feeds, is_union
from imgcollapse.images import UNLABELLED, ImageSet
from imgcollapse.metrics.record import Scores
from imgcollapse.settings import build, read_file
from imgcollapse.store.records import read_json, read_sealed
from imgcollapse.study import Study

Record = dict[str, Any]


@dataclass(frozen=True)
class Lineage:
    """How far a set of pictures is from the real world.

    synthetic: the share of its pictures that models drew
    longest:   models on the longest chain between the real world and one of its pictures, L
    mean:      models between the real world and its pictures, on average, d
    """

    synthetic: float
    longest: int
    mean: float

    def drawn(self) -> "Lineage":
        """The lineage of what a model draws that learned from this set: all synthetic, and one model further away."""
        return Lineage(1.0, 1 + self.longest, 1 + self.mean)


def lineages(provenances: Iterable[Record], chains: Sequence[Sequence[Record]] = ()) -> list[Lineage]:
    """The lineage of every generation's training set, from the provenance of generations 0, 1, 2 ... in order.

    chains: that of every chain of an ensemble, where this one learned from other chains' samples.

    A real picture has depth 0; one that the model of generation j drew has depth 1 + d_j, one more than the mean of what that model
    learned from. With s_gj the share of training set g that generation j < g drew,

        d_g = sum_j s_gj (1 + d_j)
        L_g = max_j (1 + L_j) over the j with s_gj > 0, and 0 where all pictures are real

    replace: d_g = L_g = g. retain with a real fraction f: d_g = (1 - f)(1 + d_(g-1)). accumulate, with as many samples a generation as
    there are real pictures: d_g = 1/2 + 1/3 + ... + 1/(g+1).
    """
    found: dict[str, Lineage] = {}  # by origin, and of this chain's own generations by theirs
    own = list(provenances)
    for g, record in enumerate(own):
        of_others = {f"generation {g} of chain {k}": chain[g] for k, chain in enumerate(chains) if g < len(chain)}
        found |= {name: _lineage(one, found) for name, one in {f"generation {g}": record, **of_others}.items()}
    return [found[f"generation {g}"] for g in range(len(own))]


def _lineage(record: Record, found: Mapping[str, Lineage]) -> Lineage:
    """That of one training set, from those of the generations before."""
    size = record["size"]
    drawn = [(found[origin], part["pictures"]) for origin, part in record["made_of"].items() if origin != "real"]
    mean = sum(n * (1 + one.mean) for one, n in drawn) / size
    return Lineage(sum(n for _, n in drawn) / size, max((1 + one.longest for one, _ in drawn), default=0), mean)


@dataclass(frozen=True)
class Subject:
    """All that the cards of one generation say.

    settings:    `study.yaml`, word for word
    provenance:  of what the generation's training set was made
    lineages:    of the training sets of generations 0 to this one
    environment: what the run's last session was made with
    """

    study: Study
    settings: str
    generation: int
    provenance: Record
    lineages: Sequence[Lineage]
    scores: Scores
    reference: Record
    environment: Record
    samples: ImageSet

    @classmethod
    def of(cls, run: Path, generation: int | None = None) -> "Subject":
        """Reads it from a run folder; None: the last finished generation.

        Raises SettingsProblem for a generation that is not finished, and of several chains, which have no model in common; DataProblem for
        damage in it or in one before it, and where its samples or its model were thrown away.
        """
        generation = store.chosen(run, generation)
        folder = store.generation_folder(run, generation)
        study = build(Study, read_file(run / store.STUDY))
        if is_union(study.ensemble):
            raise SettingsProblem(f"{run}: is an ensemble, whose models lie in its chains; name one of them: {store.chain_folder(run, 0)}")
        others = [store.chain_folder(run.parent, k) for k in range(study.ensemble.chains)] if feeds(study.ensemble) else []
        provenances = [_provenance(run, g) for g in range(generation + 1)]
        for part in (store.SAMPLES, store.MODEL):
            refuse_thrown_away(folder, part)
        return cls(
            study=study,
            settings=(run / store.STUDY).read_text(encoding="utf-8"),
            generation=generation,
            provenance=provenances[-1],
            lineages=lineages(provenances, [[_provenance(other, g) for g in range(generation)] for other in others]),
            scores=store.scores_of(run, generation),
            reference=store.known_reference(run),
            environment=read_sealed(run / store.ENVIRONMENT)["sessions"][-1],
            samples=store.read_images(folder / store.SAMPLES),
        )

    @property
    def classes(self) -> list[str]:
        """The names of the classes; labels index them."""
        return list(self.reference["data"]["classes"])

    @property
    def labelled(self) -> bool:
        """Whether the model gave its samples classes."""
        return bool((self.samples.labels != UNLABELLED).any())

    @property
    def things(self) -> str:
        """What the samples are."""
        return "points" if self.samples.are_points else "pictures"

    def record(self) -> Record:
        """What identifies this generation: plain JSON values."""
        study = sha256(self.settings.encode()).hexdigest()
        return {"study": study, "generation": self.generation, "training_set": self.provenance["training_set"]}

    def summary(self) -> Record:
        """The lineage of the training set in plain JSON values."""
        own = self.lineages[-1]
        return {
            "generation": self.generation,
            "synthetic_share": round(own.synthetic, 6),
            "longest_chain": own.longest,
            "mean_depth": round(own.mean, 6),
        }


def _provenance(run: Path, generation: int) -> Record:
    folder = store.generation_folder(run, generation)
    store.check(folder)
    return read_json(folder / store.PROVENANCE)
