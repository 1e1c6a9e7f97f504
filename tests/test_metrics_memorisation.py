"""Copies and near copies of training pictures, planted and found; by hand, and through the reference."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from features import falls, normal
from torch import Tensor

from imgcollapse import datasets
from imgcollapse.datasets.toys import Grid25
from imgcollapse.extractors.pixels import Pixels
from imgcollapse.images import ImageSet, World, concatenate, fingerprints
from imgcollapse.judges.judge import Judge
from imgcollapse.machine import devices
from imgcollapse.metrics import METRICS, Evidence, FeatureSet
from imgcollapse.metrics import memorisation as module
from imgcollapse.metrics.memorisation import MEMORY, memorised, to_another
from imgcollapse.metrics.nearest import OwnPairStatistics, nearest
from imgcollapse.metrics.record import RealVsReal
from imgcollapse.metrics.tiles import BLOCK

pytestmark = pytest.mark.splits

KEYS = ("copy_ratio", "authenticity", "copies")
D = 8


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def equal_rows(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """bool [N]: rows of x that are rows of y; what the reference finds in pictures, here of the features."""
    return (x_ND[:, None] == y_MD[None]).all(2).any(1)


def measured(train: Tensor, held_out: Tensor, made: Tensor, learned: Tensor | None = None) -> dict[str, float]:
    k = min(5, len(held_out) - 1, len(made) - 1)
    return memorised(
        Evidence(
            FeatureSet(train),
            FeatureSet(held_out),
            FeatureSet(made),
            learned=None if learned is None else FeatureSet(learned),
            copies=equal_rows(made, train),
            learned_copies=None if learned is None else equal_rows(made, learned),
            k=k,
            k_precision=min(3, k),
            k_probabilistic=min(4, k),
        )
    )


def naive(train: Tensor, held_out: Tensor, made: Tensor) -> dict[str, float]:
    """The first two by their definitions, picture by picture; of sets of one size without ties."""
    ratios, authentic = [], []
    for g in made:
        to_train, to_held_out = (train - g).norm(dim=1), (held_out - g).norm(dim=1)
        r = int(to_train.argmin())
        other = min(float((train[r] - train[i]).norm()) for i in range(len(train)) if i != r)
        ratios.append(2 * float(to_train[r]) / (float(to_train[r]) + float(to_held_out.min())))
        authentic.append(float(to_train[r]) > other)
    return {"copy_ratio": float(np.mean(ratios)), "authenticity": float(np.mean(authentic))}


# --- by their definitions


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 2 * BLOCK + 5)])
def test_all_are_their_definitions(n: int, m: int) -> None:
    train, held_out, made, learned = normal(n, D, 0), normal(n, D, 1), 0.7 * normal(m, D, 2), 0.7 * normal(n, D, 3)
    made[:7], made[7:10] = train[:7], learned[:3]
    expected = naive(train, held_out, made) | {"copies": 7 / m}
    expected |= {f"own_{key}": value for key, value in (naive(learned, held_out, made) | {"copies": 3 / m}).items()}
    assert measured(train, held_out, made, learned) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [1, 30, 2 * BLOCK + 5])
def test_nearest_is_the_nearest_row_and_says_which(n: int) -> None:
    x_ND, y_MD = normal(n, D, 0), normal(200, D, 1)
    apart_NM = torch.cdist(x_ND, y_MD, compute_mode="donot_use_mm_for_euclid_dist")
    distance_N, which_N = nearest(x_ND, y_MD)
    assert torch.equal(which_N, apart_NM.argmin(1))
    np.testing.assert_allclose(distance_N.numpy(), apart_NM.amin(1).numpy(), rtol=1e-9)


@pytest.mark.parametrize("count", [2, 3, 100, BLOCK, BLOCK + 1, 300])
def test_within_a_set_no_picture_is_its_own_neighbour(count: int) -> None:
    x_ND = normal(count, D, 0)
    apart_NN = torch.cdist(x_ND, x_ND, compute_mode="donot_use_mm_for_euclid_dist")
    apart_NN.fill_diagonal_(math.inf)
    distance_N, which_N = OwnPairStatistics(x_ND, 1).neighbours.kth(1)
    assert torch.equal(which_N, apart_NN.argmin(1))
    np.testing.assert_allclose(distance_N.numpy(), apart_NN.amin(1).numpy(), rtol=1e-9)


def test_within_a_set_copies_are_neighbours_of_each_other_also_where_all_are_looked_through() -> None:
    x_ND = normal(1, D, 0).repeat(40, 1)  # float32 leaves the order of all others open
    distance_N, which_N = OwnPairStatistics(x_ND, 1).neighbours.kth(1)
    assert (distance_N == 0).all() and (which_N != torch.arange(40)).all()


def test_copy_ratio_in_closed_form() -> None:
    # g = 1: d = 1 to the training picture at 0, d' = 3 to the held-out one at 4; g = 0: a copy; g = 4: on the held-out picture
    found = measured(column(0, -50), column(4, 90), column(1, 0, 4))
    assert found["copy_ratio"] == pytest.approx((2 * 1 / 4 + 0 + 2) / 3)


def test_equally_near_is_1_also_at_distance_0() -> None:
    assert measured(column(0, 9), column(0, 5), column(0, 0))["copy_ratio"] == 1
    assert measured(column(0, 9), column(2, 5), column(1, 1))["copy_ratio"] == 1


@pytest.mark.parametrize(("g", "authentic"), [(2.0, 0), (2.001, 1), (1.999, 0), (1.0, 0), (-0.5, 0), (-1.5, 1)])
def test_authentic_is_what_is_farther_from_its_picture_than_that_from_the_next(g: float, authentic: int) -> None:
    # training pictures at 0, 1 and 5; the two nearest are 1 apart, and a distance of exactly 1 is not authentic
    assert measured(column(0, 1, 5), column(7, 8, 9), column(g, g))["authenticity"] == authentic


def test_authenticity_uses_the_radius_of_the_training_picture_and_not_of_the_sample() -> None:
    # r = 5 is 4 from its next; the sample at 8 is 3 from r: no authentic one, though no other training picture is near it
    assert measured(column(0, 1, 5), column(7, 8, 9), column(8, 8))["authenticity"] == 0


def test_equally_far_is_not_authentic_however_the_distances_are_rounded() -> None:
    # a hundred pairs r, r + v far apart from each other, and the samples r - v
    r_ND, v_ND = 50 * normal(100, D, 0), 0.1 * normal(100, D, 1)
    train = torch.cat([r_ND, r_ND + v_ND])
    assert measured(train, normal(100, D, 2), r_ND - v_ND)["authenticity"] == 0
    assert measured(train, normal(100, D, 2), r_ND - 1.00001 * v_ND)["authenticity"] == 1


def test_authenticity_is_unchanged_by_a_scale() -> None:
    train, held_out, made = normal(80, D, 0), normal(80, D, 1), normal(80, D, 2)
    expected = measured(train, held_out, made)
    for scale in (1e-6, 1e6):
        assert measured(scale * train, scale * held_out, scale * made) == pytest.approx(expected, rel=1e-9)


def test_the_nearest_other_picture_is_one_that_differs() -> None:
    train = torch.cat([column(0, 0, 0, 3), column(3 + 1e-5)])  # 0 three times, 3 twice but for rounding
    np.testing.assert_allclose(to_another(FeatureSet(train)).numpy(), 3, rtol=1e-5)
    assert to_another(FeatureSet(torch.full((4, 2), 2.0).double())).max() < 1e-4, "where all are equal it is what counts as equal"
    assert to_another(FeatureSet(column(7.0))).shape == (1,)
    x_ND = normal(2 * BLOCK + 5, D, 0)
    apart_NN = torch.cdist(x_ND, x_ND, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(math.inf)
    np.testing.assert_allclose(to_another(FeatureSet(x_ND)).numpy(), apart_NN.amin(1).numpy(), rtol=1e-9)


# --- planted copies


def with_copies(share: float, noise: float = 0.0, n: int = 400, of: Tensor | None = None) -> Tensor:
    """New pictures of the distribution, of which the first ones are training pictures; `noise`: in distances to their nearest neighbour."""
    made, of = normal(n, D, 2), normal(n, D, 0) if of is None else of
    p = round(share * n)
    direction_ND = torch.nn.functional.normalize(normal(p, D, 3), dim=1)
    made[:p] = of[:p] + noise * to_another(FeatureSet(of))[:p, None] * direction_ND
    return made


SHARES = [0, 0.05, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("noise", [0, 0.01])
def test_planted_copies_are_found_and_near_copies_by_all_but_copies(noise: float) -> None:
    train, held_out = normal(400, D, 0), normal(400, D, 1)
    found = [measured(train, held_out, with_copies(share, noise)) for share in SHARES]
    assert [one["copies"] for one in found] == ([0.0] * len(SHARES) if noise else SHARES)
    for share, one in zip(SHARES, found, strict=True):
        assert one["authenticity"] <= 1 - share
        assert one["copy_ratio"] == pytest.approx(1 - share, abs=0.06)
    assert falls([one["authenticity"] for one in found]) and falls([one["copy_ratio"] for one in found])
    assert found[-1]["authenticity"] == 0 and found[-1]["copy_ratio"] < 3 * noise + 1e-9


def test_copies_of_the_own_training_set_are_the_own_scores() -> None:
    train, held_out, learned = normal(400, D, 0), normal(400, D, 1), normal(400, D, 4)
    found = measured(train, held_out, with_copies(0.5, of=learned), learned)
    fresh = measured(train, held_out, with_copies(0.0), learned)
    assert (found["copies"], found["own_copies"]) == (0, 0.5)
    assert found["own_authenticity"] <= 0.5 and found["own_copy_ratio"] == pytest.approx(0.5, abs=0.06)
    assert found["authenticity"] > fresh["authenticity"] - 0.1 and found["copy_ratio"] == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("noise", [0, 0.01])
def test_a_training_set_drawn_with_replacement_hides_no_copy(noise: float) -> None:
    drawn = torch.randint(0, 400, (400,), generator=torch.Generator().manual_seed(5))
    learned = normal(400, D, 0)[drawn]
    assert len(learned.unique(dim=0)) < 300
    found = measured(normal(400, D, 6), normal(400, D, 1), with_copies(1, noise, of=learned), learned)
    assert found["own_copies"] == (0 if noise else 1)
    assert found["own_authenticity"] == 0 and found["own_copy_ratio"] < 3 * noise + 1e-9


def test_a_model_that_draws_its_training_set_again_copies_all() -> None:
    learned = normal(400, D, 0)
    again = learned[torch.randint(0, 400, (400,), generator=torch.Generator().manual_seed(5))]
    found = measured(normal(400, D, 6), normal(400, D, 1), again, learned)
    assert (found["own_copies"], found["own_authenticity"], found["own_copy_ratio"]) == (1, 0, 0)


def test_rounding_hides_no_copy() -> None:
    # what a network gives for one picture in two batches; the second training set holds each picture twice
    train, held_out = normal(200, D, 0), normal(400, D, 1)
    twice = torch.cat([train, train * (1 + 2e-6 * normal(200, D, 2))])
    again = twice * (1 + 2e-6 * normal(400, D, 3))
    found = measured(twice, held_out, again)
    assert found["authenticity"] == 0 and found["copy_ratio"] < 1e-4
    one = train[:1].expand(400, D)
    assert measured(one, held_out, one * (1 + 2e-6 * normal(400, D, 3)))["authenticity"] == 0


def test_far_samples_do_not_hide_copies() -> None:
    train, held_out, made = normal(400, D, 0), normal(400, D, 1), with_copies(0.5)
    made[200:] = 1e3 + made[200:]
    assert measured(train, held_out, made)["copy_ratio"] == pytest.approx(0.5, abs=0.01)


# --- real vs real


def chance_of_authentic(d: int) -> float:
    """1 - the chance that two nearest neighbours are each other's: the share of one ball in the union of the two balls around them."""
    return {1: 1 - 2 / 3, 2: 1 - math.pi / (4 * math.pi / 3 + math.sqrt(3) / 2)}[d]


