"""Pools of real pictures that are class-skewed or degraded: who is in them, what has become of them, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from imgcollapse import store
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import REAL, ImageSet, concatenate
from imgcollapse.images.degraded import blur, tail
from imgcollapse.regimes import Have, Real, Retain, made_of
from imgcollapse.regimes.pool_bias import PoolBias, biased
from imgcollapse.settings import build, to_yaml
from imgcollapse.study import Study, prepare, run

N, CLASSES = 100, 5


def real_pictures(n: int = N, first: int = 0) -> ImageSet:
    """Pictures that are all different, n / 5 of each class, mixed."""
    pixels = torch.randint(256, (400, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageSet.of(pixels[first : first + n], torch.arange(first, first + n) * 7 % CLASSES)


REAL_ONES = Real(real_pictures(), real_pictures(300, N))
SAMPLES = [ImageSet.of(torch.full((N, 1, 8, 8), 9, dtype=torch.uint8), born=g) for g in range(4)]


def retain(bias: dict[str, Any], **more: Any) -> Retain:
    return build(Retain, {"real_fraction": 0.1, "pool_bias": bias, **more})


def mixed_in(regime: Retain, generation: int, seed: int) -> ImageSet:
    made = regime(REAL_ONES, SAMPLES[:generation], N, seed)
    assert len(made) == N
    return made[made.born == REAL]


@pytest.mark.parametrize("bias", [{"classes": (1, 3)}, {"imbalance": 4.0}, {"blur": 1.0}, {"noise": 8.0}, {"classes": (0,), "noise": 8.0}])
@pytest.mark.parametrize("pool", ["fixed", "resample", "fresh"])
def test_generation_0_learns_from_all_and_later_ones_from_the_pool_alone(pool: str, bias: dict[str, Any]) -> None:
    regime = retain(bias, pool=pool)
    source = REAL_ONES.unseen if pool == "fresh" else REAL_ONES.seen
    in_pool = biased(source, regime.pool_bias)
    there = {row.numpy().tobytes(): number for number, row in enumerate(in_pool.pixels)}
    assert regime(REAL_ONES, [], N, 0) is REAL_ONES.seen
    found = [[there[row.numpy().tobytes()] for row in mixed_in(regime, g, g).pixels] for g in (1, 2, 3)]
    assert all(len(set(one)) == 10 for one in found), "no picture twice, and each is degraded in one way for ever"
    expected = {"fixed": [list(range(10))] * 3, "fresh": [list(range(10 * g, 10 * g + 10)) for g in range(3)]}
    assert found == expected[pool] if pool in expected else len(set(map(tuple, found))) == 3


def test_who_is_in_the_pool_and_what_has_become_of_them() -> None:
    of = {name: biased(REAL_ONES.seen, PoolBias(**{name: value})) for name, value in {"classes": (1, 3), "imbalance": 16.0}.items()}
    assert Counter(of["classes"].labels.tolist()) == {1: 20, 3: 20}
    assert Counter(of["imbalance"].labels.tolist()) == dict(enumerate([20, 10, 5, 2, 1])), "n_c = 20 x 16^(-c/4), as of a data set"
    for pool in of.values():
        rows = [REAL_ONES.seen.pixels.flatten(1).tolist().index(row) for row in pool.pixels.flatten(1).tolist()]
        assert rows == sorted(rows) and torch.equal(pool.labels, REAL_ONES.seen.labels[torch.tensor(rows)])
    blurred = biased(REAL_ONES.seen, PoolBias(blur=1.0))
    assert torch.equal(blurred.pixels, blur(REAL_ONES.seen.pixels, 1.0, 0)) and set(blurred.born.tolist()) == {REAL}
    grey = ImageSet.of(torch.full((400, 1, 8, 8), 128, dtype=torch.uint8), torch.zeros(400))
    noisy = biased(grey, PoolBias(noise=10.0)).pixels.double() - 128
    assert abs(noisy.std().item() - 10) < 0.2 and abs(noisy.mean().item()) < 0.3
    assert len(noisy.flatten(1).unique(dim=0)) == 400, "each has noise of its own"
    points = ImageSet.of(torch.zeros(5000, 1, 1, 2))
    assert biased(points, PoolBias(noise=3.0)).pixels.var(0).sqrt().sub(3).abs().max() < 0.15


def test_a_picture_is_degraded_in_the_same_way_however_many_there_are_behind_it() -> None:
    """A toy world has as many as a chain is long."""
    some, more = real_pictures(300), concatenate([real_pictures(300), real_pictures(77, 300)])
    assert torch.equal(biased(some, PoolBias(noise=5.0)).pixels, biased(more, PoolBias(noise=5.0)).pixels[:300])


def test_the_tail_is_the_one_of_a_data_set() -> None:
    assert tail([100, 100, 100], 100) == [100, 10, 1] and tail([10, 0, 100], 4) == [10, 0, 2] and tail([7], 50) == [7]


@pytest.mark.parametrize(
    ("bias", "more", "said"),
    [
        (
            {"classes": (1, 3)},
            {},
            "40 real pictures are wanted in every training set, toy has 30 of them in the pool (classes 1, 3 only), ",
        ),
        (
            {"classes": (1,)},
            {"pool": "fresh", "real_fraction": 0.2},
            "20 real pictures are wanted by the 2 generations after 0, toy has 15",
        ),
        (
            {"imbalance": 200.0},
            {},
            "40 real pictures are wanted in every training set, toy has 22 of them in the pool (long tail 200 to 1)",
        ),
        ({"classes": (5,)}, {}, ".classes: there is no class 5; there are: 0 to 4"),
    ],
)
def test_a_pool_of_too_few_is_refused_before_the_start(bias: dict[str, Any], more: dict[str, Any], said: str) -> None:
    n = 50 if "pool" in more else 75
    wanted = retain(bias, **{"real_fraction": 40 / 75, **more})
    with pytest.raises(SettingsProblem) as caught:
        wanted.plan(n, 3, Have(125, "toy", train=real_pictures(125)))
    assert str(caught.value).startswith(("regime.pool_bias: " if said[0].isdigit() else "regime.pool_bias") + said)
    plan = retain({"classes": (1, 3)}, pool="fresh").plan(50, 3, Have(125, "toy", train=real_pictures(125)))
    assert plan == (50, 75), "all that generation 0 does not see"
    enough = retain({"classes": (1, 3)}, real_fraction=30 / 75).plan(75, 3, Have(125, "toy", train=real_pictures(125)))
    assert enough == (75, 0), "as many as there are are enough"


@pytest.mark.parametrize(
    ("dataset", "bias", "said"),
    [
        ("digits", {}, "regime.pool_bias: says nothing; give imbalance, classes, blur or noise, or leave pool_bias out"),
        ("digits", {"classes": (2, 1, 2)}, "regime.pool_bias: classes names class 2 twice; name it once"),
        (
            "digits",
            {"imbalance": 2.0, "classes": (1,)},
            "regime.pool_bias: imbalance and classes both say how many of each class there are",
        ),
        ("digits", {"classes": (12,)}, "regime.pool_bias.classes: there is no class 12; there are: 0 to 9"),
        ("gaussian", {"blur": 1.0}, "regime.pool_bias.blur: points cannot be blurred; give noise"),
        ("gaussian", {"imbalance": 2.0}, "regime.pool_bias.imbalance: there is one class, which can have no long tail; give noise or blur"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(dataset: str, bias: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        prepare(build(Study, {"dataset": dataset, "model": "bootstrap", "regime": {"kind": "retain", "pool_bias": bias}}))
    assert str(caught.value).startswith(said)


def test_provenance_says_who_was_mixed_in_and_what_had_become_of_them(tmp_path: Path) -> None:
    bias = {"classes": (0, 1), "blur": 1.5}
    values = {"model": "bootstrap", "samples": 200, "gens": 3, "judge": {"extractors": []}}
    run(build(Study, {**values, "regime": {"kind": "retain", "pool_bias": bias}}), tmp_path / "run")
    first, *others = (store.read_json(store.generation_folder(tmp_path / "run", g) / store.PROVENANCE) for g in range(3))
    assert "pool_bias" not in first and set(first["made_of"]["real"]["classes"]) == set("0123456789")
    for record in others:
        assert record["pool_bias"] == {"classes": [0, 1], "blur": 1.5, "words": "classes 0, 1 only, blur 1.5"}
        assert record["made_of"]["real"]["pictures"] == 20 and set(record["made_of"]["real"]["classes"]) <= {"0", "1"}
        assert made_of(record).startswith("learned from 10 % real (classes 0, 1 only, blur 1.5), 90 % generation ")
    plain = build(Study, {**values, "regime": "retain"})
    assert "pool_bias" not in to_yaml(plain) and "stream" not in json.dumps(plain.model_dump(mode="json")), "studies keep their names"
