"""What a study builds on: choices for a world, weights to start from, batches from a stream, and how pictures are drawn."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from test_models import pictures, quick
from torch import Tensor, nn

from imgcollapse import models, progress, seeds
from imgcollapse.errors import DataProblem, SettingsProblem
from imgcollapse.images import ImageSet, ImageStream, crop, inside, pad
from imgcollapse.models import MODELS, Network
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.nulls import Bootstrap, Gaussian
from imgcollapse.models.stream import ModelStream
from imgcollapse.models.vae import VAE
from imgcollapse.training import FixedSet, Stream, Training, fit_network, source_of

NETWORKS = ("ddpm", "vae")
OTHERS = ("gmm", "gaussian", "bootstrap", "smooth")


def taught_by(model: Any, kind: type[ModelStream] = ModelStream) -> ModelStream:
    """A stream from one fitted model, of digits."""
    return kind(model, (1, 8, 8), False, 0, None)


def weights(model: Any) -> Tensor:
    return torch.cat([value.flatten() for value in model.weights().values()])


# --- the world


@pytest.mark.parametrize("kind", MODELS)
def test_points_are_refused_for_the_world_before_anything_is_learned(kind: str) -> None:
    if kind in (*NETWORKS, "command"):
        with pytest.raises(DataProblem, match=f"^model '{kind}' learns pictures; for a world of points use gaussian, gmm or bootstrap$"):
            quick(kind).for_world((1, 1, 2), 25, are_points=True)
    else:
        assert quick(kind).for_world((1, 1, 2), 25, are_points=True).model_dump() == quick(kind).model_dump()  # type: ignore[attr-defined]


def test_a_training_set_that_has_lost_the_last_class_gives_the_same_architecture_and_draws_none_of_it() -> None:
    images = pictures(60)
    blank = quick("ddpm", class_conditional=True).for_world((1, 8, 8), 3)
    whole = blank.fit(ImageSet.of(images.pixels, torch.arange(60) % 3), 0)
    lost = blank.fit(ImageSet.of(images.pixels, torch.arange(60) % 2), 0)
    assert [value.shape for value in whole.weights().values()] == [value.shape for value in lost.weights().values()]  # type: ignore[attr-defined]
    assert lost._net.config.num_class_embeds == 3  # type: ignore[attr-defined]
    assert set(lost.sample(300, 1).labels.tolist()) == {0, 1}
    assert set(blank.fit(ImageSet.of(images.pixels, torch.full((60,), 2)), 0).sample(50, 1).labels.tolist()) == {2}
    again = blank.fit(ImageSet.of(images.pixels, torch.arange(60) % 3), 1, start=lost)
    assert set(again.sample(300, 1).labels.tolist()) == {0, 1, 2}, "the shares are those of the new training set"


def test_a_saved_model_still_knows_how_many_classes_there_were(tmp_path: Any) -> None:
    images = pictures(60)
    quick("ddpm", class_conditional=True).for_world((1, 8, 8), 5).fit(images, 0).save(tmp_path)
    opened = models.load(tmp_path)
    assert opened.fit(images, 0, start=opened)._net.config.num_class_embeds == 5  # type: ignore[attr-defined]


# --- weights to start from


def with_initial_weights(blank: Any, images: ImageSet, seed: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model as it is before its first step."""
    with monkeypatch.context() as patched:
        patched.setattr(f"imgcollapse.models.{blank.kind}.fit_network", lambda net, *_, **__: net.eval())
        return blank.fit(images, seed)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_start_takes_the_place_of_the_fresh_weights_and_of_nothing_else(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures()
    blank = quick(kind, ema=0.9, **({"prior": "normal"} if kind == "vae" else {}))  # a mixture is fitted after the last step, to any start
    fresh = with_initial_weights(blank, images, 5, monkeypatch)
    assert torch.equal(weights(blank.fit(images, 5, start=fresh)), weights(blank.fit(images, 5)))
    other = blank.fit(images, 6)
    began: Any = with_start(blank, images, 5, other, monkeypatch)
    assert torch.equal(weights(began), weights(other))
    before = weights(other)
    assert not torch.equal(weights(blank.fit(images, 5, start=other)), before)
    assert torch.equal(weights(other), before), "what is started from stays as it is"


def with_start(blank: Any, images: ImageSet, seed: int, start: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patched:
        patched.setattr(f"imgcollapse.models.{blank.kind}.fit_network", lambda net, *_, **__: net.eval())
        return blank.fit(images, seed, start=start)


def test_the_average_of_the_weights_begins_where_the_fit_begins() -> None:
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, 7.0)
    data = FixedSet((torch.zeros(4, 1),))  # no gradient on the weight: it and its average stay
    fitted = fit_network(net, lambda net, rows, draws: net(rows[0]).square().mean(), data, Training(steps=5, batch=2, ema=0.99), 0)
    assert fitted.weight.item() == pytest.approx(7.0, abs=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_weights_go_out_as_copies_and_in_where_they_fit(kind: str) -> None:
    one, other = (quick(kind).fit(pictures(), seed) for seed in (0, 1))
    assert isinstance(one, Network) and isinstance(other, Network)
    taken, before = other.weights(), one.sample(5, 0)  # type: ignore[attr-defined]
    assert one.with_weights(taken).sample(5, 0).digest() == other.sample(5, 0).digest() != before.digest()  # type: ignore[attr-defined]
    for value in taken.values():
        value.zero_()
    assert one.sample(5, 0).digest() == before.digest() and weights(other).any()  # type: ignore[attr-defined]
    name = next(iter(taken))
    with pytest.raises(DataProblem, match=rf"^model: weights of another architecture \('{name}': \[9\] there, \[.*\] here\); take "):
        one.with_weights({**taken, name: torch.zeros(9)})


def test_a_start_of_another_architecture_is_said() -> None:
    said = r"^init: weights of another architecture \('.*': .* there, .* here\); take those of a model of the same kind and options$"
    images = pictures()
    with pytest.raises(DataProblem, match=said):
        quick("ddpm").fit(images, 0, start=quick("ddpm", widths=(8, 16)).fit(images, 0))
    with pytest.raises(DataProblem, match=said):
        quick("ddpm").fit(images, 0, start=quick("vae").fit(images, 0))
    with pytest.raises(SettingsProblem, match=r"^init: a model 'gaussian' has no weights to start from; set it to scratch$"):
        quick("ddpm").fit(images, 0, start=quick("gaussian").fit(images, 0))


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_network_refuses_a_start_and_a_stream_in_one_line(kind: str) -> None:
    fitted = quick(kind).fit(pictures(), 0)
    assert not isinstance(fitted, Network)
    with pytest.raises(SettingsProblem, match=f"^init: model '{kind}' has no weights to start from; set it to scratch, or "):
        quick(kind).fit(pictures(), 0, start=fitted)
    with pytest.raises(SettingsProblem, match=rf"^regime\.stream: model '{kind}' learns from a whole set at once; set it to false, or "):
        quick(kind).fit(taught_by(fitted), 0)


# --- batches


ALL, CPU = slice(None), torch.device("cpu")


def test_a_fixed_set_is_gone_through_by_one_permutation_after_the_other() -> None:
    x = torch.arange(10) * 10
    found = torch.cat([rows[0] for rows in FixedSet((x,)).batches(Training(steps=7, batch=4), 3, ALL, CPU)])
    generator = seeds.torch_generator(3)
    expected = torch.cat([torch.randperm(10, generator=generator) for _ in range(3)])[:28]
    assert torch.equal(found, 10 * expected)


def test_a_stream_gives_every_step_new_rows_that_are_a_function_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcollapse.training.sources.DRAWN_AT_ONCE", 20)
    asked: list[int] = []

    class Numbers(ModelStream):
        def batch(self, n: int, seed: int, first: int = 0) -> ImageSet:
            asked.append(n)
            return ImageSet.of(torch.randn(n, 1, 1, 1, generator=seeds.torch_generator(seed)))

    def rows(seed: int, share: slice = ALL) -> list[Sequence[Tensor]]:
        source = source_of(taught_by(None, Numbers), lambda images: (images.pixels, images.labels))
        assert isinstance(source, Stream)
        return list(source.batches(Training(steps=7, batch=8), seed, share, CPU))

    whole = rows(0)
    assert asked == [16, 16, 16, 8], "two batches at once, and no more than there are steps"
    assert [len(part) for step in whole for part in step] == [8] * 14
    values = torch.cat([step[0] for step in whole]).flatten()
    assert len(values.unique()) == 56
    assert torch.equal(values, torch.cat([step[0] for step in rows(0)]).flatten())
    assert not torch.equal(values, torch.cat([step[0] for step in rows(1)]).flatten())
    for rank in range(3):
        share = slice(rank, None, 3)
        assert all(torch.equal(mine[0], all_of_it[0][share]) for mine, all_of_it in zip(rows(0, share), whole, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_learns_from_a_stream_what_it_gives(kind: str) -> None:
    """From a stream of one picture, any network draws that picture."""
    one = pictures(1)
    stream: ImageStream = taught_by(Bootstrap().fit(one, 0))
    blank = quick(kind, steps=250, batch=16, learning_rate=5e-3)
    fitted = blank.fit(stream, 0)
    off = (fitted.sample(8, 0).pixels.float() - one.pixels.float()).abs().mean()
    assert off < 40, f"{off} grey levels; a fresh network is off by about 100"


def test_a_stream_is_told_as_one_fit_and_gives_the_class_shares() -> None:
    begun: list[str] = []

    class Spy(progress.Silent):
        def begin(self, what: str, total: int, done: int = 0) -> None:
            begun.append(what)

    images = pictures(60)
    conditional = quick("ddpm", class_conditional=True).for_world((1, 8, 8), 4)
    teacher = conditional.fit(ImageSet.of(images.pixels, torch.tensor([0, 0, 0, 2] * 15)), 0)
    with progress.watched_by(Spy()):
        one, two = (conditional.fit(taught_by(teacher), seed) for seed in (0, 0))
    assert begun == ["ddpm", "ddpm"]
    assert one.sample(4, 0).digest() == two.sample(4, 0).digest()
    drawn = one.sample(1000, 0).labels
    assert set(drawn.tolist()) == {0, 2}
    assert float((drawn == 2).double().mean()) == pytest.approx(0.25, abs=0.25), "of 96 pictures that were seen"
    with pytest.raises(DataProblem, match=r"^model\.class_conditional: the training set has pictures without a class; set it to false$"):
        conditional.fit(taught_by(Gaussian().fit(images, 0)), 0)


# --- how pictures are drawn, and where they lie


@pytest.mark.parametrize(
    ("model", "other"),
    [(DDPM, {"sampler": "ddim", "steps": 3}), (DDPM, {"temperature": 0.5}), (VAE, {"draw": "sample", "temperature": 0.5})],
)
def test_how_pictures_are_drawn_decides_nothing_of_what_is_learned(model: type[Any], other: dict[str, Any]) -> None:
    kind = model.model_fields["kind"].default
    one, two = (quick(kind, **more).fit(pictures(), 0) for more in ({}, {"sampling": other}))
    assert torch.equal(weights(one), weights(two))
    assert one.sample(5, 0).digest() != two.sample(5, 0).digest()
    options = [fitted.model_dump() for fitted in (one, two)]  # type: ignore[attr-defined]
    assert options[0].pop("sampling") != options[1].pop("sampling") and options[0] == options[1]


@pytest.mark.parametrize("kind", ["bootstrap", "smooth"])
def test_what_draws_its_training_pictures_has_no_sampling(kind: str) -> None:
    with pytest.raises(SettingsProblem, match=r"^sampling: there is no such setting; "):
        quick(kind, sampling={})


def test_the_ancestral_sampler_has_no_temperature() -> None:
    with pytest.raises(SettingsProblem, match="temperature applies to ddim"):
        quick("ddpm", sampling={"sampler": "ddpm", "temperature": 0.9})


@pytest.mark.parametrize("size", [(8, 8), (5, 8), (3, 6), (7, 2)])
def test_pictures_lie_in_the_middle_of_what_they_are_padded_to(size: tuple[int, int]) -> None:
    shape = (2, *size)
    images = torch.rand(3, *shape)
    padded = pad(images, 8, value=-1.0)
    assert padded.shape == (3, 2, 8, 8)
    assert torch.equal(crop(padded, shape), images)
    left, upper, right, lower = inside(shape, 8)
    assert (right - left, lower - upper) == (size[1], size[0])
    assert 0 <= (8 - right) - left <= 1 and 0 <= (8 - lower) - upper <= 1
    assert (padded == -1).sum() == padded.numel() - images.numel()
