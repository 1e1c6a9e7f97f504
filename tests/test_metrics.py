"""The metrics: closed forms, independent implementations, and the distributions by which they are read."""

import contextlib
import inspect
import io
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from features import apart, falls, normal, rises, sure
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import imgcollapse.machine.torchvision_guard  # noqa: F401 (torchmetrics and clean-fid import torchvision)
from imgcollapse.metrics import METRICS, Evidence, FeatureSet, tiles
from imgcollapse.metrics import evidence as evidence_module
from imgcollapse.metrics.classes import class_counts, class_variety, interval, lower_bound
from imgcollapse.metrics.distances import _kernel_within, between_gaussians, frechet_distance, kernel_distance
from imgcollapse.metrics.evidence import NO_CLASS, Likelihoods, confusion_of, false_hit_rates
from imgcollapse.metrics.gated import Gated
from imgcollapse.metrics.nearest import OwnPairStatistics
from imgcollapse.metrics.neighbours import neighbourhood
from imgcollapse.metrics.tiles import squared_distances

ROUNDING = 1e-12  # relative: what float64 sums of some hundred terms may differ by
Array = NDArray[np.float64]
Measure = Callable[[Evidence], dict[str, float]]
MEASURES: dict[str, Measure] = {name: metric.measure for name, metric in METRICS.items()}


def evidence(real: Tensor, made: Tensor, k: int = 5, **more: Any) -> Evidence:
    """All kinds of neighbour metrics with the same k."""
    return Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made), **{"k": k, "k_precision": k, "k_probabilistic": k, **more})


