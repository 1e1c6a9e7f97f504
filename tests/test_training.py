"""The optimisation loop: fixed steps, every row once per pass, averages, schedules, precision, divergence, going on after a kill."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from standins import Ear, Line, pictures, world
from torch import Tensor, nn

from imgcollapse import progress, seeds
from imgcollapse.errors import DivergedProblem, SettingsProblem
from imgcollapse.extractors.classifier import Classifier, FittedClassifier
from imgcollapse.extractors.classifier_network import ClassifierNetwork, whiten
from imgcollapse.images import ImageSet, from_signed, to_signed
from imgcollapse.machine import devices
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.machine.devices import Machine
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.nulls import Gaussian
from imgcollapse.models.stream import MixedStream, ModelStream
from imgcollapse.models.vae import VAE
from imgcollapse.training import CHECK_EVERY, BatchRandomness, Chosen, FixedSet, Source, Stream, Training, fit_network, rate, sources
from imgcollapse.training.muon import Muon, orthogonal


def squared_error(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
    return (net(rows[0]) - 3 * rows[0]).square().mean()  # type: ignore[no-any-return]


DATA = FixedSet((torch.linspace(-1, 1, 50)[:, None],))


def test_it_finds_the_minimum_and_returns_the_net_in_evaluation_mode() -> None:
    net = fit_network(Line(), squared_error, DATA, Training(steps=400, batch=16, learning_rate=0.05), seed=0)
    assert net.slope.item() == pytest.approx(3, abs=0.01)
    assert not net.training and not net.slope.requires_grad


def test_every_row_comes_once_per_pass_and_the_number_of_steps_does_not_hang_on_the_data() -> None:
    seen: list[list[int]] = []

    def spy(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
        seen.append(rows[1].tolist())
        return squared_error(net, rows, randomness)

    for n in (50, 100):
        seen.clear()
        data = FixedSet((torch.zeros(n, 1), torch.arange(n)))
        fit_network(Line(), spy, data, Training(steps=25, batch=8), seed=1)
        assert len(seen) == 25 and all(len(rows) == 8 for rows in seen)
        flat = [row for rows in seen for row in rows]
        assert all(Counter(flat[start : start + n]) == Counter(range(n)) for start in range(0, len(flat) - n + 1, n))


def test_the_same_seed_trains_the_same_net_and_the_global_generator_is_left_alone() -> None:
    def noisy(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
        return squared_error(net, [rows[0] + randomness.randn(1)], randomness)

    before = torch.random.get_rng_state()
    slopes = [
        fit_network(Line(), noisy, DATA, Training(steps=60, learning_rate=0.1, decay="constant"), seed).slope.item() for seed in (0, 0, 1)
    ]
    assert slopes[0] == slopes[1] != slopes[2]
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_average_lags_behind_the_weights() -> None:
    options = Training(steps=30, learning_rate=0.05, decay="constant", warmup=0)
    plain = fit_network(Line(), squared_error, DATA, options, 0).slope.item()
    averaged = fit_network(Line(), squared_error, DATA, options.model_copy(update={"ema": 0.9}), 0).slope.item()
    assert 0 < averaged < plain


def test_the_average_is_the_documented_one() -> None:
    path: list[float] = []

    def spy(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
        path.append(float(net.slope.detach()))  # type: ignore[arg-type]
        return squared_error(net, rows, randomness)

    options = Training(steps=30, learning_rate=0.05, decay="constant", warmup=0, ema=0.9)
    averaged = fit_network(Line(), spy, DATA, options, 0).slope.item()
    last = fit_network(Line(), squared_error, DATA, options.model_copy(update={"ema": 0}), 0).slope.item()
    expected = 0.0
    for step, weight in enumerate([*path[1:], last]):
        keep = min(0.9, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * weight
    assert averaged == pytest.approx(expected, rel=1e-5)


def test_the_rate_rises_then_falls() -> None:
    options = Training(steps=100, warmup=0.1, decay="cosine")
    rates = [rate(step, options) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(rates) == 1 and rates[55] == pytest.approx(0.5, abs=1e-6) and 0 < rates[-1] < 0.001
    linear = [rate(step, options.model_copy(update={"decay": "linear"})) for step in range(100)]
    assert linear[55] == pytest.approx(0.5) and linear[10] == 1
    assert {rate(step, options.model_copy(update={"decay": "constant", "warmup": 0})) for step in range(100)} == {1}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(bad: float) -> None:
    def spoiled(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
        return squared_error(net, rows, randomness) * bad

    with pytest.raises(DivergedProblem) as caught:
        fit_network(Line(), spoiled, DATA, Training(steps=40, learning_rate=0.5), 0, what="vae")
    assert str(caught.value) == (
        "vae: the loss became NaN or infinite by step 25 of 40; try a smaller learning rate (now 0.5) or --precision float32"
    )


def test_progress_is_told_of_every_step() -> None:
    class Spy(progress.Silent):
        told: list[object] = []  # noqa: RUF012

        def begin(self, what: str, total: int, done: int = 0) -> None:
            self.told.append((what, total, done))

        def advance(self) -> None:
            self.told.append(1)

    with progress.watched_by(Spy()):
        fit_network(Line(), squared_error, DATA, Training(steps=3), 0, what="ddpm")
    assert Spy.told == [("ddpm", 3, 0), 1, 1, 1]


@pytest.mark.parametrize(
    ("named", "text"),
    [
        (Machine(device="gpu"), "--device: 'gpu' is not a device; use auto, cpu, cuda, cuda:N or mps"),
        (Machine(device="xpu"), "--device: this machine has no 'xpu' that torch can use; use --device cpu"),
        (Machine(device="cpu:5"), "--device: 'cpu:5': there is but one cpu; use --device cpu"),
        (Machine(precision="half"), "--precision: 'half' is none of auto, float32, bfloat16"),
    ],
)
def test_a_device_or_precision_that_is_not_there_is_said(named: Machine, text: str) -> None:
    with devices.use(named), pytest.raises(SettingsProblem) as caught:
        fit_network(Line(), squared_error, DATA, Training(steps=1), 0)
    assert str(caught.value) == text


def test_each_network_is_trained_in_its_own_precision_also_in_one_process() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((64, 4), generator=generator)
    for precision, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        seen: list[torch.dtype] = []

        def loss(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness, seen: list[torch.dtype] = seen) -> Tensor:
            out = net(rows[0])
            seen.append(out.dtype)
            return (out.float() - rows[1]).square().mean()

        net = nn.Linear(4, 1)
        with devices.use(Machine(device="cpu", precision=precision)):
            fit_network(net, loss, FixedSet((x, x.sum(1, keepdim=True))), Training(steps=60, batch=32, learning_rate=0.05), 0)
        assert set(seen) == {dtype}
        assert net.weight.flatten().tolist() == pytest.approx([1] * 4, abs=0.1)


def test_seeds_are_a_function_of_their_place() -> None:
    places = [(0,), (1,), (0, 1), (0, "1"), (0, "a", "bc"), (0, "ab", "c"), (0, "abc"), (0, 1, "fit"), (0, 1, "sample"), (0, 11), (0, 1, 1)]
    found = {seeds.derive(*place) for place in places}  # type: ignore[arg-type]
    assert len(found) == len(places) and all(0 <= seed < 2**63 for seed in found)
    assert seeds.derive(0, 0, "fit") == seeds.derive(0, 0, "fit")


# --- going on after a kill


class Killed(Exception):
    """As a kill would, it ends the fit in the middle of a step."""


class Noise:
    """Points that no step has seen before."""

    shape, are_points = (1, 1, 3), True

    def batch(self, n: int, seed: int, first: int = 0) -> ImageSet:
        return ImageSet.of(torch.randn(n, 1, 1, 3, generator=seeds.torch_generator(seed)))

    def record(self) -> dict[str, Any]:
        return {}


@pytest.fixture(params=["a fixed set", "a stream", "a mixed stream"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(sources, "DRAWN_AT_ONCE", 7 * 8)  # so that checkpoints lie within what is drawn at once
    if request.param == "a mixed stream":
        real = ImageSet.of(torch.randn(11, 1, 1, 3, generator=torch.Generator().manual_seed(0)))
        drawn = ModelStream(Gaussian().fit(real, 0), (1, 1, 3), True, 0, None)
        return Stream(MixedStream(drawn, real, 20, 8, 0), lambda images: (images.pixels.flatten(1),))
    if request.param == "a stream":
        return Stream(Noise(), lambda images: (images.pixels.flatten(1),))
    return FixedSet((torch.randn(50, 3, generator=torch.Generator().manual_seed(0)),))


def network() -> nn.Module:
    """With weights that do not lie in memory row by row, and with averages of its own."""
    with seeds.global_torch_seed(0):
        body = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU()
        net = nn.Sequential(nn.Unflatten(1, (3, 1, 1)), *body, nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3))
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def fitted(source: Source, options: Training, checkpoint: Checkpoint | None = None, kill_at: int | None = None) -> tuple[nn.Module, int]:
    """The network, and the number of steps that this call took."""
    steps = 0

    def noisy(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
        nonlocal steps
        if steps == kill_at:
            raise Killed
        steps += 1
        return (net(rows[0] + 0.1 * randomness.randn(3)) - rows[0]).square().mean()

    with devices.use(Machine(device="cpu", precision="float32")):
        net = fit_network(network(), noisy, source, options, seed=3, checkpoint=checkpoint)
    return net, steps


def content(net: nn.Module) -> dict[str, bytes]:
    return {name: values.numpy().tobytes() for name, values in net.state_dict().items()}


@pytest.mark.parametrize(
    ("ema", "optimiser"),
    [pytest.param(0.0, "adamw", marks=pytest.mark.slow), pytest.param(0.9, "adamw", marks=pytest.mark.slow), (0.9, "muon")],
)
def test_a_fit_that_is_killed_at_any_step_goes_on_and_ends_the_same_to_the_byte(
    source: Source, ema: float, optimiser: Chosen, tmp_path: Path
) -> None:
    options = Training(steps=80, batch=8, learning_rate=0.05, ema=ema, optimiser=optimiser)
    whole, steps = fitted(source, options)
    assert steps == 80 and content(whole) != content(network())
    for kill_at in (0, 24, 25, 50, 79):
        checkpoint = Checkpoint(tmp_path / f"{kill_at}.unfinished", "this fit", every=0)
        with pytest.raises(Killed):
            fitted(source, options, checkpoint, kill_at)
        net, steps = fitted(source, options, checkpoint)
        assert steps == 80 - kill_at // CHECK_EVERY * CHECK_EVERY, "what was kept is not done again"
        assert content(net) == content(whole), kill_at


def test_a_fit_may_be_killed_again_and_again(source: Source, tmp_path: Path) -> None:
    options = Training(steps=110, batch=8, learning_rate=0.05, ema=0.9)
    checkpoint = Checkpoint(tmp_path / "x.unfinished", "this fit", every=0)
    for _ in range(3):
        with pytest.raises(Killed):
            fitted(source, options, checkpoint, kill_at=30)
    net, steps = fitted(source, options, checkpoint)
    assert steps == 110 - 3 * CHECK_EVERY and content(net) == content(fitted(source, options)[0])


def test_one_that_was_finished_is_kept_whole_by_its_last_checkpoint(source: Source, tmp_path: Path) -> None:
    options, checkpoint = Training(steps=60, batch=8, ema=0.9), Checkpoint(tmp_path / "x.unfinished", "this fit", every=0)
    first, _ = fitted(source, options, checkpoint)
    again, steps = fitted(source, options, checkpoint)
    assert steps == 0 and content(again) == content(first)
    checkpoint.done()
    assert not list(tmp_path.iterdir()) and fitted(source, options, checkpoint)[1] == 60


@pytest.mark.parametrize("hurt", ["of another fit", "damaged", "cut", "no such file"])
def test_a_checkpoint_that_is_none_of_this_fit_is_said_and_not_used(hurt: str, source: Source, tmp_path: Path) -> None:
    options, place = Training(steps=40, batch=8), tmp_path / "x.unfinished"
    with pytest.raises(Killed):
        fitted(source, options, Checkpoint(place, "another fit" if hurt == "of another fit" else "this fit", every=0), kill_at=30)
    whole = place.read_bytes()
    match hurt:
        case "damaged":
            place.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        case "cut":
            place.write_bytes(whole[:-1])
        case "no such file":
            place.write_bytes(b"<html>404</html>")
    with progress.watched_by(ear := Ear()):
        net, steps = fitted(source, options, Checkpoint(place, "this fit", every=0))
    assert steps == 40 and content(net) == content(fitted(source, options)[0])
    assert ear.lines == [f"{place}: {'was made for something else' if hurt == 'of another fit' else 'is damaged'}; made again"]


def test_a_checkpoint_is_kept_every_so_many_seconds_and_where_it_cannot_be_the_fit_goes_on(tmp_path: Path) -> None:
    options, data = Training(steps=60, batch=8), FixedSet((torch.zeros(9, 3),))
    fitted(data, options, Checkpoint(tmp_path / "x.unfinished", "this fit", every=3600))
    assert not list(tmp_path.iterdir()), "none was due"
    (tmp_path / "file").write_bytes(b"")
    with progress.watched_by(ear := Ear()):
        _, steps = fitted(data, options, Checkpoint(tmp_path / "file" / "x.unfinished", "this fit", every=0))
    assert steps == 60 and len(ear.lines) == 1 and ear.lines[0].startswith(f"{tmp_path / 'file'}")


class Impatient(Ear):
    """Ctrl-C at a step of the classifier's training."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.before, self.here = step, 0, 0

    def begin(self, what: str, total: int, done: int = 0) -> None:
        super().begin(what, total, done)
        self.before += done

    def advance(self) -> None:
        if self.begun[-1][0] == "classifier":
            self.here += 1
            if self.before + self.here == self.step:
                raise KeyboardInterrupt


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Checkpoint, "is_due", lambda self, last=False: True)
    yield


