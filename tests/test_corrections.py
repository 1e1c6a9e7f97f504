"""Corrections: the contract that every entry of the table keeps, their arithmetic, and what they are in the loop."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import theory
import torch
from chains import files
from own_generator import gaussian
from terminal import call
from test_identity import counted, made, samples
from test_model_contract import weights
from test_models import GaussianDenoiser, drawing, pictures, quick

from imgcollapse import models, store
from imgcollapse.corrections import CORRECTIONS, Neon, Sims
from imgcollapse.corrections.self_training import self_trained
from imgcollapse.errors import DivergedProblem, SettingsProblem
from imgcollapse.images import ImageSet
from imgcollapse.models import MODELS
from imgcollapse.models.ddpm import AUXILIARY, DDPM
from imgcollapse.models.network import away_from
from imgcollapse.models.vae import VAE
from imgcollapse.regimes import REGIMES
from imgcollapse.seeds import derive
from imgcollapse.settings import build
from imgcollapse.store.manifest import made_by

WORKS = [("neon", "ddpm"), ("neon", "vae"), ("sims", "ddpm")]
NET: dict[str, Any] = {"dataset": "digits", "model": {"kind": "ddpm", "steps": 3, "batch": 8, "widths": [8, 8]}, "samples": 40, "gens": 2}
NET["model"]["sampling"] = {"steps": 2}
NET["judge"] = {"extractors": []}
QUICKLY = ["--samples", "40", "--gens", "1", "--set", "model={kind: ddpm, steps: 3, batch: 8, widths: [8, 8], sampling: {steps: 2}}"]
QUICKLY += ["--extractor", "pixels", "--set", "judge.metrics=[frechet_distance]"]
SHORT = {"steps": 3, "samples": 20, "learning_rate": 1e-3}


def of(correction: str, **more: Any) -> Any:
    return build(CORRECTIONS[correction], {**SHORT, **more})


@pytest.mark.parametrize("kind", CORRECTIONS)
def test_a_correction_says_what_it_is(kind: str) -> None:
    plain = CORRECTIONS[kind]()
    assert plain.kind == kind and plain.title().startswith(kind) and (CORRECTIONS[kind].__doc__ or "").strip()
    assert plain.title() != of(kind, weight=2.5).title() != of(kind).title()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", CORRECTIONS)
def test_a_correction_works_on_a_model_or_is_refused_before_anything_is_written(kind: str, model: str, tmp_path: Path) -> None:
    if (kind, model) in WORKS:
        of(kind).check(quick(model))
        return
    cure = "no weights to correct" if kind == "neon" else "no scores that sims could extrapolate"
    with pytest.raises(SettingsProblem, match=rf"^correction: model '{model}' has {cure}; leave it out, or take ddpm"):
        made(tmp_path / "run", {**NET, "model": {"kind": model, **(gaussian(tmp_path) if model == "command" else {})}, "correction": kind})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("kind", "model"), WORKS)
def test_a_corrected_model_is_a_model_and_a_function_of_the_seed(kind: str, model: str, tmp_path: Path) -> None:
    images = pictures()
    fitted: Any = quick(model).fit(images, 0)
    before, drawn = weights(fitted), fitted.sample(20, 1).digest()
    corrected = of(kind)(fitted, images, 7)
    assert torch.equal(weights(fitted), before) and fitted.sample(20, 1).digest() == drawn, "the given model stays as it is"
    found = corrected.sample(20, 1)
    assert found.digest() != drawn and found.shape == images.shape
    assert of(kind)(fitted, images, 7).sample(20, 1).digest() == found.digest() != of(kind)(fitted, images, 8).sample(20, 1).digest()
    corrected.save(tmp_path / "model")
    opened = models.load(tmp_path / "model")
    assert opened.kind == model and opened.sample(20, 1).digest() == found.digest()
    assert of(kind, weight=0)(fitted, images, 7).sample(20, 1).digest() == drawn


def test_the_copy_learns_from_what_the_model_draws_and_begins_with_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures()
    fitted: Any = quick("ddpm").fit(images, 0)
    learned: list[Any] = []

    def fit(self: DDPM, pictures: ImageSet, seed: int, start: Any = None) -> Any:
        learned.append((self.steps, self.learning_rate, len(pictures), pictures.digest(), start))
        return self

    monkeypatch.setattr(DDPM, "fit", fit)
    own = fitted.model_copy(update={"steps": 100})
    for how, n, steps in ((Neon(), 48, 10), (Neon(steps=2), 32, 2), (Neon(samples=5), 5, 10), (Sims(learning_rate=0.5, steps=1), 16, 1)):
        self_trained(own, how, images, 3)
        rate = how.learning_rate or own.learning_rate / 10
        assert learned.pop() == (steps, rate, n, fitted.sample(n, derive(3, "draw")).digest(), own)


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.37])
def test_the_arithmetic_of_neon_is_exact_to_the_bit(weight: float) -> None:
    one, other = (quick("ddpm").fit(pictures(), seed) for seed in (0, 1))
    moved: Any = one.extrapolated(other, weight, pictures(), 0)  # type: ignore[attr-defined]
    for name, value in moved.weights().items():
        theta, theta_s = (model.weights()[name].double() for model in (one, other))  # type: ignore[attr-defined]
        assert torch.equal(value, ((1 + weight) * theta - weight * theta_s).float()), name
    if not weight:
        assert torch.equal(weights(moved), weights(one)) and moved.sample(9, 0).digest() == one.sample(9, 0).digest()


def test_neon_fits_the_prior_of_a_vae_to_the_codes_of_the_moved_encoder() -> None:
    images = pictures()
    one, other = (VAE(steps=6, batch=16, components=3).fit(images, seed) for seed in (0, 1))
    moved = one.extrapolated(other, 0.5, images, 4)
    own = dict(moved._net.named_parameters())
    for name, value in away_from(one._net, other._net, 0.5).named_parameters():
        assert torch.equal(own[name], value)
    mean, _ = moved.codes(images)
    found = moved._net.prior.draw(20_000, 0, 1, 1.0).double()
    spread = mean.var(0) + (moved._net.encode(images.pixels / 255)[1].double().exp()).mean(0)
    assert torch.allclose(found.mean(0), mean.mean(0), atol=0.1) and torch.allclose(found.var(0), spread, rtol=0.15)
    assert (moved.log_likelihood(images, 0, 2) < 0).all()


def test_classes_of_a_corrected_model_are_those_that_were_drawn_and_its_shares_those_that_were_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = pictures(60)
    rare = images[torch.cat([(images.labels == 0).nonzero()[:, 0], (images.labels == 1).nonzero()[:3, 0]])]
    fitted: Any = quick("ddpm", class_conditional=True).for_world((1, 8, 8), 3).fit(rare, 0)
    told: list[ImageSet] = []
    real = DDPM.fit
    monkeypatch.setattr(DDPM, "fit", lambda self, images, seed, start=None: told.append(images) or real(self, images, seed, start))
    for kind in CORRECTIONS:
        corrected = of(kind)(fitted, rare, 0)
        assert torch.equal(corrected._shares, fitted._shares) and set(corrected.sample(200, 0).labels.tolist()) == {0, 1}
        assert torch.equal(told[-1].labels, fitted.sample(20, derive(0, "draw")).labels)


# --- SIMS with exact denoisers


def exact(mean: float, deviation: float) -> Any:
    model = drawing(DDPM(steps=1, batch=8, widths=(8, 8)).fit(pictures(8), 0), "ddim", 100)
    model._net = GaussianDenoiser(model._alphas_cumprod(), mean, deviation)
    return model


def levels(steps: int) -> list[float]:
    """a^2 of the levels of DDIM with that many steps, and at its end."""
    return [*DDPM()._alphas_cumprod().double()[torch.arange(999, -1, -(1000 // steps))].tolist(), 1.0]


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_sims_away_from_a_shifted_copy_draws_a_shifted_normal(weight: float) -> None:
    """(1 + w) s - w s' of N(m, d^2) and N(m', d^2) is the score of N((1 + w) m - w m', d^2), at every noise."""
    drawn = exact(0.1, 0.2).steered(exact(0.05, 0.2), weight).sample(500, 2).pixels.double() / 127.5 - 1
    mean, deviation = theory.ddim(levels(100), (1, 0.1 + weight * 0.05, 0.2))
    assert theory.ddim(levels(1000), (1, 0.1 + weight * 0.05, 0.2)) == pytest.approx((0.1 + weight * 0.05, 0.2), rel=0.01)
    assert float(drawn.mean()) == pytest.approx(mean, abs=4.5 * deviation / 32_000**0.5)
    assert float(drawn.std()) == pytest.approx(deviation, rel=4.5 / 64_000**0.5)


@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("narrower", [0.17, 0.22])
def test_sims_away_from_a_narrower_copy_widens_what_is_drawn(weight: float, narrower: float) -> None:
    """By the exact affine map of the same hundred steps; away from a wider copy it narrows."""
    drawn = exact(0.1, 0.2).steered(exact(0.05, narrower), weight).sample(500, 2).pixels.double() / 127.5 - 1
    signal = levels(100)
    mean, deviation = theory.ddim(signal, (1 + weight, 0.1, 0.2), (-weight, 0.05, narrower))
    plain = theory.ddim(signal, (1, 0.1, 0.2))[1]
    assert (deviation > plain * 1.02) == (narrower < 0.2) and abs(deviation / plain - 1) > 0.02
    assert float(drawn.mean()) == pytest.approx(mean, abs=4.5 * deviation / 32_000**0.5)
    assert float(drawn.std()) == pytest.approx(deviation, rel=4.5 / 64_000**0.5)


def test_the_folder_of_sims_opens_in_diffusers_with_the_network_that_learned(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline

    fitted: Any = quick("ddpm").fit(pictures(), 0)
    of("sims")(fitted, pictures(), 0).save(tmp_path / "sims")
    fitted.save(tmp_path / "plain")
    there = files(tmp_path / "sims")
    assert {name: text for name, text in there.items() if not name.startswith((AUXILIARY, "imgcollapse"))} == {
        name: text for name, text in files(tmp_path / "plain").items() if name != "imgcollapse.json"
    }
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "sims", local_files_only=True)
    own = pipeline.unet.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in fitted.weights().items())
    opened: Any = models.load(tmp_path / "sims")
    assert opened._auxiliary[1] == 1.0 and not opened._auxiliary[0].training
    assert opened.with_weights(opened.weights())._auxiliary is None, "another network has nothing to draw away from"


