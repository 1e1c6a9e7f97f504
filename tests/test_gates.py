"""Gates under every regime: sizes, who is let in and who is told of it, and that a choice at random changes nothing else."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import theory
import torch
from pydantic import Field
from torch import Tensor

from imgcollapse import gates, testing
from imgcollapse.errors import SettingsProblem
from imgcollapse.gates import GATES, AnyGate, Curate, Gate, admitted, candidates, published
from imgcollapse.images import REAL, ImageSet
from imgcollapse.models.nulls import Bootstrap
from imgcollapse.regimes import REGIMES, Accumulate, AccumulateSubsample, Augment, Real, Regime, Replace, Retain, Teacher, provenance
from imgcollapse.seeds import derive
from imgcollapse.settings import Settings, build
from imgcollapse.study import Study, run

N, CLASSES = 40, ("a", "b", "c", "d")
ALL: list[Regime] = [
    Replace(),
    *(Retain.model_validate({"real_fraction": 0.25, "pool": pool}) for pool in ("fixed", "resample", "fresh")),
    Accumulate(),
]
ALL += [Augment(synthetic_ratio=0.5), AccumulateSubsample(), Teacher()]
SHARES = [0.5, 0.1, 0.3, 0.77, 1.0]


def numbered(start: int, n: int, born: int = REAL) -> ImageSet:
    """Points that carry their own number, of four classes."""
    return ImageSet.of(torch.arange(start, start + n, dtype=torch.float32).view(n, 1, 1, 1), torch.arange(n) % len(CLASSES), born)


def numbers(images: ImageSet) -> list[int]:
    return [int(value) for value in images.pixels.flatten()]


REAL_ONES = Real(seen=numbered(0, N), unseen=numbered(N, 60))


def past(gens: int, *used: Gate) -> list[ImageSet]:
    return [numbered(1000 * (g + 1), candidates(N, used), g) for g in range(gens)]


def behind(sets: Sequence[ImageSet], *used: Gate, seed: int = 0) -> gates.Admitted:
    return admitted(sets, used, REAL_ONES, seed, CLASSES)


class Odd(Settings):
    """Lets in what has an odd number, real or not; publishes numbers that are higher by 1/2; remembers what it was shown."""

    changes: ClassVar[bool] = True
    shown: list[tuple[int, int, int]] = Field(default_factory=list)

    @property
    def kind(self) -> str:
        return "odd"

    def title(self) -> str:
        return self.kind

    def candidates(self, n: int) -> int:
        return 2 * n

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        return ImageSet(drawn.pixels + 0.5, drawn.labels, drawn.born)

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        assert real is REAL_ONES
        self.shown.append((int(offered.born.max()), len(past), seed))
        return offered.pixels.flatten().long() % 2 == 1


@pytest.mark.parametrize("keep", [*SHARES, 0.7, 0.9, 1e-3, 1 / 3, 0.999999])
def test_of_so_many_candidates_exactly_as_many_are_let_in_as_are_wanted(keep: float) -> None:
    gate = Curate(keep=keep)
    for n in (1, 2, 3, 7, 10, 30, 100):
        drawn = gate.candidates(n)
        assert n / keep - 1e-6 <= drawn < n / keep + 1 + 1e-6
        assert int(gate.admit(numbered(0, drawn, 0), REAL_ONES, [], n).sum()) == n


def test_candidates_are_drawn_for_all_gates_in_turn() -> None:
    used = (Curate(keep=0.5), Curate(keep=0.1), Odd())
    assert candidates(10, used) == 400 and candidates(10, ()) == 10
    assert len(behind([numbered(0, candidates(10, used[:2]), 0)], *used[:2])[0]) == 10


@pytest.mark.parametrize("keep", SHARES)
@pytest.mark.parametrize("regime", ALL, ids=lambda regime: regime.title())
def test_under_every_regime_training_sets_have_the_sizes_that_they_have_without_a_gate(
    regime: Callable[..., ImageSet], keep: float
) -> None:
    gate, plain = Curate(keep=keep), past(4)
    for generation in range(5):
        through = behind(past(4, gate)[:generation], gate)
        made = through.with_real(regime(REAL_ONES, through, N, 7), N)
        alone = regime(REAL_ONES, plain[:generation], N, 7)
        assert Counter(made.born.tolist()) == Counter(alone.born.tolist())
        assert numbers(made[made.born == REAL]) == numbers(alone[alone.born == REAL]), "people choose among samples"
        if keep == 1:
            assert made.digest() == alone.digest()
        samples = numbers(made[made.born != REAL])
        assert samples == sorted(samples), "in the order in which they were drawn"


def test_a_choice_at_random_leaves_every_pictures_chance_and_so_the_shares_of_classes_as_they_are() -> None:
    gate, rounds = Curate(keep=0.3), 1500
    offered = past(1, gate)
    hits, classes = torch.zeros(len(offered[0])), torch.zeros(len(CLASSES))
    for seed in range(rounds):
        let_in = behind(offered, gate, seed=seed)[0]
        hits[torch.tensor(numbers(let_in)) - 1000] += 1
        classes += torch.bincount(let_in.labels, minlength=len(CLASSES))
    chance = N / len(offered[0])
    assert float((hits / rounds - chance).abs().max()) < 5 * math.sqrt(chance * (1 - chance) / rounds)
    there = torch.bincount(offered[0].labels, minlength=len(CLASSES)) / len(offered[0])
    # the count of a class among those let in is hypergeometric
    error = (there * (1 - there) / N * (1 - chance) / rounds).sqrt()
    assert bool(((classes / rounds / N - there).abs() < 5 * error).all())


@pytest.mark.parametrize("kind", ["replace", "accumulate"])
def test_drift_behind_a_choice_at_random_is_the_drift_of_n_pictures(kind: str) -> None:
    """n of 2n independent draws, chosen without looking at them, are n independent draws: the chain is that of theory without a gate."""
    n, gens, chains, gate = 12, 4, 250, Curate(keep=0.5)
    real = Real(numbered(0, n), numbered(n, 0))
    found = torch.zeros(chains, gens, dtype=torch.float64)
    for chain in range(chains):
        samples: list[ImageSet] = []
        for generation in range(gens):
            through = admitted(samples, (gate,), real, chain, CLASSES)
            training_set = through.with_real(REGIMES[kind]()(real, through, n, derive(chain, generation, "regime")), n)
            if generation and kind == "replace":
                assert len(training_set) == n and len(samples[-1]) == 2 * n, "n pictures out of 2n that were drawn"
                assert set(numbers(training_set)) <= set(numbers(samples[-1]))
            shares = torch.bincount(training_set.pixels.flatten().long(), minlength=n) / len(training_set)
            found[chain, generation] = 1 - shares.square().sum()
            drawn = Bootstrap().fit(training_set, 0).sample(candidates(n, (gate,)), derive(chain, generation, "sample"))
            samples.append(drawn.born_in(generation))
    expected = torch.tensor(theory.heterozygosity(kind, n, 0, gens), dtype=torch.float64)
    expected *= (1 - 1 / n) / expected[0]  # the first generation has seen n pictures, no two of them alike
    error = found.std(0) / math.sqrt(chains)
    assert bool(((found.mean(0) - expected).abs() <= 4.5 * error + 1e-6).all()), (found.mean(0), expected)


def test_who_is_let_in_depends_on_the_study_and_the_generation_alone() -> None:
    gate = Curate(keep=0.5)
    first = [numbers(one) for one in behind(past(2, gate), gate)]
    assert [numbers(one) for one in behind(past(4, gate), gate)][:2] == first, "whoever learns from them, and when"
    through = behind(past(4, gate), gate)
    assert [numbers(through[index]) for index in (-3, -4)] == first[::-1] and [numbers(one) for one in through[:2]] == first
    places = [[number % 1000 for number in one] for one in first]
    assert places[0] != places[1], "each generation has its own"
    assert [numbers(one) for one in behind(past(2, gate), gate, seed=1)] != first
    twice = behind(past(1, gate, gate), gate, gate)[0]
    assert len(twice) == N and len(set(numbers(twice))) == N


def test_accumulate_learns_from_the_same_pictures_for_ever() -> None:
    gate, before = Curate(keep=0.25), set[int]()
    for generation in range(4):
        now = set(numbers(Accumulate()(REAL_ONES, behind(past(4, gate)[:generation], gate), N, generation)))
        assert before <= now and len(now) == N * (generation + 1)
        before = now


def test_real_pictures_pass_the_gate_where_a_regime_offers_them() -> None:
    odd = Odd()
    through = behind(past(2, odd), odd)
    made = through.with_real(Retain(real_fraction=0.25, pool="fixed")(REAL_ONES, through, N, 0), N)
    assert numbers(made) == [1, 3, 5, 7, 9, *range(2001, 2061, 2)], "half of ten real ones, and 30 of the 40 samples let in"
    assert [(born, before) for born, before, _ in odd.shown] == [(1, 1), (REAL, 2)], "samples know what was before them"
    assert through.account() == {
        "offered": {
            "real": {"pictures": 10, "classes": {"a": 3, "b": 3, "c": 2, "d": 2}},
            "generation 1": {"pictures": 80, "classes": {"a": 20, "b": 20, "c": 20, "d": 20}},
        },
        "let_in": {
            "real": {"pictures": 5, "classes": {"b": 3, "d": 2}},
            "generation 1": {"pictures": 40, "classes": {"b": 20, "d": 20}},
        },
    }
    assert provenance(made, CLASSES, through.account())["gates"] == through.account()
    alone = behind([], odd)
    assert numbers(alone.with_real(Replace()(REAL_ONES, alone, N, 0), N)) == list(range(1, N, 2)), "generation 0's too"


def test_gates_stand_one_behind_the_other() -> None:
    through = behind(past(1, Curate(), Odd()), Curate(), Odd())
    let_in = numbers(through[0])
    half = numbers(behind(past(1, Curate(), Odd()), Curate())[0])
    assert let_in == [number for number in half if number % 2]
    account = through.account()
    assert account is not None and account["offered"]["generation 0"]["pictures"] == 4 * N
    assert account["let_in"]["generation 0"]["pictures"] == len(let_in)


def test_without_gates_everything_is_as_it_was() -> None:
    sets = past(3)
    through = behind(sets)
    assert len(through) == 3 and all(through[i] is sets[i] for i in range(3)) and through.account() is None
    made = Retain()(REAL_ONES, through, N, 0)
    assert through.with_real(made, N) is made and published(made, (), 0) is made
    assert provenance(made, CLASSES, through.account()) == provenance(made, CLASSES)
    with pytest.raises(IndexError):
        through[3]


def test_a_gate_may_change_what_is_published() -> None:
    drawn = numbered(0, 5, 2)
    assert published(drawn, (Curate(),), 0).digest() == drawn.digest()
    made = published(drawn, (Odd(), Odd()), 0)
    assert torch.equal(made.pixels, drawn.pixels + 1) and torch.equal(made.born, drawn.born)


@pytest.mark.parametrize("kind", GATES)
def test_every_gate_of_the_table_is_a_gate(kind: str) -> None:
    gate = GATES[kind]()
    assert gate.kind == kind and gate.title().startswith(kind) and (GATES[kind].__doc__ or "").strip()
    testing.check_gate(gate)
    offered = past(1, gate)[0]
    assert bool(gate.admit(offered[:0], REAL_ONES, [], 3).all()), "of nothing, nothing"


class Gated(Settings):
    gates: tuple[AnyGate, ...] = ()


def test_gates_are_settings() -> None:
    assert build(Gated, {"gates": ["curate", {"kind": "curate", "keep": 1}]}).gates == (Curate(), Curate(keep=1))
    for keep, said in ((0, "greater than 0"), (1.5, "less than or equal to 1")):
        with pytest.raises(SettingsProblem, match=rf"gates\.0\.keep: {keep} cannot be used; it should be {said}"):
            build(Gated, {"gates": [{"kind": "curate", "keep": keep}]})


@pytest.mark.parametrize("gates", [[], ["curate"]])
def test_generation_0s_samples_stay_where_a_gate_may_learn_from_them_so_that_a_finished_run_can_go_on(
    tmp_path: Path, gates: list[str]
) -> None:
    values = {"dataset": {"kind": "grid25", "size": 200}, "model": "bootstrap", "samples": 40, "gates": gates}
    values["judge"] = {"extractors": []}
    for gens in (3, 4):
        run(build(Study, {**values, "gens": gens, "keep": {"samples": "last"}}), tmp_path / "run")
        kept = [place.parent.name for place in sorted((tmp_path / "run").glob("gen_*/samples.npz"))]
        assert kept == ["gen_000"] * bool(gates) + [f"gen_{gens - 1:03d}"]
