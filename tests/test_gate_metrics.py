"""What gates do, as numbers: closed forms, what a chain of gates is told apart by, what is kept for it, and where it is shown."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from chains import files, scores_in
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve
from standins import Ear
from terminal import call, done
from torch import Tensor

from imgcollapse import datasets, progress, reports, store
from imgcollapse.ablation.endpoint import Endpoint
from imgcollapse.errors import SettingsProblem
from imgcollapse.gates import Gate, RunGates, Watermark, detect, published, raters
from imgcollapse.images import ImageSet, World
from imgcollapse.judges.titles import source_title
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.evidence import Likelihoods
from imgcollapse.metrics.gated import Gated
from imgcollapse.metrics.gates import QUARTER, RATES, ROC, area, detection, marking, roc, selection
from imgcollapse.metrics.record import gate_sources, what_of
from imgcollapse.regimes import Real
from imgcollapse.seeds import derive
from imgcollapse.settings import Settings, build
from imgcollapse.store import judged, run_folder
from imgcollapse.store.records import read_json, read_sealed
from imgcollapse.store.run_folder import RunFolder
from imgcollapse.study import Study, prepare, run

ERRORS = 4.5  # standard errors, as in test_theory


def normal(n: int, seed: int, *shape: int) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def evidence(gated: Gated, held_out: Tensor | None = None, generated: Tensor | None = None) -> Evidence:
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    real, made = (FeatureSet(nothing if one is None else one) for one in (held_out, generated))
    return Evidence(real, real, made, gated=gated)


def yes(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.bool)


def told(samples: Tensor, real: Tensor) -> Gated:
    return Gated(yes(len(samples)), yes(len(samples)), samples, real, yes(len(real)))


# --- detection


@pytest.mark.parametrize("values", [2, 5, 1000], ids=lambda values: f"{values} values")
def test_the_roc_curve_is_scikit_learns_ties_too(values: int) -> None:
    for seed, (n, m) in enumerate([(40, 37), (300, 200), (1, 7), (7, 1), (500, 1000)]):
        draw = np.random.default_rng(seed)
        found, real = draw.integers(1, values + 1, n) / 1.0, draw.integers(0, values, m) / 1.0
        labels, scores = np.r_[np.ones(n), np.zeros(m)], np.r_[found, real]
        assert area(torch.tensor(found), torch.tensor(real)) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
        expected = []
        for rate in RATES:
            at = rate / 1000
            there = np.isclose(false, at, atol=1e-12, rtol=0)
            expected.append(true[there].max() if there.any() else np.interp(at, false, true))
        np.testing.assert_allclose(roc(torch.tensor(found), torch.tensor(real), RATES), expected, atol=1e-12)


def test_the_area_of_two_normal_distributions_is_that_of_theory() -> None:
    n = 4_000
    for number, d in enumerate((0.0, 0.5, 1.0, 2.5)):
        exact = norm.cdf(d / math.sqrt(2))
        q1, q2 = exact / (2 - exact), 2 * exact**2 / (1 + exact)  # Hanley & McNeil 1982, for its variance
        error = math.sqrt((exact * (1 - exact) + (n - 1) * (q1 + q2 - 2 * exact**2)) / n**2)
        found = detection(evidence(told(normal(n, 2 * number) + d, normal(n, 2 * number + 1))))
        assert abs(found["auc"] - exact) < ERRORS * error
        for rate in (100, 500):  # the share found at a false-positive rate: Phi(d - z), its error that of the threshold and of the share
            z = norm.isf(rate / 1000)
            share = norm.cdf(d - z)
            spread = rate / 1000 * (1 - rate / 1000) * (norm.pdf(z - d) / norm.pdf(z)) ** 2 + share * (1 - share)
            assert abs(found[f"{ROC}{rate}"] - share) < ERRORS * math.sqrt(spread / n)


def test_what_every_second_publisher_marks_gives_half_the_area_and_a_kink() -> None:
    """Of pictures of which a share a is found at once, and the rest are as real ones: AUC a + (1 - a) / 2, ROC a + (1 - a) x."""
    real, n = normal(2_000, 1), 4_000
    for adoption in (0.0, 0.5, 1.0):
        samples = normal(n, 2)
        marked = int(adoption * n)
        samples[:marked] += 100
        found = detection(evidence(told(samples, real)))
        rest = detection(evidence(told(samples[marked:], real))) if adoption < 1 else {"auc": 0.0} | {f"{ROC}{rate}": 0.0 for rate in RATES}
        assert found["auc"] == pytest.approx(adoption + (1 - adoption) * rest["auc"], abs=1e-12), "exactly, of these pictures"
        assert abs(found["auc"] - (adoption + (1 - adoption) / 2)) <= (1 - adoption) * ERRORS / math.sqrt(12) * math.sqrt(1 / 2_000 + 1 / n)
        for rate in RATES:
            assert found[f"{ROC}{rate}"] == pytest.approx(adoption + (1 - adoption) * rest[f"{ROC}{rate}"], abs=1e-12)
        assert found[f"{ROC}0"] >= adoption, "the kink"


def test_a_detector_is_measured_by_all_and_its_threshold_by_those_that_came_to_it() -> None:
    offered = torch.tensor([True, True, False, True])
    gated = Gated(
        offered, torch.tensor([True, False, False, False]), normal(9, 0), normal(5, 1), torch.tensor([True, False, True, True, True])
    )
    found = detection(evidence(gated))
    assert found["let_in_share"] == pytest.approx(1 / 3) and found["auc"] == area(normal(9, 0), normal(5, 1))
    rows = torch.tensor([0, 1])
    real = detection(evidence(gated.between_real(rows, torch.tensor([2, 3, 4]))))
    assert real["let_in_share"] == 0.5 and real["auc"] == area(normal(5, 1)[:2], normal(5, 1)[2:])
    assert detection(evidence(Gated(offered, offered))) == {}, "no detector"
    assert "let_in_share" not in detection(evidence(Gated(~yes(4), ~yes(4), normal(9, 0), normal(5, 1)))), "nobody came"


# --- what a mark costs


def test_a_constant_shift_of_the_features_costs_its_square_and_what_it_moves_towards() -> None:
    real, before = normal(60, 0, 3), normal(50, 1, 3) * torch.tensor([1.0, 2.0, 0.5])
    for shift in (torch.zeros(3).double(), torch.tensor([0.3, -1.0, 2.0]).double()):
        after = before + shift
        gated = Gated(yes(50), yes(50), psnr=torch.tensor([30.0, 40.0]), before=before, after=after)
        found = marking(evidence(gated, real))
        assert found["fd_of_mark"] == pytest.approx(float(shift.square().sum()), abs=1e-9)
        apart = before.mean(0) - real.mean(0)
        assert found["fd_paid"] == pytest.approx(float(shift.square().sum() + 2 * shift @ apart), abs=1e-9)
        naive = kernel_distance(real, after) - kernel_distance(real, before)
        assert found["kid_paid"] == pytest.approx(naive, abs=1e-6 * (1 + abs(naive))) and found["psnr"] == 35
    assert marking(evidence(Gated(yes(50), yes(50)), real)) == {}


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """KID, pair by pair."""
    within = [((one @ one.T / 3 + 1) ** 3).fill_diagonal_(0).sum() / (len(one) * (len(one) - 1)) for one in (x, y)]
    return float(sum(within) - 2 * ((x @ y.T / 3 + 1) ** 3).mean())


# --- who is turned away


def line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_gate_that_cuts_off_the_rim_is_told_by_the_distances() -> None:
    x = line(1, -1, 2, -2, 3, -3, 4, -4, 100, 200)
    offered = torch.arange(10) < 8
    unit = math.sqrt(7.5)
    found = selection(evidence(Gated(offered, offered & (x[:, 0].abs() < 2.5)), generated=x))
    assert found["distance_kept"] == pytest.approx(1.5 / unit) and found["distance_dropped"] == pytest.approx(3.5 / unit)
    assert [found[f"{QUARTER}{quarter}"] for quarter in (1, 2, 3, 4)] == [1, 1, 0, 0] and found["kept_far"] == 0
    rim = selection(evidence(Gated(offered, offered & (x[:, 0].abs() > 3.5)), generated=x))
    assert rim["kept_far"] == 4 and rim["distance_kept"] == pytest.approx(4 / unit)
    everyone = selection(evidence(Gated(offered, offered), generated=x))
    assert everyone["distance_kept"] == pytest.approx(2.5 / unit) and "distance_dropped" not in everyone and everyone["kept_far"] == 1
    nobody = selection(evidence(Gated(offered, offered & False), generated=x))
    assert nobody.keys() == {"distance_dropped", *(f"{QUARTER}{quarter}" for quarter in (1, 2, 3, 4))}
    assert selection(evidence(Gated(offered & False, offered & False), generated=x)) == {}
    assert selection(evidence(Gated(offered, offered), generated=x[:3])).keys() == {"distance_kept"}, "the first N alone"


def test_a_choice_by_chance_does_not_look_at_distance() -> None:
    n, kept = 4_000, 1_000
    let_in = torch.zeros(n, dtype=torch.bool)
    let_in[torch.randperm(n, generator=torch.Generator().manual_seed(1))[:kept]] = True
    found = selection(evidence(Gated(yes(n), let_in), generated=normal(n, 0, 5)))
    chance = kept / n
    error = math.sqrt(chance * (1 - chance) / (n / 4) * 3 / 4)  # hypergeometric
    assert all(abs(found[f"{QUARTER}{quarter}"] - chance) < ERRORS * error for quarter in (1, 2, 3, 4))
    assert abs(found["kept_far"] - 1) < ERRORS * error / chance
    assert abs(found["distance_kept"] - found["distance_dropped"]) < ERRORS * 0.31 * math.sqrt(1 / kept + 1 / (n - kept))


# --- the gates of a run


class Brighter(Settings):
    """Publishes pictures that are brighter by so many grey levels; lets in the dark ones."""

    kind: Literal["brighter"] = "brighter"
    changes: ClassVar[bool] = True
    by: int = 5

    def title(self) -> str:
        return self.kind

    def candidates(self, n: int) -> int:
        return n

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        return ImageSet(drawn.pixels + self.by, drawn.labels, drawn.born)

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        return offered.pixels[:, 0, 0, 0] < 60


def grey(n: int, seed: int, high: int = 200) -> ImageSet:
    return ImageSet.of(torch.randint(20, high, (n, 1, 6, 6), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8))


def told_by(run_folder: Path, used: Sequence[Gate], drawn: ImageSet, n: int = 50, seed: int = 3) -> tuple[dict[str, Gated], ImageSet]:
    """What these gates did to what generation 0 drew, which is written as a run would; and what they published."""
    shown = published(drawn.born_in(0), used, derive(seed, 0, "publish"))
    kept = RunFolder(run_folder, Path)
    kept.write(0, Nothing(), shown, shown[:1], {}, drawn.born_in(0))
    real = Real(grey(400, 1), grey(10, 2))
    gates = RunGates(run_folder, used, World("grey", real.seen, grey(80, 4), ("all",)), real, seed)
    return gates(0, store.read_images(run_folder / "gen_000" / store.SAMPLES), n, lambda images: images.pixels.flatten(1).double()), shown


class Nothing:
    """A model of which nothing is to be kept."""

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "about").write_text("nothing")


def test_a_known_mark_has_its_psnr_and_its_distance(tmp_path: Path) -> None:
    found, _ = told_by(tmp_path, [Brighter(by=5)], grey(100, 5))
    (source,) = found
    gated = found[source]
    assert source == "gate brighter" and gated.psnr is not None and gated.told is None
    assert gated.psnr.tolist() == pytest.approx([10 * math.log10(255**2 / 25)] * 50)
    measured = marking(evidence(gated, normal(60, 0, 36) * 9 + 110))
    assert measured["fd_of_mark"] == pytest.approx(36 * 25, rel=1e-9) and measured["psnr"] == pytest.approx(34.151, abs=1e-3)


def test_each_gate_of_a_chain_has_its_own(tmp_path: Path) -> None:
    used = [Watermark(adoption=0.5, psnr=30), Brighter(by=10), Watermark(key=1, psnr=34, attack="blur"), Brighter(by=0)]
    found, shown = told_by(tmp_path, used, grey(400, 5), n=400)
    first, second, third, last = found.values()
    assert (
        list(found)
        == ["gate watermark", "gate brighter", "gate watermark 2", "gate brighter 2"]
        == gate_sources([one.kind for one in used])
    )
    assert bool(first.offered.all()), "all of it comes to the first one"
    for before, after in ((first, second), (second, third), (third, last)):
        assert torch.equal(before.let_in, after.offered), "who is turned away comes to no other"
        assert before.after is not None and after.before is not None and torch.equal(before.after, after.before)
    assert last.after is not None and torch.equal(last.after, shown.pixels.flatten(1).double())
    assert first.psnr is not None and len(first.psnr) == 200 and 30 <= float(first.psnr.min()) <= float(first.psnr.max()) < 30.2
    assert third.psnr is not None and len(third.psnr) == 400 and 34 <= float(third.psnr.min()) < 34.4, "the mark alone, without the attack"
    assert second.psnr is not None and last.psnr is not None and len(last.psnr) == 0, "what changes nothing has none"
    assert "psnr" not in marking(evidence(last, normal(60, 0, 36))) and marking(evidence(last, normal(60, 0, 36)))["fd_paid"] == 0
    assert first.told is not None and len(first.told) == 400, "also who did not come to it"
    assert third.told is not None and third.told_of_real is not None and len(third.told_of_real) == 80


def test_marks_of_half_of_all_publishers_are_found_in_half_of_what_is_published(tmp_path: Path) -> None:
    gate, n = Watermark(adoption=0.5, psnr=16), 2_000
    found, _ = told_by(tmp_path, [gate], grey(n, 5))
    gated = found["gate watermark"]
    assert gated.told is not None and gated.told_of_real is not None
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[gate.chosen(n, derive(derive(3, 0, "publish"), 0))] = True
    marked, others = (area(gated.told[those], gated.told_of_real) for those in (chosen, ~chosen))
    measured = detection(evidence(gated))
    assert measured["auc"] == pytest.approx((marked + others) / 2, abs=1e-12) and marked > 0.99
    assert abs(others - 0.5) < ERRORS * math.sqrt((1 / 80 + 2 / n) / 12), "what nobody marked is as real pictures to it"
    assert 0.45 < measured[f"{ROC}10"] < 0.6 and measured[f"{ROC}500"] < 0.9, "up to the kink at once, then slowly"


def test_generation_0_is_rated_by_a_detector_that_has_not_learned_from_what_it_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[ImageSet] = []
    rated: list[Tensor] = []
    monkeypatch.setattr(detect, "network_of", lambda images, classes, what: learned.append(images))
    monkeypatch.setattr(detect, "odds", lambda network, pixels: rated.append(pixels) or pixels.flatten(1).double().mean(1))
    real, held_out, samples, later = Real(grey(40, 1), grey(2, 2)), grey(30, 3), grey(20, 4).born_in(0), grey(25, 5).born_in(1)
    gate = detect.Detect()
    first, of_real = gate.told_apart(samples, held_out, real, [])
    assert len(first) == 10 and len(of_real) == 30 and len(learned[0]) == 20 + 10
    for own in (samples.pixels[1::2], held_out.pixels):
        assert not any(torch.equal(one, other) for one in own for other in learned[0].pixels)
    assert torch.equal(first, -samples.pixels[1::2].flatten(1).double().mean(1)), "the greater, the surer that synthetic"
    second, _ = gate.told_apart(later, held_out, real, [samples])
    assert len(second) == 25 and len(learned[1]) == 20 + 20, "later ones by the detector itself"


# --- in runs


MARKED: dict[str, Any] = {
    "dataset": {"kind": "digits", "subset": 200},
    "model": {"kind": "smooth"},
    "regime": {"kind": "retain", "real_fraction": 0.5},
    "gates": [{"kind": "watermark", "adoption": 0.5, "psnr": 26, "supply": "fixed"}, {"kind": "curate", "by": "density", "keep": 0.7}],
    "gens": 3,
    "judge": {"extractors": ["pixels"], "metrics": ["frechet_distance"]},
}
OF_MARK, OF_CURATE = "gate watermark", "gate curate"


def made(folder: Path, **values: Any) -> list[str]:
    with progress.watched_by(ear := Ear()):
        run(build(Study, MARKED | values), folder)
    return ear.lines


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made(folder := tmp_path_factory.mktemp("gated") / "run")
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def results(folder: Path) -> dict[str, bytes]:
    """What a run has made and found."""
    return {name: there for name, there in files(folder).items() if name.endswith(".npz") or name.startswith("scores/")}


def test_every_generation_of_a_run_has_them_by_the_same_judge_as_without_gates(whole: Path, tmp_path: Path) -> None:
    for scores in store.scores(whole):
        assert list(scores.sources) == ["pixels", OF_MARK, OF_CURATE]
        mark, curate = scores.sources[OF_MARK], scores.sources[OF_CURATE]
        assert mark["psnr"].value == pytest.approx(26, abs=0.1) and mark["psnr"].real is None and mark["psnr"].n == 200
        real, share = mark["auc"].real, mark["let_in_share"].real
        assert real is not None and real.low <= 0.5 <= real.high and real.high < mark["auc"].value < 0.9
        assert share is not None and share.mean > 0.9 and mark["auc"].n == mark["let_in_share"].n == 286
        fd = scores.sources["pixels"]["fd"].value
        assert mark["fd_of_mark"].value > 0 and mark["fd_paid"].value < fd
        assert "psnr" not in curate and "auc" not in curate and {"distance_kept", "distance_dropped", "kept_far"} <= curate.keys()
    for generation in (1, 2):
        account = read_json(store.generation_folder(whole, generation) / store.PROVENANCE)["gates"]
        sources = store.scores(whole)[generation - 1].sources
        name = f"generation {generation - 1}"
        through = account["let_in"][name]["pictures"] / account["offered"][name]["pictures"]
        assert sources[OF_MARK]["let_in_share"].value * 0.7 == pytest.approx(through, abs=1 / 286), "as the provenance says"
    made(tmp_path / "none", gates=[], gens=1)
    plain, gated = (read_sealed(scores_in(one) / store.REFERENCE) for one in (tmp_path / "none", whole))
    assert scores_in(whole).name == scores_in(tmp_path / "none").name, "gates are no part of a judge's name"
    assert "gates" not in plain["judge"] and list(gated["judge"].pop("gates")) == [OF_MARK, OF_CURATE]
    assert plain["judge"].keys() == gated["judge"].keys()
    assert judged.of(tmp_path / "none", 0, plain).keys() == {"samples", "training_set", "reference"}, "as ever, so its scores are found"
    assert not (tmp_path / "none" / "gen_000" / store.UNMARKED).exists() and (whole / "gen_000" / store.UNMARKED).exists()
    assert store.UNMARKED in read_json(whole / "gen_000" / "MANIFEST.json")["files"]


def test_the_cost_is_that_of_the_pictures_that_are_kept(whole: Path) -> None:
    study, _, _ = prepare(build(Study, MARKED))
    world = datasets.load(study.dataset, study.seed)
    held_out = FeatureSet(world.held_out.pixels[:200].flatten(1).double())
    before, after = (
        store.read_images(whole / "gen_001" / name).pixels[:200].flatten(1).double() for name in (store.UNMARKED, store.SAMPLES)
    )
    found = marking(evidence(Gated(yes(286), yes(286), before=before, after=after), held_out.features))
    of_run = store.scores(whole)[1].sources[OF_MARK]
    scale = of_run["fd_paid"].value / found["fd_paid"]
    assert scale == pytest.approx(of_run["fd_of_mark"].value / found["fd_of_mark"], rel=1e-6), "pixels as features, but for their unit"


def test_judged_again_later_it_is_the_same(copy: Path) -> None:
    before = results(copy)
    shutil.rmtree(copy / store.SCORES)
    done("judge", copy)
    assert results(copy) == before
    done("judge", copy, "--set", "judge.n=50")
    found = store.scores(copy)[2].sources
    assert list(found) == ["pixels", OF_MARK, OF_CURATE, "pixels (n 50)", f"{OF_MARK} (n 50)", f"{OF_CURATE} (n 50)"]
    assert found[f"{OF_MARK} (n 50)"]["auc"].value == found[OF_MARK]["auc"].value, "of all that was published"
    assert found[f"{OF_MARK} (n 50)"]["psnr"].n == 50 and what_of(f"{OF_MARK} (n 50)") == "gate"
    assert source_title(f"{OF_MARK} (n 50)") == "gate: watermark (n 50)"


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "later", gens=1)
    made(tmp_path / "later")
    assert results(tmp_path / "later") == results(whole)
    real, calls = run_folder.write_images, list[Path]()

    def stopped(path: Path, images: ImageSet) -> None:
        real(path, images)
        calls.append(path)
        if path.name == store.UNMARKED and "gen_001" in path.parent.name:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "write_images", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "killed")
    assert calls and not (tmp_path / "killed" / "gen_001").exists()
    monkeypatch.undo()
    made(tmp_path / "killed")
    assert results(tmp_path / "killed") == results(whole)
    made(tmp_path / "beside")
    assert results(tmp_path / "beside") == results(whole)


def test_what_was_thrown_away_is_said_once_and_left_out_by_a_later_judge(tmp_path: Path, whole: Path) -> None:
    assert not [line for line in made(tmp_path / "run", keep={"samples": "last"}) if "left out" in line]
    assert [one.sources[OF_MARK] for one in store.scores(tmp_path / "run")] == [one.sources[OF_MARK] for one in store.scores(whole)]
    assert [(tmp_path / f"run/gen_00{g}" / store.UNMARKED).exists() for g in range(3)] == [False, False, True]
    assert not store.check(tmp_path / "run" / "gen_000"), "its manifest says so"


def test_a_run_that_did_not_keep_what_was_drawn_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RunFolder.write
    monkeypatch.setattr(RunFolder, "write", lambda self, *rest: real(self, *rest[:5]))
    said = [line for line in made(tmp_path / "run") if "left out" in line]
    assert len(said) == 1 and said[0].startswith("what marks cost is left out: drawn.npz is no longer kept")
    for one in store.scores(tmp_path / "run"):
        assert "auc" in one.sources[OF_MARK] and not {"psnr", "fd_paid", "fd_of_mark"} & one.sources[OF_MARK].keys()


def test_arms_that_share_a_generation_have_each_the_numbers_of_its_own_gate(tmp_path: Path) -> None:
    for name, by in (("one", "brightness"), ("other", "random")):
        study = build(Study, MARKED | {"gates": [{"kind": "curate", "by": by}], "gens": 1})
        run(study, tmp_path / name, shared=tmp_path / "shared")
    one, other = (store.scores(tmp_path / name)[0].sources for name in ("one", "other"))
    assert (tmp_path / "one/gen_000/samples.npz").samefile(tmp_path / "other/gen_000/samples.npz")
    assert one["pixels"] == other["pixels"] and one[OF_CURATE] != other[OF_CURATE]


@pytest.mark.slow  # trains networks
def test_a_detector_has_the_first_samples_for_good_and_is_left_out_where_they_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raters, "STEPS", 5)
    made(tmp_path / "run", gates=["detect"], gens=2)
    for one in store.scores(tmp_path / "run"):
        assert one.sources["gate detect"].keys() >= {"auc", "let_in_share", "distance_kept", f"{ROC}10"}
        assert one.sources["gate detect"]["let_in_share"].value == 1 or one.generation
    made(tmp_path / "thin", gates=["detect"], keep={"samples": "last"})
    assert len(store.scores(tmp_path / "thin")) == 3, "which learned from those of generation 0 until the end"
    assert store.has(tmp_path / "thin", 0, store.SAMPLES) and not store.has(tmp_path / "thin", 1, store.SAMPLES)
    with run_folder.opened(tmp_path / "thin") as kept:
        kept.throw_away(0, store.SAMPLES)  # as versions did that kept them only until the end
    done("judge", tmp_path / "thin", "--set", "judge.n=50")
    (last,) = [one for one in store.scores(tmp_path / "thin") if "pixels (n 50)" in one.sources]
    assert last.generation == 2 and "gate detect (n 50)" not in last.sources


def test_what_is_of_gates_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsProblem, match=r"judge.metrics.*'detection' is a metric of gates and is measured in every study that has gates"
    ):
        build(Study, {"judge": {"metrics": ["detection"]}})
    assert "detection" not in (call("run", "--set", "judge.metrics=[nonsense]").stderr.partition("there are:")[2])
    gated, plain = (prepare(build(Study, MARKED | values))[0] for values in ({}, {"gates": []}))
    Endpoint(metric="auc", extractor=OF_MARK).check(gated)
    with pytest.raises(SettingsProblem, match=r"'gate detect' is not among the extractors; there are: pixels, gate watermark, gate curate"):
        Endpoint(metric="auc", extractor="gate detect").check(gated)
    with pytest.raises(SettingsProblem, match="'auc' is not measured"):
        Endpoint(metric="auc").check(plain)


# --- where they are shown


@pytest.fixture
def page(whole: Path, tmp_path: Path) -> Iterator[str]:
    yield reports.write(reports.read([whole]), tmp_path / "page.html").page.read_text(encoding="utf-8")


def test_terminal_and_page_show_them(whole: Path, page: str) -> None:
    findings = reports.read([whole])
    assert findings.extractors == ["pixels", OF_MARK, OF_CURATE] and findings.extractor == "pixels"
    assert "What the gates do" in page and page.count("detection AUC, gate: watermark") >= 1
    for chart in ("auc", "psnr", "fd_paid", "let_in_share", "kept_far"):
        assert f'id="chart-gate-watermark-{chart}"' in page, chart
    for chart in ("roc-0-0", "quarters-0-0", "quarters-0-1", "distances-0-1", "through-0"):
        assert page.count(f'id="chart-{chart}"') == 1 and f'id="table-{chart}"' in page, chart
    assert 'id="chart-roc-0-1"' not in page, "people who choose have no detector"
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["tables"]
    curve = [one["value"] for one in data["roc-0-0"] if one["generation"] == 2]
    assert len(curve) == len(RATES) and curve == sorted(curve)
    through = {one["origin"]: one["share"] for one in data["through-0"]}
    assert through.keys() == {"real", "generation 0", "generation 1"} and through["real"] > 0.9 > through["generation 0"]
    again = done("run", "--config", whole / store.STUDY, "--out", whole).stdout
    assert "gate: watermark; N = 200 against held-out real pictures; detection of all 286 drawn" in " ".join(again.split())


def test_arms_are_compared_by_the_area_as_by_any_metric(whole: Path, tmp_path: Path) -> None:
    made(tmp_path / "faint", gates=[{"kind": "watermark", "psnr": 50}])
    made(tmp_path / "plain", gates=[])
    assert reports.read([whole, tmp_path / "plain"]).comparable, "a run without gates too"
    findings = reports.read([whole, tmp_path / "faint"])
    assert findings.comparable
    (differs,) = [one["extractors"][OF_MARK]["auc"]["last"] for one in findings.summary["differences"] if OF_MARK in one["extractors"]]
    assert differs["mean"] == pytest.approx(
        store.scores(tmp_path / "faint")[2].sources[OF_MARK]["auc"].value - store.scores(whole)[2].sources[OF_MARK]["auc"].value
    )
    shown = reports.write(findings, tmp_path / "page.html").page.read_text(encoding="utf-8")
    assert "Arm by arm (" in shown and shown.count('id="chart-gate-watermark-auc"') == 1 and 'id="chart-roc-1-0"' in shown
    assert "disagree, so" not in shown


def test_what_models_say_and_what_gates_do_are_read_alike() -> None:
    assert [what_of(one) for one in ("model", "model (n 5)", "gate detect", "gate detect 2 (k 4)", "pixels", "pixels (n 5)", "gates")] == [
        *("model",) * 2,
        *("gate",) * 2,
        *("features",) * 3,
    ]
    assert Likelihoods(1, None, None, None).of_held_out is None and Gated(yes(1), yes(1)).of_held_out is None