@pytest.mark.parametrize("d", [1, 2])
def test_fresh_real_pictures_are_as_near_to_both_parts(d: int) -> None:
    seeds, n = 40, 200
    ones = [measured(normal(n, d, 3 * seed), normal(n, d, 3 * seed + 1), normal(n, d, 3 * seed + 2)) for seed in range(seeds)]
    for key, expected in (("copy_ratio", 1.0), ("authenticity", chance_of_authentic(d)), ("copies", 0.0)):
        values = np.array([one[key] for one in ones])
        error = values.std(ddof=1) / seeds**0.5
        assert abs(values.mean() - expected) <= 4 * error <= 0.05, (key, values.mean(), error)


def test_real_vs_real_through_the_reference_is_that_of_fresh_pictures() -> None:
    n, d = 400, 2
    pixels = normal(3 * n, d, 5).float().view(-1, 1, 1, d)
    world = World("normal", ImageSet.of(pixels[:n], torch.zeros(n)), ImageSet.of(pixels[n:], torch.zeros(2 * n)), ("all",))
    reference = Judge(extractors=(Pixels(),), metrics=("memorisation",)).resolved(world, n).open(world)
    real = reference(world.held_out, world.train).scores.sources["pixels"]
    for prefix in ("", "own_"):  # of pictures that nothing has learned from, all that is learned from stands for the own training set
        ratio, authentic, copies = (real[f"{prefix}{key}"].real for key in KEYS)
        assert ratio and ratio.low <= 1 <= ratio.high and ratio.high - ratio.low < 0.2
        assert authentic and authentic.low <= chance_of_authentic(d) <= authentic.high
        assert copies and (copies.low, copies.mean, copies.high) == (0, 0, 0)


