"""The early stop of a sampler, and annealing it, with exact denoisers: what is drawn, and what becomes of a chain."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import theory
import torch
from PIL import Image
from test_models import GaussianDenoiser, pictures, quick

from imgcollapse import store
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import ImageSet, to_signed
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.sampling import of_generation
from imgcollapse.models.stream import ModelStream
from imgcollapse.settings import build
from imgcollapse.study import Study, run

ERRORS = 4.5  # standard errors; two-sided 7e-6
ROUNDING = (2 / 255) ** 2 / 12  # what rounding to grey levels adds to the variance of values in -1..1
REAL = 0.1, 0.2  # mean and standard deviation


class Exact(DDPM):
    """Learns mean and standard deviation of all values, and denoises as if they were normal."""

    def fit(self, images: Any, seed: int, start: Any = None) -> "Exact":
        values = to_signed(images.pixels).double()
        return self.exact(float(values.mean()), float(values.std()))

    def exact(self, mean: float, deviation: float) -> "Exact":
        chosen = self.for_world((1, 8, 8), 0)
        return chosen._fitted(GaussianDenoiser(chosen._alphas_cumprod(), mean, deviation), (1, 8, 8), None)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        about = {"mean": self._net.mean, "deviation": self._net.deviation, "sampling": self.sampling.model_dump(mode="json")}
        (folder / "exact.json").write_text(json.dumps(about))

    def load(self, folder: Path) -> "Exact":
        about = json.loads((folder / "exact.json").read_text())
        return self.exact(about["mean"], about["deviation"])


def exact(steps: int = 50, **sampling: Any) -> Exact:
    return build(Exact, {"sampling": {"sampler": "ddim", "steps": steps, **sampling}})


def signals(model: DDPM, steps: int, stop: float) -> list[float]:
    """a^2 of the levels that DDIM comes to with that many steps, those with more noise than the stop, and of where it ends."""
    shares = model._alphas_cumprod().double()
    levels = shares[torch.arange(999, -1, -(1000 // steps))]
    return [*levels[(1 - levels).sqrt() > stop].tolist(), 1 - stop**2]


@pytest.mark.parametrize("stop", [0.0, 0.003, 0.1, 0.2])
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_what_is_drawn_is_the_noisy_state_to_the_standard_error(stop: float, prediction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the exact affine map of as many steps, and that against the noisy state itself, a x_0 + s e."""
    model = exact(stop=stop).model_copy(update={"prediction": prediction}).exact(*REAL)
    if prediction == "epsilon":  # e = s x + a v
        shares, of_v = model._alphas_cumprod(), GaussianDenoiser.forward

        def forward(self: GaussianDenoiser, x: torch.Tensor, t: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
            return ((1 - shares[t]).sqrt() * x + shares[t].sqrt() * of_v(self, x, t, return_dict)[0],)

        monkeypatch.setattr(GaussianDenoiser, "forward", forward)
    values = model.sample(1000, 5).pixels.double() / 127.5 - 1
    mean, deviation = theory.ddim(signals(model, 50, stop), (1, *REAL))
    spread = math.sqrt(deviation**2 + ROUNDING)
    assert float(values.mean()) == pytest.approx(mean, abs=ERRORS * spread / math.sqrt(values.numel()))
    assert float(values.std()) == pytest.approx(spread, rel=ERRORS / math.sqrt(2 * values.numel()))
    many = theory.ddim(signals(model, 1000, stop), (1, *REAL))
    ((wanted, variance),) = theory.stopped_early(REAL[0], REAL[1] ** 2, [stop])
    assert many[0] == pytest.approx(wanted, rel=0.01) and many[1] == pytest.approx(math.sqrt(variance), rel=0.01)


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 0), ("ddim", 200), ("dpm++", 50)])
def test_every_sampler_stops_at_the_same_noise(sampler: str, steps: int) -> None:
    model = exact(steps, sampler=sampler, stop=0.2).exact(*REAL)
    values = model.sample(1000, 5).pixels.double() / 127.5 - 1
    ((mean, variance),) = theory.stopped_early(REAL[0], REAL[1] ** 2, [0.2])
    assert float(values.mean()) == pytest.approx(mean, abs=0.005)  # four standard errors
    assert float(values.std()) == pytest.approx(math.sqrt(variance), rel=0.015)


def test_steps_below_the_stop_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = DDPM._predict

    def predict(self: DDPM, net: Any, x: Any, t: torch.Tensor, conditions: Any) -> Any:
        asked.append(int(t))
        return real(self, net, x, t, conditions)

    monkeypatch.setattr(DDPM, "_predict", predict)
    exact(10).exact(*REAL).sample(2, 0)
    whole, asked[:] = list(asked), []
    exact(10, stop=0.7).exact(*REAL).sample(2, 0)
    noise = (1 - exact()._alphas_cumprod()).sqrt()
    assert len(whole) == 10 and asked == [t for t in whole if noise[t] > 0.7] and 0 < len(asked) < 10


def real_pictures(folder: Path) -> Path:
    """Two classes of pictures whose values are normal."""
    generator = torch.Generator().manual_seed(0)
    for number in range(240):
        values = (REAL[0] + REAL[1] * torch.randn(8, 8, generator=generator) + 1) * 127.5
        place = folder / "ab"[number % 2] / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.round().clamp(0, 255).to(torch.uint8).numpy()).save(place)
    return folder


