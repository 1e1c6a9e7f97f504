"""Regimes: sizes, counts, pools, and where every picture of a training set came from."""

from collections import Counter

import pytest
import torch

from imgcollapse import testing
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import ImageSet
from imgcollapse.regimes import REGIMES, Accumulate, Augment, Have, Plan, Real, Regime, Replace, Retain
from imgcollapse.regimes.provenance import made_of
from imgcollapse.settings import build
from imgcollapse.store.past import OnDemand

N = 40


def numbered(start: int, n: int, born: int = -1) -> ImageSet:
    """Points that carry their own number."""
    return ImageSet.of(torch.arange(start, start + n, dtype=torch.float32).view(n, 1, 1, 1), torch.zeros(n), born)


def numbers(images: ImageSet) -> list[int]:
    return [int(value) for value in images.pixels.flatten()]


REAL = Real(seen=numbered(0, N), unseen=numbered(N, 60))
SAMPLES = [numbered(1000 * (g + 1), N, g) for g in range(4)]


@pytest.mark.parametrize("kind", REGIMES)
def test_every_regime_keeps_the_contract(kind: str) -> None:
    testing.check_regime(REGIMES[kind]())
    assert REGIMES[kind]().title().startswith(kind)


@pytest.mark.parametrize("kind", REGIMES)
def test_generation_0_learns_from_the_real_set_whole(kind: str) -> None:
    made = REGIMES[kind]()(REAL, [], N, 7)
    assert numbers(made) == list(range(N)) and set(made.born.tolist()) == {-1}


def test_replace_learns_from_the_newest_samples_only() -> None:
    assert numbers(Replace()(REAL, SAMPLES[:2], N, 0)) == numbers(SAMPLES[1])


def test_accumulate_learns_from_everything_so_far() -> None:
    made = Accumulate()(REAL, SAMPLES[:3], N, 0)
    assert Counter(made.born.tolist()) == {-1: N, 0: N, 1: N, 2: N}


@pytest.mark.parametrize("pool", ["fixed", "resample", "fresh"])
@pytest.mark.parametrize(("fraction", "k"), [(0.0, 0), (0.1, 4), (0.11, 4), (0.12, 5), (0.1125, 5), (1.0, 40)])
def test_retain_keeps_the_size_and_rounds_the_fraction_to_the_nearest(pool: str, fraction: float, k: int) -> None:
    made = Retain.model_validate({"real_fraction": fraction, "pool": pool})(REAL, SAMPLES[:1], N, 0)
    assert len(made) == N and Counter(made.born.tolist()) == Counter({-1: k, 0: N - k})
    assert len(set(numbers(made))) == N, "no picture twice"


def test_fixed_keeps_the_same_pictures_resample_draws_anew_fresh_takes_unseen_ones() -> None:
    def kept(pool: str, generation: int, seed: int) -> list[int]:
        made = Retain.model_validate({"real_fraction": 0.25, "pool": pool})(REAL, SAMPLES[:generation], N, seed)
        return numbers(made[made.born == -1])

    assert kept("fixed", 1, 1) == kept("fixed", 2, 2)
    first, second = kept("resample", 1, 1), kept("resample", 2, 2)
    assert set(first) != set(second) and set(first) | set(second) <= set(range(N))
    seen: set[int] = set(range(N))
    for generation in (1, 2, 3):
        new = set(kept("fresh", generation, generation))
        assert len(new) == 10 and not new & seen
        seen |= new


def test_resample_draws_every_real_picture_equally_often() -> None:
    regime, rounds = Retain(real_fraction=0.25, pool="resample"), 2000
    hits = Counter(number for seed in range(rounds) for number in numbers(regime(REAL, SAMPLES[:1], N, seed)) if number < N)
    standard_deviation = (rounds * 0.25 * 0.75) ** 0.5
    assert all(abs(hits[number] - rounds * 0.25) < 5 * standard_deviation for number in range(N))