@pytest.mark.parametrize("size", [20, 1000])
def test_a_smaller_or_larger_training_set_is_compared_with_as_many_held_out_pictures(size: int) -> None:
    ratios = []
    for seed in range(30):
        held_out = FeatureSet(normal(200, 2, 4 * seed))
        made = FeatureSet(normal(200, 2, 4 * seed + 1))
        ratios.append(memorised(Evidence(held_out, held_out, made, learned=FeatureSet(normal(size, 2, 4 * seed + 2))))["own_copy_ratio"])
    # unequal sets would make it 1.5, and 0.6
    assert np.mean(ratios) == pytest.approx(1, abs=4 * float(np.std(ratios)) / 30**0.5 + 0.01)


# --- names


def test_own_scores_are_there_where_the_own_training_set_is_known() -> None:
    train, held_out, made = FeatureSet(normal(30, D, 0)), FeatureSet(normal(30, D, 1)), FeatureSet(normal(30, D, 2))
    copies = torch.zeros(30, dtype=torch.bool)
    assert tuple(memorised(Evidence(train, held_out, made))) == KEYS[:2]
    assert tuple(memorised(Evidence(train, held_out, made, copies=copies))) == KEYS
    own = tuple(f"own_{key}" for key in KEYS)
    known = memorised(Evidence(train, held_out, made, learned=train, copies=copies, learned_copies=copies))
    assert tuple(known) == KEYS + own == tuple(MEMORY) and METRICS["memorisation"].trained