def set_tile(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of so many pictures on each side, so that small sets fill several."""
    monkeypatch.setattr(tiles, "TILE", side)


# --- Fréchet distance


def with_moments(n: int, mean_D: Tensor, root_DD: Tensor, seed: int) -> Tensor:
    """float64 [n, D] whose sample mean is exactly `mean` and whose unbiased sample covariance is exactly root^T root."""
    x_ND = normal(n, len(root_DD), seed)
    x_ND = x_ND - x_ND.mean(0)
    cholesky_DD = torch.linalg.cholesky(x_ND.T @ x_ND / (n - 1))
    white_ND = torch.linalg.solve_triangular(cholesky_DD, x_ND.T, upper=False).T
    return white_ND @ root_DD + mean_D


def fd(real: Tensor, made: Tensor) -> float:
    return frechet_distance(evidence(real, made))["fd"]


def test_fd_of_equal_sets_is_0() -> None:
    x_ND = normal(200, 8, 0) @ normal(8, 8, 1)
    assert fd(x_ND, x_ND.clone()) == pytest.approx(0, abs=ROUNDING * float(x_ND.square().sum(1).mean()))


@pytest.mark.parametrize("n", [300, 40, 12])
def test_fd_by_the_covariance_of_the_samples_is_that_by_its_root(n: int) -> None:
    real, made = (
        FeatureSet(normal(300, 40, 0) + 2),
        FeatureSet(0.8 * normal(n, 40, 1) @ torch.diag(torch.logspace(-6, 0, 40, dtype=torch.float64))),
    )
    expected = between_gaussians(real.mean, real.factor, made.mean, made.factor)
    assert frechet_distance(Evidence(real, real, made))["fd"] == pytest.approx(expected, rel=1e-9)


def test_fd_looks_at_moments_only_and_takes_sets_of_two_sizes() -> None:
    mean_D, root_DD = normal(1, 5, 0)[0], normal(5, 5, 1)
    assert fd(with_moments(50, mean_D, root_DD, 2), with_moments(301, mean_D, root_DD, 3)) == pytest.approx(0, abs=1e-11)


def test_fd_of_a_shift_is_its_squared_length() -> None:
    x_ND, shift_D = normal(100, 6, 0), normal(1, 6, 1)[0]
    assert fd(x_ND, x_ND + shift_D) == pytest.approx(float(shift_D.square().sum()), rel=ROUNDING)


def test_fd_of_diagonal_covariances_is_the_squared_distance_of_the_standard_deviations() -> None:
    a_D, b_D = torch.tensor([1.0, 4.0, 0.25, 9.0]).double(), torch.tensor([2.0, 1.0, 0.0, 100.0]).double()
    zero_D = torch.zeros(4, dtype=torch.float64)
    real, made = with_moments(60, zero_D, a_D.sqrt().diag(), 0), with_moments(60, zero_D, b_D.sqrt().diag(), 1)
    assert fd(real, made) == pytest.approx(float((a_D.sqrt() - b_D.sqrt()).square().sum()), rel=ROUNDING)


@pytest.mark.parametrize("commuting", [True, False])
def test_fd_is_the_formula_with_scipys_matrix_root(commuting: bool) -> None:
    d = 7
    turn_DD = torch.linalg.qr(normal(d, d, 0)).Q
    a_DD = turn_DD.T @ torch.arange(1, d + 1).double().diag() @ turn_DD
    b_DD = turn_DD.T @ normal(1, d, 1)[0].square().diag() @ turn_DD if commuting else normal(d, d, 2).T @ normal(d, d, 2)
    together, apart = a_DD @ b_DD, b_DD @ a_DD
    assert torch.allclose(together, apart) == commuting
    mean_D = normal(1, d, 3)[0]
    made = with_moments(90, mean_D, torch.linalg.cholesky(b_DD).T, 4)
    real = with_moments(80, 0 * mean_D, torch.linalg.cholesky(a_DD).T, 5)
    root_DD = scipy.linalg.sqrtm(together.numpy())
    expected = float(mean_D.square().sum() + a_DD.trace() + b_DD.trace()) - 2 * np.trace(root_DD).real
    assert fd(real, made) == pytest.approx(expected, rel=1e-9)  # sqrtm is the less exact of the two


def test_fd_to_one_repeated_picture_is_its_squared_distance_plus_the_spread_of_the_real() -> None:
    for n, d in ((100, 10), (20, 50)):  # the second with fewer pictures than features
        real, point_D = normal(n, d, 0), normal(1, d, 1)[0]
        expected = float((real.mean(0) - point_D).square().sum() + real.var(0).sum())
        assert fd(real, point_D.expand(n, d)) == pytest.approx(expected, rel=ROUNDING)
        assert fd(point_D.expand(n, d), real) == pytest.approx(expected, rel=ROUNDING)


def test_fd_to_pictures_on_a_line_is_exact_though_their_covariance_has_rank_1() -> None:
    # C2 = u u^T, so C1^1/2 C2 C1^1/2 has the one eigenvalue u^T C1 u
    for n, d in ((100, 10), (20, 50)):
        real, line_D = normal(n, d, 0), normal(1, d, 1)[0]
        along_N = torch.linspace(-1, 1, n, dtype=torch.float64)
        along_N = along_N / along_N.std()
        variance = float(((real - real.mean(0)) @ line_D).var())
        expected = float(real.mean(0).square().sum() + real.var(0).sum() + line_D.square().sum()) - 2 * math.sqrt(variance)
        assert fd(real, along_N[:, None] * line_D) == pytest.approx(expected, rel=ROUNDING)


def test_fd_is_symmetric_and_unchanged_by_turning_both_sets() -> None:
    real, made = normal(60, 9, 0), 2 * normal(70, 9, 1) + 0.5
    turn_DD = torch.linalg.qr(normal(9, 9, 2)).Q
    assert fd(made, real) == pytest.approx(fd(real, made), rel=ROUNDING)
    assert fd(real @ turn_DD, made @ turn_DD) == pytest.approx(fd(real, made), rel=ROUNDING)


class Identity(nn.Module):
    """Features that are handed in as if they were pictures, for torchmetrics."""

    num_features = 6

    def forward(self, features_ND: Tensor) -> Tensor:
        return features_ND


def features() -> tuple[Tensor, Tensor]:
    """Two sets that differ in mean, spread and shape."""
    return normal(150, 6, 10), normal(150, 6, 11) @ (torch.eye(6, dtype=torch.float64) + 0.3 * normal(6, 6, 12)) + 0.2


def test_fd_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, made = features()
    other = FrechetInceptionDistance(feature=Identity()).set_dtype(torch.float64)
    other.update(real, real=True)
    other.update(made, real=False)
    assert fd(real, made) == pytest.approx(float(other.compute()), rel=1e-9)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
def test_fd_agrees_with_clean_fid() -> None:
    from cleanfid.fid import frechet_distance as other

    real, made = (x_ND.numpy() for x_ND in features())
    if "disp" not in inspect.signature(scipy.linalg.sqrtm).parameters:
        pytest.skip("clean-fid calls scipy.linalg.sqrtm(disp=False), which SciPy 1.18 no longer has")
    expected = other(real.mean(0), np.cov(real.T), made.mean(0), np.cov(made.T))
    assert fd(*features()) == pytest.approx(expected, rel=1e-9)


def test_fd_agrees_with_torch_fidelity() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, made = features()
    expected = fid_statistics_to_metric(fid_features_to_statistics(real), fid_features_to_statistics(made), verbose=False)
    assert fd(real, made) == pytest.approx(expected["frechet_inception_distance"], rel=1e-9)


# --- kernel distance


def kid(real: Tensor, made: Tensor) -> float:
    return kernel_distance(evidence(real, made))["kid"]


def kernel(x_D: Array, y_D: Array) -> float:
    return float((sum(a * b for a, b in zip(x_D, y_D, strict=True)) / len(x_D) + 1) ** 3)


@pytest.mark.parametrize("tile", [50, 130, 768])
def test_kid_is_the_double_sum_over_pairs_that_leaves_out_each_picture_with_itself(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    n, m = 137, 123  # two sizes, no multiples of a tile
    set_tile(tile, monkeypatch)
    real, made = normal(n, 3, 0).numpy(), normal(m, 3, 1).numpy() + 0.5
    within_real = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_made = sum(kernel(made[i], made[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(kernel(x_D, y_D) for x_D in real for y_D in made) / (n * m)
    expected = within_real + within_made - 2 * between
    assert kid(torch.from_numpy(real), torch.from_numpy(made)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all extracted features:UserWarning")
def test_kid_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    real, made = features()
    other = KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=len(real))
    other.update(real, real=True)
    other.update(made, real=False)
    with torch.random.fork_rng():  # it draws its subset, here a permutation of all, from the global generator
        mean, _ = other.compute()
    assert kid(real, made) == pytest.approx(float(mean), rel=1e-10)


def test_kid_agrees_with_torch_fidelity() -> None:
    from torch_fidelity.metric_kid import kernel_poly, mmd2

    real, made = (x_ND.numpy() for x_ND in features())
    expected = mmd2(kernel_poly(real, real), kernel_poly(real, made), kernel_poly(made, made))
    assert kid(*features()) == pytest.approx(float(expected), rel=1e-10)


def test_kid_is_unbiased() -> None:
    draws, n, d = 400, 12, 4
    sets = [(normal(n, d, 2 * seed), normal(n, d, 2 * seed + 1)) for seed in range(draws)]
    values = np.array([kid(real, made) for real, made in sets])
    error = values.std(ddof=1) / math.sqrt(draws)
    assert abs(values.mean()) < 4 * error

    # the check has teeth: with each picture's kernel with itself left in, the mean is far from 0
    def excess(x_ND: Tensor) -> float:
        own = (x_ND.square().sum(1) / d + 1).pow(3).mean()
        return float((own - _kernel_within(FeatureSet(x_ND))) / n)

    biased = values + [excess(real) + excess(made) for real, made in sets]
    assert abs(biased.mean()) > 4 * biased.std(ddof=1) / math.sqrt(draws)


# --- nearest neighbours


def naive_radii(x_ND: Tensor, k: int) -> Array:
    """The k-th smallest distance in each row, the one to itself not counted."""
    apart_NN = apart(x_ND, x_ND)
    return np.array([sorted(np.delete(row, i))[k - 1] for i, row in enumerate(apart_NN)])


def naive(real: Tensor, made: Tensor, k: int) -> dict[str, float]:
    """All that `neighbourhood` gives, by its definition, O(N^2) memory."""
    close = 1 + 1e-9
    apart_NM, real_N, made_M = apart(real, made), naive_radii(real, k) * close, naive_radii(made, k) * close
    in_real_NM, in_made_NM = apart_NM <= real_N[:, None], apart_NM <= made_M[None, :]
    recall, coverage = float(in_made_NM.any(1).mean()), float(in_real_NM.any(1).mean())
    return {
        "precision": float(in_real_NM.any(0).mean()),
        "recall": recall,
        "density": float(in_real_NM.sum() / k / len(made)),
        "coverage": coverage,
        "min_recall_coverage": min(recall, coverage),
    }


SIZES = [(300, 257, 8, 5), (150, 390, 2, 1), (128, 256, 16, 40)]  # N, M, D, k: multiples of a tile and not, k in reach and beyond


@pytest.mark.parametrize("tile", [64, 128, 768])
@pytest.mark.parametrize(("n", "m", "d", "k"), SIZES)
def test_neighbourhood_is_its_definition(n: int, m: int, d: int, k: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_tile(tile, monkeypatch)
    real, made = normal(n, d, 0), 0.8 * normal(m, d, 1) + 0.3
    assert neighbourhood(evidence(real, made, k)) == pytest.approx(naive(real, made, k), rel=ROUNDING)


@pytest.mark.parametrize(("n", "m", "d", "k"), SIZES)
def test_neighbourhood_agrees_with_prdc_where_there_are_no_ties(n: int, m: int, d: int, k: int) -> None:
    from prdc import compute_prdc

    real, made = normal(n, d, 0), 0.8 * normal(m, d, 1) + 0.3
    with contextlib.redirect_stdout(io.StringIO()):
        expected = compute_prdc(real.numpy(), made.numpy(), k)
    found = neighbourhood(evidence(real, made, k))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("block", [1, 7, 50, 99, 100, 101, 4096])
def test_neighbours_do_not_depend_on_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x_ND, y_MD = normal(100, 5, 0), normal(130, 5, 1)
    rows = [index for index, _ in squared_distances(x_ND, y_MD, block)]
    assert torch.cat([torch.arange(100)[index] for index in rows]).tolist() == list(range(100))
    found_NM = torch.cat([apart_bM.clone() for _, apart_bM in squared_distances(x_ND, y_MD, block)])
    np.testing.assert_allclose(found_NM.sqrt().numpy(), apart(x_ND, y_MD), rtol=1e-10)
    set_tile(max(10, block), monkeypatch)
    found = OwnPairStatistics(x_ND, 3)
    for k in (1, 2, 3):
        np.testing.assert_allclose(found.radii(k).numpy(), naive_radii(x_ND, k), rtol=1e-10)
    pairs = evidence(x_ND, y_MD).pair_statistics
    np.testing.assert_allclose(pairs.nearest_real_M.numpy(), apart(x_ND, y_MD).min(0), rtol=1e-10)


def test_neighbourhood_is_unchanged_by_shift_and_scale() -> None:
    real, made = normal(300, 8, 0), 0.8 * normal(300, 8, 1)
    expected = neighbourhood(evidence(real, made))
    assert neighbourhood(evidence(real + 1e6, made + 1e6)) == expected
    for scale in (1e-8, 1e8):
        assert neighbourhood(evidence(scale * real, scale * made)) == expected


def test_exact_copies_are_at_distance_0_far_from_the_origin() -> None:
    x_ND = normal(50, 300, 0) + 1e4
    for _, apart_bM in squared_distances(x_ND, x_ND.clone()):
        assert (apart_bM == 0).sum() == len(x_ND)
        assert (apart_bM.diagonal() == 0).all()


def test_one_far_picture_does_not_blur_the_others() -> None:
    real, made = normal(200, 4, 0), normal(200, 4, 1)
    made[0] = 1e5
    assert neighbourhood(evidence(real, made)) == pytest.approx(naive(real, made, 5), rel=ROUNDING)


def test_a_set_of_duplicates_against_itself_scores_1() -> None:
    x_ND = normal(40, 6, 0).repeat(8, 1)
    assert FeatureSet(x_ND).radii(5).abs().max() == 0
    found = neighbourhood(evidence(x_ND, x_ND.flip(0)))
    assert [found[name] for name in ("precision", "recall", "coverage", "min_recall_coverage")] == [1, 1, 1, 1]
    assert found["density"] == neighbourhood(evidence(x_ND[:40], x_ND[:40]))["density"], "each real picture has one ball"


def test_equal_sets_score_1_and_density_counts_each_picture_in_its_own_ball() -> None:
    x_ND, k = normal(300, 6, 0), 5
    found = neighbourhood(evidence(x_ND, x_ND.clone(), k))
    # each real ball holds its k neighbours and its own centre
    assert found == pytest.approx({"precision": 1, "recall": 1, "density": (k + 1) / k, "coverage": 1, "min_recall_coverage": 1})


def test_one_repeated_real_picture_is_precise_and_recalls_only_itself() -> None:
    real = normal(300, 6, 0)
    found = neighbourhood(evidence(real, real[:1].expand(300, 6)))
    assert found["precision"] == 1
    assert found["recall"] == 1 / 300
    # covered are the picture itself and those that have it among their five nearest
    nearest_five = np.argsort(apart(real, real), axis=1)[:, 1:6]
    assert found["coverage"] == pytest.approx((1 + (nearest_five == 0).sum()) / 300, rel=ROUNDING)
    assert found["coverage"] < 0.1


def test_one_repeated_picture_of_nothing_real_scores_0() -> None:
    found = neighbourhood(evidence(normal(100, 6, 0), torch.full((100, 6), 50.0, dtype=torch.float64)))
    assert set(found.values()) == {0.0}


MODES = 10


def modes() -> tuple[Tensor, Tensor]:
    """Real pictures in ten modes, far apart, of unequal sizes (20, 24, ... 56), and the mode of each."""
    mode_N = torch.arange(MODES).repeat_interleave(torch.arange(20, 20 + 4 * MODES, 4))
    centres = 100 * torch.eye(MODES, dtype=torch.float64)
    return centres[mode_N] + normal(len(mode_N), MODES, 0), mode_N


@pytest.mark.parametrize("kept", range(1, MODES + 1))
def test_with_lost_modes_recall_and_coverage_are_the_share_of_real_pictures_in_the_kept(kept: int) -> None:
    real, mode_N = modes()
    share = float((mode_N < kept).double().mean())
    found = neighbourhood(evidence(real, real[mode_N < kept]))
    assert found["precision"] == 1
    assert found["recall"] == found["coverage"] == found["min_recall_coverage"] == share


def test_no_real_picture_of_a_lost_mode_is_recalled_or_covered_by_new_samples() -> None:
    real, mode_N = modes()
    made = real[mode_N < 6] + 0.3 * normal(int((mode_N < 6).sum()), MODES, 1)
    share = float((mode_N < 6).double().mean())
    found = neighbourhood(evidence(real, made))
    assert 0.8 * share < found["recall"] <= share
    assert 0.8 * share < found["coverage"] <= share


def series(distribution: Callable[[float], Tensor], strengths: list[float], real: Tensor) -> dict[str, list[float]]:
    """Each metric's value over a series of ever stronger damage."""
    seen = FeatureSet(real)
    steps = [Evidence(seen, seen, FeatureSet(distribution(strength))) for strength in strengths]
    rows = [{**frechet_distance(step), **kernel_distance(step), **neighbourhood(step)} for step in steps]
    return {name: [row[name] for row in rows] for name in rows[0]}


D = 16  # of the series below; in it two samples of one distribution have a recall near 0.9 and a coverage near 0.97


def test_shrinking_lowers_recall_and_is_not_seen_by_coverage() -> None:
    base = normal(500, D, 1)
    found = series(lambda strength: (1 - strength) * base, [0, 0.1, 0.2, 0.3, 0.5], normal(500, D, 0))
    assert falls(found["recall"]) and found["recall"][-1] < 0.1
    assert min(found["coverage"]) > 0.95
    assert found["min_recall_coverage"][1:] == found["recall"][1:]
    assert rises(found["fd"]) and rises(found["kid"])
    assert rises(found["density"]), "which is why density is not read as higher is better"


def test_inflating_lowers_precision_and_is_not_seen_by_recall() -> None:
    base = normal(500, D, 1)
    found = series(lambda strength: (1 + strength) * base, [0, 0.1, 0.2, 0.5, 1.0], normal(500, D, 0))
    assert falls(found["precision"]) and found["precision"][-1] < 0.1
    assert rises(found["recall"]) and found["recall"][-1] > 0.99
    assert falls(found["coverage"])
    assert found["min_recall_coverage"][-1] < 0.1, "the smaller of the two is not deceived"
    assert rises(found["fd"]) and rises(found["kid"])


def test_noise_lowers_precision_density_and_coverage() -> None:
    base, noise = normal(500, D, 1), normal(500, D, 2)
    found = series(lambda strength: base + strength * noise, [0, 0.6, 1.0, 2.0], normal(500, D, 0))
    for name in ("precision", "density", "coverage"):
        assert falls(found[name]), name
    assert rises(found["fd"]) and rises(found["kid"])


def test_losing_modes_lowers_recall_and_coverage_and_raises_the_distances() -> None:
    real, mode_N = modes()
    found = series(lambda lost: real[mode_N < MODES - lost], [0, 1, 3, 5, 7, 9], real)
    assert falls(found["recall"]) and falls(found["coverage"])
    assert rises(found["fd"]) and rises(found["kid"])


@pytest.mark.parametrize("k", [10, 11, 0])
def test_k_neighbours_need_more_than_k_pictures(k: int) -> None:
    x_ND = normal(10, 2, 0)
    assert FeatureSet(x_ND).radii(9).shape == (10,)
    with pytest.raises(AssertionError, match=f"k = {k} neighbours need more"):
        neighbourhood(evidence(x_ND, x_ND, k))


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation gave."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        parts = found if isinstance(found, tuple | list) else [found]
        self.elements = max([self.elements, *(part.numel() for part in parts if isinstance(part, Tensor))])
        return found


@pytest.mark.parametrize("metric", MEASURES.values(), ids=MEASURES)
def test_no_metric_holds_a_matrix_of_all_pairs(metric: Measure) -> None:
    n, d = 3000, 8
    classes_N = torch.arange(n) % 3
    seen = FeatureSet(normal(n, d, 0), classes_N, classes_N)
    with Largest() as largest:
        metric(Evidence(seen, seen, FeatureSet(normal(n, d, 1), classes_N), torch.full((3,), 1 / 3, dtype=torch.float64), sure(3)))
    assert 0 < largest.elements <= max(n * tiles.BLOCK, tiles.TILE**2) < n * n / 4


# --- classes


@pytest.mark.parametrize("n", [1, 7, 599])
def test_interval_is_wilsons(n: int) -> None:
    z = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution
    assert stats.norm.cdf(z) == pytest.approx(0.975)
    for hits in {0, 1, n // 3, n}:
        p = hits / n
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        assert interval(hits, n) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    n, draws = 150, 20_000
    bounds = np.array([interval(hits, n) for hits in range(n + 1)])
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=draws)
    hits = generator.binomial(n, truth)
    covered = ((bounds[hits, 0] <= truth) & (truth <= bounds[hits, 1])).mean()
    assert covered == pytest.approx(0.95, abs=0.005)  # three standard errors: 3 sqrt(0.95 * 0.05 / 20,000)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (1, 1), (1, 599), (7, 599), (300, 599), (599, 599)])
def test_lower_bound_is_clopper_and_pearsons(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n, alternative="greater").proportion_ci(0.95, method="exact").low
    assert lower_bound(hits, n) == pytest.approx(expected, abs=1e-9)  # SciPy searches for it in steps
    if hits:  # its definition: were this the truth, so many hits or more would come in 5 % of all draws
        assert stats.binom.sf(hits - 1, n, lower_bound(hits, n)) == pytest.approx(0.05)


def test_counts_leave_out_what_has_no_class() -> None:
    assert class_counts(torch.tensor([0, 2, 2, NO_CLASS, NO_CLASS]), 4).tolist() == [1, 0, 2, 0]


def test_false_hits_are_bounded_from_confident_pictures_of_other_classes() -> None:
    labels = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)
    found = torch.tensor([0, 0, 0, 1, 1, NO_CLASS, 1, 1, 0, NO_CLASS, 1, NO_CLASS])
    # class 0: of 3 + 1 confident others 1 is taken for it; class 1: 3 of 5 + 1; class 2: 0 of 5 + 3
    by_hand = [(1, 4), (3, 6), (0, 8)]
    bounds = false_hit_rates(confusion_of(found, labels, 3))
    assert bounds.dtype == torch.float64
    for bound, (hits, n) in zip(bounds.tolist(), by_hand, strict=True):
        # Jeffreys' posterior: density proportional to p^(k - 1/2) (1 - p)^(n - k - 1/2), here by the trapezoid rule in p = sin^2(t)
        t = np.linspace(0, np.pi / 2, 20_001)
        density = np.sin(t) ** (2 * hits) * np.cos(t) ** (2 * (n - hits))
        below = t <= math.asin(math.sqrt(bound))
        assert density[below].sum() / density.sum() == pytest.approx(0.95, abs=1e-3)