def test_sims_keeps_networks_of_patches_too(tmp_path: Path) -> None:
    fitted: Any = quick("ddpm", patch=2).fit(pictures(), 0)
    corrected = of("sims")(fitted, pictures(), 0)
    corrected.save(tmp_path)
    assert models.load(tmp_path).sample(5, 0).digest() == corrected.sample(5, 0).digest()


# --- in the loop


@pytest.mark.slow
@pytest.mark.parametrize("regime", [*REGIMES, "stream"])
@pytest.mark.parametrize("kind", CORRECTIONS)
def test_a_correction_works_under_every_regime(kind: str, regime: str, tmp_path: Path) -> None:
    chosen = {"kind": "replace", "stream": True} if regime == "stream" else regime
    study = {**NET, "regime": chosen, "correction": {"kind": kind, "steps": 2}}
    folder = made(tmp_path / "run", study, tmp_path / "shared")
    for generation in range(2):
        record = made_by(folder / f"gen_{generation:03d}")
        assert record is not None and record["correction"]["kind"] == kind and record["correction"]["steps"] == 2
        opened: Any = models.load(store.generation_folder(folder, generation) / store.MODEL)
        drawn = store.read_images(store.generation_folder(folder, generation) / store.SAMPLES)
        assert opened.sample(len(drawn), derive(0, generation, "sample")).digest() == drawn.digest()
        assert (opened._auxiliary is not None) == (kind == "sims")


