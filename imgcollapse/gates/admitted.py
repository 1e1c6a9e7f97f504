"""What gates do to a chain: how many pictures are drawn for them, what is published, and what of it may be learned from."""

from collections.abc import Iterator, Sequence
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.gates.gate import Gate
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import REAL, ImageSet, promises
from imgcollapse.machine import processes
from imgcollapse.regimes import Real, origins
from imgcollapse.seeds import derive
from imgcollapse.store.past import OnDemand, Past


def candidates(n: int, gates: Sequence[Gate]) -> int:
    """How many pictures a model draws so that about n get through all gates, one after the other."""
    for gate in reversed(gates):
        n = promises.count(gate.candidates(n), n, f"gate '{gate.kind}': candidates")
    return n


def refuse_stream(gates: Sequence[Gate], streams: bool) -> None:
    """Raises SettingsProblem where gates are to look at a stream."""
    if gates and streams:
        raise SettingsProblem("gates: a stream has no set of samples that a gate could look at; set regime.stream to false")


def published(drawn: ImageSet, gates: Sequence[Gate], seed: int) -> ImageSet:
    """What a model drew, as every gate in turn publishes it. seed: of the generation."""
    for place, gate in enumerate(gates):
        drawn = promises.pictures(gate.publish(drawn, derive(seed, place)), len(drawn), drawn, f"gate '{gate.kind}': publish")
    return drawn


def passing(
    offered: ImageSet, gates: Sequence[Gate], real: Real, past: Sequence[ImageSet], seed: int, born: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each gate in turn: int64 [n], the rows of the pictures that come to it, and bool [n], which of these it lets in.

    past: see `Gate.admit`; seed: the study's; born: the generation that these samples are of, or REAL
    """
    rows, left = torch.arange(len(offered)), offered
    for place, gate in enumerate(gates):
        let_in = gate.admit(left, real, past, derive(seed, born, "admit", place))
        promises.mask(let_in, len(left), f"gate '{gate.kind}': admit")
        yield rows, let_in
        if not bool(let_in.all()):
            rows, left = rows[let_in], left[let_in]


def drawn_anew(past: Past, gates: Sequence[Gate], n: int, seed: int) -> Sequence[ImageSet]:
    """What generation 0 publishes: first what it did, and then n new pictures in place of those of each later generation.

    seed: the study's.
    """

    def one(place: int) -> ImageSet:
        if place == 0:
            return past[0].samples
        drawn = processes.sample(past[0].model, n, derive(seed, "drawn anew", place)).born_in(0)
        return published(drawn, gates, derive(seed, "drawn anew", place, "publish"))

    return OnDemand(len(past), one)


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

    def with_real(self, training_set: ImageSet, n: int) -> ImageSet:
        """The training set that a regime made of these samples, without the real pictures in it that a gate turns away.

        Says so where fewer than n pictures are left; raises DataProblem where none are.
        """
        made = self._without_refused(training_set) if self._gates else training_set
        if not len(made):
            offered = sum(one["pictures"] for side, _ in self._account.values() for one in side.values())
            gates = " + ".join(gate.title() for gate in self._gates)
            raise DataProblem(
                f"generation {len(self)}: the gates let in no picture to learn from ({gates}: none of {offered:,}); take a regime with "
                "real pictures in it, or gates that reject fewer (not all pictures marked, say), and another --out: nothing can follow"
            )
        if self._gates and len(made) < n and len(self):
            progress.say_once(f"generation {len(self)} learns from {len(made):,} pictures, not {n:,}: the gates let in no more")
        return made

    def _without_refused(self, training_set: ImageSet) -> ImageSet:
        is_real = training_set.born == REAL
        if not bool(is_real.any()):
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
        rows = torch.arange(len(offered))
        for came, let_in in passing(offered, self._gates, self._real, past, self._seed, born):
            rows = came[let_in]
        whole = len(rows) == len(offered)
        self._account[born] = origins(offered, self._classes), origins(offered if whole else offered[rows], self._classes)
        if whole:
            return None
        return torch.zeros(len(offered), dtype=torch.bool).index_fill(0, rows, True)