def test_without_any_confident_picture_the_false_hits_are_unknown() -> None:
    # the prior itself: the arcsine distribution, whose quantile at q is sin^2(pi q / 2)
    found = false_hit_rates(confusion_of(torch.full((9,), NO_CLASS), torch.arange(9) % 3, 3))
    assert found.tolist() == pytest.approx([math.sin(0.95 * math.pi / 2) ** 2] * 3)


def variety(found_N: Tensor, real_shares: list[float], confusion: Tensor | None = None) -> dict[str, float]:
    seen = FeatureSet(torch.zeros(len(found_N), 1, dtype=torch.float64), found_N)
    confusion = sure(len(real_shares)) if confusion is None else confusion
    return class_variety(Evidence(seen, seen, seen, torch.tensor(real_shares, dtype=torch.float64), confusion))


def confused(labels_N: Tensor, rate: float, taken_for: int, generator: np.random.Generator) -> Tensor:
    """What a classifier finds that is right but for taking pictures of all other classes for one class at this rate."""
    return torch.where(torch.from_numpy(generator.random(len(labels_N)) < rate), taken_for, labels_N)


def share_counted_alive(share: float, rate: float, simulations: int = 250) -> float:
    """How often class 2 is counted alive where this share of 599 samples is of it and this share of all others is taken for it."""
    generator = np.random.default_rng(1)
    real_N, alive = torch.arange(800) % 4, 0
    for _ in range(simulations):
        confusion = confusion_of(confused(real_N, rate, 2, generator), real_N, 4)
        made_N = torch.from_numpy(generator.choice(3, size=599, p=[0.5 - share / 2, 0.5 - share / 2, share]))
        alive += variety(confused(made_N, rate, 2, generator), [1 / 4] * 4, confusion)["share_alive_2"] == 1
    return alive / simulations


