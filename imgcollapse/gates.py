"""Gates: what samples go through between drawing and learning. To add one, write a class and add its line to the table."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from imgcollapse.images import REAL, ImageSet
from imgcollapse.regimes import Real, origins
from imgcollapse.seeds import derive, torch_generator
from imgcollapse.settings import Settings, one_of
from imgcollapse.store.past import OnDemand


class Gate(Protocol):
    """What is done to pictures before they are published, and which of them may be learned from."""

    @property
    def kind(self) -> str:
        """Its name in the table."""

    def title(self) -> str:
        """The gate in a few words."""

    def candidates(self, n: int) -> int:
        """How many pictures must be drawn so that about n of them are let in; n or more."""

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The pictures as the world gets to see them, as many and in the same order (a watermark is put in)."""

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """bool [N]: which pictures may be learned from.

        offered: samples of one generation, or the real pictures of a training set; `born` says which
        real:    the study's real pictures
        past:    for samples, those of the generations before theirs; for real pictures, all samples there are
        """


class Curate(Settings):
    """Keep a share of what was drawn, chosen at random: the control for people who keep what they like."""

    kind: Literal["curate"] = "curate"
    by: Literal["random"] = Field("random", description="how the pictures that are kept are chosen")
    keep: float = Field(0.5, gt=0, le=1, description="share of the pictures drawn that is kept")

    def title(self) -> str:
        """Name, share and rule."""
        return f"{self.kind} {100 * self.keep:g} % ({self.by})"

    def candidates(self, n: int) -> int:
        """n / keep, rounded up: of so many, exactly n are let in."""
        return math.ceil(n / self._share())

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        """The same pictures."""
        return drawn

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        """keep N of the N samples, rounded down, and every real picture."""
        # People choose among what models have made. Real pictures were chosen when the data set was made: it is what is left.
        samples = (offered.born != REAL).nonzero()[:, 0]
        chosen = torch.randperm(len(samples), generator=torch_generator(seed))[: math.floor(len(samples) * self._share())]
        mask = offered.born == REAL
        mask[samples[chosen]] = True
        return mask

    def _share(self) -> Fraction:
        return Fraction(str(self.keep))  # as it is written: in floats, 0.1 of 30 may be less than 3


GATES: dict[str, type[Gate]] = {
    "curate": Curate,
}

if TYPE_CHECKING:
    AnyGate = Gate
else:
    AnyGate = one_of(GATES)  # built from the table, which a type checker cannot follow


def candidates(n: int, gates: Sequence[Gate]) -> int:
    """How many pictures a model draws so that about n get through all gates, one after the other."""
    for gate in reversed(gates):
        n = gate.candidates(n)
    return n


def published(drawn: ImageSet, gates: Sequence[Gate], seed: int) -> ImageSet:
    """What a model drew, as every gate in turn publishes it. seed: of the generation."""
    for place, gate in enumerate(gates):
        n, drawn = len(drawn), gate.publish(drawn, derive(seed, place))
        assert len(drawn) == n, f"{gate.kind} publishes what was drawn"
    return drawn


def admitted(past: Sequence[ImageSet], gates: Sequence[Gate], real: Real, seed: int, classes: tuple[str, ...]) -> "Admitted":
    """The past as a regime gets to see it: of each generation's samples, those that every gate in turn lets in.

    past: the samples of generations 0, 1 ...; read when they are asked for, and so are those that are returned
    seed: the study's. Which samples of a generation are let in depends on it, on the gates and on what there was before them, not on who
          learns from them: under `accumulate` the same ones are let in for ever.
    """
    return Admitted(past, gates, real, seed, classes)


class Admitted(OnDemand[ImageSet]):
    """Samples behind gates, with an account of who was offered and who was let in. Got from `admitted`."""

    def __init__(self, past: Sequence[ImageSet], gates: Sequence[Gate], real: Real, seed: int, classes: tuple[str, ...]) -> None:
        super().__init__(len(past), self._let_in)
        self._past, self._gates, self._real, self._seed, self._classes = past, gates, real, seed, classes
        self._account: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}  # by birth: offered, let in

    def _let_in(self, generation: int) -> ImageSet:
        offered = self._past[generation]
        mask = self._mask(generation, offered, OnDemand(generation, self._past.__getitem__))
        return offered if mask is None else offered[mask]

    def with_real(self, training_set: ImageSet) -> ImageSet:
        """The training set that a regime made of these samples, without the real pictures in it that a gate turns away."""
        is_real = training_set.born == REAL
        if not self._gates or not bool(is_real.any()):
            return training_set
        offered = training_set if bool(is_real.all()) else training_set[is_real]
        mask = self._mask(REAL, offered, self._past)
        if mask is None:
            return training_set
        let_in = ~is_real
        let_in[is_real] = mask
        return training_set[let_in]

    def account(self) -> dict[str, Any] | None:
        """Who was offered and who was let in, by origin and class (as in `regimes.origins`), of all that was asked for so far.

        None where there are no gates. Plain JSON values.
        """
        if not self._gates:
            return None
        both = [self._account[born] for born in sorted(self._account)]
        offered, let_in = ({name: part for one in both for name, part in one[side].items()} for side in (0, 1))
        return {"offered": offered, "let_in": let_in}

    def _mask(self, born: int, offered: ImageSet, past: Sequence[ImageSet]) -> Tensor | None:
        """bool [N]: which of them all gates let in; None where that is all of them, which need no copy."""
        if not self._gates:
            return None
        rows, left = torch.arange(len(offered)), offered
        for place, gate in enumerate(self._gates):
            let_in = gate.admit(left, self._real, past, derive(self._seed, born, "admit", place))
            assert let_in.dtype == torch.bool and let_in.shape == (len(left),), f"{gate.kind} says yes or no to every picture"
            if not bool(let_in.all()):
                rows, left = rows[let_in], left[let_in]
        self._account[born] = origins(offered, self._classes), origins(left, self._classes)
        if len(rows) == len(offered):
            return None
        return torch.zeros(len(offered), dtype=torch.bool).index_fill(0, rows, True)
