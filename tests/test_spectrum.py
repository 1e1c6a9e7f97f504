"""Power by wavelength: Parseval, white noise, gratings, blur and noise against what is known of them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
from features import normal
from standins import pictures
from torch import Tensor
from torch.nn import functional

from imgcollapse.ablation.summary import Run
from imgcollapse.errors import DataProblem
from imgcollapse.extractors.spectrum import ROUNDING, WAVES, FittedSpectrum, Spectrum, band_power
from imgcollapse.images import ImageSet, World
from imgcollapse.interface.judging import judged_by
from imgcollapse.judges.judge import Judge
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.spectrum import power_spectrum
from imgcollapse.settings import build
from imgcollapse.store.judged import judge_name
from imgcollapse.study import Study

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 40), (1, 1, 40), (2, 2, 2)]
Coefficients = dict[int, list[tuple[int, int]]]


def by_hand(height: int, width: int) -> Coefficients:
    """The coefficients of each band that is there, by the length of their waves in pixels."""
    found: Coefficients = {}
    for u in range(height):
        for v in range(width):
            if u or v:
                length = 1 / math.sqrt((u / (2 * height)) ** 2 + (v / (2 * width)) ** 2)
                found.setdefault(next((wave for wave in WAVES if length >= wave * (1 - 1e-12)), WAVES[-1]), []).append((u, v))
    return {wave: found[wave] for wave in WAVES if wave in found}


def noise(n: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    return normal(n, math.prod(shape), seed).reshape(n, *shape)


# --- the transform


@pytest.mark.parametrize("shape", SHAPES)
def test_power_is_the_mean_square_of_the_cosine_transforms_coefficients_band_by_band(shape: tuple[int, int, int]) -> None:
    x, bands = noise(7, shape) + 3, by_hand(*shape[1:])
    assert FittedSpectrum(shape[1:]).bands == tuple(bands)
    coefficients = scipy.fft.dctn(x.numpy(), type=2, norm="ortho", axes=(2, 3))
    expected = [np.mean([coefficients[:, :, u, v] ** 2 for u, v in places], axis=(0, 2)) for places in bands.values()]
    np.testing.assert_allclose(band_power(x).numpy(), np.stack(expected, 1), rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_bands_hold_all_of_the_variance_and_nothing_of_the_mean(shape: tuple[int, int, int]) -> None:
    x, counts = noise(7, shape) * 3, torch.tensor([len(places) for places in by_hand(*shape[1:]).values()], dtype=torch.float64)
    variance = x.flatten(2).var(2, correction=0).mean(1)
    torch.testing.assert_close(band_power(x) @ counts, shape[1] * shape[2] * variance, rtol=1e-10, atol=0)
    torch.testing.assert_close(band_power(x + 100), band_power(x), rtol=1e-7, atol=0)


def test_white_noise_has_its_variance_as_power_in_every_band() -> None:
    n, variance = 400, 9.0
    found = band_power(noise(n, (3, 32, 32)) * math.sqrt(variance)).mean(0)
    counts = torch.tensor([len(places) for places in by_hand(32, 32).values()])
    error = variance * (2 / (3 * n * counts)).sqrt()  # of the mean of so many squares of normal numbers
    assert ((found - variance).abs() < 5 * error).all() and found.shape == (5,)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (28, 28), (17, 40)])
def test_a_grating_has_all_of_its_power_in_its_band(height: int, width: int) -> None:
    bands = by_hand(height, width)
    for place, (wave, coefficients) in enumerate(bands.items()):
        for u, v in (coefficients[0], coefficients[-1]):
            rows, columns = (math.pi / n * k * (torch.arange(n, dtype=torch.float64) + 0.5) for n, k in ((height, u), (width, v)))
            grating = torch.cos(rows)[:, None] * torch.cos(columns)
            power = height * width * (0.5 if u else 1) * (0.5 if v else 1) / len(coefficients)  # sum of squares, over the coefficients
            expected = torch.zeros(1, len(bands), dtype=torch.float64)
            expected[0, place] = power
            torch.testing.assert_close(band_power(grating[None, None]), expected, rtol=1e-10, atol=1e-20 + 1e-12 * power), wave


# --- the extractor


def test_features_are_logarithms_of_power_and_pictures_without_any_have_that_of_rounding() -> None:
    fitted, pixels = FittedSpectrum((9, 12)), pictures(1100, 3, 9, 12)  # more than a block
    expected = (band_power(pixels.double() / 255) + ROUNDING).log()
    np.testing.assert_allclose(fitted.features(pixels).numpy(), expected.numpy(), rtol=1e-5)
    flat = fitted.features(torch.full((2, 1, 9, 12), 77, dtype=torch.uint8))
    np.testing.assert_allclose(flat.numpy(), math.log(1 / (12 * 255**2)), rtol=1e-6)


def test_the_record_says_which_bands_and_follows_the_size_alone() -> None:
    a, b = (Spectrum().fit(world_of(pictures(8, 1, 8, side))) for side in (8, 12))
    assert a.record()["bands"] == [16, 8, 4, 3, 2] and a.record()["dim"] == 5
    assert a.record()["digest"] != b.record()["digest"] and a.record() == Spectrum().fit(world_of(pictures(9, 3, 8, 8))).record()
    assert FittedSpectrum((4, 4)).bands == (8, 4, 3, 2) and FittedSpectrum((2, 2)).bands == (4, 2)


def test_a_single_pixel_has_no_spectrum() -> None:
    with pytest.raises(DataProblem, match=r"^tiny: the extractor 'spectrum' needs pictures of more than one pixel; use 'pixels'$"):
        Spectrum().fit(world_of(pictures(8, 1, 1, 1)))


def world_of(pixels: Tensor, held_out: Tensor | None = None) -> World:
    held_out = pixels if held_out is None else held_out
    sets = [ImageSet.of(one, torch.arange(len(one)) % 2) for one in (pixels, held_out)]
    return World("tiny", sets[0], sets[1], ("a", "b"))


# --- the metric


def measured(real: Tensor, made: Tensor, **more: Any) -> dict[str, float]:
    sets = [FeatureSet(one) for one in (real, made)]
    return power_spectrum(Evidence(sets[0], sets[0], sets[1], **more))


def test_decibels_of_mean_power_and_their_root_mean_square() -> None:
    real, made = torch.tensor([[1.0, 4.0], [3.0, 4.0]]).double(), torch.tensor([[10.0, 1.0], [30.0, 3.0]]).double()
    found = measured(real.log(), made.log(), bands=(4, 2))
    assert found == pytest.approx(
        {"power_4": 10.0, "power_2": -10 * math.log10(2), "spectral_distance": math.sqrt((100 + 9.0619) / 2)}, 1e-5
    )
    assert measured(made.log(), made.log(), bands=(4, 2)) == {"power_4": 0, "power_2": 0, "spectral_distance": 0}


def test_it_is_empty_where_features_are_no_powers() -> None:
    assert measured(normal(9, 5, 0), normal(9, 5, 1)) == {}


def grey(x: Tensor) -> Tensor:
    """Noise as pictures: around 128, far from 0 and 255."""
    return (128 + 25 * x).round().clamp(0, 255).to(torch.uint8)


def dB(fitted: FittedSpectrum, real: Tensor, made: Tensor) -> dict[str, float]:
    return measured(fitted.features(real).double(), fitted.features(made).double(), bands=fitted.bands)


def test_blur_takes_from_each_band_what_its_transfer_function_says_short_waves_first() -> None:
    n, side = 300, 28
    x = noise(n, (1, side, side))
    tent = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")  # mirrored at the border: the cosines stay what they are
    blurred = functional.conv2d(padded, (tent[:, None] * tent)[None, None])
    fitted, found = FittedSpectrum((side, side)), {}
    for wave, places in by_hand(side, side).items():
        passed = [((1 + math.cos(math.pi * u / side)) * (1 + math.cos(math.pi * v / side)) / 4) ** 2 for u, v in places]
        error = 4.343 * math.sqrt(2 / n) * (math.sqrt(math.fsum(one**2 for one in passed)) / math.fsum(passed) + 1 / math.sqrt(len(places)))
        left = (math.fsum(passed) / len(passed) * 625 + 1 / 12) / (625 + 1 / 12)  # and rounding to grey levels on both sides
        found[f"power_{wave}"] = pytest.approx(10 * math.log10(left), abs=5 * error)
    values = dB(fitted, grey(x), grey(blurred))
    assert {name: values[name] for name in found} == found
    bands = [values[f"power_{wave}"] for wave in WAVES]
    assert bands == sorted(bands, reverse=True) and bands[0] > -0.7 and bands[-1] < -6


def test_noise_adds_to_every_band_alike_and_so_most_where_there_is_least() -> None:
    smooth = functional.avg_pool2d(noise(300, (1, 35, 35)), 8, 1) * 8  # 28 x 28, hardly any short waves
    added = noise(300, (1, 28, 28), 1) * 0.4
    fitted = FittedSpectrum((28, 28))
    values = dB(fitted, grey(smooth), grey(smooth + added))
    real = fitted.features(grey(smooth)).double().exp().mean(0)
    expected = [10 * math.log10(1 + (0.4 * 25 / 255) ** 2 / float(power)) for power in real]
    bands = [values[f"power_{wave}"] for wave in WAVES]
    assert bands == pytest.approx(expected, abs=0.15) and bands == sorted(bands) and bands[0] < 0.1 and bands[-1] > 5


# --- the judge


def test_it_is_measured_where_the_extractor_judges_and_no_other_judge_changes() -> None:
    draws = [grey(noise(120, (1, 8, 8), seed)) for seed in range(4)]
    world, made = world_of(draws[0], torch.cat(draws[1:3])), ImageSet.of(draws[3])
    default = Judge(extractors=("pixels", "random")).resolved(world, 100)
    assert default.metrics is not None and "power_spectrum" not in default.metrics
    chosen = Judge(extractors=("pixels", "spectrum")).resolved(world, 100)
    assert chosen.metrics is not None and [*chosen.metrics] == [*default.metrics, "power_spectrum"]
    scores = chosen.open(world, 100)(made).scores.sources
    assert not any(name.startswith("power_") or name == "spectral_distance" for name in scores["pixels"])
    for wave, places in by_hand(8, 8).items():
        one, error = scores["spectrum"][f"power_{wave}"], 4.343 * math.sqrt(4 / (100 * len(places)))  # of two means of so many squares
        assert one.real is not None and one.real.low <= one.real.mean <= one.real.high
        assert [one.value, one.real.low, one.real.high] == pytest.approx([0, 0, 0], abs=5 * error), "these are other real pictures"
    blurred = ImageSet.of(
        functional.avg_pool2d(functional.pad(draws[3].float(), (1, 1, 1, 1), mode="replicate"), 3, 1).round().to(torch.uint8)
    )
    seen = chosen.open(world, 100)(blurred).scores.sources["spectrum"]["power_2"]
    assert seen.real is not None and seen.value < seen.real.low - 3
    assert Judge(extractors=("spectrum",), metrics=("frechet_distance",)).resolved(world, 100).metrics == ("frechet_distance",)


def test_the_judge_of_a_study_that_names_none_is_called_what_it_was() -> None:
    world = world_of(pictures(60), pictures(60, place="held out"))
    assert judge_name(Judge().resolved(world, 30).model_dump(mode="json")) == "classifier-random-1fba69"


def test_a_finished_run_that_is_judged_by_it_again_has_its_metric_too() -> None:
    judge = {"extractors": ["pixels"], "metrics": ["neighbourhood"]}
    run = Run("a", None, 0, build(Study, {"judge": judge}), Path("nowhere"))
    assert judged_by(run, {"extractors": ["spectrum"]}).metrics == ("neighbourhood", "power_spectrum")
    assert judged_by(run, {"extractors": ["random"]}).metrics == ("neighbourhood",), "others are called what they were"
    assert judged_by(run, {"extractors": ["spectrum"], "metrics": ["neighbourhood"]}).metrics == ("neighbourhood",), "as chosen"