@pytest.mark.parametrize("rate", [0.002, 0.01, 0.03])
def test_a_class_that_gets_false_hits_only_is_counted_dead(rate: float) -> None:
    assert share_counted_alive(0.0, rate) < 0.03  # 0.05 to 0.08 if the false hits were an estimate rather than a bound


@pytest.mark.parametrize(("rate", "at_least"), [(0.002, 0.98), (0.01, 0.98), (0.03, 0.85)])  # the worse the classifier, the less is found
def test_a_class_with_5_percent_is_counted_alive(rate: float, at_least: float) -> None:
    assert share_counted_alive(0.05, rate) > at_least


def test_one_hit_does_not_keep_a_class_alive() -> None:
    labels = torch.arange(600) % 10
    confusion = confusion_of(labels, labels, 10)  # no false hit in 540 pictures of other classes
    found = torch.zeros(599, dtype=torch.int64)
    found[0] = 3
    assert variety(found, [0.1] * 10, confusion)["classes_alive"] == 1
    found[:30] = 3  # 5 %
    assert variety(found, [0.1] * 10, confusion)["classes_alive"] == 2


def test_effective_classes_is_the_exponential_of_the_entropy() -> None:
    assert variety(torch.arange(100) % 5, [0.2] * 5)["effective_classes"] == pytest.approx(5)
    assert variety(torch.full((100,), 2), [0.2] * 5)["effective_classes"] == 1
    known = torch.tensor([0] * 50 + [1] * 25 + [2] * 25)  # H = ln 2 / 2 + 2 (ln 4) / 4 = 3/2 ln 2
    assert variety(known, [0.2] * 5)["effective_classes"] == pytest.approx(2**1.5)


