"""Models: the contract that every entry of the table keeps, and what is peculiar to each."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from own_generator import gaussian
from scipy.optimize import brentq
from scipy.stats import chi2, kstest, norm

from imgcollapse import datasets, models, seeds, testing
from imgcollapse.errors import DataProblem
from imgcollapse.images import REAL, ImageSet
from imgcollapse.models import MODELS, Model
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.gmm import GMM
from imgcollapse.models.nulls import NULLS, REDRAWN, Bootstrap, Gaussian, Smooth, nulls_for
from imgcollapse.models.vae import VAE
from imgcollapse.models.weights import read_tensors
from imgcollapse.settings import build
from imgcollapse.testing import pictures

QUICK = {
    "ddpm": {"steps": 6, "batch": 16, "sampling": {"steps": 3}, "widths": (8, 8)},
    "vae": {"steps": 6, "batch": 16, "components": 3},
    "gmm": {"components": 3, "pca": 4},
}


def points(n: int = 200) -> ImageSet:
    return ImageSet.of(torch.randn(n, 1, 1, 3, generator=torch.Generator().manual_seed(1)) + 5)


def quick(kind: str, **more: Any) -> Model:
    own = gaussian() if kind == "command" else {}
    return build(MODELS[kind], {"kind": kind, **QUICK.get(kind, {}), **own, **more})


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_draws_what_it_learned_from_and_is_the_same_after_saving(kind: str, tmp_path: Path) -> None:
    blank = quick(kind)
    testing.check_model(blank)
    fitted = blank.fit(pictures(), 5)
    fitted.save(tmp_path / "model")
    opened = models.load(tmp_path / "model")
    assert opened.kind == kind and opened.sample(20, 9).digest() == fitted.sample(20, 9).digest()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 13, 10)])
def test_pictures_of_any_size_keep_it(kind: str, shape: tuple[int, int, int]) -> None:
    fitted = quick(kind).fit(pictures(20, shape), 0)
    assert fitted.sample(3, 0).shape == shape


@pytest.mark.parametrize("kind", MODELS)
def test_points_are_learned_or_refused_in_one_line(kind: str) -> None:
    if kind in ("ddpm", "vae", "command"):
        with pytest.raises(DataProblem, match=f"^model '{kind}' learns pictures; for a world of points use gaussian, gmm or bootstrap$"):
            quick(kind).fit(points(), 0)
        return
    drawn = quick(kind).fit(points(), 0).sample(500, 1)
    assert drawn.pixels.dtype == torch.float32
    assert drawn.pixels.mean().item() == pytest.approx(5, abs=0.4)


@pytest.mark.parametrize("content", [None, "{", '{"options": {"kind": "gan"}, "state": {}}'])
def test_a_folder_without_a_model_is_said(content: str | None, tmp_path: Path) -> None:
    if content:
        (tmp_path / "imgcollapse.json").write_text(content)
    with pytest.raises(DataProblem, match=r"holds no saved model|holds a model of the unknown kind 'gan'; there are: ddpm, "):
        models.load(tmp_path)


def test_bootstrap_draws_training_pictures_with_their_labels() -> None:
    images = pictures()
    drawn = Bootstrap().fit(images, 0).sample(1000, 0)
    known = {(row.numpy().tobytes(), int(label)) for row, label in zip(images.pixels, images.labels, strict=True)}
    assert {(row.numpy().tobytes(), int(label)) for row, label in zip(drawn.pixels, drawn.labels, strict=True)} == known


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_what_is_there_several_times_is_written_once(kind: torch.dtype, tmp_path: Path) -> None:
    different = torch.randint(0, 256, (40, 1, 6, 6), generator=torch.Generator().manual_seed(0)).to(kind)
    rows = torch.randint(0, 40, (400,), generator=torch.Generator().manual_seed(1))
    images = ImageSet(different[rows], torch.arange(400) % 10, torch.arange(400) % 3)
    for model in (Bootstrap(), Smooth()):
        folder = tmp_path / model.kind
        fitted = model.fit(images, 0)
        fitted.save(folder)
        assert read_tensors(folder)["pixels"].shape[0] == len(rows.unique()) and read_tensors(folder)["rows"].dtype == torch.int32
        assert model.load(folder).sample(300, 7).digest() == fitted.sample(300, 7).digest()
        assert all(torch.equal(getattr(model.load(folder)._images, part), getattr(images, part)) for part in ("pixels", "labels", "born"))
    # each once: as older versions wrote them
    (tmp_path / "older").mkdir()
    Bootstrap().fit(images[:1], 0).save(tmp_path / "older")
    assert set(read_tensors(tmp_path / "older")) == {"pixels", "labels", "born"}


@pytest.mark.parametrize("noise", [0.1, 0.7])
@pytest.mark.parametrize("dim", [1, 3, 40])
def test_the_noise_of_smooth_is_as_long_as_a_share_of_the_distance_between_neighbours(noise: float, dim: int) -> None:
    images = ImageSet.of(torch.randn(300, 1, 1, dim, generator=torch.Generator().manual_seed(1)) + 5, torch.arange(300))
    apart = torch.cdist(values := images.pixels.flatten(1).double(), values, compute_mode="donot_use_mm_for_euclid_dist")
    spacing = apart.fill_diagonal_(torch.inf).amin(1).square().mean().sqrt()
    drawn = Smooth(noise=noise).fit(images, 0).sample(20_000, 3)
    away = drawn.pixels.flatten(1).double() - values[drawn.labels]
    assert float(away.square().sum(1).mean().sqrt()) == pytest.approx(noise * float(spacing), rel=0.02)
    assert float(away.mean().abs()) < 5 * noise * float(spacing) / 20_000**0.5
    assert torch.bincount(drawn.labels, minlength=300).double().var() == pytest.approx(20_000 / 300, rel=0.4), "drawn with replacement"
    assert len(drawn.pixels.flatten(1).unique(dim=0)) > 19_900, "and no point is drawn twice but by rounding"


def test_smooth_is_the_kernel_density_that_is_likeliest_for_what_it_leaves_out() -> None:
    """Duin's bandwidth, by a search over the leave-one-out likelihood: noise 1 in 60 dimensions, where the nearest decides."""
    values = torch.randn(200, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    squares = torch.cdist(values, values).square().fill_diagonal_(torch.inf)
    widths = torch.linspace(0.2, 2, 181, dtype=torch.float64)
    likelihood = [float((torch.logsumexp(-squares / (2 * h**2), 1) - 60 * h.log()).sum()) for h in widths]
    best = float(widths[int(np.argmax(likelihood))])
    fitted = Smooth(noise=1).fit(ImageSet.of(values.float()[:, None, None]), 0)
    assert fitted._deviation == pytest.approx(best, rel=0.1)


def test_smooth_looks_at_different_pictures_only_and_at_a_thousand_of_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    images = points(200)
    once = Smooth().fit(images, 0)._deviation
    assert Smooth().fit(images[torch.arange(600) % 200], 0)._deviation == once > 0
    monkeypatch.setattr("imgcollapse.models.nulls.LOOKED_AT", 100)
    some = Smooth().fit(images, 0)._deviation
    assert some != once and some == pytest.approx(once, rel=0.3)
    alike = images[torch.zeros(5, dtype=torch.int64)]
    assert torch.equal(Smooth().fit(alike, 0).sample(5, 0).pixels, alike.pixels), "one picture has no neighbour, and so no noise"


def test_smooth_rounds_pictures_and_keeps_labels_and_what_they_are_drawn_from() -> None:
    images = pictures(60)
    fitted = Smooth(noise=1e-6).fit(images, 0)
    assert fitted.sample(500, 3).digest() == Bootstrap().fit(images, 0).sample(500, 3).digest(), "noise below half a grey level is none"
    drawn = Smooth(noise=1).fit(images, 0).sample(500, 3)
    assert drawn.pixels.dtype == torch.uint8 and torch.equal(drawn.labels, fitted.sample(500, 3).labels)
    assert len(drawn.pixels.flatten(1).unique(dim=0)) == 500


def test_the_null_models_of_pictures_are_those_that_draw_them_again() -> None:
    assert nulls_for(are_points=False) == REDRAWN == ("bootstrap", "smooth") and nulls_for(are_points=True) == NULLS
    for kind, dataset in datasets.DATASETS.items():
        known = kind in ("gaussian", "grid25")
        assert dataset.are_points == known
        if kind in ("digits", "gaussian", "grid25"):
            assert datasets.load(build(dataset, {"kind": kind}), 0).train.are_points == known


@pytest.mark.parametrize("ddof", [0, 1])
def test_gaussian_has_the_moments_of_its_training_set(ddof: int) -> None:
    images = points(50)
    fitted = Gaussian(ddof=ddof).fit(images, 0)  # type: ignore[arg-type]
    drawn = fitted.sample(40_000, 3).pixels.flatten(1).double()
    mean, variance = images.pixels.flatten(1).double().mean(0), images.pixels.flatten(1).double().var(0, correction=ddof)
    assert ((drawn.mean(0) - mean).abs() < 5 * (variance / 40_000).sqrt()).all()
    assert ((drawn.var(0) - variance).abs() < 5 * variance * (2 / 40_000) ** 0.5).all()


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_gmm_draws_from_the_density_it_states(covariance: str, tmp_path: Path) -> None:
    fitted = build(GMM, {"components": 4, "covariance": covariance}).fit(points(300), 0)
    drawn = fitted.sample(4000, 1)
    reference = fitted._mixture.sample(4000)[0]  # scikit-learn's own draws
    ours = drawn.pixels.flatten(1).double() - fitted._centre
    assert ((ours.mean(0) - torch.from_numpy(reference.mean(0))).abs() < 0.12).all()
    assert torch.allclose(ours.T.cov(), torch.from_numpy(reference.T).cov(), atol=0.25)
    fitted.save(tmp_path)
    likelihood = fitted.log_likelihood(drawn, 0, 1)
    assert torch.equal(likelihood, fitted.load(tmp_path).log_likelihood(drawn, 0, 1))
    assert likelihood.mean().item() == pytest.approx(fitted._mixture.score_samples(reference).mean(), abs=0.15)


@pytest.mark.parametrize(("dim", "keep"), [(1, 0.3), (2, 0.9), (5, 0.5), (40, 0.05)])
@pytest.mark.parametrize("kind", ["gaussian", "gmm"])
def test_the_densest_share_of_a_normal_distribution_is_drawn_exactly(kind: str, dim: int, keep: float) -> None:
    """The squared length of what is kept has the chi-square distribution below its quantile; with a temperature, of the narrowed draws."""
    options = {"sampling": {"keep": keep, "temperature": 0.7}, **({"components": 1, "covariance": "diag"} if kind == "gmm" else {})}
    learned = ImageSet.of(torch.randn(400, 1, 1, dim, generator=torch.Generator().manual_seed(0)) * 3 + 1)
    fitted = build(MODELS[kind], options).fit(learned, 0)
    plain = build(MODELS[kind], {**options, "sampling": {}}).fit(learned, 0)
    assert (fitted.model_dump()["sampling"], plain.model_dump().get("sampling")) == ({"temperature": 0.7, "keep": keep}, None)
    values = learned.pixels.flatten(1).double()
    drawn, free = (one.sample(20_000, 1).pixels.flatten(1).double() for one in (fitted, plain))
    standard = (drawn - values.mean(0)) / (0.7 * free.std(0))
    outer = chi2.ppf(keep, dim)
    lengths = standard.square().sum(1).numpy()
    assert lengths.max() < outer * 1.1
    assert kstest(chi2.cdf(lengths, dim) / keep, "uniform").statistic < 0.03, "1.36 / sqrt(20,000) is 0.0096; the scale is an estimate"
    assert standard.square().mean().item() == pytest.approx(chi2.cdf(outer, dim + 2) / keep, rel=0.03)
    towards = (drawn - values.mean(0)).flatten().sign()
    assert torch.equal(towards, (free - values.mean(0)).flatten().sign()), "the same noise, nearer to the middle"


def test_of_a_mixture_what_is_kept_is_densest_under_the_narrowed_mixture() -> None:
    """Two Gaussians, a wide one with most of the weight: their density at the threshold says how much of each is kept."""
    wide, narrow = (torch.randn(n, 1, 1, 1, generator=torch.Generator().manual_seed(n)) for n in (3000, 1001))
    learned = ImageSet.of(torch.cat([4 * wide, 0.25 * narrow + 40]))
    fitted = {
        keep: build(GMM, {"components": 2, "sampling": {"keep": keep, "temperature": 0.5}}).fit(learned, 0) for keep in (1.0, 0.6, 0.2)
    }
    weights, means = fitted[1.0]._mixture.weights_, fitted[1.0]._mixture.means_[:, 0]
    narrowest = int(means.argmax())
    spreads = 0.5 * np.sqrt(fitted[1.0]._mixture.covariances_[:, 0, 0])

    def kept(log_threshold: float) -> tuple[float, float]:
        """Of the wide and of the narrow one, which lie far apart, the probability that is above that density."""
        peaks = np.log(weights / (spreads * math.sqrt(2 * math.pi)))
        reach = np.sqrt(2 * np.clip(peaks - log_threshold, 0, None))
        inside = weights * (2 * norm.cdf(reach) - 1)
        return float(inside[1 - narrowest]), float(inside[narrowest])

    for keep in (0.6, 0.2):
        of_each = kept(brentq(lambda level, keep=keep: sum(kept(level)) - keep, -50, 5))
        drawn = fitted[keep].sample(20_000, 3).pixels.flatten()
        share = (drawn > 20).double().mean().item()
        error = 4.5 * math.sqrt(0.25 / 20_000 + 0.25 / 16_384 / keep**2)
        assert share == pytest.approx(of_each[1] / keep, abs=error)
        assert share > weights[narrowest] + error, "the narrow one, which is denser, gains"
        assert len(fitted[keep].sample(0, 0)) == 0 and fitted[keep].sample(7, 0).digest() == fitted[keep].sample(7, 0).digest()


def test_a_low_temperature_narrows_gmm_and_vae() -> None:
    of = [build(GMM, {"components": 1, "sampling": {"temperature": t}}).fit(points(300), 0) for t in (1.0, 0.5)]
    wide, narrow = (fitted.sample(2000, 1).pixels.std().item() for fitted in of)
    assert narrow == pytest.approx(wide / 2, rel=0.05)
    older, now = (build(GMM, one).model_dump() for one in ({"temperature": 0.5}, {"sampling": {"temperature": 0.5}}))
    assert older == now, "as older versions kept it"
    assert "sampling" not in GMM().model_dump()
    vae = VAE(steps=60, batch=32, components=1).fit(pictures(), 0)  # it is within each Gaussian
    spread = [
        float(
            vae.model_copy(update={"sampling": vae.sampling.model_copy(update={"temperature": t})})
            .sample(200, 1)
            .pixels.float()
            .std(0)
            .mean()
        )
        for t in (1.0, 0.1)
    ]
    assert spread[1] < spread[0]


def test_gmm_needs_as_many_pictures_as_components() -> None:
    with pytest.raises(DataProblem, match=r"^model\.components: 50 Gaussians need as many pictures, there are 20; set fewer$"):
        GMM().fit(pictures(20), 0)


@pytest.mark.parametrize("observation", ["bernoulli", "gaussian", "logistic"])
def test_vae_means_and_draws_differ_as_their_distribution_says(observation: str) -> None:
    fitted = build(VAE, {"steps": 150, "batch": 32, "observation": observation}).fit(pictures(), 0)
    mean = fitted.sample(400, 2).pixels.float() / 255
    drawn = (
        fitted.model_copy(update={"sampling": fitted.sampling.model_copy(update={"draw": "sample"})}).sample(400, 2).pixels.float() / 255
    )
    assert (mean - drawn).abs().max() > 0.05
    if observation == "bernoulli":
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        error = (drawn.mean(0) - mean.mean(0)).abs()
        assert (error < 5 * (mean * (1 - mean)).mean(0).div(400).sqrt() + 0.003).all()
    else:
        factor = 1 if observation == "gaussian" else math.pi / math.sqrt(3)  # the standard deviation of a logistic scale of 1
        assert float((drawn - mean).std()) <= float(fitted._net.log_deviation.exp()) * factor * 1.05


@pytest.mark.slow
def test_vae_learns_the_two_classes() -> None:
    images = pictures(200)
    drawn = VAE(steps=800, batch=64).fit(images, 0).sample(200, 0).pixels.float()
    top, bottom = drawn[:, :, :4].mean((1, 2, 3)), drawn[:, :, 4:].mean((1, 2, 3))
    clear = (top - bottom).abs() > 100
    assert clear.double().mean() > 0.7
    assert 0.2 < (top > bottom)[clear].double().mean() < 0.8


@pytest.fixture(scope="module")
def diffusion() -> DDPM:
    """A network trained long enough that samplers can be told apart from noise."""
    return DDPM(steps=150, batch=32, timesteps=200, widths=(8, 16), learning_rate=8e-3).fit(pictures(256), 0)


def drawing(fitted: DDPM, sampler: str, steps: int) -> DDPM:
    """The same network, drawing in that way."""
    return fitted.model_copy(update={"sampling": fitted.sampling.model_copy(update={"sampler": sampler, "steps": steps})})


class GaussianDenoiser(torch.nn.Module):
    """The exact v of pictures whose values are normal: at x = a x0 + s e the mean of x0 is m + a d^2 (x - a m) / (a^2 d^2 + s^2)."""

    def __init__(self, alphas_cumprod: torch.Tensor, mean: float, deviation: float) -> None:
        super().__init__()
        self.shares, self.mean, self.deviation = alphas_cumprod, mean, deviation
        self.config = SimpleNamespace(sample_size=8)

    def forward(self, x: torch.Tensor, t: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        a, s = self.shares[t].sqrt(), (1 - self.shares[t]).sqrt()
        spread = self.deviation**2
        clean = self.mean + a * spread * (x - a * self.mean) / (a**2 * spread + s**2)
        return (a * (x - a * clean) / s - s * clean,)


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 0), ("ddim", 200), ("dpm++", 50)])
def test_every_sampler_draws_what_an_exact_network_has_learned(sampler: str, steps: int) -> None:
    """Mean and standard deviation of normal values, 64 a picture; DDIM of 50 steps would give 0.236 for 0.25."""
    exact = drawing(DDPM(steps=1, batch=8, widths=(8, 8)).fit(pictures(8), 0), sampler, steps)
    exact._net = GaussianDenoiser(exact._alphas_cumprod(), mean=0.1, deviation=0.25)
    values = exact.sample(1000, 5).pixels.double() / 127.5 - 1
    assert float(values.mean()) == pytest.approx(0.1, abs=0.004)  # four standard errors
    assert float(values.std()) == pytest.approx(0.25, abs=0.006)
    assert float((values.std(0) - 0.25).abs().max()) < 0.03  # at every place


