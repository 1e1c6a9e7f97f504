"""Float32 decides nothing that float64 would decide otherwise: the error bound, near ties, and what happens when they are many."""

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from features import apart, normal
from numpy.typing import NDArray
from torch import Tensor

import imgcollapse.machine.torchvision_guard  # noqa: F401 (clean-fid imports torchvision)
from imgcollapse.metrics import Evidence, FeatureSet, nearest, tiles
from imgcollapse.metrics.distances import between_gaussians, kernel_distance
from imgcollapse.metrics.nearest import OwnPairStatistics
from imgcollapse.metrics.neighbours import neighbourhood, probabilistic_precision_recall, symmetric_precision_recall
from imgcollapse.metrics.tiles import Pairs, squared_distances

CLOSE = 1 + 1e-9


def heavy(n: int, d: int, seed: int) -> Tensor:
    """Pictures at very different distances from the centre."""
    return normal(n, d, seed) * torch.logspace(-2, 2, n, dtype=torch.float64)[:, None]


def one_sided(n: int, d: int, seed: int) -> Tensor:
    """Two equal clusters of constant vectors but for a little: all products of a sum have one sign and are rounded alike."""
    side = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()[:, None]
    return side / 3 + 1e-4 * normal(n, d, seed)


def near_ties(n: int, d: int, seed: int) -> Tensor:
    """Points of a small grid, moved by so little that float32 sees ties where there are none."""
    grid = torch.randint(0, 3, (n, d), generator=torch.Generator().manual_seed(seed)).double()
    return grid + 1e-4 * normal(n, d, seed + 100)


def near_copies(n: int, d: int, seed: int) -> Tensor:
    """Clusters far smaller than float32 can tell at their distance from the centre."""
    return normal(5, d, 0).repeat(n // 5 + 1, 1)[:n] + 1e-4 * normal(n, d, seed)


def plain(n: int, d: int, seed: int) -> Tensor:
    return normal(n, d, seed)


WORLDS: list[Callable[[int, int, int], Tensor]] = [plain, heavy, one_sided, near_ties, near_copies]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("d", [1, 3, 64, 2048])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e25])
def test_float32_distances_are_off_by_no_more_than_the_bound_from_either_side(world: Callable[..., Tensor], d: int, scale: float) -> None:
    x_ND, y_MD = scale * world(90, d, 1), scale * world(70, d, 2)
    pairs = Pairs(x_ND, y_MD, y_MD.mean(0))
    exact_NM = torch.from_numpy(apart(x_ND, y_MD)) ** 2 / pairs.unit
    for tile in pairs.tiles():
        off_bc = (tile.apart_bc.double() - exact_NM[tile.rows, tile.columns]).abs()
        exact_bc = exact_NM[tile.rows, tile.columns]
        by_x_bc = pairs.x_error(exact_bc, pairs.x_N[tile.rows, None])
        by_y_bc = torch.stack([pairs.y_error(row_c) for row_c in exact_NM])[tile.rows, tile.columns]
        assert (off_bc <= by_x_bc).all() and (off_bc <= by_y_bc).all()
        assert float((off_bc / by_x_bc).max()) > 1e-4 or world is near_copies or d == 1, "the bound is of the order of the errors"
        assert (tile.apart_bc >= 0).all()
        assert torch.equal(tile.least_b, tile.apart_bc.amin(1))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("d", [3, 12, 300])
@pytest.mark.parametrize("many", [1, 128, 10**9], ids=["pair by pair", "as it is", "by whole tiles"])
def test_every_share_is_that_of_float64(world: Callable[..., Tensor], d: int, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "MANY", many)
    monkeypatch.setattr(tiles, "TILE", 60)
    real, made = world(130, d, 1), world(110, d, 2)
    k, k_precision = 5, 3
    seen = Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made), k=k, k_precision=k_precision)
    apart_NM = apart(real, made)

    def radii(x_ND: Tensor, k: int) -> NDArray[np.float64]:
        return np.array([sorted(np.delete(row, i))[k - 1] for i, row in enumerate(apart(x_ND, x_ND))])

    covers_NM = apart_NM <= radii(real, k)[:, None] * CLOSE
    in_real_NM, in_made_NM = apart_NM <= radii(real, k_precision)[:, None] * CLOSE, apart_NM <= radii(made, k_precision) * CLOSE
    found = neighbourhood(seen) | symmetric_precision_recall(seen)
    assert found["density"] == pytest.approx(covers_NM.sum() / k / len(made), rel=1e-12)
    assert found["coverage"] == covers_NM.any(1).mean()
    assert found["precision"] == in_real_NM.any(0).mean()
    assert found["recall"] == in_made_NM.any(1).mean()
    assert found["symmetric_precision"] == min(found["precision"], in_made_NM.any(0).mean())
    assert found["symmetric_recall"] == min(found["recall"], in_real_NM.any(1).mean())
    np.testing.assert_allclose(seen.pair_statistics.nearest_real_M.numpy(), apart_NM.min(0), rtol=1e-12 if world is plain else 1e-5)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("d", [2, 40])
@pytest.mark.parametrize("spare", [0, 3])
def test_radii_are_those_of_float64_whatever_float32_took_for_nearest(
    world: Callable[..., Tensor], d: int, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "SPARE", spare)
    monkeypatch.setattr(tiles, "TILE", 50)
    x_ND = world(120, d, 1)
    found = OwnPairStatistics(x_ND, 6)
    expected = np.array([sorted(np.delete(row, i)) for i, row in enumerate(apart(x_ND, x_ND))])
    for k in (1, 2, 5, 6):
        np.testing.assert_allclose(found.radii(k).numpy(), expected[:, k - 1], rtol=1e-12 if world is plain else 1e-5)