@pytest.mark.parametrize(
    ("regime", "plan"),
    [
        (Replace(), (40, 0)),
        (Accumulate(), (40, 0)),
        (Retain(real_fraction=0.1, pool="fixed"), (40, 0)),
        (Retain(real_fraction=0.1, pool="resample"), (40, 0)),
        (Retain(real_fraction=0.1, pool="fresh"), (40, 36)),
    ],
)
def test_a_regime_says_what_it_takes_and_that_is_enough(regime: Regime, plan: Plan) -> None:
    assert regime.plan(40, 10, Have(76)) == plan
    assert regime.plan(40, 10, Have(10**6)) == plan
    real = Real(numbered(0, plan[0]), numbered(plan[0], plan[1]))
    for generation in range(1, 10):
        regime(real, [numbered(1000, 40, 0)] * generation, 40, 0)


def test_generation_0_learns_from_all_there_are_where_more_is_asked_for() -> None:
    for kind in REGIMES:
        assert REGIMES[kind]().plan(100, 3, Have(30, endless=True)).seen == 30


def test_fresh_pictures_must_last_but_where_more_can_be_made() -> None:
    regime = Retain(real_fraction=0.1, pool="fresh")
    assert regime.plan(40, 10, Have(75, endless=True)) == (40, 36)
    with pytest.raises(SettingsProblem) as caught:
        regime.plan(40, 10, Have(75, "digits"))
    assert str(caught.value) == (
        "regime.pool: fresh real pictures will not last: generation 0 takes 40, the 9 after it 36 more, digits has 75; "
        "set --samples to at most 39, or use --pool resample"
    )
    assert regime.plan(39, 10, Have(75)) == (39, 36)


def test_a_training_set_cannot_hold_more_real_pictures_than_there_are() -> None:
    for have in (Have(30, "digits"), Have(30, "digits", endless=True)):
        with pytest.raises(SettingsProblem) as caught:
            Retain(real_fraction=0.8).plan(40, 10, have)
        assert str(caught.value) == (
            "regime.real_fraction: 32 real pictures are wanted in every training set of 40, digits has 30; "
            "take fewer --samples or a smaller fraction"
        )


