"""The one optimisation loop, used by every network of the package (models and classifier alike)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TypeVar

from imgcollapse import progress, seeds
from imgcollapse.errors import DivergedProblem
from imgcollapse.heavy import Generator, Tensor, nn, torch
from imgcollapse.machine import checkpoints, devices, processes
from imgcollapse.machine.cache import Checkpoint
from imgcollapse.training.captured import Captured
from imgcollapse.training.optimiser import Optimiser
from imgcollapse.training.options import DECAY, Chosen, Training, rate
from imgcollapse.training.sources import BatchRandomness, FixedSet, Source, Stream, source_of

__all__ = [
    "DECAY",
    "BatchRandomness",
    "Chosen",
    "FixedSet",
    "Log",
    "Source",
    "Stream",
    "Training",
    "fit_network",
    "one_by_one",
    "rate",
    "source_of",
]

CHECK_EVERY = 25  # steps between looks at the loss: a look makes a GPU wait

Net = TypeVar("Net", bound="nn.Module")
Log = Callable[[int, float], None]
Loss = Callable[["nn.Module", Sequence[Tensor], BatchRandomness], Tensor]


def fit_network(
    net: Net,
    loss: Loss,
    source: Source,
    options: Training,
    seed: int,
    what: str = "fit",
    checkpoint: Checkpoint | None = None,
    log: Log | None = None,
    counted: Mapping[str, Tensor] = MappingProxyType({}),
) -> Net:
    """Trains `net` on batches of `source` and returns it in evaluation mode, with averaged weights where `options.ema` asks for them.

    source:     gives each step its rows, tensors [batch, ...] on the device (pictures: uint8 [batch, C, H, W], and int64 [batch] classes)
    loss:       `loss(net, rows, randomness)`, float []: the mean loss of those rows, which takes all its randomness from `randomness`
    checkpoint: where it is kept unfinished, and gone on from with the same outcome here; None: with its generation (`machine.checkpoints`)
    log:        is told the number of a step and the mean loss of the CHECK_EVERY steps up to it
    counted:    tensors on the CPU that the source changes as it gives its batches: they are kept with the fit

    Inside `processes.fit` each process takes its share of every batch; the gradient is that of the whole batch's mean, whatever the number
    of processes, but for rounding. Raises DivergedProblem when the loss is no longer a finite number.
    """
    device = devices.current().torch_device()
    (share, weight), captured = _own_part(options.batch), _is_captured(device)
    optimiser = Optimiser(net.to(device).train(), options, device, captured)
    generator = seeds.torch_generator(seeds.derive(seed, "loss", 0), device)
    randomness = BatchRandomness(options.batch, share, generator)
    total, before, checkpoint = torch.zeros((), device=device), 0.0, checkpoint or checkpoints.next_fit()
    first = _go_on(checkpoint, what, net, optimiser, generator, counted)
    batches = source.batches(options, seeds.derive(seed, "order"), share, device, first)
    do = _step_of(lambda rows: weight * loss(net, rows, randomness), optimiser, generator, captured)
    for step, rows in zip(progress.steps(options.steps, what, first), batches, strict=True):
        optimiser.begin(step)
        total += do(rows)
        if (last := step == options.steps - 1) or step % CHECK_EVERY == CHECK_EVERY - 1:
            before = _looked_at(float(total), before, step, options, what, log)
            if checkpoint and checkpoint.is_due(last):
                checkpoint.keep(_all_of(step + 1, net, optimiser, generator, counted))
    optimiser.use_average()
    return net.eval().requires_grad_(False)


def _step_of(
    value: Callable[[Sequence[Tensor]], Tensor], optimiser: Optimiser, generator: Generator, captured: bool
) -> Callable[[Sequence[Tensor]], Tensor]:
    """What does a step down the gradient of `value(rows)`, and gives the whole loss."""
    kind, halved = generator.device.type, devices.current().mixed_precision() == "bf16"

    def once(rows: Sequence[Tensor]) -> Tensor:
        # the precision is torch's own: an Accelerator's holds for a whole process, which may train networks of several
        with torch.autocast(kind, torch.bfloat16, enabled=halved):
            found = value(rows)
        return optimiser.step(found)

    return Captured(once, generator) if captured else once


_one_by_one: ContextVar[bool] = ContextVar("one_by_one", default=False)


@contextmanager
def one_by_one() -> Iterator[None]:
    """Inside the block every operation of a step is given to the device by itself, so that it can be counted."""
    token = _one_by_one.set(True)
    try:
        yield
    finally:
        _one_by_one.reset(token)


def _is_captured(device: "torch.device") -> bool:
    """Whether a step is given to the device as a whole: to a GPU, of one process, for what processes tell each other is no part of it."""
    return device.type == "cuda" and devices.launched() == 1 and not _one_by_one.get()


def _own_part(batch: int) -> tuple[slice, float]:
    """The rows of a batch that are this process's, and their share of it; where there are more processes than rows, one that counts 0."""
    share = processes.share()
    weight = len(range(batch)[share]) / batch
    return (share if weight else slice(1)), weight  # with nothing of its own it only keeps step


def _looked_at(total: float, before: float, step: int, options: Training, what: str, log: Log | None) -> float:
    """The sum of the losses up to a step; the log is told their mean since the last look. Raises DivergedProblem for no finite number."""
    if not math.isfinite(total):
        raise DivergedProblem(
            f"{what}: the loss became NaN or infinite by step {step + 1} of {options.steps}; "
            f"try a smaller learning rate (now {options.learning_rate:g}) or --precision float32"
        )
    if log is not None:
        log(step, (total - before) / (step % CHECK_EVERY + 1))
    return total


def _all_of(step: int, net: "nn.Module", optimiser: Optimiser, generator: Generator, counted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All that an unfinished fit has before that step."""
    weights = {f"net {name}": values for name, values in net.state_dict().items()}
    beside = {f"counted {name}": values for name, values in counted.items()}
    return {"step": torch.tensor(step), "random": generator.get_state(), **weights, **optimiser.tensors(), **beside}


def _go_on(
    checkpoint: Checkpoint | None, what: str, net: "nn.Module", optimiser: Optimiser, generator: Generator, counted: Mapping[str, Tensor]
) -> int:
    """The step from which a fit goes on, with all that it had then in its place; 0 where nothing was kept of it.

    The first of several processes at one fit reads it, and tells the others.
    """
    kept = processes.told(checkpoint.load() if checkpoint else None)
    if kept is None:
        return 0
    net.load_state_dict({name: kept[f"net {name}"] for name in net.state_dict()})
    optimiser.restore(kept)
    generator.set_state(kept["random"])
    for name, values in counted.items():
        values.copy_(kept[f"counted {name}"])
    if checkpoint:
        progress.say(f"{what}: goes on from the checkpoint that was kept after step {int(kept['step']):,}")
    return int(kept["step"])
