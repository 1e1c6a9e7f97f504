"""Variety against that of real pictures: of all samples (Vendi), and of those of one class."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from features import falls, normal
from scipy.spatial.distance import pdist
from torch import Tensor
from vendi_score import vendi

from imgcollapse.metrics import Evidence, FeatureSet, variety
from imgcollapse.metrics.evidence import NO_CLASS
from imgcollapse.metrics.tiles import BLOCK
from imgcollapse.metrics.variety import effective_pictures, mean_apart, vendi_score, within_class_distance

ROUNDING = 1e-12
MODES = 10


def in_modes(n: int, seed: int, kept: int = MODES) -> tuple[Tensor, Tensor]:
    """float64 [n, 16], int64 [n]: the first so many of ten modes, and the mode of each."""
    mode_N = torch.arange(n) % kept
    return 6 * torch.eye(MODES, 16, dtype=torch.float64)[mode_N] + normal(n, 16, seed), mode_N


# --- the Vendi score


@pytest.mark.parametrize(("n", "d"), [(80, 7), (7, 80), (40, 40), (41, 40), (40, 41), (300, 64)])
def test_vendi_agrees_with_the_package_by_its_primal_and_its_dual_form(n: int, d: int) -> None:
    x_ND = normal(n, d, 0) @ normal(d, d, 1) + 0.3
    found = effective_pictures(FeatureSet(x_ND))
    assert found == pytest.approx(float(vendi.score_dual(x_ND.numpy())), rel=1e-10)
    # its primal form, from the matrix of similarities; score_X itself asks SciPy for a name that it is about to lose
    unit_ND = (x_ND / x_ND.norm(dim=1, keepdim=True)).numpy()
    assert found == pytest.approx(math.exp(vendi.entropy_q(np.linalg.eigvalsh(vendi.weight_K(unit_ND @ unit_ND.T)))), rel=1e-10)


@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("d", [5, 400])  # fewer features than pictures, and more
def test_m_orthogonal_pictures_equally_often_are_m_pictures(m: int, d: int) -> None:
    turn_DD = torch.linalg.qr(normal(d, d, 0)).Q
    lengths_N = torch.linspace(0.1, 9, 20 * m, dtype=torch.float64)[:, None]  # a cosine does not see them
    assert effective_pictures(FeatureSet(lengths_N * turn_DD[torch.arange(20 * m) % m])) == pytest.approx(m, rel=1e-9)


def test_orthogonal_pictures_count_by_the_entropy_of_their_shares() -> None:
    rows = torch.tensor([0] * 50 + [1] * 25 + [2] * 25)  # H = 3/2 ln 2
    assert effective_pictures(FeatureSet(torch.eye(4, dtype=torch.float64)[rows])) == pytest.approx(2**1.5, rel=1e-9)


def test_opposite_pictures_are_one_direction() -> None:
    # the eigenvalues are of the squares of cosines: a sign does not count
    assert effective_pictures(FeatureSet(torch.tensor([[1.0, 0], [-1, 0]]).double())) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("d", [3, 50])
def test_zero_vectors_count_as_one_picture_unlike_every_other(d: int) -> None:
    zero_ND, one_ND = torch.zeros(10, d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)
    assert effective_pictures(FeatureSet(zero_ND)) == 1
    assert effective_pictures(FeatureSet(torch.cat([zero_ND, one_ND[:1].repeat(10, 1)]))) == pytest.approx(2, rel=1e-9)
    some = torch.cat([zero_ND[:5], one_ND[:2].repeat(5, 1)])  # shares 1/3, 1/3, 1/3
    assert effective_pictures(FeatureSet(some)) == pytest.approx(3, rel=1e-9)


def test_vendi_is_unchanged_by_order_turns_and_lengths() -> None:
    x_ND = normal(60, 9, 0)
    expected = effective_pictures(FeatureSet(x_ND))
    turn_DD = torch.linalg.qr(normal(9, 9, 1)).Q
    for other in (x_ND.flip(0), x_ND @ turn_DD, x_ND * normal(60, 1, 2).abs(), 1e6 * x_ND):
        assert effective_pictures(FeatureSet(other)) == pytest.approx(expected, rel=1e-10)


def vendi_of(real: Tensor, made: Tensor) -> float:
    seen = FeatureSet(real)
    return vendi_score(Evidence(seen, seen, FeatureSet(made)))["vendi"]


def test_vendi_is_relative_to_the_held_out_pictures() -> None:
    train, held_out, made = normal(50, 4, 0), normal(50, 4, 1) + 1, normal(50, 4, 2)
    found = vendi_score(Evidence(FeatureSet(train), FeatureSet(held_out), FeatureSet(made)))
    assert found == {"vendi": effective_pictures(FeatureSet(made)) / effective_pictures(FeatureSet(held_out))}


def test_fresh_real_pictures_have_a_vendi_score_of_1() -> None:
    found = np.array([vendi_of(in_modes(200, 2 * seed)[0], in_modes(200, 2 * seed + 1)[0]) for seed in range(40)])
    assert abs(found.mean() - 1) < 4 * found.std(ddof=1) / 40**0.5 < 0.01


def test_lost_modes_and_shrinking_to_prototypes_lower_vendi_and_noise_raises_it() -> None:
    real, (made, mode_N) = in_modes(400, 0)[0], in_modes(400, 1)
    assert falls([vendi_of(real, in_modes(400, 1, MODES - lost)[0]) for lost in range(MODES)])
    centre_ND = 6 * torch.eye(MODES, 16, dtype=torch.float64)[mode_N]
    shrunk = [vendi_of(real, centre_ND + (1 - strength) * (made - centre_ND)) for strength in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    assert falls(shrunk) and shrunk[-1] > 0.5, "ten prototypes are still ten pictures"
    assert falls([-vendi_of(real, made + strength * normal(400, 16, 2)) for strength in (0, 0.5, 1, 2)])


def test_one_repeated_picture_is_one() -> None:
    real = normal(100, 6, 0)
    assert vendi_of(real, real[:1].expand(100, 6)) == pytest.approx(1 / effective_pictures(FeatureSet(real)), rel=1e-9)


# --- within a class


def within(real: tuple[Tensor, Tensor], made: tuple[Tensor, Tensor]) -> dict[str, float]:
    seen = FeatureSet(*real)
    return within_class_distance(Evidence(seen, seen, FeatureSet(*made)))


@pytest.mark.parametrize(("n", "d"), [(2, 3), (BLOCK, 4), (2 * BLOCK + 3, 5), (20, 300)])
def test_mean_distance_agrees_with_scipy(n: int, d: int) -> None:
    x_ND = normal(n, d, 0) + 5
    assert mean_apart(x_ND) == pytest.approx(pdist(x_ND.numpy()).mean(), rel=1e-10)


def test_mean_distance_in_closed_form() -> None:
    assert mean_apart(torch.arange(3.0).double()[:, None]) == pytest.approx(4 / 3)  # 1, 1, 2
    assert mean_apart(torch.eye(6, dtype=torch.float64)) == pytest.approx(2**0.5)
    assert mean_apart(torch.ones(5, 2, dtype=torch.float64)) == 0


def test_within_class_distance_is_the_mean_over_classes_of_ratios_of_mean_distances() -> None:
    (real, real_N), (made, made_N) = in_modes(230, 0), in_modes(170, 1, 7)
    made = made * (1 + made_N[:, None] / 10)
    found = within((real, real_N), (made, made_N))
    expected = {c: pdist(made[made_N == c].numpy()).mean() / pdist(real[real_N == c].numpy()).mean() for c in range(7)}
    expected |= dict.fromkeys(range(7, 10), 0.0)
    assert list(found) == ["within_class_distance", *(f"within_class_distance_{c}" for c in range(MODES))]
    assert [found[f"within_class_distance_{c}"] for c in range(MODES)] == pytest.approx(list(expected.values()), rel=1e-10)
    assert found["within_class_distance"] == pytest.approx(sum(expected.values()) / MODES, rel=1e-10)


def test_a_class_shrunk_or_inflated_by_a_factor_scores_the_factor_wherever_it_lies() -> None:
    real, real_N = in_modes(300, 0)
    factors = torch.linspace(0, 1.5, MODES, dtype=torch.float64)
    moved = 50 * normal(MODES, 16, 1)
    found = within((real, real_N), (moved[real_N] + factors[real_N, None] * real, real_N))
    assert [found[f"within_class_distance_{c}"] for c in range(MODES)] == pytest.approx(factors.tolist(), abs=1e-9)
    assert found["within_class_distance"] == pytest.approx(float(factors.mean()))


def test_fresh_real_pictures_have_a_within_class_distance_of_1() -> None:
    found = np.array([within(in_modes(200, 2 * seed), in_modes(200, 2 * seed + 1))["within_class_distance"] for seed in range(40)])
    assert abs(found.mean() - 1) < 4 * found.std(ddof=1) / 40**0.5 < 0.02


def test_shrinking_to_prototypes_lowers_it_though_the_distance_between_classes_stays() -> None:
    (real, real_N), (made, made_N) = in_modes(300, 0), in_modes(300, 1)
    centre_ND = 6 * torch.eye(MODES, 16, dtype=torch.float64)[made_N]
    values = [
        within((real, real_N), (centre_ND + (1 - strength) * (made - centre_ND), made_N))["within_class_distance"]
        for strength in (0, 0.1, 0.3, 0.6, 0.9, 1)
    ]
    assert falls(values) and values[-1] == 0


def test_a_class_that_dies_out_counts_as_0_so_that_the_mean_never_rises_with_it() -> None:
    real, real_N = in_modes(300, 0)
    values = []
    for left in (30, 10, 2, 1, 0):  # of class 3, which has shrunk to a tenth
        kept_N = (real_N != 3) | (torch.arange(300) < MODES * left)
        shrunk = torch.where(real_N[:, None] == 3, 0.1 * real, real)
        found = within((real, real_N), (shrunk[kept_N], real_N[kept_N]))
        values.append(found["within_class_distance"])
        assert (found["within_class_distance_3"] > 0) == (left >= 2)
    assert values[:2] == pytest.approx([0.91, 0.91], abs=0.005) and values[3:] == pytest.approx([0.9, 0.9])
    assert min(values[:3]) > 0.9


def test_pictures_of_no_class_are_left_out() -> None:
    real, real_N = in_modes(200, 0)
    doubted_N = torch.where(torch.arange(200) < 40, NO_CLASS, real_N)
    far = torch.where(torch.arange(200)[:, None] < 40, 1e3, real)
    expected = within((real, real_N), (real[40:], real_N[40:]))
    assert within((real, real_N), (far, doubted_N)) == pytest.approx(expected, rel=1e-9)
    nothing = within((real, real_N), (real, torch.full((200,), NO_CLASS)))
    assert list(nothing) == list(expected) and set(nothing.values()) == {0.0}


def test_classes_without_two_different_real_pictures_have_no_say() -> None:
    real, real_N = in_modes(100, 0, 3)
    real_N[0], real_N[1:4] = 7, 8
    real[1:4] = real[1]
    found = within((real, real_N), in_modes(100, 1))
    assert list(found) == ["within_class_distance", *(f"within_class_distance_{c}" for c in range(3))]


def test_where_there_are_no_classes_there_is_no_value() -> None:
    real, made = FeatureSet(normal(20, 3, 0)), FeatureSet(normal(20, 3, 1))
    assert within_class_distance(Evidence(real, real, made)) == {}
    none_N = torch.full((20,), NO_CLASS)
    assert within((normal(20, 3, 0), none_N), (normal(20, 3, 1), torch.zeros(20, dtype=torch.int64))) == {}


def test_what_is_of_the_real_pictures_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(name: str) -> None:
        function = getattr(variety, name)

        def call(seen: FeatureSet) -> Any:
            calls.append(len(seen))
            return function(seen)

        monkeypatch.setattr(variety, name, call)

    for name in ("effective_pictures", "spreads"):
        counted(name)
    real = FeatureSet(*in_modes(60, 0))
    for generation in range(3):
        evidence = Evidence(real, real, FeatureSet(*in_modes(50, 1 + generation)))
        vendi_score(evidence)
        within_class_distance(evidence)
    assert sorted(calls) == [50] * 6 + [60] * 2
