"""Symmetric and probabilistic precision and recall, the k of each kind, the one pass behind them, and FD without its bias."""

import contextlib
import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from features import apart, falls, normal, rises
from numpy.typing import NDArray
from torch import Tensor

import imgcollapse.machine.torchvision_guard  # noqa: F401 (torch-fidelity imports torchvision)
from imgcollapse.metrics import METRICS, Evidence, FeatureSet, tiles
from imgcollapse.metrics import evidence as evidence_module
from imgcollapse.metrics.distances import frechet_distance, frechet_infinity, kernel_distance
from imgcollapse.metrics.nearest import OwnPairStatistics
from imgcollapse.metrics.neighbours import neighbourhood, probabilistic_precision_recall, symmetric_precision_recall
from imgcollapse.seeds import derive

Array = NDArray[np.float64]
ROUNDING = 1e-12
SINGLE = 1e-6  # of the probabilities, which are products over float32 pairs
CLOSE = 1 + 1e-9


def evidence(real: Tensor, made: Tensor, k: int = 5, k_precision: int = 3, k_probabilistic: int = 4) -> Evidence:
    return Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made), k=k, k_precision=k_precision, k_probabilistic=k_probabilistic)


def all_of(seen: Evidence) -> dict[str, float]:
    return neighbourhood(seen) | symmetric_precision_recall(seen) | probabilistic_precision_recall(seen)


def radii(x_ND: Tensor, k: int) -> Array:
    """Distance to the k-th nearest different picture; 0 where there are no k others."""
    different_MD = np.unique(x_ND.numpy(), axis=0)
    others = [sorted(row[row > 0]) for row in apart(x_ND, torch.from_numpy(different_MD))]
    return np.array([row[k - 1] if len(row) >= k else 0.0 for row in others])


def first(x_ND: Tensor) -> list[int]:
    """The places at which a picture stands for the first time."""
    rows = x_ND.tolist()
    return [i for i, row in enumerate(rows) if rows.index(row) == i]


def naive(real: Tensor, made: Tensor, k: int, k_precision: int, k_probabilistic: int) -> dict[str, float]:
    """Everything by its definition, from matrices of differences."""
    apart_NM = apart(real, made)
    in_real_NM, in_made_NM = apart_NM <= radii(real, k_precision)[:, None] * CLOSE, apart_NM <= radii(made, k_precision) * CLOSE
    covers_NM = apart_NM <= radii(real, k)[:, None] * CLOSE
    precision, recall, coverage = (float(found.mean()) for found in (in_real_NM.any(0), in_made_NM.any(1), covers_NM.any(1)))

    def lying_in(apart_NM: Array, of: Tensor) -> float:
        """The mean over the columns of the probability of lying in some ball around a row."""
        radius = 1.2 * radii(of, k_probabilistic)[first(of)].mean()
        inside_NM = np.maximum(0, 1 - apart_NM / radius) if radius else (apart_NM == 0).astype(float)
        inside_NM = inside_NM[first(of)]
        return float((1 - (1 - inside_NM).prod(0)).mean())

    return {
        "precision": precision,
        "recall": recall,
        "density": float(covers_NM[first(real)].sum() / k / len(made)),
        "coverage": coverage,
        "min_recall_coverage": min(recall, coverage),
        "symmetric_precision": min(precision, float(in_made_NM.any(0).mean())),
        "symmetric_recall": min(recall, float(in_real_NM.any(1).mean())),
        "p_precision": lying_in(apart_NM, real),
        "p_recall": lying_in(apart_NM.T, made),
    }


def assert_close(found: dict[str, float], expected: dict[str, float]) -> None:
    """Shares are exact: float32 decides nothing that float64 would decide otherwise."""
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=SINGLE if name.startswith("p_") else 1e-10), name