def test_shares_and_total_variation_are_of_the_confident_samples() -> None:
    found = variety(torch.tensor([0] * 6 + [1] * 2 + [NO_CLASS] * 2), [0.5, 0.25, 0.25])
    assert found["confident"] == 0.8
    assert [found[f"share_{c}"] for c in range(3)] == [0.75, 0.25, 0]
    assert (found["share_low_1"], found["share_high_1"]) == interval(2, 8)
    assert found["total_variation"] == pytest.approx((0.25 + 0 + 0.25) / 2)
    assert variety(torch.zeros(4, dtype=torch.int64), [0, 0.5, 0.5])["total_variation"] == 1, "nothing in common"


def test_without_a_confident_sample_nothing_is_alive() -> None:
    found = variety(torch.full((20,), NO_CLASS), [0.5, 0.5])
    expected = {"classes_alive": 0, "effective_classes": 0, "total_variation": 1, "confident": 0}
    unknown = {f"share_{part}{c}": float(part == "high_") for part in ("", "low_", "high_", "alive_") for c in range(2)}
    assert found == expected | unknown


def test_which_classes_are_alive_adds_up_to_how_many() -> None:
    found = variety(torch.tensor([0] * 60 + [1] * 40), [0.4, 0.4, 0.2])
    assert [found[f"share_alive_{c}"] for c in range(3)] == [1, 1, 0] and found["classes_alive"] == 2