@pytest.mark.parametrize("kind", REGIMES)
def test_the_size_is_asked_for_and_not_taken_from_the_samples(kind: str) -> None:
    made = REGIMES[kind]()(REAL, SAMPLES[:2], N // 2, 0)
    assert len(made) == {"accumulate": 2 * N, "augment": N + N // 2}.get(kind, N // 2)
    newest = numbers(made[made.born == 1])
    some = range(2000, 2000 + (N // 2 if kind == "accumulate-subsample" else len(newest)))
    assert newest == [number for number in some if number in newest], "of the first of the newest, in order"


class Counted(OnDemand[ImageSet]):
    """Samples that are read when they are asked for, and how often each was."""

    def __init__(self) -> None:
        super().__init__(len(SAMPLES), self.read)
        self.asked: Counter[int] = Counter()

    def read(self, number: int) -> ImageSet:
        self.asked[number] += 1
        return SAMPLES[number]


@pytest.mark.parametrize("kind", REGIMES)
def test_a_regime_reads_what_it_learns_from_once_and_nothing_else(kind: str) -> None:
    past = Counted()
    made = REGIMES[kind]()(REAL, past, N, 0)
    assert past.asked == Counter(set(made.born.tolist()) - {-1})
    assert made.digest() == REGIMES[kind]()(REAL, SAMPLES, N, 0).digest()


def mad(**numbers: int) -> Retain:
    return Retain.model_validate({"pool": "fresh", **numbers})


def test_generation_0_and_the_parts_of_later_sets_may_be_of_any_size() -> None:
    regime = mad(n_initial=60, n_real=5, n_synthetic=30)
    assert regime.plan(40, 4, Have(75)) == (60, 15) and regime.title() == "retain 5 real + 30 samples (fresh, 60 at first)"
    real = Real(numbered(0, 60), numbered(60, 15))
    assert numbers(regime(real, [], 40, 0)) == list(range(60))
    assert numbers(regime(real, SAMPLES[:2], 40, 0)) == [*range(65, 70), *range(2000, 2030)]
    assert regime.plan(40, 4, Have(30, endless=True)) == (60, 15)
    only = mad(n_real=10)  # the rest are samples
    assert len(only(real, SAMPLES[:1], 40, 0)) == 40 and only.plan(40, 3, Have(70)) == (40, 20)
    alone = mad(n_synthetic=0, n_real=20)
    assert numbers(alone(REAL, SAMPLES[:2], N, 0)) == list(range(N + 20, N + 40)), "real pictures alone, always new: the control"


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ({"n_synthetic": 41}, "regime.n_synthetic: 41 samples are wanted of a generation that draws 40; set --samples to at least 41"),
        ({"n_real": 41}, "regime.n_real: 41 is more than a training set of 40; say how many samples there are in n_synthetic"),
        ({"n_initial": 100}, "regime.n_initial: 100 real pictures are wanted, digits has 75; take fewer, or another data set"),
        (
            {"n_initial": 10, "n_real": 20, "pool": "resample"},
            "regime.n_real: 20 real pictures are wanted in every training set of 40, generation 0 has 10; "
            "take fewer --samples or a smaller number",
        ),
        (
            {"n_initial": 60, "n_real": 10},
            "regime.pool: fresh real pictures will not last: generation 0 takes 60, the 3 after it 30 more, digits has 75; "
            "take a smaller n_real or n_initial, fewer --gens, or --pool resample",
        ),
    ],
)
def test_numbers_that_cannot_be_had_are_refused_before_the_start(numbers: dict[str, int], wrong: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        mad(**numbers).plan(40, 4, Have(75, "digits"))
    assert str(caught.value) == wrong


def test_one_setting_says_how_many_real_pictures_there_are() -> None:
    with pytest.raises(SettingsProblem, match="real_fraction and n_real both say"):
        build(Retain, {"real_fraction": 0.5, "n_real": 10})
    with pytest.raises(SettingsProblem, match="nothing would be learned from"):
        build(Retain, {"n_real": 0, "n_synthetic": 0})
    assert build(Retain, build(Retain, {"n_real": 10}).model_dump()).n_real == 10


def test_a_chosen_part_of_everything_so_far_gives_each_picture_one_chance_and_is_read_once() -> None:
    regime, rounds = REGIMES["accumulate-subsample"](), 1500
    hits = Counter(number for seed in range(rounds) for number in numbers(regime(REAL, SAMPLES[:2], N, seed)))
    assert len(hits) == 3 * N and sum(hits.values()) == rounds * N
    standard_deviation = (rounds * (1 / 3) * (2 / 3)) ** 0.5
    assert all(abs(count - rounds / 3) < 5 * standard_deviation for count in hits.values())
    made = regime(REAL, SAMPLES, N, 0)
    assert made.born.tolist() == sorted(made.born.tolist()) and len(set(numbers(made))) == N


def test_a_ratio_of_samples_to_real_pictures_is_kept_or_refused() -> None:
    regime = Augment(synthetic_ratio=0.5)
    assert Counter(regime(REAL, SAMPLES[:2], N, 0).born.tolist()) == {-1: N, 1: N // 2}
    with pytest.raises(SettingsProblem) as caught:
        Augment(synthetic_ratio=2).plan(40, 4, Have(30, "digits"))
    assert str(caught.value) == (
        "regime.synthetic_ratio: 60 samples are wanted beside 30 real pictures, a generation draws 40; "
        "take a smaller ratio, or more --samples than there are real pictures"
    )
    assert Augment(synthetic_ratio=1.3).plan(40, 4, Have(30)) == (30, 0)


def test_what_a_set_is_made_of_in_words() -> None:
    def words(**counts: int) -> str:
        names = {name.replace("_", " "): count for name, count in counts.items()}
        return made_of({"size": sum(counts.values()), "made_of": {name: {"pictures": count} for name, count in names.items()}})

    assert words(real=40) == "learned from real pictures" and words(generation_3=40) == "learned from generation 3"
    assert words(real=10, generation_3=30) == "learned from 25 % real, 75 % generation 3"
    assert words(real=20, generation_0=15, generation_1=5) == "learned from 50 % real, 37.5 % generation 0, 12.5 % generation 1"
    assert words(real=10, **{f"generation_{g}": 10 for g in range(3)}) == "learned from 25 % real, the rest generations 0 to 2"
    assert words(**{f"generation_{g}": 10 for g in range(4)}) == "learned from generations 0 to 3"
    chains = {f"generation_1_of_chain_{k}": 10 for k in (0, 2)}
    assert words(real=20, **chains) == "learned from 50 % real, the rest generation 1 of chains 0 to 2"