@pytest.mark.parametrize("tile", [60, 100, 768])
@pytest.mark.parametrize(("n", "m", "d"), [(240, 200, 3), (130, 260, 12), (121, 99, 40)])
def test_all_are_their_definition_each_with_its_own_k(n: int, m: int, d: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE", tile)
    real, made = normal(n, d, 0), 0.8 * normal(m, d, 1) + 0.2
    for ks in ((5, 3, 4), (1, 7, 2), (2, 1, 20)):
        assert_close(all_of(evidence(real, made, *ks)), naive(real, made, *ks))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("shift", [0, 10_000])
def test_ties_and_duplicates_are_counted_as_the_definition_says(seed: int, shift: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real, made = (torch.randint(0, 3, (size, 3), generator=generator).double() for size in (90, 70))  # 27 different pictures
    found = all_of(evidence(real + shift, made + shift))
    assert_close(found, naive(real, made, 5, 3, 4))


def test_each_k_moves_its_own_values_only() -> None:
    real, made = normal(200, 8, 0), normal(200, 8, 1)
    usual = all_of(evidence(real, made))

    def moved(k: int = 5, k_precision: int = 3, k_probabilistic: int = 4) -> set[str]:
        found = all_of(evidence(real, made, k, k_precision, k_probabilistic))
        return {name for name in found if found[name] != usual[name]}

    assert moved(k=9) == {"density", "coverage"}
    assert moved(k_precision=9) == {"precision", "recall", "min_recall_coverage", "symmetric_precision", "symmetric_recall"}
    assert moved(k_probabilistic=9) == {"p_precision", "p_recall"}


# --- repeats


SIZES = [(90, 80, 3), (200, 150, 20), (160, 120, 140)]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
@pytest.mark.parametrize("times", [2, 7])
def test_a_set_and_the_same_with_every_picture_repeated_score_the_same(n: int, m: int, d: int, times: int) -> None:
    real, made = normal(n, d, 0), 0.9 * normal(m, d, 1) + 0.1
    expected = all_of(evidence(real, made))
    order = torch.randperm(times * m, generator=torch.Generator().manual_seed(5))
    assert all_of(evidence(real, made.repeat(times, 1)[order])) == pytest.approx(expected, rel=SINGLE)
    assert all_of(evidence(real.repeat(times, 1), made)) == pytest.approx(expected, rel=SINGLE)
    shares = [name for name in expected if not name.startswith("p_")]
    both = all_of(evidence(real.repeat_interleave(times, 0), made.repeat(times, 1)))
    assert [both[name] for name in shares] == pytest.approx([expected[name] for name in shares], rel=ROUNDING)


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_what_is_drawn_with_replacement_has_the_support_of_its_different_pictures(n: int, m: int, d: int) -> None:
    real, made = normal(n, d, 0), normal(m, d, 1)
    rows = torch.randint(m, (m,), generator=torch.Generator().manual_seed(2))
    once, drawn = all_of(evidence(real, made[rows.unique()])), all_of(evidence(real, made[rows]))
    for name in ("recall", "coverage", "min_recall_coverage", "symmetric_recall"):
        assert drawn[name] == once[name], name
    assert drawn["p_recall"] == pytest.approx(once["p_recall"], rel=SINGLE)
    which = evidence(real, made).pair_statistics.precise_M
    assert evidence(real, made[rows]).pair_statistics.nearest_real_M.shape == (m,)
    assert drawn["precision"] != once["precision"] or which.all(), "a share of samples, which counts each as often as it was drawn"


def test_each_sample_and_each_real_picture_counts_as_often_as_it_is_there() -> None:
    real, made = normal(60, 4, 0), torch.cat([normal(20, 4, 1), normal(20, 4, 2) + 9])
    rows = torch.cat([torch.arange(40), torch.zeros(60, dtype=torch.int64)])  # 61 times the first, which is precise
    assert_close(all_of(evidence(real, made[rows])), naive(real, made[rows], 5, 3, 4))
    precise = evidence(real, made).pair_statistics.precise_M
    assert precise[0] and all_of(evidence(real, made[rows]))["precision"] == pytest.approx((int(precise.sum()) + 60) / 100)


def test_kid_knows_how_often_each_picture_is_there() -> None:
    for n, d in ((80, 8), (90, 9), (80, 20), (80, 140)):  # by moments, also where one set alone is that large, and beside a pass
        real, made = normal(n, d, 0), normal(70, d, 1)[torch.randint(70, (70,), generator=torch.Generator().manual_seed(2))]
        within = 0.0
        for x_ND in (real, made):
            kernel_NN = (x_ND @ x_ND.T / d + 1).pow(3)
            within += float(kernel_NN.sum() - kernel_NN.trace()) / (len(x_ND) * (len(x_ND) - 1))
        across = float((real @ made.T / d + 1).pow(3).mean())
        assert kernel_distance(evidence(real, made))["kid"] == pytest.approx(within - 2 * across, rel=1e-5)


def test_of_as_few_different_pictures_as_neighbours_are_asked_for_balls_hold_copies_only() -> None:
    real = normal(100, 2, 0)
    for count, recall in ((3, 0.03), (4, 0.5)):  # k_precision = 3
        found = all_of(evidence(real, real[:count].repeat(25, 1)))
        assert found["recall"] >= recall and (found["recall"] == recall) == (count == 3)


@pytest.mark.parametrize("d", [2, 12])
def test_recall_of_samples_of_the_real_law_hardly_depends_on_their_number_and_coverage_does(d: int) -> None:
    """A real picture is among the k nearest of about k samples, however many there are: so recall does not see how few are left."""
    real = normal(600, d, 0)
    found = {m: [all_of(evidence(real, normal(m, d, 10 * m + seed))) for seed in range(6)] for m in (75, 600)}
    mean = {name: [float(np.mean([one[name] for one in found[m]])) for m in (75, 600)] for name in ("recall", "coverage")}
    assert abs(mean["recall"][0] - mean["recall"][1]) < 0.08
    # of n real and m generated pictures of one law, the nearest k of the others are real with probability (n / (n + m))^k, nearly
    expected = [1 - (600 / (600 + m)) ** 5 for m in (75, 600)]
    assert mean["coverage"] == pytest.approx(expected, abs=0.02)


def test_a_set_without_repeats_is_looked_at_once_and_one_with_repeats_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(evidence_module, "OwnPairStatistics", lambda x_ND, k: sizes.append(len(x_ND)) or OwnPairStatistics(x_ND, k))
    made = normal(50, 4, 1)
    all_of(evidence(normal(60, 4, 0), made))
    assert sizes == [60, 50]
    all_of(evidence(normal(60, 4, 0), made[torch.arange(50) // 2]))
    assert sizes == [60, 50, 60, 50, 25]


# --- other implementations


@pytest.mark.parametrize(("n", "d", "k"), [(300, 8, 3), (200, 64, 3), (150, 2, 10)])
def test_precision_and_recall_agree_with_torch_fidelity(n: int, d: int, k: int) -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, made = normal(n, d, 0), 0.8 * normal(n, d, 1) + 0.2
    expected = prc_features_to_metric(made, real, prc_neighborhood=k, prc_batch_size=64, save_cpu_ram=False, verbose=False)
    found = neighbourhood(evidence(real, made, k_precision=k))
    for name in ("precision", "recall"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6), "its means are float32"


def test_prdc_at_each_k_gives_the_values_of_that_k() -> None:
    from prdc import compute_prdc

    real, made = normal(300, 8, 0), 0.8 * normal(250, 8, 1) + 0.2
    with contextlib.redirect_stdout(io.StringIO()):
        at_3, at_5 = compute_prdc(real.numpy(), made.numpy(), 3), compute_prdc(real.numpy(), made.numpy(), 5)
        swapped = compute_prdc(made.numpy(), real.numpy(), 3)
    found = all_of(evidence(real, made))
    for name, expected in (("precision", at_3), ("recall", at_3), ("density", at_5), ("coverage", at_5)):
        assert found[name] == pytest.approx(expected[name], rel=ROUNDING), name
    # coverage the other way round is the complement of precision, coverage at k_precision that of recall
    assert found["symmetric_precision"] == pytest.approx(min(at_3["precision"], swapped["coverage"]), rel=ROUNDING)
    assert found["symmetric_recall"] == pytest.approx(min(at_3["recall"], at_3["coverage"]), rel=ROUNDING)


# --- closed forms


def line(*places: float) -> Tensor:
    return torch.tensor(places, dtype=torch.float64)[:, None]


def test_symmetric_values_by_hand_on_a_line() -> None:
    # nearest other real: 1, 1, 6; nearest other sample: 1, 1, 7
    seen = evidence(line(0, 1, 7), line(0.5, 1.5, 8.5), 1, 1, 1)
    # every sample is in a real ball; its own ball holds a real picture for all three: 0.5, 0.5, 1.5 <= 7
    assert symmetric_precision_recall(seen) == {"symmetric_precision": 1, "symmetric_recall": 1}
    # nearest other sample: 0.25, 0.25, 12: the balls of the first two hold no real picture, that of the third holds 1 and 7
    seen = evidence(line(0, 1, 7), line(0.4, 0.65, 12.65), 1, 1, 1)
    assert symmetric_precision_recall(seen) == {"symmetric_precision": pytest.approx(1 / 3), "symmetric_recall": pytest.approx(2 / 3)}


def test_probabilistic_values_by_hand_on_a_line() -> None:
    # two real pictures 10 apart: R = 12; two samples 5 apart: R = 6
    found = probabilistic_precision_recall(evidence(line(0, 10), line(3, 8), 1, 1, 1))
    at_3, at_8 = 1 - 3 / 12 * 7 / 12, 1 - 8 / 12 * 2 / 12
    at_0, at_10 = 1 - 3 / 6 * 1, 1 - 1 * 2 / 6
    assert found == pytest.approx({"p_precision": (at_3 + at_8) / 2, "p_recall": (at_0 + at_10) / 2}, rel=SINGLE)


def test_a_copy_is_certain_and_what_lies_outside_all_balls_is_impossible() -> None:
    real = normal(50, 4, 0)
    pairs = evidence(real, torch.cat([real[:25], real[:25] + 1000])).pair_statistics
    assert pairs.likely_M.tolist() == [1] * 25 + [0] * 25


def test_thousands_of_balls_around_one_picture_do_not_underflow_into_nonsense() -> None:
    # 4000 real pictures on a sphere, R far beyond its radius: the probability of lying in no ball is below the smallest float
    real = torch.nn.functional.normalize(normal(4000, 64, 0), dim=1)
    found = probabilistic_precision_recall(evidence(real, 0.1 * real[:50]))
    assert found["p_precision"] == 1
    assert 0 <= found["p_recall"] < 1e-6


def test_where_all_samples_are_one_picture_their_balls_hold_its_copies_only() -> None:
    for far, scale in ((0.0, 1.0), (1e5, 1.0), (0.0, 1e-8), (0.0, 1e8)):
        real = scale * normal(60, 4, 0)
        point = real[:1].expand(60, 4)
        found = probabilistic_precision_recall(evidence(real + far, point + far))
        assert found["p_recall"] == pytest.approx(1 / 60), far
        assert found["p_precision"] == 1
        found = probabilistic_precision_recall(evidence(point + far, real + far))
        assert (found["p_precision"], found["p_recall"]) == (pytest.approx(1 / 60), 1), far
        same = all_of(evidence(point + far, point + far))
        assert {same[name] for name in same if name != "density"} == {1}


def test_where_nothing_differs_every_share_is_1() -> None:
    same = all_of(evidence(torch.zeros(20, 3, dtype=torch.float64), torch.zeros(10, 3, dtype=torch.float64)))
    assert {same[name] for name in same if name != "density"} == {1}


def test_in_high_dimension_precision_and_recall_tell_inside_from_outside_and_the_symmetric_ones_do_not() -> None:
    # the paper's own picture: spheres as far inside as outside of the real one
    real, made = (torch.nn.functional.normalize(normal(500, 128, seed), dim=1) for seed in (0, 1))
    inside, outside = all_of(evidence(real, 0.85 * made)), all_of(evidence(real, 1.15 * made))
    assert inside["precision"] > 0.99 and outside["precision"] < 0.1
    assert inside["recall"] < 0.1 and outside["recall"] > 0.99
    for found in (inside, outside):
        assert found["symmetric_precision"] < 0.1 and found["symmetric_recall"] < 0.1
    equal = all_of(evidence(real, made))
    assert equal["symmetric_precision"] > 0.5 and equal["symmetric_recall"] > 0.5


# --- planted failures


def series(distribution: Callable[[float], Tensor], strengths: list[float], real: Tensor) -> dict[str, list[float]]:
    seen = FeatureSet(real)
    steps = [Evidence(seen, seen, FeatureSet(distribution(strength))) for strength in strengths]
    rows = [all_of(step) | frechet_infinity(step) | frechet_distance(step) for step in steps]
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_shrinking_lowers_all_but_p_precision() -> None:
    base = normal(400, 16, 1)
    found = series(lambda strength: (1 - strength) * base, [0, 0.1, 0.2, 0.3, 0.5], normal(400, 16, 0))
    for name in ("symmetric_precision", "symmetric_recall", "p_recall"):
        assert falls(found[name]) and found[name][-1] < 0.1, name
    assert rises(found["p_precision"]), "samples in the middle of the real ones look ever more real"
    assert rises(found["fd_infinity"])


def test_inflating_lowers_all_but_p_recall() -> None:
    base = normal(400, 16, 1)
    found = series(lambda strength: (1 + strength) * base, [0.1, 0.2, 0.5, 1.0], normal(400, 16, 0))
    for name in ("symmetric_precision", "symmetric_recall", "p_precision"):
        assert falls(found[name]) and found[name][-1] < 0.1, name
    assert rises(found["p_recall"])
    assert rises(found["fd_infinity"])


def test_noise_lowers_all_but_p_recall() -> None:
    base, noise = normal(400, 16, 1), normal(400, 16, 2)
    found = series(lambda strength: base + strength * noise, [0, 0.6, 1.0, 2.0], normal(400, 16, 0))
    for name in ("symmetric_precision", "symmetric_recall", "p_precision"):
        assert falls(found[name]) and found[name][-1] < 0.1, name
    assert rises(found["p_recall"])
    assert rises(found["fd_infinity"])


def test_repeating_one_picture_lowers_coverage_and_symmetric_recall_and_recall_when_nothing_else_is_left() -> None:
    base, place = normal(400, 16, 1), torch.arange(400)[:, None]
    found = series(lambda share: torch.where(place < 400 * share, base[:1], base), [0, 0.2, 0.5, 0.8, 1], normal(400, 16, 0))
    assert falls(found["coverage"]) and found["coverage"][-1] < 0.06
    assert falls(found["symmetric_recall"][1:]) and falls(found["min_recall_coverage"][2:]), "where they are no longer recall"
    for name in ("recall", "p_recall"):
        assert min(found[name][:-1]) > 0.7 and found[name][-1] < 0.01, f"{name}: 80 different pictures have as wide a support as 400"
    assert rises(found["fd_infinity"])


def test_losing_modes_lowers_the_recalls_to_the_share_of_what_is_left() -> None:
    mode_N = torch.arange(10).repeat_interleave(torch.arange(20, 60, 4))
    centres = 100 * torch.eye(10, dtype=torch.float64)[mode_N]
    real, made = centres + normal(len(mode_N), 10, 0), centres + normal(len(mode_N), 10, 1)
    lost = [0, 1, 3, 5, 7, 9]
    found = series(lambda count: made[mode_N < 10 - count], [float(count) for count in lost], real)
    left = [float((mode_N < 10 - count).double().mean()) for count in lost]
    for name in ("symmetric_recall", "p_recall"):
        assert falls(found[name]), name
        assert all(0.6 * share < value <= share for share, value in zip(left, found[name], strict=True)), name
    assert min(found["symmetric_precision"]) > 0.7
    assert rises(found["fd_infinity"])


# --- what the pass says picture by picture


def test_the_pass_says_of_each_picture_what_the_values_are_means_of() -> None:
    real, made = normal(150, 6, 0), 0.7 * normal(130, 6, 1) + 0.3
    seen = evidence(real, made)
    pairs, found, apart_NM = seen.pair_statistics, all_of(seen), apart(real, made)
    for picture, name in ((pairs.precise_M, "precision"), (pairs.recalled_N, "recall"), (pairs.covered_N, "coverage")):
        assert picture.dtype == torch.bool and picture.device.type == "cpu"
        assert float(picture.double().mean()) == found[name]
    assert pairs.recalled_N.tolist() == (apart_NM <= radii(made, 3) * CLOSE).any(1).tolist()
    assert pairs.covered_N.tolist() == (apart_NM <= radii(real, 5)[:, None] * CLOSE).any(1).tolist()
    assert pairs.precise_M.tolist() == (apart_NM <= radii(real, 3)[:, None] * CLOSE).any(0).tolist()
    np.testing.assert_allclose(pairs.nearest_real_M.numpy(), apart_NM.min(0), rtol=1e-10)


def test_the_distance_of_a_copy_is_0_however_far_from_the_origin() -> None:
    real = normal(80, 300, 0) + 1e4
    pairs = evidence(real, real.flip(0)).pair_statistics
    assert pairs.nearest_real_M.abs().max() == 0


def test_clusters_that_are_far_apart_do_not_blur_each_others_distances() -> None:
    # the squared distances within a cluster are 1e-9 of those between clusters
    centres = 1e3 * normal(5, 8, 0).repeat(30, 1)
    real, made = centres + 0.03 * normal(150, 8, 1), centres + 0.03 * normal(150, 8, 2)
    assert all_of(evidence(real, made)) == pytest.approx(naive(real, made, 5, 3, 4), rel=1e-4)


def test_kid_and_neighbours_come_from_one_pass_and_do_not_disturb_each_other() -> None:
    real, made = normal(100, 5, 0), normal(100, 5, 1)
    first, second = evidence(real, made), evidence(real, made)
    assert (kernel_distance(first), all_of(first)) == ((found := all_of(second)) and (kernel_distance(second), found))


# --- FD without its bias


def identity_distributions(n: int, d: int, scale: float, seeds: range) -> list[Evidence]:
    return [evidence(normal(n, d, derive(seed, "real")), scale * normal(n, d, derive(seed, "made"))) for seed in seeds]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


@pytest.mark.parametrize(("n", "d"), [(300, 8), (300, 24)])
def test_fd_infinity_is_0_on_average_for_equal_distributions_where_fd_is_not(n: int, d: int) -> None:
    seen = identity_distributions(n, d, 1.0, range(40))
    mean, error = mean_and_error([frechet_infinity(one)["fd_infinity"] for one in seen])
    assert abs(mean) < 3 * error
    biased, error_of_fd = mean_and_error([frechet_distance(one)["fd"] for one in seen])
    assert biased > 20 * error_of_fd
    assert abs(mean) < biased / 10


def test_fd_infinity_is_nearer_to_a_known_distance_than_fd() -> None:
    n, d, scale = 300, 16, 0.8
    truth = d * (1 - scale) ** 2
    seen = identity_distributions(n, d, scale, range(40))
    mean, error = mean_and_error([frechet_infinity(one)["fd_infinity"] for one in seen])
    biased, _ = mean_and_error([frechet_distance(one)["fd"] for one in seen])
    assert abs(mean - truth) < 3 * error
    assert abs(mean - truth) < abs(biased - truth) / 5


def test_fd_infinity_of_the_same_pictures_at_every_size_is_fd() -> None:
    # pictures on two points only, half on each: the moments of any draw are nearly those of the whole
    real = torch.zeros(2000, 1, dtype=torch.float64)
    made = real + 3
    assert frechet_infinity(evidence(real, made))["fd_infinity"] == pytest.approx(9, rel=ROUNDING)


def test_fd_infinity_draws_the_same_pictures_every_time() -> None:
    real, made = normal(100, 4, 0), normal(100, 4, 1)
    state = torch.random.get_rng_state()
    assert frechet_infinity(evidence(real, made)) == frechet_infinity(evidence(real, made))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(("n", "d"), [(6, 2), (30, 64)])
def test_fd_infinity_is_finite_with_few_pictures(n: int, d: int) -> None:
    assert math.isfinite(frechet_infinity(evidence(normal(n, d, 0), normal(n, d, 1)))["fd_infinity"])


def test_fd_infinity_has_to_be_asked_for() -> None:
    assert not METRICS["frechet_infinity"].default
    assert METRICS["symmetric_precision_recall"].default and METRICS["probabilistic_precision_recall"].default
