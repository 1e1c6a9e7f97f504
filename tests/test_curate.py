"""People who choose: by what, how often wrongly, one of several; and a detector without a mark."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import theory
import torch
from scipy.stats import norm

from imgcollapse import datasets, store
from imgcollapse.datasets.digits import Digits
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.extractors.classifier import Classifier
from imgcollapse.gates import Curate, Detect
from imgcollapse.gates.raters import RATERS, network_of
from imgcollapse.images import REAL, ImageSet
from imgcollapse.models.nulls import Gaussian
from imgcollapse.regimes import Real
from imgcollapse.seeds import derive
from imgcollapse.settings import build
from imgcollapse.store.records import read_json
from imgcollapse.study import Study, run


@pytest.fixture(scope="module")
def digits() -> Real:
    train = datasets.load(Digits(), 0).train
    return Real(train[:600], train[600:])


@pytest.fixture(scope="module")
def half_noise(digits: Real) -> ImageSet:
    """400 new real digits, as if they were samples, the second half of them with strong noise."""
    clean = digits.unseen[:400]
    noise = 90 * torch.randn(200, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    noisy = (clean.pixels[200:] + noise).round().clamp(0, 255).to(torch.uint8)
    return ImageSet.of(torch.cat([clean.pixels[:200], noisy]), clean.labels, born=0)


@pytest.mark.parametrize(
    "name", [*(pytest.param(one, marks=pytest.mark.slow) for one in ("confidence", "discriminator")), "density", "typicality"]
)
def test_raters_like_real_digits_better_than_noisy_ones(name: str, digits: Real, half_noise: ImageSet) -> None:
    rating = RATERS[name].rate(half_noise, digits, 3)
    assert rating.shape == (400,) and rating.dtype == torch.float64 and torch.equal(rating, RATERS[name].rate(half_noise, digits, 3))
    clean, noisy = rating[:200], rating[200:]
    above = float((clean[:, None] > noisy[None]).double().mean())
    assert above > {"confidence": 0.75}.get(name, 0.9), above
    kept = Curate(by=name).admit(half_noise, digits, [], 3)  # type: ignore[arg-type]
    assert int(kept.sum()) == 200 and float(kept[:200].double().mean()) > 0.6


@pytest.mark.slow  # trains networks
def test_the_rater_is_never_the_judges_own_classifier(digits: Real) -> None:
    rater = network_of(digits.seen, 10, "confidence")
    judge = Classifier(steps=300).train(digits.seen, 10)
    assert all(not torch.equal(a, b) for a, b in zip(rater.parameters(), judge.parameters(), strict=True) if a.ndim > 1)


@pytest.mark.slow  # trains networks
def test_a_discriminator_rates_no_sample_by_what_has_learned_from_it(digits: Real) -> None:
    """Of new real pictures it cannot know that they are the samples: one that had seen them would."""
    rating = RATERS["discriminator"].rate(ImageSet.of(digits.unseen.pixels[:500], born=0), digits, 0)
    assert 0.3 < float((rating > 0).double().mean()) < 0.7


def points(n: int, dim: int = 1, seed: int = 0) -> ImageSet:
    return ImageSet.of(torch.randn(n, 1, 1, dim, generator=torch.Generator().manual_seed(seed)), born=0)


NOBODY = Real(points(1), points(0))


@pytest.mark.parametrize(("keep", "error"), [(0.5, 0.0), (0.5, 0.2), (0.1, 0.5), (0.8, 1.0), (1.0, 0.5)])
def test_the_best_are_kept_but_for_errors(keep: float, error: float) -> None:
    offered = points(1000)
    mask = Curate(by="brightness", keep=keep, error=error).admit(offered, NOBODY, [], 7)
    best = offered.pixels.flatten().argsort(descending=True)[: round(1000 * keep)]
    kept = round(1000 * keep)
    assert int(mask.sum()) == kept
    assert int(mask[best].sum()) == kept - min(round(error * kept), 1000 - kept)


def test_one_of_two_is_chosen_by_the_odds_of_bradley_and_terry() -> None:
    values = torch.tensor([0.0, 1.0]).repeat(20_000).view(-1, 1, 1, 1)
    offered = ImageSet.of(values, born=0)
    gate = Curate(by="brightness", choice_of=2)
    chosen = offered.pixels.flatten()[gate.admit(offered, NOBODY, [], 1)]
    assert len(chosen) == gate.candidates(20_000) // 2 == 20_000
    odds = 1 / (1 + math.exp(-1 / float(values.std())))  # two equals, or one better than the other
    expected = 0.25 + 0.5 * odds
    assert abs(float(chosen.mean()) - expected) < 4.5 * 0.5 / math.sqrt(20_000)


def test_the_class_that_is_liked_grows_by_the_odds_generation_by_generation() -> None:
    """Shares p of a class with reward 1 and 1 - p with 0 under a K-choice: p' is a mean over the binomial number j of it among K of
    j e^r / (j e^r + K - j) (Ferbach et al. 2024, lemma 2.2, for finite K)."""
    from scipy.stats import binom

    k, share, n = 4, 0.2, 40_000
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        offered = ImageSet.of((torch.rand(n * k, generator=generator) < share).float().view(-1, 1, 1, 1), born=0)
        scale = float(offered.pixels.std())
        liked = np.arange(k + 1) * math.exp(1 / scale)
        expected = float(binom.pmf(np.arange(k + 1), k, float(offered.pixels.mean())) @ (liked / (liked + k - np.arange(k + 1))))
        chosen = offered[Curate(by="brightness", choice_of=k).admit(offered, NOBODY, [], seed)]
        assert abs(float(chosen.pixels.mean()) - expected) < 5 * 0.5 / math.sqrt(n)
        share = expected


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_keeping_the_top_of_a_gaussian_moves_its_mean_and_cuts_its_variance_as_theory_says(keep: float) -> None:
    """By a directional reward, the top share q of N(m, v): the mean grows by sd φ(c)/q, the variance times 1 + c φ(c)/q - (φ(c)/q)^2,
    c = Φ^-1(1 - q) (Johnson, Kotz & Balakrishnan 1994, sec. 13.10.1): each generation again, for N is nearly infinite."""
    n, mean, var = 100_000, 0.0, 1.0
    gate, learned = Curate(by="brightness", keep=keep), points(100_000, seed=5)
    mean, var = float(learned.pixels.mean()), float(learned.pixels.var())
    c = norm.isf(keep)
    ratio = norm.pdf(c) / keep
    for generation in range(3):
        drawn = Gaussian().fit(learned, 0).sample(gate.candidates(n), derive(1, generation)).born_in(generation)
        learned = drawn[gate.admit(drawn, NOBODY, [], generation)]
        mean, var = mean + math.sqrt(var) * ratio, var * (1 + c * ratio - ratio**2)
        assert float(learned.pixels.mean()) == pytest.approx(mean, abs=0.02 * (generation + 1))
        assert float(learned.pixels.var()) == pytest.approx(var, rel=0.02 * (generation + 1))
    assert theory.gaussian_variance(n, 3) > 0.999, "what finite samples alone would do is nothing here"


def test_several_raters_choose_each_from_a_part_of_their_own() -> None:
    offered = points(1001, dim=3)
    mask = Curate(raters=("brightness", "random"), keep=0.4).admit(offered, NOBODY, [], 2)
    assert int(mask.sum()) == 400
    kept = offered.pixels[mask].flatten(1).mean(1)
    alone = offered.pixels[Curate(by="brightness", keep=0.4).admit(offered, NOBODY, [], 2)].flatten(1).mean(1)
    assert 0.3 * float(alone.mean()) < float(kept.mean()) < 0.7 * float(alone.mean()), "half of them are chosen by chance"


def test_chance_chooses_as_it_always_has() -> None:
    """The choices of older runs: the first of a permutation."""
    offered = points(50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(9))
    assert set(Curate().admit(offered, NOBODY, [], 9).nonzero()[:, 0].tolist()) == set(order[:25].tolist())


def gate(**options: Any) -> Any:
    return build(Study, {"gates": [{"kind": "curate", **options}]}).gates[0]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for options, wrong in (
        ({"by": "density", "raters": ["random"]}, "raters stands in place of by"),
        ({"choice_of": 2, "error": 0.1}, "give one of them"),
        ({"choice_of": 1}, "choice_of"),
        ({"by": "taste"}, "by"),
    ):
        with pytest.raises(SettingsProblem, match=wrong):
            gate(**options)
    toy = {"dataset": "grid25", "model": "gmm", "gens": 2, "judge": {"extractors": [], "metrics": []}}
    for kind in ({"kind": "curate", "by": "confidence"}, {"kind": "curate", "raters": ["random", "density"]}, {"kind": "detect"}):
        with pytest.raises(DataProblem, match=r"gates: .*points"):
            run(build(Study, {**toy, "gates": [kind]}), tmp_path / "out")
    titles = [gate(keep=0.3).title(), gate(by="density", error=0.1).title(), gate(choice_of=4, raters=["random", "density"]).title()]
    assert titles == ["curate 30 % (random)", "curate 50 % (density, 10 % wrong)", "curate 1 of 4 (random and density)"]


@pytest.mark.slow  # trains networks
def test_a_detector_keeps_to_its_false_positive_rate_and_finds_what_it_has_learned(digits: Real, half_noise: ImageSet) -> None:
    first, gate = half_noise[200:], Detect(false_positives=0.1)
    assert bool(gate.admit(first, digits, [], 0).all()), "there was no detector before them"
    later = ImageSet(half_noise.pixels[200:].flip(0), half_noise.labels[200:], torch.ones(200, dtype=torch.int64))
    assert float(gate.admit(later, digits, [first], 0).double().mean()) < 0.2
    unseen = ImageSet.of(digits.unseen.pixels[400:], digits.unseen.labels[400:])
    assert int(unseen.born[0]) == REAL
    assert 0.8 < float(gate.admit(unseen, digits, [first, later], 0).double().mean()) < 0.97


DIGITS: dict[str, Any] = {
    "dataset": "digits",
    "model": {"kind": "gmm", "components": 10},
    "samples": 300,
    "gens": 3,
    "judge": {"extractors": ["pixels"], "metrics": ["frechet_distance"]},
}


def test_gates_chain_and_their_order_is_part_of_the_study(tmp_path: Path) -> None:
    both = [{"kind": "watermark", "adoption": 0.5}, {"kind": "curate", "by": "density"}]
    for name, gates in (("one", both), ("other", both[::-1])):
        run(build(Study, {**DIGITS, "gates": gates}), tmp_path / name)
        record = read_json(store.generation_folder(tmp_path / name, 1) / store.PROVENANCE)
        assert record["gates"]["offered"]["generation 0"]["pictures"] == 1200 and record["size"] <= 300
    first, second = ((tmp_path / name / "gen_001/samples.npz").read_bytes() for name in ("one", "other"))
    assert first != second


@pytest.mark.slow  # trains networks
def test_a_detector_in_the_loop_lets_all_of_generation_0_in_and_fewer_later(tmp_path: Path) -> None:
    run(build(Study, {**DIGITS, "regime": "accumulate", "gates": ["detect"]}), tmp_path / "run")
    record = read_json(tmp_path / "run/gen_002/provenance.json")["gates"]
    counts = {side: {name: part["pictures"] for name, part in record[side].items()} for side in ("offered", "let_in")}
    assert counts["offered"] == Counter({"real": 300, "generation 0": 600, "generation 1": 600})
    assert counts["let_in"]["generation 0"] == 600 and counts["let_in"].get("generation 1", 0) < 500
    assert 270 <= counts["let_in"]["real"] <= 300
