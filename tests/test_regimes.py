"""Regimes: sizes, counts, pools, and where every picture of a training set came from."""

from collections import Counter

import pytest
import torch

from imgcollapse.images import ImageSet
from imgcollapse.regimes import REGIMES, Accumulate, Real, Regime, Replace, Retain

N = 40


def numbered(start: int, n: int, born: int = -1) -> ImageSet:
    """Points that carry their own number."""
    return ImageSet.of(torch.arange(start, start + n, dtype=torch.float32).view(n, 1, 1, 1), torch.zeros(n), born)


def numbers(images: ImageSet) -> list[int]:
    return [int(value) for value in images.pixels.flatten()]


REAL = Real(seen=numbered(0, N), unseen=numbered(N, 60))
SAMPLES = [numbered(1000 * (g + 1), N, g) for g in range(4)]


@pytest.mark.parametrize("kind", REGIMES)
def test_generation_0_learns_from_the_real_set_whole(kind: str) -> None:
    made = REGIMES[kind]()(REAL, [], 7)
    assert numbers(made) == list(range(N)) and set(made.born.tolist()) == {-1}


@pytest.mark.parametrize("kind", REGIMES)
def test_the_same_seed_gives_the_same_set(kind: str) -> None:
    regime = REGIMES[kind]()
    assert regime(REAL, SAMPLES, 3).digest() == regime(REAL, SAMPLES, 3).digest()
    assert regime.title().startswith(kind)


def test_replace_learns_from_the_newest_samples_only() -> None:
    assert numbers(Replace()(REAL, SAMPLES[:2], 0)) == numbers(SAMPLES[1])


def test_accumulate_learns_from_everything_so_far() -> None:
    made = Accumulate()(REAL, SAMPLES[:3], 0)
    assert Counter(made.born.tolist()) == {-1: N, 0: N, 1: N, 2: N}


@pytest.mark.parametrize("pool", ["fixed", "resample", "fresh"])
@pytest.mark.parametrize(("fraction", "k"), [(0.0, 0), (0.1, 4), (0.11, 4), (0.12, 5), (0.1125, 5), (1.0, 40)])
def test_retain_keeps_the_size_and_rounds_the_fraction_to_the_nearest(pool: str, fraction: float, k: int) -> None:
    made = Retain.model_validate({"real_fraction": fraction, "pool": pool})(REAL, SAMPLES[:1], 0)
    assert len(made) == N and Counter(made.born.tolist()) == Counter({-1: k, 0: N - k})
    assert len(set(numbers(made))) == N, "no picture twice"


def test_fixed_keeps_the_same_pictures_resample_draws_anew_fresh_takes_unseen_ones() -> None:
    def kept(pool: str, generation: int, seed: int) -> list[int]:
        made = Retain.model_validate({"real_fraction": 0.25, "pool": pool})(REAL, SAMPLES[:generation], seed)
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
    hits = Counter(number for seed in range(rounds) for number in numbers(regime(REAL, SAMPLES[:1], seed)) if number < N)
    deviation = (rounds * 0.25 * 0.75) ** 0.5
    assert all(abs(hits[number] - rounds * 0.25) < 5 * deviation for number in range(N))


@pytest.mark.parametrize(
    ("regime", "needs"),
    [
        (Replace(), (0, 0)),
        (Accumulate(), (0, 0)),
        (Retain(real_fraction=0.1, pool="fixed"), (4, 0)),
        (Retain(real_fraction=0.1, pool="resample"), (4, 0)),
        (Retain(real_fraction=0.1, pool="fresh"), (0, 36)),
    ],
)
def test_a_regime_says_what_it_needs(regime: Regime, needs: tuple[int, int]) -> None:
    assert regime.needs(40, 10) == needs
