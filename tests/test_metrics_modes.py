"""Bins of the real features: shares that differ, and how far they lie apart."""

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from features import normal, rises
from scipy import stats
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from imgcollapse.metrics import Evidence, FeatureSet, modes
from imgcollapse.metrics.classes import class_variety
from imgcollapse.metrics.evidence import confusion_of
from imgcollapse.metrics.modes import Bins, bins, different, different_bins, divergence, in_bins

ROUNDING = 1e-12
MODES = 10


def in_modes(n: int, seed: int, kept: int = MODES) -> Tensor:
    """float64 [n, 10]: the first so many of ten modes, far apart and equally frequent; in the order of the modes."""
    mode_N = torch.arange(n) * kept // n
    return 20 * torch.eye(MODES, dtype=torch.float64)[mode_N] + normal(n, MODES, seed)


def measured(real: Tensor, made: Tensor) -> dict[str, float]:
    return different_bins(Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made)))


# --- the divergence


def test_divergence_in_closed_form() -> None:
    def of(p: list[float], q: list[float]) -> float:
        return divergence(torch.tensor(p).double(), torch.tensor(q).double())

    assert of([0.5, 0.5], [0.5, 0.5]) == 0
    assert of([0.25, 0.75, 0, 0], [0, 0, 0.5, 0.5]) == pytest.approx(1, rel=ROUNDING), "nothing in common"
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))  # of (p + q) / 2 = (3/4, 1/4)
    assert of([1, 0], [0.5, 0.5]) == of([0.5, 0.5], [1, 0]) == pytest.approx(entropy - 0.5, rel=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_divergence_agrees_with_scipy(seed: int) -> None:
    p_K, q_K = np.random.default_rng(seed).dirichlet(np.full(30, 0.1), 2)
    assert divergence(torch.from_numpy(p_K), torch.from_numpy(q_K)) == pytest.approx(jensenshannon(p_K, q_K, 2) ** 2, rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(2000, 1000), (1000, 1000)])
def test_divergence_of_two_samples_of_one_distribution_is_biased_as_stated(n: int, m: int) -> None:
    share_K = np.linspace(1, 3, 20) / np.linspace(1, 3, 20).sum()
    generator = np.random.default_rng(0)
    draws = [(generator.multinomial(n, share_K) / n, generator.multinomial(m, share_K) / m) for _ in range(2000)]
    found = np.array([divergence(torch.from_numpy(p_K), torch.from_numpy(q_K)) for p_K, q_K in draws])
    # 8 jsd ln 2 is chi square with K - 1 degrees of freedom, times 1/n + 1/m, to first order
    scale = (1 / n + 1 / m) / (8 * np.log(2))
    assert found.mean() == pytest.approx(19 * scale, rel=0.03)
    assert found.std() == pytest.approx(np.sqrt(2 * 19) * scale, rel=0.06)


# --- which bins differ


