"""The optimisation loop: fixed steps, every row once per pass, averages, schedules, precision, divergence."""

from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from standins import Line
from torch import Tensor, nn

from imgcollapse import progress, seeds
from imgcollapse.errors import DivergedProblem, SettingsProblem
from imgcollapse.machine import devices
from imgcollapse.machine.devices import Machine
from imgcollapse.training import BatchRandomness, FixedSet, Training, fit_network, rate


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
        "vae: the loss was no finite number within step 25 of 40; try a smaller learning rate (now 0.5) or --precision float32"
    )


def test_progress_is_told_of_every_step() -> None:
    class Spy(progress.Silent):
        told: list[object] = []  # noqa: RUF012

        def begin(self, what: str, total: int) -> None:
            self.told.append((what, total))

        def advance(self, amount: int = 1) -> None:
            self.told.append(amount)

    with progress.watched_by(Spy()):
        fit_network(Line(), squared_error, DATA, Training(steps=3), 0, what="ddpm")
    assert Spy.told == [("ddpm", 3), 1, 1, 1]


@pytest.mark.parametrize(
    ("named", "text"),
    [
        (Machine(device="gpu"), "--device: 'gpu' is no device; use auto, cpu, cuda, cuda:N or mps"),
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