def test_where_float32_sees_ties_that_are_none_it_is_asked_again() -> None:
    # the nearest of a picture at 1 is one of many at 2, which differ by less than float32 can see
    x_ND = torch.cat([torch.zeros(1, 50).double(), 0.2 + 1e-10 * normal(60, 50, 0)])
    found = OwnPairStatistics(x_ND, 1)
    kept_K = found.neighbours.which_NK[0]
    among_kept = found.neighbours.pairs.exact(torch.zeros_like(kept_K), kept_K).min().sqrt()
    truth = apart(x_ND[:1], x_ND[1:]).min()
    assert found.radii(1)[0].item() == pytest.approx(truth, rel=1e-14)
    assert among_kept.item() > truth, "the nearest one is not among those that float32 has kept: else this tests nothing"


def test_the_order_of_what_float32_has_kept_is_that_of_float64() -> None:
    wrong = 0
    for seed in range(30):  # all three neighbours are kept, and float32 often sees them in another order
        x_ND = torch.cat([torch.zeros(1, 50).double(), normal(1, 50, seed) + 3e-8 * normal(3, 50, 100 + seed)])
        found, expected = OwnPairStatistics(x_ND, 1), apart(x_ND[:1], x_ND[1:])[0]
        seen = [float(expected[i - 1]) for i in found.neighbours.which_NK[0]]
        wrong += len(found.neighbours.apart_NK[0].unique()) > 1 and seen != sorted(seen)
        for k in (1, 2, 3):
            distance_N, which_N = found.neighbours.kth(k)
            assert distance_N[0].item() == pytest.approx(sorted(expected)[k - 1], rel=1e-15)
            assert expected[which_N[0] - 1] == pytest.approx(sorted(expected)[k - 1], rel=1e-15), "and it says which one"
    assert wrong > 3, "else this tests nothing"


@pytest.mark.parametrize("d", [3, 200])
def test_values_do_not_depend_on_the_tile(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = normal(150, d, 0), 0.9 * normal(140, d, 1) + 0.1

    def measured(side: int) -> dict[str, float]:
        monkeypatch.setattr(tiles, "TILE", side)
        seen = Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made))
        return neighbourhood(seen) | symmetric_precision_recall(seen) | probabilistic_precision_recall(seen) | kernel_distance(seen)

    expected = measured(1024)
    for side in (9, 75, 149, 150, 151):
        assert measured(side) == pytest.approx(expected, rel=1e-6), side


def test_a_tile_in_float64_and_pairs_one_by_one_are_the_same() -> None:
    x_ND, y_MD = normal(40, 9, 0) + 1e3, normal(50, 9, 1) + 1e3
    y_MD[7] = x_ND[3]
    pairs = Pairs(x_ND, y_MD, y_MD.mean(0))
    ((_, whole_NM),) = squared_distances(x_ND, y_MD, 40)
    i_P, j_P = torch.cartesian_prod(torch.arange(40), torch.arange(50)).unbind(1)
    np.testing.assert_allclose(pairs.exact(i_P, j_P).reshape(40, 50).numpy(), whole_NM.numpy(), rtol=1e-9)
    assert pairs.exact(torch.tensor([3]), torch.tensor([7])).item() == 0
    assert pairs.exact(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)).shape == (0,)


def test_products_are_in_full_float32_whatever_is_set_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool, torch.dtype]] = []
    multiply = torch.mm

    def watched(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        seen.append((torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu"), a.dtype))
        return multiply(a, b, out=out)

    monkeypatch.setattr(torch, "mm", watched)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            OwnPairStatistics(normal(30, 4, 0), 3)
        assert torch.get_float32_matmul_precision() == "medium", "and it is as it was afterwards"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen and set(seen) == {("highest", False, torch.float32)}


@pytest.mark.parametrize("shift", [0.0, 3.0, 100.0])
@pytest.mark.parametrize("d", [2, 64, 128, 129, 500])
@pytest.mark.parametrize("tile", [70, 1024])
def test_kid_keeps_six_digits_also_where_it_is_near_0(d: int, shift: float, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from cleanfid.fid import kernel_distance as other

    monkeypatch.setattr(tiles, "TILE", tile)
    real, made = normal(300, d, 0) + shift, normal(300, d, 1) + shift
    with contextlib.redirect_stdout(io.StringIO()):
        expected = other(real.numpy(), made.numpy(), num_subsets=1, max_subset_size=300)
    kernel = float(((real @ made.T) / d + 1).pow(3).mean())
    found = kernel_distance(Evidence(FeatureSet(real), FeatureSet(real), FeatureSet(made)))["kid"]
    assert found == pytest.approx(float(expected), rel=1e-6, abs=1e-11 * abs(kernel))


# --- the trace of the root of two covariances


def roots(values: Tensor, seed: int) -> Tensor:
    """A matrix with these singular values."""
    q, _ = torch.linalg.qr(normal(len(values), len(values), seed))
    p, _ = torch.linalg.qr(normal(len(values), len(values), seed + 1))
    return q @ torch.diag(values) @ p


@pytest.mark.parametrize("least", [1.0, 1e-3, 1e-7, 1e-12, 0.0])
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_the_sum_of_singular_values_keeps_nine_digits_whatever_their_range(least: float, size: float) -> None:
    values = size * torch.linspace(least, 1, 40, dtype=torch.float64) ** 4
    values[:10] = size * least
    one, zero = torch.eye(40, dtype=torch.float64), torch.zeros(40, dtype=torch.float64)
    spread = float(values.square().sum()) + 40
    found = between_gaussians(zero, roots(values, 3), zero, one)
    assert (spread - found) / 2 == pytest.approx(float(values.sum()), rel=3e-9, abs=1e-15 * spread)