def test_worlds_without_two_classes_have_no_variety() -> None:
    assert variety(torch.zeros(5, dtype=torch.int64), [1.0]) == {}
    assert class_variety(evidence(normal(5, 2, 0), normal(5, 2, 1))) == {}


# --- what a metric may see, and what each must do


@pytest.mark.parametrize("k_probabilistic", [4, 20])
def test_what_is_costly_is_computed_once_for_the_real_set(k_probabilistic: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x_ND: Tensor, *args: Any, **kwargs: Any) -> Any:
            calls.append((name, len(x_ND)))
            return function(x_ND, *args, **kwargs)

        return call

    monkeypatch.setattr(evidence_module, "OwnPairStatistics", counted("own_pairs", OwnPairStatistics))
    monkeypatch.setattr(evidence_module, "pair_statistics", counted("pair_statistics", evidence_module.pair_statistics))
    monkeypatch.setattr(torch.linalg, "qr", counted("qr", torch.linalg.qr))
    real, generations = FeatureSet(normal(31, 3, 0)), 3
    for generation in range(generations):
        evidence = Evidence(real, real, FeatureSet(normal(30, 3, 1 + generation)), k_probabilistic=k_probabilistic)
        for metric in METRICS.values():
            if metric.default:
                metric.measure(evidence)
    assert calls.count(("own_pairs", 31)) == 1
    assert calls.count(("own_pairs", 30)) == generations
    assert calls.count(("qr", 31)) == 1
    assert calls.count(("qr", 30)) == 0, "the covariance of the samples costs less than its root"
    assert calls.count(("pair_statistics", 31)) == generations, "one pass over the pairs for all metrics of a generation"


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, neighbourhood])
def test_the_reference_are_the_held_out_pictures(metric: Measure) -> None:
    held_out, made = FeatureSet(normal(80, 4, 0)), FeatureSet(normal(80, 4, 1))
    elsewhere = FeatureSet(normal(80, 4, 2) + 50)
    assert metric(Evidence(elsewhere, held_out, made)) == metric(Evidence(held_out, held_out, made))
    assert metric(Evidence(elsewhere, held_out, made)) != metric(Evidence(held_out, elsewhere, made))