def benjamini_hochberg(chances: list[float], rate: float) -> list[bool]:
    """Step-up: all up to the last of the sorted p-values that lies below its line."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    last = max((i + 1 for i, c in enumerate(order) if chances[c] <= rate * (i + 1) / len(chances)), default=0)
    return [c in order[:last] for c in range(len(chances))]


@pytest.mark.parametrize("seed", range(8))
def test_bins_differ_by_pearsons_test_of_a_two_by_two_table_and_benjamini_and_hochberg(seed: int) -> None:
    generator = np.random.default_rng(seed)
    real_K, made_K = generator.multinomial(300, np.full(15, 1 / 15)), generator.multinomial(600, generator.dirichlet(np.full(15, 4)))
    tables = [[[made, 600 - made], [real, 300 - real]] for made, real in zip(made_K, real_K, strict=True)]
    chances = [float(stats.chi2_contingency(table, correction=False).pvalue) for table in tables]
    expected = benjamini_hochberg(chances, 0.05)
    assert 0 < sum(expected) < 15
    assert different(torch.from_numpy(made_K), torch.from_numpy(real_K)).tolist() == expected


def test_the_correction_finds_what_holms_would_leave_and_leaves_what_none_would_find() -> None:
    # 20 bins, 4 of them with 2.8 standard errors: p = 0.005 passes 0.05 * 4 / 20, not 0.05 / 20; 1 with p = 0.04
    real_K = torch.tensor([100] * 20)
    made_K = torch.tensor([142, 142, 62, 62, 72] + [101] * 14 + [106])
    assert made_K.sum() == real_K.sum()
    assert different(made_K, real_K).tolist() == [True] * 4 + [False] * 16


def test_bins_without_any_picture_and_bins_with_all_do_not_differ() -> None:
    assert different(torch.tensor([5, 0]), torch.tensor([9, 0])).tolist() == [False, False]
    assert different(torch.tensor([50]), torch.tensor([40])).tolist() == [False]
    assert different(torch.tensor([50, 0]), torch.tensor([0, 40])).tolist() == [True, True]


# --- the bins


@pytest.mark.parametrize("n", [1, 500, 5000])  # the last: more than one block
def test_a_picture_is_in_the_bin_of_the_nearest_centre(n: int) -> None:
    x_ND, centres_KD = normal(n, 3, 0), normal(17, 3, 1)
    nearest_N = ((x_ND[:, None] - centres_KD) ** 2).sum(2).argmin(1)
    assert in_bins(x_ND, centres_KD).tolist() == np.bincount(nearest_N, minlength=17).tolist()


@pytest.mark.parametrize(("n", "count"), [(2, 1), (3, 2), (39, 2), (60, 3), (599, 29), (2100, 100)])
def test_there_is_a_bin_for_every_twenty_pictures_at_least_2_and_at_most_100(n: int, count: int) -> None:
    found = bins(FeatureSet(normal(n, 4, 0)))
    assert found.centres_KD.shape == (count, 4) and found.centres_KD.dtype == torch.float64
    assert found.real_K.shape == (count,) and int(found.real_K.sum()) == n // 2


def test_half_of_the_pictures_draw_the_bins_and_the_other_half_are_counted() -> None:
    real = in_modes(400, 0)
    found = bins(FeatureSet(real))
    nearest_N = torch.cdist(real, found.centres_KD).argmin(1)
    counted_K = found.real_K.tolist()
    # of the pictures in a bin, those that are not counted have the centre as their mean: k-means at rest
    for k in range(len(counted_K)):
        inside = real[nearest_N == k]
        assert counted_K[k] < len(inside), "some of the bin drew it"
    drawn_K = torch.bincount(nearest_N) - found.real_K
    total_D = (found.centres_KD * drawn_K[:, None]).sum(0)
    order_N = torch.randperm(400, generator=modes.torch_generator(modes.derive(0, "bins")))
    np.testing.assert_allclose(total_D.numpy(), real[order_N[:200]].sum(0).numpy(), rtol=1e-9)


def test_bins_are_always_the_same_and_draw_from_no_global_generator() -> None:
    real = normal(600, 8, 0)
    before = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    first, again = bins(FeatureSet(real)), bins(FeatureSet(real.clone()))
    assert torch.equal(first.centres_KD, again.centres_KD) and torch.equal(first.real_K, again.real_K)
    assert torch.equal(torch.random.get_rng_state(), before[0]) and random.getstate() == before[2]
    assert all(np.array_equal(now, then) for now, then in zip(np.random.get_state(), before[1], strict=True))


def test_bins_of_the_real_pictures_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(real: FeatureSet) -> Bins:
        calls.append(len(real))
        return bins(real)

    monkeypatch.setattr(modes, "bins", counted)
    real = FeatureSet(normal(100, 3, 0))
    for generation in range(3):
        different_bins(Evidence(real, real, FeatureSet(normal(90, 3, 1 + generation))))
    assert calls == [100]


FEW = {
    "one": normal(1, 4, 0).repeat(200, 1),
    "three": normal(3, 4, 0).repeat(100, 1),
    "one and some": torch.cat([normal(1, 4, 0).repeat(290, 1), normal(10, 4, 1)]),
    "zeros": torch.zeros(50, 4, dtype=torch.float64),
    "two pictures": normal(2, 4, 0),
    "far": 1e6 + 1e-3 * normal(100, 4, 0),
}


@pytest.mark.parametrize("real", FEW.values(), ids=FEW)
def test_few_different_pictures_warn_of_nothing_and_equal_sets_are_0(real: Tensor) -> None:
    there = bins(FeatureSet(real))
    assert len(there.centres_KD) <= len(real.unique(dim=0))
    found = measured(real, real.flip(0))
    assert found["ndb"] == 0 and 0 <= found["jsd"] < 0.1 + 0.5 * (len(real) < 3), found
    elsewhere = measured(real, real[:1].expand(300, -1) + 1e3)
    assert all(type(value) is float and 0 <= value <= 1 for value in elsewhere.values()), elsewhere


def test_one_bin_only_sees_nothing() -> None:
    assert measured(normal(1, 4, 0).repeat(200, 1), normal(200, 4, 1)) == {"ndb": 0, "jsd": 0}


# --- what it finds


DISTRIBUTIONS = {
    "two dimensions": lambda seed: normal(200, 2, seed),
    "modes": lambda seed: in_modes(200, seed),
    "many dimensions": lambda seed: normal(200, 1000, seed),
}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_two_sets_of_one_distribution_hardly_differ(distribution: Any) -> None:
    seeds = 60
    found = [measured(distribution(2 * seed), distribution(2 * seed + 1)) for seed in range(seeds)]
    assert np.mean([one["ndb"] > 0 for one in found]) <= 0.05 + 3 * (0.05 * 0.95 / seeds) ** 0.5
    assert np.mean([one["ndb"] for one in found]) <= 0.01
    bias = 9 * (1 / 200 + 1 / 100) / (8 * np.log(2))
    # the modes are equally frequent in all sets, which takes nine of the bins' freedom, or all of it
    assert np.mean([one["jsd"] for one in found]) <= 1.25 * bias


def test_lost_modes_raise_both() -> None:
    real = in_modes(2000, 0)
    found = [measured(real, in_modes(2000, 1, MODES - lost)) for lost in range(MODES)]
    ndb, jsd = [one["ndb"] for one in found], [one["jsd"] for one in found]
    assert ndb[0] == 0 and rises(jsd)
    assert all(later >= before for before, later in pairwise(ndb)) and rises(ndb[:4])
    for lost in range(1, MODES):
        assert ndb[lost] >= 0.8 * lost / MODES, "the bins of the lost modes, at least"
    assert ndb[-1] > 0.9 and jsd[-1] > 0.6


def test_modes_lost_within_a_class_are_found_though_the_classes_are_as_ever() -> None:
    # two classes of five modes each; of each class, one mode is left
    mode_N = torch.arange(2000) * MODES // 2000
    real = FeatureSet(in_modes(2000, 0), mode_N // 5)
    left_N = torch.where(mode_N < 5, 0, 5)
    made = FeatureSet(20 * torch.eye(MODES, dtype=torch.float64)[left_N] + normal(2000, MODES, 1), mode_N // 5)
    confusion = confusion_of(mode_N // 5, mode_N // 5, 2)
    evidence = Evidence(real, real, made, torch.tensor([0.5, 0.5]).double(), confusion)
    assert class_variety(evidence)["total_variation"] == 0 and class_variety(evidence)["classes_alive"] == 2
    found = different_bins(evidence)
    assert found["ndb"] > 0.9 and found["jsd"] > 0.5


def test_an_overfull_mode_is_found() -> None:
    real = in_modes(2000, 0)
    found = measured(real, torch.cat([in_modes(1200, 1), in_modes(800, 2, kept=1)]))
    assert found["ndb"] > 0.08 and found["jsd"] > 0.08


def test_what_happens_inside_a_bin_is_not_seen() -> None:
    real, made = normal(600, 4, 0), normal(600, 4, 1)
    centres_KD = bins(FeatureSet(real)).centres_KD
    own_ND = centres_KD[torch.cdist(made, centres_KD).argmin(1)]
    assert measured(real, own_ND + 0.1 * (made - own_ND)) == measured(real, made)


def test_both_are_unchanged_by_shift_and_scale() -> None:
    real, made = in_modes(400, 0), in_modes(400, 1, 7)
    expected = measured(real, made)
    for shift, scale in ((1e4, 1.0), (0.0, 1e-6), (0.0, 1e6)):
        assert measured(shift + scale * real, shift + scale * made) == pytest.approx(expected, rel=1e-9)
