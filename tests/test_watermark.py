"""Watermarks: what a mark costs and how often it is found against closed forms on white noise, what attacks do to it, and the loop."""

import math
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from scipy.stats import kstest, nct, norm
from scipy.stats import t as student
from standins import Ear
from terminal import call
from torch import Tensor

from imgcollapse import progress, store
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.gates import Watermark
from imgcollapse.gates.attacks import ATTACKS
from imgcollapse.gates.gate import kth_greatest
from imgcollapse.gates.mark import Detector, marked, pattern, psnr
from imgcollapse.images import ImageSet
from imgcollapse.regimes import Real
from imgcollapse.settings import build
from imgcollapse.store import history, manifest
from imgcollapse.store.records import read_json
from imgcollapse.study import Study, run

SHAPE, SPREAD = (1, 8, 8), 40.0


def grey_noise(n: int, seed: int, shape: tuple[int, int, int] = SHAPE, spread: float = SPREAD) -> Tensor:
    """White Gaussian noise about middle grey, far from black and white: pictures without content."""
    values = 128 + spread * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))
    return values.round().clamp(0, 255).to(torch.uint8)


def real_ones(n: int = 20_000, seed: int = 0) -> ImageSet:
    return ImageSet.of(grey_noise(n, seed))


def power(decibels: float, dim: int, false_positives: float, spread: float = SPREAD) -> float:
    """How often a mark with that signal-to-noise ratio is found in white noise.

    The correlation c follows Student's distribution of D - 1 degrees of freedom, as c sqrt(D - 1) / sqrt(D - c^2), without a mark, and the
    noncentral one with the mark's length over the noise's standard deviation, sqrt(D) a / s, where a^2 = 255^2 10^(-psnr / 10) is the mean
    square that marking may change a pixel by. Rounding takes 1/12 of that, and adds 1/12 to s^2.
    """
    a, s = math.sqrt(255**2 * 10 ** (-decibels / 10) - 1 / 12), math.hypot(spread, math.sqrt(1 / 12))
    return float(nct.sf(student.isf(false_positives, dim - 1), dim - 1, math.sqrt(dim) * a / s))


@pytest.mark.parametrize("decibels", [30.0, 34.0, 38.0, 42.0])
def test_a_mark_uses_up_what_it_may_change_and_no_more(decibels: float) -> None:
    for clean in (grey_noise(500, 1), torch.full((3, *SHAPE), 128, dtype=torch.uint8)):
        found = psnr(clean, marked(clean, pattern(SHAPE, 7), decibels))
        assert float(found.min()) >= decibels and float(found.mean()) < decibels + 0.6, "rounding has steps"
    black = torch.zeros(5, *SHAPE, dtype=torch.uint8)
    published, on_grey = (marked(start, pattern(SHAPE, 7), decibels) for start in (black, black + 128))
    assert float(psnr(black, published).min()) >= decibels
    assert int(published.max()) > int(on_grey.max()) - 128, "what clipping takes is given to the rest"
    assert marked(black[:0], pattern(SHAPE, 7), decibels).shape == (0, *SHAPE)


@pytest.mark.parametrize(("decibels", "false_positives"), [(34.0, 0.01), (38.0, 0.01), (30.0, 0.001), (38.0, 0.1)])
def test_marks_are_found_in_white_noise_as_often_as_the_closed_form_says(decibels: float, false_positives: float) -> None:
    real, n = real_ones(), 4_000
    found, alarms = [], []
    for key in range(8):
        detector = Detector.of(real, key, false_positives)
        found.append(float(detector.finds(marked(grey_noise(n, 100 + key), pattern(SHAPE, key), decibels)).double().mean()))
        alarms.append(float(detector.finds(grey_noise(n, 200 + key)).double().mean()))
    expected = power(decibels, 64, false_positives)
    # the threshold is an order statistic of 10,000: its false-positive rate has the variance p (1 - p) / 10,000, and moves the power
    steep = norm.pdf(norm.isf(expected)) / norm.pdf(norm.isf(false_positives))
    for values, share, slope in ((found, expected, steep), (alarms, false_positives, 1.0)):
        error = math.sqrt((share * (1 - share) / n + slope**2 * false_positives / 10_000) / 8)
        assert abs(sum(values) / 8 - share) < 4.5 * error, (values, share)