def sets() -> Iterator[Tensor]:
    yield normal(3, 4, 0).repeat(10, 1)
    yield normal(1, 4, 0).repeat(30, 1)
    yield torch.zeros(30, 4, dtype=torch.float64)
    yield normal(30, 4, 1) + 1e6


@pytest.mark.parametrize("train", list(sets()), ids=["duplicates", "one picture", "zeros", "far"])
@pytest.mark.parametrize("made", list(sets()), ids=["duplicates", "one picture", "zeros", "far"])
def test_all_values_are_finite_shares(train: Tensor, made: Tensor) -> None:
    found = measured(train, normal(30, 4, 0), made, train[:1])
    assert all(type(value) is float and 0 <= value <= 1 + key.endswith("ratio") for key, value in found.items()), found
    if torch.equal(train, made):
        assert found["authenticity"] == 0 and found["copies"] == 1


def test_distances_within_the_real_training_part_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(seen: FeatureSet) -> Tensor:
        calls.append(len(seen))
        return to_another(seen)

    monkeypatch.setattr(module, "to_another", counted)
    train, held_out = FeatureSet(normal(31, D, 0)), FeatureSet(normal(30, D, 1))
    for generation in range(3):
        memorised(Evidence(train, held_out, FeatureSet(normal(30, D, 2 + generation)), learned=FeatureSet(normal(29, D, 9))))
    assert sorted(calls) == [29] * 3 + [31]


# --- through the reference


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path) -> Iterator[None]:
    with devices.use(devices.Machine(device="cpu", precision="float32", data_dir=tmp_path)):
        yield


def noise(n: int, seed: int) -> ImageSet:
    """uint8 [n, 1, 4, 4]: no two are equal, all but surely."""
    pixels = torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return ImageSet.of(pixels, torch.arange(n) % 2)