def test_radii_are_of_the_k_that_is_asked_for() -> None:
    seen = FeatureSet(normal(20, 2, 0))
    assert torch.equal(FeatureSet(normal(20, 2, 0)).radii(15), OwnPairStatistics(seen.features, 15).radii(15))
    for k in (3, 15, 3):  # within reach, beyond it, and back
        np.testing.assert_allclose(seen.radii(k).numpy(), naive_radii(seen.features, k), rtol=1e-12)
    assert (seen.radii(2) >= seen.radii(1)).all() and not torch.equal(seen.radii(2), seen.radii(1))


def test_factor_is_a_root_of_the_unbiased_covariance() -> None:
    for n in (50, 4):  # more pictures than features, and fewer
        x_ND = normal(n, 7, 0) + 3
        factor = FeatureSet(x_ND).factor
        assert factor.shape == (min(n, 7), 7)
        np.testing.assert_allclose((factor.T @ factor).numpy(), np.cov(x_ND.numpy().T), atol=1e-12)


def test_seen_takes_float64_only() -> None:
    with pytest.raises(AssertionError):
        FeatureSet(torch.zeros(3, 2))
    with pytest.raises(AssertionError):
        FeatureSet(torch.zeros(3, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.int64))


def with_classes(features_ND: Tensor, classes_N: Tensor) -> FeatureSet:
    return FeatureSet(features_ND, classes_N)