@pytest.mark.parametrize("real", [199, 1000])
def test_the_false_positive_rate_is_kept_whatever_real_pictures_look_like(real: int) -> None:
    """Of pictures that are nothing like noise, with few of them: the mean rate over many splits is k / (m + 1), and never above."""
    generator = torch.Generator().manual_seed(5)
    pixels = (torch.rand(real + 2000, *SHAPE, generator=generator).pow(6) * 255).round().to(torch.uint8)
    rates = []
    for split in range(60):
        order = torch.randperm(len(pixels), generator=generator)
        detector = Detector.of(ImageSet.of(pixels[order[:real]]), split, 0.05)
        rates.append(float(detector.finds(pixels[order[real:]]).double().mean()))
    m = real - real // 2
    expected = int(0.05 * (m + 1)) / (m + 1)
    assert abs(sum(rates) / 60 - expected) < 4.5 * math.sqrt(expected / m / 60 + expected / 2000 / 60) and expected <= 0.05
    assert Detector.of(ImageSet.of(pixels[:10]), 0, 0.05).threshold == math.inf, "too few to promise so little"


def test_the_test_of_a_whole_set_is_exact_without_a_mark_and_finds_what_single_pictures_hide() -> None:
    detector = Detector.of(real_ones(), 3, 0.01)
    others = [grey_noise(50, 1000 + seed) for seed in range(300)]
    p = [detector.of_set(pixels, 99, key)[1] for key, pixels in enumerate(others)]
    assert kstest(p, "uniform").pvalue > 1e-3 and min(p) >= 0.01
    faint = marked(grey_noise(3_000, 9), pattern(SHAPE, 3), 52.0)
    assert float(detector.finds(faint).double().mean()) < 0.1, "a mark that is hardly found in one picture"
    score, chance = detector.of_set(faint, 999, 3)
    assert chance == 1 / 1000 and score > 4
    assert detector.of_set(faint, 999, 4)[1] > 0.001, "another key"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gives_pictures_of_the_same_kind_and_a_stronger_one_changes_them_more(name: str) -> None:
    attack, usual, (least, most) = ATTACKS[name]
    for shape in ((1, 28, 28), (3, 32, 32)):
        clean = grey_noise(20, 4, shape)
        once = attack(clean, usual, 1)
        assert once.shape == clean.shape and once.dtype == torch.uint8 and not torch.equal(once, clean)
        assert torch.equal(once, attack(clean, usual, 1)) and least <= usual <= most
        weak, strong = {"noise": (2, 40), "shift": (1, 3), "crop": (1, 6), "jpeg": (95, 5), "blur": (0.3, 3), "requantise": (128, 3)}[name]
        changes = [float((attack(clean, strength, 1).double() - clean.double()).square().mean()) for strength in (weak, strong)]
        assert changes[0] < changes[1] or name == "shift"  # of white noise any shift makes another


def test_what_each_attack_does() -> None:
    clean = grey_noise(40, 4, (1, 6, 5))
    moved = ATTACKS["shift"][0](clean, 2, 3)
    seen = set()
    for picture, was in zip(moved[:, 0], clean[:, 0], strict=True):
        sides = {"down": (picture[2:], was[:-2]), "up": (picture[:-2], was[2:])}
        sides |= {"right": (picture[:, 2:], was[:, :-2]), "left": (picture[:, :-2], was[:, 2:])}
        seen |= {side for side, (new, old) in sides.items() if torch.equal(new, old)}
    assert seen == {"down", "up", "left", "right"}
    flat = torch.full((1, 1, 9, 9), 90, dtype=torch.uint8)
    assert torch.equal(ATTACKS["blur"][0](flat, 1.5, 0), flat) and torch.equal(ATTACKS["crop"][0](flat, 2, 0), flat)
    assert set(ATTACKS["requantise"][0](clean, 4, 0).unique().tolist()) <= {0, 85, 170, 255}
    spread = (ATTACKS["noise"][0](grey_noise(500, 1), 8, 0).double() - grey_noise(500, 1).double()).std()
    assert float(spread) == pytest.approx(8, abs=0.1)


def gate(**options: Any) -> Watermark:
    made = build(Study, {"gates": [{"kind": "watermark", **options}]}).gates[0]
    assert isinstance(made, Watermark)
    return made