def tiny() -> tuple[World, ImageSet]:
    return World("tiny", noise(150, 0), noise(120, 1), ("even", "odd")), noise(400, 2)


def points() -> tuple[World, ImageSet]:
    return datasets.load(Grid25(size=150), 0), datasets.load(Grid25(size=400), 1).train


@pytest.mark.parametrize("make", [tiny, points])
def test_the_reference_counts_copies_of_any_picture_of_the_whole_training_sets(make: Callable[[], tuple[World, ImageSet]]) -> None:
    world, new = make()
    n = 50
    learned = new[100:400]
    drawn = concatenate([world.train[145:150], world.train[:3], learned[297:300], learned[:1], new[:38], learned[4:9]])
    reference = Judge(extractors=(Pixels(),), metrics=("memorisation",), n=n).resolved(world, len(drawn)).open(world)
    entry = reference(drawn, learned).scores.sources["pixels"]
    assert tuple(entry) == tuple(MEMORY)
    assert entry["copies"].value == 8 / n, "five of them beyond the n that are compared"
    assert entry["own_copies"].value == 4 / n, "those beyond the n drawn are not looked at"
    assert entry["copies"].real == entry["own_copies"].real == RealVsReal(0, 0, 0)
    without = reference(drawn).scores.sources["pixels"]
    assert tuple(without) == KEYS
    assert {key: entry[key] for key in KEYS} == without


def test_a_generation_that_repeats_its_own_training_set_is_found_by_the_reference() -> None:
    world, new = tiny()
    learned = new[:70]
    drawn = learned[torch.randint(0, 70, (60,), generator=torch.Generator().manual_seed(0))]
    reference = Judge(extractors=(Pixels(),), metrics=("memorisation",)).resolved(world, 60).open(world)
    found = {name: one.value for name, one in reference(drawn, learned).scores.sources["pixels"].items()}
    assert (found["copies"], found["own_copies"]) == (0, 1)
    assert found["own_copy_ratio"] < 0.25, "60 of 70 are compared"
    assert found["own_authenticity"] < 0.2 and found["copy_ratio"] == pytest.approx(1, abs=0.1)


# --- the numbers by which pictures are known


def test_equal_pictures_have_equal_fingerprints_and_others_others() -> None:
    pixels = noise(500, 0).pixels
    found = fingerprints(pixels)
    assert found.dtype == torch.int64 and len(found.unique()) == 500
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(fingerprints(pixels[order]), found[order])
    one_more = pixels[:1].repeat(16, 1, 1, 1)
    one_more.view(16, 16)[torch.arange(16), torch.arange(16)] += 1  # one value of each, another one each time
    swapped = pixels[:1].flip(3)
    assert len(torch.cat([found[:1], fingerprints(one_more), fingerprints(swapped)]).unique()) == 18


def test_fingerprints_of_points_know_the_last_bit() -> None:
    at = datasets.load(Grid25(size=300), 0).train.pixels
    beside = torch.nextafter(at, torch.tensor(9.0))
    assert len(torch.cat([fingerprints(at), fingerprints(beside)]).unique()) == 600
    assert torch.equal(fingerprints(at.clone()), fingerprints(at))


@pytest.mark.parametrize("batch", [1, 7, 250])
def test_fingerprints_do_not_depend_on_the_batch(batch: int) -> None:
    for pixels in (noise(500, 0).pixels, datasets.load(Grid25(size=500), 0).train.pixels):
        assert torch.equal(torch.cat([fingerprints(part) for part in pixels.split(batch)]), fingerprints(pixels))
    assert fingerprints(noise(3, 0).pixels[:0]).shape == (0,)


def test_fingerprints_of_large_pictures_in_more_than_one_block() -> None:
    side = 512  # 16 pictures are a block
    pixels = torch.randint(0, 256, (20, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels[19] = pixels[0]
    pixels[18] = pixels[1]
    pixels[18, 0, -1, -1] += 1
    found = fingerprints(pixels)
    assert found[19] == found[0] and found[18] != found[1] and len(found.unique()) == 19


def test_fingerprints_draw_from_no_global_generator() -> None:
    before = torch.random.get_rng_state()
    fingerprints(noise(3, 0).pixels)
    assert torch.equal(torch.random.get_rng_state(), before)