def test_arms_that_differ_in_their_correction_learn_generation_0_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = counted(monkeypatch, DDPM, "fit")
    arms: list[dict[str, Any]] = [{}, {"correction": "neon"}, {"correction": "sims"}, {"correction": {"kind": "neon", "weight": 0}}]
    runs = [made(tmp_path / str(number), {**NET, **arm}, tmp_path / "shared") for number, arm in enumerate(arms)]
    assert len(fits) == 1 + 2 + 3 + 2, "generation 0; two copies of it; generation 1 of three, for with weight 0 it is the same; two copies"
    assert len({samples(folder)[0] for folder in runs}) == 3
    records = [made_by(folder / "gen_000") for folder in runs]
    assert "correction" not in (records[0] or {}) and len({str(record) for record in records}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", CORRECTIONS)
def test_page_and_card_say_that_a_model_was_corrected(kind: str, tmp_path: Path) -> None:
    said = call("run", *QUICKLY, "--set", f"correction={kind}", "--out", tmp_path / "run")
    assert said.exit_code == 0, said.output
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert f"{kind} w 1" in page and f"each model was corrected by {kind} w 1" in page
    assert call("card", tmp_path / "run", "--out", tmp_path / "card").exit_code == 0
    card = (tmp_path / "card/model/README.md").read_text(encoding="utf-8")
    assert f"Then it was corrected by {kind} w 1, without any other pictures than its own." in card
    assert ("draws from the model as it was before sims corrected it" in card) == (kind == "sims")


@pytest.mark.slow
@pytest.mark.parametrize("kind", CORRECTIONS)
def test_with_weight_0_nothing_is_corrected_to_the_byte(kind: str, tmp_path: Path) -> None:
    """Manifests name the correction and when they were written; all else is the same."""
    none, zero = (made(tmp_path / str(number), {**NET, **more}) for number, more in enumerate([{}, {"correction": of(kind, weight=0)}]))
    there = [
        {name: text for name, text in files(run).items() if name.startswith("gen_") and "MANIFEST" not in name} for run in (none, zero)
    ]
    assert there[0] == there[1] and len(there[0]) > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", CORRECTIONS)
def test_a_run_killed_while_a_copy_learns_goes_on_as_if_it_had_not_been(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = {**NET, "gens": 3, "correction": kind, "init": "previous"}
    whole = samples(made(tmp_path / "whole", study))
    calls, real = [0], DDPM.fit

    def fit(self: DDPM, *given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 4:  # generation 0, its copy, generation 1, and now its copy
            raise DivergedProblem("killed")
        return real(self, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(DDPM, "fit", fit)
        with pytest.raises(DivergedProblem):
            made(tmp_path / "run", study)
    assert len(list((tmp_path / "run").glob("gen_*"))) == 1
    assert samples(made(tmp_path / "run", study)) == whole
    shutil.rmtree(tmp_path / "run/gen_002")
    assert samples(made(tmp_path / "run", study)) == whole
