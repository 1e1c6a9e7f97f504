"""Classifier-free guidance: the guided prediction and what it draws, by closed forms; and how a network learns to do without the class."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from standins import pictures
from torch import Tensor, nn

from imgcollapse import models, seeds
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import ImageSet
from imgcollapse.machine import devices
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.machine.devices import Machine
from imgcollapse.models import guidance
from imgcollapse.models.ddpm import DDPM
from imgcollapse.settings import build
from imgcollapse.study import Study, run
from imgcollapse.training import BatchRandomness, FixedSet, fit_network

PLAIN: dict[str, Any] = {"class_conditional": True, "steps": 6, "batch": 16, "widths": [8, 8], "sampling": {"steps": 3}}
DROPPED: dict[str, Any] = {**PLAIN, "condition_dropout": 0.25}


def labelled(n: int = 48, classes: int = 3) -> ImageSet:
    return ImageSet.of(pictures(n, 1), torch.arange(n) % classes)


def with_guidance(fitted: DDPM, w: float, **more: Any) -> DDPM:
    return fitted.model_copy(update={"sampling": fitted.sampling.model_copy(update={"guidance": w, **more})})


class Exact(nn.Module):
    """The exact v for pictures whose values are all normal, of each class with its own mean and standard deviation; the last stands for
    no class. At x = a x0 + s e the mean of x0 is m + a d^2 (x - a m) / (a^2 d^2 + s^2). It counts its evaluations."""

    def __init__(self, alphas_cumprod: Tensor, means: list[float], deviations: list[float]) -> None:
        super().__init__()
        self.shares, self.means, self.deviations = alphas_cumprod, torch.tensor(means), torch.tensor(deviations)
        self.config, self.evaluations = SimpleNamespace(sample_size=8), 0

    def forward(self, x: Tensor, t: Tensor, classes: Tensor, return_dict: bool) -> tuple[Tensor]:
        self.evaluations, x = self.evaluations + 1, x.double()
        a, s = (share[t].sqrt().view(-1, 1, 1, 1) for share in (self.shares.double(), 1 - self.shares.double()))
        mean, spread = (of[classes][:, None, None, None] for of in (self.means, self.deviations.square()))
        clean = mean + a * spread * (x - a * mean) / (a**2 * spread + s**2)
        return (a * (x - a * clean) / s - s * clean,)


def exact(means: list[float], deviations: list[float], **sampling: Any) -> DDPM:
    """A DDPM with that network, guided as `sampling` says; all it draws is of class 0."""
    options = {**DROPPED, "sampling": sampling}
    fitted = build(DDPM, options).for_world((1, 8, 8), len(means) - 1)
    fitted = fitted._fitted(nn.Identity(), (1, 8, 8), torch.tensor([1.0, *[0.0] * (len(means) - 2)], dtype=torch.float64))
    fitted._net = Exact(fitted._alphas_cumprod(), means, deviations)
    return fitted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"sampling": {"guidance": 1}},
            "model.sampling.guidance: 1 needs a network that knows pictures with and without their class; "
            "set model.class_conditional to true, and model.condition_dropout to 0.1",
        ),
        (
            {"sampling": {"guidance": 0.5}, "class_conditional": True},
            "model.sampling.guidance: 0.5 needs a network that knows pictures with and without their class; "
            "set model.condition_dropout to 0.1",
        ),
        (
            {"condition_dropout": 0.2},
            "model.condition_dropout: 0.2 is for networks that get the class; set it to 0, or model.class_conditional to true",
        ),
    ],
)
def test_what_cannot_be_guided_is_refused_before_anything_is_written(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem) as caught:
        run(build(Study, {"model": {"kind": "ddpm", **options}}), tmp_path / "run")
    assert str(caught.value) == said and not (tmp_path / "run").exists()


@pytest.mark.parametrize("w", [0.0, 0.5, 3.0])
def test_the_guided_prediction_is_the_guided_score_at_every_level(w: float) -> None:
    """(1 + w) s_c - w s_u with s = -(x - a m) / (a^2 d^2 + s^2), the score of the noised density; the noise is -s times that."""
    means, deviations, null = [0.3, -0.4, 0.05], [0.1, 0.2, 0.45], 2
    model = exact(means, deviations, guidance=w)
    t = torch.arange(model.timesteps)
    x, classes = torch.randn(len(t), 1, 8, 8, generator=torch.Generator().manual_seed(0)), t % 2
    shares = model._alphas_cumprod().double()[:, None, None, None]
    a, s = shares.sqrt(), (1 - shares).sqrt()

    def score(of: Tensor) -> Tensor:
        mean, deviation = (torch.tensor(values, dtype=torch.float64)[of][:, None, None, None] for values in (means, deviations))
        return -(x - a * mean) / (a**2 * deviation**2 + s**2)

    found = model._predict(model._net, x, t, [classes])
    wanted = -s * ((1 + w) * score(classes) - w * score(torch.full_like(classes, null)))
    noise = s * x + a * found.double()  # of v
    assert found.dtype == torch.float32 and (noise - wanted).abs().max() < 1e-6 * float(wanted.abs().max())


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 500), ("dpm++", 50)])
@pytest.mark.parametrize("w", [0.0, 0.5, 1.0])
def test_guidance_buys_quality_with_diversity_as_the_closed_form_says(sampler: str, steps: int, w: float) -> None:
    """The probability flow towards N(m, d^2), guided away from N(m, D^2), ends in N(m, (d (d / D)^w)^2).

    In y = x / a at noise sigma it is dy / dsigma = sigma ((1 + w) (y - m) / (d^2 + sigma^2) - w (y - m) / (D^2 + sigma^2)), so that
    y - m goes as (d^2 + sigma^2)^((1 + w) / 2) (D^2 + sigma^2)^(-w / 2), which for large sigma is sigma.
    """
    mean, narrow, wide = 0.1, 0.2, 0.3
    model = exact([mean, mean], [narrow, wide], sampler=sampler, steps=steps, guidance=w)
    values = model.sample(1000, 5).pixels.double() / 127.5 - 1
    wanted = narrow * (narrow / wide) ** w
    assert float(values.mean()) == pytest.approx(mean, abs=0.004)
    assert float(values.std()) == pytest.approx(wanted, rel=0.025)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++"])
def test_without_guidance_nothing_is_evaluated_twice_and_with_it_all_is(sampler: str) -> None:
    for w in (0.0, 2.0):
        model = exact([0.1, 0.1], [0.2, 0.3], sampler=sampler, steps=4, guidance=w).model_copy(update={"timesteps": 20})
        model._net.shares = model._alphas_cumprod()
        model.sample(3, 0)
        assert model._net.evaluations == model.sampling.evaluations(model.timesteps) == {"ddpm": 20}.get(sampler, 4) * (1 + (w > 0))


def test_guidance_decides_nothing_of_what_is_learned_and_none_draws_what_was_always_drawn() -> None:
    images = labelled()
    for options in (PLAIN, DROPPED):
        plain = build(DDPM, options).fit(images, 0)
        same = with_guidance(plain, 0.0).sample(30, 1)
        assert same.digest() == plain.sample(30, 1).digest() and "guidance" not in plain.model_dump()["sampling"]
    guided = build(DDPM, {**DROPPED, "sampling": {"steps": 3, "guidance": 2.0}}).fit(images, 0)
    assert all(torch.equal(value, plain.weights()[name]) for name, value in guided.weights().items())
    drawn, free = guided.sample(30, 1), plain.sample(30, 1)
    assert drawn.digest() != free.digest() and torch.equal(drawn.labels, free.labels)
    assert 3 not in drawn.labels, "what stands for no class is never drawn"


def test_a_network_has_a_place_for_no_class_only_where_it_learns_without_it() -> None:
    images = labelled()
    before, now = (build(DDPM, options).fit(images, 0)._net.config.num_class_embeds for options in (PLAIN, DROPPED))
    assert (before, now) == (3, 4)
    same, plain = (build(DDPM, {**PLAIN, **more}) for more in ({"condition_dropout": 0.0}, {}))
    assert same.model_dump() == plain.model_dump() and "condition_dropout" not in plain.model_dump()
    assert torch.equal(guidance.dropped(images.labels, 3, 0.0, None), images.labels)  # type: ignore[arg-type]  # it asks for no random number


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_a_class_is_dropped_with_the_probability_that_was_asked_for(dropout: float) -> None:
    n, classes = 100_000, torch.arange(100_000) % 7
    found = guidance.dropped(classes, 7, dropout, BatchRandomness(n, slice(None), seeds.torch_generator(0)))
    gone = found == 7
    assert torch.equal(found[~gone], classes[~gone])
    assert abs(int(gone.sum()) - n * dropout) < 4 * math.sqrt(n * dropout * (1 - dropout))
    of_each = torch.bincount(classes[gone], minlength=7) / torch.bincount(classes)
    assert float((of_each - dropout).abs().max()) < 5 * math.sqrt(7 * dropout * (1 - dropout) / n), "whatever the class"


class Told(nn.Module):
    """Keeps what it is told of levels and classes."""

    def forward(self, x: Tensor, t: Tensor, classes: Tensor, return_dict: bool) -> tuple[Tensor]:
        self.x, self.levels, self.classes = x, t, classes
        return (x,)


def test_what_is_dropped_does_not_depend_on_how_processes_share_a_batch_and_moves_no_other_random_number() -> None:
    batch = 22
    pixels, classes = pictures(batch, 1), torch.arange(batch) % 3

    def told(share: slice, dropout: float) -> Told:
        model, net = build(DDPM, {**DROPPED, "condition_dropout": dropout}).for_world((1, 8, 8), 3), Told()
        randomness = BatchRandomness(batch, share, seeds.torch_generator(5))
        model._loss(8)(net, [pixels[share], classes[share]], randomness)
        return net

    whole, plain = told(slice(None), 0.25), told(slice(None), 0.0)
    assert 0 < int((whole.classes == 3).sum()) < batch
    assert torch.equal(plain.classes, classes) and torch.equal(plain.x, whole.x) and torch.equal(plain.levels, whole.levels)
    for rank in range(3):
        share = slice(rank, None, 3)
        mine = told(share, 0.25)
        assert torch.equal(mine.classes, whole.classes[share]) and torch.equal(mine.x, whole.x[share])


def test_a_fit_with_dropped_classes_that_is_stopped_goes_on_and_ends_the_same_to_the_byte(tmp_path: Path) -> None:
    images = labelled()
    model = build(DDPM, {**DROPPED, "steps": 40}).for_world(images.shape, 3)
    loss = model._loss(8)

    def fitted(stop: int | None, checkpoint: Checkpoint | None) -> dict[str, Tensor]:
        steps = 0

        def counted(*given: Any) -> Tensor:
            nonlocal steps
            if steps == stop:
                raise InterruptedError
            steps += 1
            return loss(*given)

        with seeds.global_torch_seed(1), devices.use(Machine(device="cpu", precision="float32")):
            net = model._network(images.shape)
            fit_network(net, counted, FixedSet((images.pixels, images.labels)), model, 3, checkpoint=checkpoint)
        return {name: value.clone() for name, value in net.state_dict().items()}

    checkpoint = Checkpoint(tmp_path / "x.unfinished", "this fit", every=0)
    with pytest.raises(InterruptedError):
        fitted(30, checkpoint)
    whole, resumed = fitted(None, None), fitted(None, checkpoint)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.parametrize("patch", [1, 2])
def test_a_saved_one_is_guided_as_before(patch: int, tmp_path: Path) -> None:
    fitted = build(DDPM, {**DROPPED, "patch": patch, "sampling": {"steps": 3, "guidance": 1.5}}).for_world((1, 8, 8), 5).fit(labelled(), 0)
    fitted.save(tmp_path)
    opened = models.load(tmp_path)
    assert opened.model_dump() == fitted.model_dump()  # type: ignore[attr-defined]
    assert opened.sample(20, 3).digest() == fitted.sample(20, 3).digest()
    assert fitted.load(tmp_path).fit(labelled(), 0, start=opened)._classes == 5  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_trained_network_obeys_its_classes_more_the_more_it_is_guided() -> None:
    """Two overlapping classes of a picture's brightness: guided, they part, and each is narrower."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(1000) % 2
    level = 100 + 55 * labels + 25 * torch.randn(1000, generator=generator)
    images = ImageSet.of(level.clamp(0, 255).to(torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8).contiguous(), labels)
    options = {"class_conditional": True, "condition_dropout": 0.1, "steps": 250, "batch": 32, "widths": [8, 16], "timesteps": 200}
    fitted = build(DDPM, options).fit(images, 0)
    means, widths = [], []
    for w in (0.0, 1.0, 3.0):
        drawn = with_guidance(fitted, w, steps=15).sample(300, 1)
        of_each = [drawn.pixels[drawn.labels == c].double().mean((1, 2, 3)) for c in (0, 1)]
        means.append(float(of_each[1].mean() - of_each[0].mean()))
        widths.append(sum(float(one.std()) for one in of_each))
    assert means[0] == pytest.approx(55, abs=15) and means[0] < means[1] < means[2]
    assert widths[0] > widths[1] > widths[2]