def chain(
    folder: Path, monkeypatch: pytest.MonkeyPatch, gens: int, sampling: dict[str, Any], name: str = "run", **study: Any
) -> list[ImageSet]:
    """What the generations of the real loop draw, with an exact denoiser in the place of a network."""
    for method in ("fit", "save", "load", "exact"):
        monkeypatch.setattr(DDPM, method, vars(Exact)[method], raising=False)
    data = f"folder:{real_pictures(folder / 'real')}"
    chosen = {"kind": "ddpm", "sampling": {"sampler": "ddim", "steps": 100, **sampling}}
    values = {"dataset": data, "model": chosen, "gens": gens, "samples": 180, "judge": {"extractors": []}, **study}
    run(build(Study, values), folder / name, shared=folder / "shared")
    return [store.read_images(store.generation_folder(folder / name, g) / store.SAMPLES) for g in range(gens)]


@pytest.mark.parametrize(("anneal", "real"), [(1.0, 0.0), (1.0, 0.25), (0.5, 0.0)])
def test_a_chain_that_stops_early_drifts_as_theory_says(
    anneal: float, real: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real loop against the exact map of as many steps, and that, with a thousand steps, against the closed form."""
    gens, stop, n = 5, 0.12, 180 * 64
    stops = [stop * anneal**g for g in range(gens)]
    regime = {"kind": "retain", "real_fraction": real} if real else "replace"
    drawn = chain(tmp_path, monkeypatch, gens, {"stop": stop, "anneal": anneal}, regime=regime)
    first = json.loads((tmp_path / "run/gen_000/model/exact.json").read_text())

    def stepped(steps: int) -> theory.Moments:
        def draw(mean: float, variance: float, stop: float) -> tuple[float, float]:
            m, d = theory.ddim(signals(exact(), steps, stop), (1, mean, math.sqrt(variance)))
            return m, d**2 + ROUNDING

        return theory.stopped_early(first["mean"], first["deviation"] ** 2, stops, real, draw)

    for generation, (images, (mean, variance)) in enumerate(zip(drawn, stepped(100), strict=True)):
        values = to_signed(images.pixels).double()
        # every generation adds the error of its own draws; real pictures take a part of the older ones away
        error = ERRORS * math.sqrt((generation + 1) / n)
        assert float(values.mean()) == pytest.approx(mean, abs=error * math.sqrt(variance)), generation
        assert float(values.var()) == pytest.approx(variance, rel=error * math.sqrt(2)), generation
        about = json.loads((tmp_path / f"run/gen_{generation:03d}/model/exact.json").read_text())["sampling"]
        assert about["stop"] == pytest.approx(stops[generation]) and "anneal" not in about, "settled for the generation"
    closed = theory.stopped_early(first["mean"], first["deviation"] ** 2, stops, real)
    for one, other in zip(stepped(1000), closed, strict=True):
        assert one == pytest.approx(other, rel=0.03)  # first order: half a percent a generation


def test_annealing_ends_the_drift_and_a_constant_stop_ends_in_noise() -> None:
    """The closed form of the paper's two claims."""
    forever = theory.stopped_early(0.1, 0.04, [0.1] * 2000)[-1]
    assert forever == pytest.approx((0, 1), abs=1e-4)
    annealed = theory.stopped_early(0.1, 0.04, [0.1 * 0.5**g for g in range(2000)])[-1]
    total = math.prod(1 - 0.01 * 0.25**g for g in range(100))
    assert annealed == pytest.approx((0.1 * math.sqrt(total), 1 - 0.96 * total))
    mixed = theory.stopped_early(0.0, 0.04, [0.1] * 2000, real=0.1)[-1][1]
    assert mixed == pytest.approx((0.99 * 0.1 * 0.04 + 0.01) / (1 - 0.99 * 0.9)), "the fixed point with a tenth of real pictures"


def test_an_annealed_chain_is_resumed_as_it_was_and_shares_the_weights_of_generation_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = chain(tmp_path / "one", monkeypatch, 3, {"stop": 0.1, "anneal": 0.5})
    chain(tmp_path / "two", monkeypatch, 2, {"stop": 0.1, "anneal": 0.5})
    again = chain(tmp_path / "two", monkeypatch, 3, {"stop": 0.1, "anneal": 0.5})
    assert [one.digest() for one in again] == [one.digest() for one in drawn]
    made_of: list[Any] = []
    fit = Exact.fit
    monkeypatch.setattr(Exact, "fit", lambda *given: made_of.append(given) or fit(*given))
    constant = chain(tmp_path / "one", monkeypatch, 2, {"stop": 0.1}, name="constant")
    assert [one.digest() == other.digest() for one, other in zip(constant, drawn, strict=False)] == [True, False]
    assert not made_of, "generation 0 has learned the same and draws the same, and so generation 1 has learned the same"


def test_a_stream_draws_as_its_generation_does() -> None:
    model = exact(stop=0.4, anneal=0.5).exact(*REAL)

    class Parent:
        number, model_digest = 2, None

        def __init__(self) -> None:
            self.model = model

    stream = ModelStream.of(Parent(), pictures(2))
    assert stream.batch(20, 3).pixels.equal(exact(stop=0.1).exact(*REAL).sample(20, 3).pixels)
    assert of_generation(model, 0).sampling.stop == 0.4 and of_generation(quick("gmm"), 3).sampling.temperature == 1
    plain = exact(stop=0.4)
    assert of_generation(plain, 5) is plain, "what does not depend on it stays the very same"


def test_a_stop_that_cannot_be_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsProblem, match=r"^sampling: anneal makes stop smaller from generation to generation; give stop too$"):
        exact(anneal=0.5)
    short = build(DDPM, {"timesteps": 5, "schedule": "linear", "sampling": {"stop": 0.5}})
    with pytest.raises(
        SettingsProblem, match=r"^model\.sampling\.stop: 0\.5 cannot be used; the sampler begins with noise of 0\.222, set "
    ):
        short.for_world((1, 8, 8), 10)
    assert "stop" not in DDPM().sampling.model_dump() and "anneal" not in DDPM().sampling.model_dump(), "older studies keep their names"