@pytest.mark.parametrize("adoption", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_share_of_synthetic_pictures_that_get_through_follows_adoption_and_power(adoption: float) -> None:
    """Each gets through with probability 1 - adoption x power - (1 - adoption) x false positives."""
    real, n, used = Real(real_ones(), real_ones(10, 1)), 4_000, gate(adoption=adoption, psnr=34)
    drawn = ImageSet.of(grey_noise(n, 11)).born_in(2)
    published = used.publish(drawn, 5)
    changed = (published.pixels != drawn.pixels).flatten(1).any(1)
    assert int(changed.sum()) == round(adoption * n) == len(used.chosen(n, 5))
    through = int(used.admit(published, real, [], 0).sum())
    expected = 1 - adoption * power(34, 64, 0.01) - (1 - adoption) * 0.01
    error = math.sqrt(0.25 / n + 4 * 0.01 / 10_000)  # the threshold moves power by up to 2 where it moves false positives by 1
    assert abs(through / n - expected) < 4.5 * error


def test_candidates_are_drawn_so_that_about_enough_are_let_in() -> None:
    assert [gate(adoption=share).candidates(100) for share in (0, 0.25, 0.5, 0.75, 1)] == [100, 134, 200, 400, 400]
    assert gate(adoption=1, filter=False).candidates(100) == gate(adoption=0.5, supply="fixed").candidates(100) == 100


def test_marks_of_the_first_generation_alone() -> None:
    used = gate(marks="first")
    drawn = ImageSet.of(grey_noise(50, 1))
    assert not torch.equal(used.publish(drawn.born_in(0), 3).pixels, drawn.pixels)
    assert torch.equal(used.publish(drawn.born_in(1), 3).pixels, drawn.pixels)


def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    for options, wrong in (
        ({"strength": 3}, "strength belongs to an attack"),
        ({"attack": "jpeg", "strength": 0}, "strength of jpeg must be 1 to 95, for example 75; it is 0"),
        ({"attack": "stirmark"}, "attack"),
        ({"adoption": 1.5}, "adoption"),
    ):
        with pytest.raises(SettingsProblem, match=wrong):
            gate(**options)
    base: dict[str, Any] = {"gens": 2, "judge": {"extractors": [], "metrics": []}}
    with pytest.raises(DataProblem, match="a world of points has none"):
        run(build(Study, {**base, "dataset": "gaussian", "model": "gaussian", "gates": ["watermark"]}), tmp_path / "points")
    crop = {"kind": "watermark", "attack": "crop", "strength": 4}
    with pytest.raises(DataProblem, match="crop takes 4 pixels from each side of 8"):
        run(build(Study, {**base, "dataset": "digits", "model": "bootstrap", "gates": [crop]}), tmp_path / "crop")
    assert not list(tmp_path.glob("*/gen_000"))


DIGITS: dict[str, Any] = {"dataset": "digits", "model": {"kind": "gmm", "components": 10}, "samples": 300, "gens": 3}


def records(folder: Path) -> list[dict[str, Any]]:
    return [read_json(store.generation_folder(folder, generation) / store.PROVENANCE) for generation in range(3)]


def test_in_the_loop_marked_pictures_stay_out_and_real_ones_fill_their_place(tmp_path: Path) -> None:
    study = {**DIGITS, "judge": {"extractors": ["pixels"], "metrics": ["frechet_distance"]}}
    filled = {"kind": "retain", "real_fraction": 0.1, "refill": True}
    run(build(Study, {**study, "regime": filled, "gates": ["watermark"]}), tmp_path / "filled")
    for record in records(tmp_path / "filled")[1:]:
        account = record["gates"]
        newest = f"generation {record['generation'] - 1}"
        assert account["offered"][newest]["pictures"] == 1200, "four times as many as are wanted"
        got_in = account["let_in"].get(newest, {"pictures": 0})["pictures"]
        assert got_in < 0.2 * 1200 and record["made_of"]["real"]["pictures"] >= 300 - got_in - 20
        assert 280 <= record["size"] <= 300, "but for the false alarms"
    run(build(Study, {**study, "regime": filled, "gates": [{"kind": "watermark", "adoption": 0}]}), tmp_path / "nobody")
    assert records(tmp_path / "nobody")[1]["made_of"]["generation 0"]["pictures"] > 200


def test_what_is_published_is_part_of_what_a_generation_is_and_not_of_what_is_learned(tmp_path: Path) -> None:
    """Arms with marks of their own share weights, never samples: all of them draw as many pictures."""
    study = {**DIGITS, "gens": 1, "judge": {"extractors": [], "metrics": []}}
    marks: list[dict[str, Any]] = [{}, {"adoption": 0.5}, {"psnr": 30}, {"attack": "blur"}, {"key": 1}]
    gates: list[list[dict[str, Any]]] = [[{"kind": "watermark", "filter": False, **one}] for one in marks]
    for number, chosen in enumerate([[], *gates]):
        run(build(Study, {**study, "gates": chosen}), tmp_path / f"{number}", shared=tmp_path / "shared")
    assert len({(tmp_path / f"{number}/gen_000/samples.npz").read_bytes() for number in range(6)}) == 6
    assert len({manifest.part_digest(tmp_path / f"{number}/gen_000", store.MODEL) for number in range(6)}) == 1
    (weights,) = (tmp_path / "shared").glob("weights-*[0-9a-f]")
    for kept in weights.glob("model/*"):  # each of them once on the disk
        assert {(tmp_path / f"{number}/gen_000/model/{kept.name}").stat().st_ino for number in range(6)} == {kept.stat().st_ino}
    run(build(Study, {**study, "gates": gates[1]}), tmp_path / "again", shared=tmp_path / "shared")
    assert [line["how"] for line in history.lines(tmp_path / "again")] == ["shared"]


def test_a_shortage_is_said_and_nothing_at_all_is_refused(tmp_path: Path) -> None:
    grid = ["run", "--model", "gmm", "--set", "model.components=10", "--samples", "300", "--gens", "3", "--extractor", "pixels"]
    grid += ["--set", "judge.metrics=[frechet_distance]", "--set", "gates=[{kind: watermark, psnr: 30}]"]
    said = call(*grid, "--real-fraction", "0.1", "--out", tmp_path / "short")
    size = records(tmp_path / "short")[1]["size"]
    assert said.exit_code == 0 and size < 60
    assert f"generation 1 learns from {size} pictures, not 300: the gates let in no more" in said.output
    page, account = (tmp_path / "short/report.html").read_text(encoding="utf-8"), records(tmp_path / "short")[1]["gates"]
    assert "what the gates let in (first seed)" in page and "gates: watermark 100 %, 30 dB" in page
    assert f"<td>{account['offered']['generation 0']['pictures']:,}</td>" in page
    refused = call(*grid, "--out", tmp_path / "none")
    assert refused.exit_code == 3 and "generation 1: the gates let in no picture to learn from (" in refused.output
    assert "(watermark 100 %, 30 dB: none of 1,200); take a regime with real pictures in it, or gates that reject fewer" in refused.output
    assert read_json(tmp_path / "none/gen_000/provenance.json")["size"] == 300


def script(*arguments: str) -> list[list[str]]:
    """The rows of the tables that `python scripts/watermarks.py` prints with these arguments."""
    main = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "watermarks.py"))["main"]
    finished = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return [line.strip("| ").split(" | ") for line in finished.output.splitlines() if line.startswith("| ")]


@pytest.mark.slow
def test_the_script_measures_what_a_mark_can_carry_and_how_long_it_lives() -> None:
    rows = script("carry", "--keys", "2")
    found = {row[0]: float(row[1].split()[0]) for row in rows if row[0] in ("30", "46")}
    assert found["30"] > found["46"] + 0.3 and len(rows) == 2 + 5 + 2 * len(ATTACKS)
    lives = script("lifetime", "--gens", "3", "--seeds", "2", "--psnr", "30", "--samples", "300")
    assert [row[0] for row in lives] == ["generation", "0", "1", "2"] and float(lives[1][1].split()[0]) > 0.8


def test_too_few_real_pictures_for_the_stated_rate_are_said_once() -> None:
    with progress.watched_by(ear := Ear()):
        assert kth_greatest(torch.arange(99.0), 0.01) == 98 and ear.lines == []
        assert [kth_greatest(torch.arange(98.0), 0.01) for _ in range(2)] == [math.inf, math.inf]
    assert ear.lines == [
        "gates: no threshold of 98 real pictures keeps to 1 % false positives, so nothing is taken for synthetic: it takes 99 of them, "
        "twice as many in all; set false_positives higher, or --samples"
    ]