@pytest.mark.slow  # trains networks
def test_ddim_and_dpm_solver_follow_the_same_path_from_the_same_noise(diffusion: DDPM) -> None:
    """Both solve the probability flow: from one x_T they end in nearly the same picture, ancestral sampling does not."""
    ends = {sampler: drawing(diffusion, sampler, 50).sample(64, 3).pixels.double() for sampler in ("ddim", "dpm++", "ddpm")}
    same = (ends["ddim"] - ends["dpm++"]).abs().mean()
    other = (ends["ddim"] - ends["ddpm"]).abs().mean()
    assert same < other / 3


@pytest.mark.parametrize("patch", [1, 2])
def test_a_loaded_ddpm_is_saved_as_it_was(patch: int, tmp_path: Path) -> None:
    """To the byte; diffusers would write where it was loaded from."""
    first, again, fitted = tmp_path / "first", tmp_path / "again", DDPM(steps=1, batch=8, widths=(8, 8), patch=patch).fit(pictures(8), 0)
    fitted.save(first)
    fitted.load(first).save(again)
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert [file for file in files if (first / file).read_bytes() != (again / file).read_bytes()] == []


def test_a_saved_ddpm_opens_in_diffusers_and_draws(diffusion: DDPM, tmp_path: Path) -> None:
    from diffusers import DDPMPipeline

    diffusion.save(tmp_path)
    pipeline = DDPMPipeline.from_pretrained(tmp_path, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(batch_size=2, num_inference_steps=5, generator=torch.Generator().manual_seed(0), output_type="np").images
    assert drawn.shape == (2, 8, 8, 1)
    assert pipeline.scheduler.config.num_train_timesteps == 200
    weights = (tmp_path / "unet").glob("*")
    assert any(path.suffix == ".safetensors" for path in weights)


@pytest.mark.parametrize("patch", [2, 4])
def test_a_ddpm_of_patches_opens_in_diffusers_with_its_network_beside_it(patch: int, tmp_path: Path) -> None:
    """What the pipeline draws has the size of the pictures; and the network is the same as that of a loaded model, on pixels."""
    from diffusers import DDPMPipeline

    from imgcollapse.models.ddpm_network import PatchedUNet

    fitted = build(DDPM, {"patch": patch, "steps": 5, "batch": 8, "widths": [8, 16], "timesteps": 50}).fit(pictures(32), 0)
    fitted.save(tmp_path)
    net = PatchedUNet.from_pretrained(tmp_path / "unet", local_files_only=True)
    pipeline = DDPMPipeline.from_pretrained(tmp_path, unet=net, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline(batch_size=2, num_inference_steps=3, output_type="np").images.shape == (2, 8, 8, 1)
    assert torch.equal(fitted.load(tmp_path).sample(4, 1).pixels, fitted.sample(4, 1).pixels)
    pixels = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    folded = torch.nn.functional.pixel_unshuffle(pixels, patch)
    with torch.inference_mode():
        inside = net.inner(folded, 7).sample
        assert torch.equal(net(pixels, 7).sample, torch.nn.functional.pixel_shuffle(inside, patch))


@pytest.mark.parametrize(
    ("shape", "options", "mflop"),
    [
        ((1, 28, 28), {"patch": 2, "widths": [16, 32, 64]}, 46),
        ((1, 28, 28), {"patch": 2, "widths": [32, 64]}, 92),
        ((1, 28, 28), {"patch": 4, "widths": [32, 64]}, 31),
        ((3, 32, 32), {"patch": 4, "widths": [64, 128]}, 127),
        ((1, 8, 8), {}, 7.55),
    ],
)
def test_a_patch_makes_a_network_cheaper_by_so_much(shape: tuple[int, int, int], options: dict[str, object], mflop: float) -> None:
    """Multiplications and additions of one picture, in millions, as PyTorch counts them; pictures are padded where halvings ask for it."""
    from torch.utils.flop_counter import FlopCounterMode

    model = build(DDPM, {**options, "attention": False}).for_world(shape, 10)
    net, side = model._network(shape), model.padded(shape)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        found = net(torch.zeros(1, shape[0], side, side), torch.zeros(1, dtype=torch.int64)).sample
    assert counter.get_total_flops() / 1e6 == pytest.approx(mflop, rel=0.03) and found.shape == (1, shape[0], side, side)
    assert side >= max(shape[1:]) and side % (model.patch * 2 ** (len(model.widths) - 1)) == 0


@pytest.mark.parametrize(
    ("prediction", "schedule"),
    [
        ("v", "cosine"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("epsilon", "linear"), ("epsilon", "cosine"), ("v", "linear"))),
    ],
)
def test_every_prediction_and_schedule_learns_where_the_light_is(prediction: str, schedule: str) -> None:
    options = {"steps": 120, "batch": 32, "widths": (8, 16), "timesteps": 100, "prediction": prediction, "schedule": schedule}
    drawn = build(DDPM, options).fit(pictures(256), 0).sample(100, 0).pixels.double()
    top, bottom = drawn[:, :, :4].mean((1, 2, 3)), drawn[:, :, 4:].mean((1, 2, 3))
    assert ((top - bottom).abs() > 60).double().mean() > 0.6


@pytest.mark.slow  # trains networks
def test_a_class_conditional_ddpm_draws_classes_by_the_learned_shares_and_obeys_them() -> None:
    images = pictures(256)
    rare = images[torch.cat([(images.labels == 0).nonzero()[:90, 0], (images.labels == 1).nonzero()[:10, 0]])]
    fitted = DDPM(steps=150, batch=32, widths=(8, 16), timesteps=100, class_conditional=True).fit(rare, 0)
    drawn = fitted.sample(400, 0)
    share = float((drawn.labels == 1).double().mean())
    assert abs(share - 0.1) < 5 * (0.1 * 0.9 / 400) ** 0.5
    flat = drawn.pixels.double()
    darker_top = flat[:, :, :4].mean((1, 2, 3)) < flat[:, :, 4:].mean((1, 2, 3))
    assert float((darker_top == (drawn.labels == 1)).double().mean()) > 0.9


def test_a_class_conditional_ddpm_refuses_pictures_without_a_class() -> None:
    with pytest.raises(DataProblem, match=r"^model\.class_conditional: the training set has pictures without a class; set it to false$"):
        DDPM(class_conditional=True).fit(ImageSet.of(pictures(20).pixels), 0)


def test_models_mark_nothing_as_their_own() -> None:
    """The loop, not the model, says in which generation a picture was born."""
    assert set(quick("vae").fit(pictures(), 0).sample(4, 0).born.tolist()) == {REAL}


def test_same_latents_give_comparable_pictures_in_two_generations() -> None:
    images = pictures(128)
    first = VAE(steps=150, batch=64).fit(images, 0)
    assert first.sample(5, seeds.derive(0, "latents")).digest() == first.sample(5, seeds.derive(0, "latents")).digest()


def test_what_follows_the_picture_size_is_chosen_once_and_only_where_it_was_left_open() -> None:
    small, large = DDPM().for_world((1, 8, 8), 10), DDPM(steps=7).for_world((3, 32, 32), 10)
    assert small.steps > 0 and small.widths and small.attention is False and small.sampling.steps > 0 and small.learning_rate > 0
    assert large.steps == 7 and large.patch == 2 and large.widths != small.widths and small.patch == 1 and large.optimiser == "muon"
    assert DDPM(batch=8, optimiser="adamw", patch=4, log_snr=(3.0, 1.0)).for_world((1, 28, 28), 10).model_dump(
        include={"batch", "optimiser", "patch", "log_snr"}
    ) == {"batch": 8, "optimiser": "adamw", "patch": 4, "log_snr": (3.0, 1.0)}
    assert small.for_world((3, 32, 32), 10) == small
    assert DDPM().for_world((3, 100, 100), 10) == DDPM().for_world((3, 64, 64), 10)
    ddim = build(DDPM, {"sampling": {"sampler": "ddim", "steps": 3}}).for_world((3, 32, 32), 10).sampling
    assert (ddim.sampler, ddim.steps) == ("ddim", 3)
