"""The one optimisation loop, used by every network of the package (models and classifier alike)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import torch
from accelerate import Accelerator
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from imgcollapse import progress, seeds
from imgcollapse.errors import DivergedProblem
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.machine import devices, processes
from imgcollapse.settings import Settings

CHECK_EVERY = 25  # steps between looks at the loss: a look makes a GPU wait
DRAWN_AT_ONCE = 4096  # pictures of a stream, at most, in whole batches


class Training(Settings):
    """How a network is trained: a fixed number of steps, so that regimes with more data do not also get more training."""

    steps: PositiveInt = Field(1000, description="optimisation steps")
    batch: PositiveInt = Field(128, description="pictures per step")
    learning_rate: PositiveFloat = Field(1e-3, description="the peak learning rate of AdamW")
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps over which the rate rises linearly from 0")
    decay: Literal["cosine", "linear", "constant"] = Field("cosine", description="how the rate falls after the warm-up")
    weight_decay: NonNegativeFloat = Field(0.0, description="AdamW's decoupled weight decay")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the exponential moving average of the weights; 0: none")
    clip: PositiveFloat = Field(1.0, description="the largest norm of the gradient")


class BatchRandomness:
    """The randomness of a loss: drawn for the whole batch from one generator; this process takes its own rows of it.

    So the noise on a picture does not depend on the number of processes. All tensors lie on the generator's device, a row a picture.
    """

    def __init__(self, batch: int, share: slice, generator: Generator) -> None:
        self._batch, self._share, self._generator = batch, share, generator

    def randn(self, *tail: int) -> Tensor:
        """float32 [rows, *tail]: standard normal."""
        return torch.randn((self._batch, *tail), generator=self._generator, device=self._generator.device)[self._share]

    def rand(self, *tail: int) -> Tensor:
        """float32 [rows, *tail]: uniform over 0..1."""
        return torch.rand((self._batch, *tail), generator=self._generator, device=self._generator.device)[self._share]

    def randint(self, low: int, high: int, *tail: int) -> Tensor:
        """int64 [rows, *tail]: uniform over low, ..., high - 1."""
        return torch.randint(low, high, (self._batch, *tail), generator=self._generator, device=self._generator.device)[self._share]

    def stratified(self) -> Tensor:
        """float32 [rows]: one uniform draw in each n-th of 0..1, n the whole batch; as independent draws, with less noise in a mean."""
        places = torch.arange(self._batch, device=self._generator.device)[self._share]
        return (places + self.rand()) / self._batch


class Source(Protocol):
    """Training data as a source of batches."""

    def batches(self, options: Training, seed: int, share: slice, device: torch.device) -> Iterator[Sequence[Tensor]]:
        """For each of `options.steps` steps the rows of this process, `share` of the `options.batch` rows that all processes take.

        Tensors of one length on the device (pixels, labels, ...). Every process is given the same seed.
        """


@dataclass(frozen=True, eq=False)
class FixedSet:
    """Tensors of one length N (pixels, labels, ...), of which every row comes once per pass; moved to the device once, whole."""

    tensors: Sequence[Tensor]

    def batches(self, options: Training, seed: int, share: slice, device: torch.device) -> Iterator[Sequence[Tensor]]:
        """The rows by random permutations of 0..N-1, one after the other, cut into batches."""
        on_device = [part.to(device) for part in self.tensors]
        for order in _passes(len(self.tensors[0]), options.batch, options.steps, seed):
            rows = order[share].to(device)
            yield [part[rows] for part in on_device]


@dataclass(frozen=True, eq=False)
class Stream:
    """Pictures that no step has seen before, drawn from `images`; `transform` says which tensors of them the loss takes."""

    images: ImageStream
    transform: Callable[[ImageSet], Sequence[Tensor]]

    def batches(self, options: Training, seed: int, share: slice, device: torch.device) -> Iterator[Sequence[Tensor]]:
        """New rows for every step, drawn several batches at a time, for a model draws many pictures faster than few.

        All processes draw the same batches (a fitted network shares the work of drawing among them), and each takes its rows.
        """
        steps = max(1, DRAWN_AT_ONCE // options.batch)
        for first in range(0, options.steps, steps):
            n = min(steps, options.steps - first) * options.batch
            with progress.watched_by(progress.Silent()):  # it is a part of the fit that the watcher is told of
                parts = self.transform(self.images.batch(n, seeds.derive(seed, first)))
            for batch in zip(*(part.split(options.batch) for part in parts), strict=True):
                yield [part[share].to(device) for part in batch]


def source_of(images: ImageSet | ImageStream, transform: Callable[[ImageSet], Sequence[Tensor]]) -> Source:
    """What a network learns from: `transform(pictures)` says which tensors of them the loss takes."""
    return FixedSet(transform(images)) if isinstance(images, ImageSet) else Stream(images, transform)


Net = TypeVar("Net", bound=nn.Module)
Loss = Callable[[nn.Module, Sequence[Tensor], BatchRandomness], Tensor]


def fit_network(net: Net, loss: Loss, source: Source, options: Training, seed: int, what: str = "fit") -> Net:
    """Trains `net` on batches of `source` and returns it in evaluation mode, with averaged weights where `options.ema` asks for them.

    source: gives each step its rows, tensors [batch, ...] on the device (of pictures: uint8 [batch, C, H, W], and int64 [batch] classes)
    loss:   `loss(net, rows, randomness)`, float []: the mean loss of those rows, which takes all its randomness from `randomness`

    Inside `processes.fit` each process takes its share of every batch; the gradient is that of the whole batch's mean, whatever the number
    of processes, but for rounding. Raises DivergedProblem when the loss is no longer a finite number.
    """
    where = devices.current()
    device, halved = where.torch_device(), where.mixed_precision() == "bf16"
    share = processes.share()
    weight = len(range(options.batch)[share]) / options.batch
    if not weight:
        share = slice(1)  # more processes than rows: this one only keeps step
    optimiser = _Optimiser(net.to(device).train(), options, device)
    batches = source.batches(options, seeds.derive(seed, "order"), share, device)
    randomness = BatchRandomness(options.batch, share, seeds.torch_generator(seeds.derive(seed, "loss", 0), device))
    total = torch.zeros((), device=device)

    for step, rows in zip(progress.steps(options.steps, what), batches, strict=True):
        # the precision is torch's own: an Accelerator's holds for a whole process, which may train networks of several
        with torch.autocast(device.type, torch.bfloat16, enabled=halved):
            value = weight * loss(net, rows, randomness)
        total += optimiser.step(step, value)
        if (step % CHECK_EVERY == CHECK_EVERY - 1 or step == options.steps - 1) and not torch.isfinite(total):
            raise DivergedProblem(
                f"{what}: the loss was no finite number within step {step + 1} of {options.steps}; "
                f"try a smaller learning rate (now {options.learning_rate:g}) or --precision float32"
            )
    optimiser.use_average()
    return net.eval().requires_grad_(False)


class _Optimiser:
    """AdamW on the weights of a network, at the rate of each step, and the average of the weights where one is asked for."""

    def __init__(self, net: nn.Module, options: Training, device: torch.device) -> None:
        self._options, self._weights = options, list(net.parameters())
        self._accelerator = Accelerator(device_placement=False, cpu=device.type == "cpu", mixed_precision="no")
        self._adam = self._accelerator.prepare_optimizer(
            torch.optim.AdamW(
                self._weights,
                lr=options.learning_rate,
                weight_decay=options.weight_decay,
                betas=(0.9, 0.99),
                fused=device.type != "mps",
            )
        )
        self._averaged = [weight.detach().clone() for weight in self._weights] if options.ema else []

    def step(self, step: int, value: Tensor) -> Tensor:
        """One step down the gradient of `value`, this process's part of the loss; the whole loss, float []."""
        whole = value.detach()
        for group in self._adam.param_groups:
            group["lr"] = self._options.learning_rate * rate(step, self._options)
        self._accelerator.backward(value)
        # summed here, not by a wrapper of the network: all processes train a model, the first alone trains a classifier
        processes.add_up([whole, *(weight.grad for weight in self._weights if weight.grad is not None)])
        self._accelerator.clip_grad_norm_(self._weights, self._options.clip)
        self._adam.step()
        self._adam.zero_grad()
        if self._averaged:
            # the average forgets its start quickly: its memory grows with the steps done (as in TensorFlow's EMA)
            keep = min(self._options.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._averaged, list[Tensor](self._weights), 1 - keep)
        return whole

    def use_average(self) -> None:
        """Puts the averaged weights, where there are any, into the network."""
        if self._averaged:
            with torch.no_grad():
                torch._foreach_copy_(list[Tensor](self._weights), self._averaged)


def rate(step: int, options: Training) -> float:
    """The learning rate at a step (0, 1, ...) as a share of its peak: linear warm-up, then the chosen decay towards 0."""
    rise = round(options.warmup * options.steps)
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, options.steps - rise)
    match options.decay:
        case "constant":
            return 1.0
        case "linear":
            return 1 - done
        case "cosine":
            return 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * done))))


def _passes(n: int, batch: int, steps: int, seed: int) -> list[Tensor]:
    """The rows of each step: random permutations of 0..n-1 one after the other, cut into batches."""
    generator = seeds.torch_generator(seed)
    passes = -(-steps * batch // n)
    order = torch.cat([torch.randperm(n, generator=generator) for _ in range(passes)])
    return list(order[: steps * batch].split(batch))