@pytest.mark.parametrize("whiten", [False, True])
def test_a_classifier_whose_training_is_stopped_half_way_is_trained_on_from_there(whiten: bool, always_due: None, tmp_path: Path) -> None:
    quick, tiny = Classifier(steps=60, batch=8, widths=(4, 4), whiten=whiten), world()

    def fit(folder: str, watcher: Ear) -> FittedClassifier:
        machine = Machine(device="cpu", precision="float32", data_dir=tmp_path / folder)
        with devices.use(machine), progress.watched_by(watcher):
            return quick.fit(tiny)

    whole = fit("whole", Ear())
    with pytest.raises(KeyboardInterrupt):
        fit("stopped", Impatient(40))
    kept = [path.suffix for path in (tmp_path / "stopped" / "classifiers").iterdir()]
    assert sorted(kept) == [".lock", ".unfinished"]
    going_on = Impatient(1000)
    assert fit("stopped", going_on).record() == whole.record()
    assert (going_on.before, going_on.here) == (25, 35) and going_on.begun[0] == ("classifier", 60)
    assert sorted(path.suffix for path in (tmp_path / "stopped" / "classifiers").iterdir()) == [".lock", ".safetensors"]


def test_a_whitened_first_convolution_gives_what_is_different_in_neighbouring_pixels_and_stays(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    rough = torch.nn.functional.avg_pool2d(torch.randn(400, 3, 12, 12, generator=generator), 3, 1, padding=1)  # neighbours are alike
    signed = (rough + rough.flip(1) / 2).clamp(-1, 1)  # and colours
    network = ClassifierNetwork((3, 12, 12), (64, 8), 4)
    first, before = network.body[0], network.body[0].weight.clone()
    whiten(network, signed)
    found = first(signed)[:, :, 1:, 1:]  # but for where a patch would lie half outside
    shares = found.transpose(0, 1).flatten(1).double()
    assert found.shape[1] == 24 and torch.equal(found[:, ::2], -found[:, 1::2]), "both signs of each"
    assert torch.allclose(shares[::2].cov(), torch.eye(12, dtype=torch.float64), atol=0.05), "of variance 1, and nothing in common"
    whiten(grey := ClassifierNetwork((1, 12, 12), (64, 8), 4), signed[:, :1])
    assert not torch.equal(grey.body[0].weight[:8], before[:8, :1]) and len(grey.body[0].weight.unique(dim=0)) == 24, (
        "the others are chance"
    )
    fitted = Classifier(steps=3, batch=8, widths=(64, 8), whiten=True).train(ImageSet.of(from_signed(signed), torch.arange(400) % 4), 4)
    expected = ClassifierNetwork((3, 12, 12), (64, 8), 4)
    whiten(expected, to_signed(from_signed(signed)))
    assert torch.equal(fitted.body[0].weight, expected.body[0].weight), "and it does not learn"


@pytest.mark.parametrize("shape", [(5, 8, 30), (3, 30, 8), (2, 16, 16)])
def test_a_step_of_muon_is_as_long_in_every_direction(shape: tuple[int, int, int]) -> None:
    """Singular values from 1 down to 0.05 come to lie between 0.6 and 1.3, in the same directions."""
    generator = torch.Generator().manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    matrices = left @ (torch.logspace(0, -1.3, values.shape[1])[:, None] * right)
    found = orthogonal(matrices)
    assert found.shape == matrices.shape
    along = left.mT @ found @ right.mT
    assert torch.allclose(along, torch.diag_embed(along.diagonal(dim1=1, dim2=2)), atol=1e-3)
    along = along.diagonal(dim1=1, dim2=2)
    assert 0.6 < float(along.min()) and float(along.max()) < 1.3


def test_muon_takes_steps_of_the_size_of_adamws() -> None:
    """Root mean square 0.2 times the rate, whatever the size of the gradient; a weight without a gradient stays."""
    generator = torch.Generator().manual_seed(0)
    convolution, still = torch.zeros(32, 16, 3, 3), torch.ones(32, 16, 3, 3)
    for scale in (1e-3, 1e3):
        convolution.zero_().grad = scale * torch.randn(32, 16, 3, 3, generator=generator)
        Muon([convolution, still]).step(0.01)
        assert float(convolution.square().mean().sqrt()) == pytest.approx(0.002, rel=0.2) and convolution.grad is None
    assert bool((still == 1).all())


def test_muon_goes_down_where_the_ground_is_a_long_valley() -> None:
    """Least squares whose directions are weighted 1 to 100: after 100 steps it is nearer to the solution than it began, in each of them."""
    generator = torch.Generator().manual_seed(0)
    wanted, weight = torch.randn(6, 6, generator=generator), torch.zeros(6, 6, requires_grad=True)
    muon, scales = Muon([weight]), torch.logspace(0, 1, 6)
    for step in range(100):
        (((weight - wanted) * scales).square().sum()).backward()
        muon.step(1.0 * (1 - step / 100))
    assert float((weight.detach() - wanted).norm(dim=0).max()) < 0.1 * float(wanted.norm(dim=0).min())


def test_the_first_and_the_last_matrix_and_what_is_none_are_left_to_adamw() -> None:
    from imgcollapse.training.optimiser import Optimiser

    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    weights = [part.weight for part in net]
    for optimiser, held in (("muon", [weights[1]]), ("adamw", [])):
        made = Optimiser(net, Training(optimiser=optimiser), torch.device("cpu"))
        assert [id(weight) for weight in made._muon.weights] == [id(weight) for weight in held]
        assert len(made._adams) == 6 - len(held)


# --- mirrored pictures


def test_half_of_a_batch_is_mirrored_another_half_each_time() -> None:
    batch = torch.rand(400, 1, 2, 3)
    randomness = BatchRandomness(400, slice(None), seeds.torch_generator(0))
    changed = []
    for _ in range(2):
        mirrored = randomness.mirrored(batch)
        is_changed = (mirrored != batch).flatten(1).any(1)
        assert torch.equal(mirrored, torch.where(is_changed[:, None, None, None], batch.flip(3), batch))
        changed.append(is_changed)
    assert all(160 < int(some.sum()) < 240 for some in changed) and not torch.equal(*changed)


@pytest.mark.parametrize("model", [DDPM(steps=8, batch=8, widths=(8, 16)), VAE(steps=8, batch=8, width=8, prior="normal")])
def test_a_model_that_mirrors_learns_from_mirrored_pictures(model: DDPM | VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageSet.of(pictures(20, 1))
    plain, turned = (model.fit(some, 0).weights() for some in (images, ImageSet.of(images.pixels.flip(3))))
    monkeypatch.setattr(BatchRandomness, "mirrored", lambda self, some: some.flip(3))
    found = model.model_copy(update={"mirror": True}).fit(images, 0).weights()
    assert all(torch.equal(found[name], value) for name, value in turned.items())
    assert any(not torch.equal(found[name], value) for name, value in plain.items())