def sets() -> Iterator[tuple[str, FeatureSet]]:
    """Generated sets of all sorts, for real ones with three classes of equal shares."""
    classes_N = torch.arange(90) % 3
    yield "random", with_classes(2 * normal(90, 4, 1), classes_N[torch.randperm(90, generator=torch.Generator().manual_seed(0))])
    yield "duplicates", with_classes(normal(9, 4, 1).repeat(10, 1), classes_N)
    yield "one repeated picture", with_classes(normal(1, 4, 1).repeat(90, 1), torch.zeros(90, dtype=torch.int64))
    yield "no class found", with_classes(normal(90, 4, 2) + 9, torch.full((90,), NO_CLASS))


def judged(metric: Measure, made: FeatureSet) -> dict[str, float]:
    """By held-out pictures of three classes, which the classifier never confuses."""
    labels = torch.arange(90) % 3
    real = FeatureSet(normal(90, 4, 0), labels, labels)
    shares = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64)
    likelihoods = Likelihoods(4, *(-one.features.square().sum(1) for one in (real, real, made)))
    told, own, all_of_them = made.features.sum(1), made.features, torch.ones(len(made), dtype=torch.bool)
    gated = Gated(all_of_them, torch.arange(len(made)) % 2 == 0, told, real.features.sum(1), labels < 3, told, own, own + 1)
    more: dict[str, Any] = {"likelihoods": likelihoods, "bands": (8, 4, 3, 2), "gated": gated}
    return metric(Evidence(real, real, made, shares, confusion_of(labels, labels, 3), **more))


LOWER = {"fd", "kid", "total_variation"}
HIGHER = {"precision", "recall", "coverage", "min_recall_coverage", "classes_alive", "effective_classes"}
HIGHER |= {"symmetric_precision", "symmetric_recall", "p_precision", "p_recall"}


@pytest.mark.parametrize("metric", MEASURES.values(), ids=MEASURES)
def test_every_metric_gives_finite_floats(metric: Measure) -> None:
    names = set()
    for name, made in sets():
        found = judged(metric, made)
        assert found and all(type(value) is float and math.isfinite(value) for value in found.values()), (name, found)
        names.add(tuple(found))
    assert len(names) == 1, "the same values, whatever the samples"


@pytest.mark.parametrize("metric", MEASURES.values(), ids=MEASURES)
def test_every_metric_is_at_its_best_for_equal_sets(metric: Measure) -> None:
    best = judged(metric, with_classes(normal(90, 4, 0), torch.arange(90) % 3))
    for name, made in sets():
        for key, value in judged(metric, made).items():
            if key in LOWER:
                assert best[key] <= value, (name, key)
            if key in HIGHER:
                assert best[key] >= value - ROUNDING, (name, key)


@pytest.mark.parametrize("metric", MEASURES.values(), ids=MEASURES)
def test_every_metric_says_how_to_read_it_and_what_it_costs(metric: Measure) -> None:
    text = " ".join((metric.__doc__ or "").lower().split())
    assert "cost: o(" in text, "the cost"
    assert "lower is better" in text or "higher is better" in text, "the direction"
    assert " to " in text or "from " in text, "the range"
    assert "bias" in text or "real vs real" in text, "what the number of pictures does to it"
    for key in judged(metric, next(sets())[1]):
        names = {re.sub(r"_\d+$", of, key) for of in ("_c", "_k", "_q")}  # of class c, rate k, quarter q
        assert key.startswith("min_") or any(name in text for name in names) or key in ("fd", "kid"), f"the formula of {key}"


@pytest.mark.parametrize("metric", MEASURES.values(), ids=MEASURES)
def test_no_metric_changes_what_it_sees_or_draws_at_random(metric: Measure) -> None:
    _, made = next(sets())
    assert made.classes is not None
    before = made.features.clone(), made.classes.clone(), torch.random.get_rng_state()
    assert judged(metric, made) == judged(metric, made)
    assert torch.equal(made.features, before[0]) and torch.equal(made.classes, before[1])
    assert torch.equal(torch.random.get_rng_state(), before[2])
