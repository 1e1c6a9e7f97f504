"""The one optimisation loop, used by every network of the package (models and classifier alike)."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch
from accelerate import Accelerator
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from imgcollapse import progress, seeds
from imgcollapse.errors import DivergedProblem
from imgcollapse.machine import machine, processes
from imgcollapse.settings import Settings

CHECK_EVERY = 25  # steps between looks at the loss: a look makes a GPU wait


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


class Draws:
    """The randomness of a loss: drawn for the whole batch from one generator, of which this process takes its own rows.

    So the noise on a picture does not hang on the number of processes. All tensors lie on the generator's device, a row a picture.
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

    def strata(self) -> Tensor:
        """float32 [rows]: one uniform draw in each n-th of 0..1, n the whole batch; as independent draws, with less noise in a mean."""
        places = torch.arange(self._batch, device=self._generator.device)[self._share]
        return (places + self.rand()) / self._batch


Net = TypeVar("Net", bound=nn.Module)
Loss = Callable[[nn.Module, Sequence[Tensor], Draws], Tensor]


def fit_network(net: Net, loss: Loss, data: Sequence[Tensor], options: Training, seed: int, what: str = "fit") -> Net:
    """Trains `net` on rows of `data` and returns it in evaluation mode, with averaged weights where `options.ema` asks for them.

    `data` are tensors of one length N (pixels, labels, ...); they are moved to the device once, whole. Each step takes `batch` rows in
    an order in which every row comes once per pass. `loss(net, rows, draws)` gives the mean loss of those rows and takes all its
    randomness from `draws`. Inside `processes.fit` each process takes its share of every batch; the gradient is that of the whole batch's
    mean, whatever the number of processes, but for rounding.
    Raises DivergedProblem when the loss is no longer a finite number.
    """
    where = machine.current()
    device, halved = where.torch_device(), where.mixed_precision() == "bf16"
    # the precision is asked for below: accelerate keeps that of a process's first network for all that follow
    accelerator = Accelerator(device_placement=False, cpu=device.type == "cpu", mixed_precision="no")
    on_device = [part.to(device) for part in data]
    share = processes.share()
    weight = len(range(options.batch)[share]) / options.batch
    if not weight:
        share = slice(1)  # more processes than rows: this one only keeps step
    optimiser = torch.optim.AdamW(
        net.to(device).parameters(),
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        betas=(0.9, 0.99),
        fused=device.type != "mps",
    )
    # as for evaluation: accelerate would wrap the net for all processes that were launched, also where this one works alone
    trained = accelerator.prepare_model(net.train(), evaluation_mode=True)
    optimiser = accelerator.prepare_optimizer(optimiser)
    weights = list(net.parameters())
    averaged = [weight.detach().clone() for weight in weights] if options.ema else []
    order = _passes(len(data[0]), options.batch, options.steps, seeds.derive(seed, "order"))
    draws = Draws(options.batch, share, seeds.torch_generator(seeds.derive(seed, "loss", 0), device))
    total = torch.zeros((), device=device)

    for step in progress.steps(options.steps, what):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate(step, options)
        rows = order[step][share].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=halved):
            value = weight * loss(trained, [part[rows] for part in on_device], draws)
        accelerator.backward(value)
        processes.add_up([value.detach(), *(parameter.grad for parameter in weights if parameter.grad is not None)])
        accelerator.clip_grad_norm_(weights, options.clip)
        optimiser.step()
        optimiser.zero_grad()
        if averaged:
            # the average forgets its random start quickly: its memory grows with the steps done (as in TensorFlow's EMA)
            keep = min(options.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(averaged, list[Tensor](weights), 1 - keep)
        total += value.detach()
        if step % CHECK_EVERY == CHECK_EVERY - 1 or step == options.steps - 1:
            if not torch.isfinite(total):
                raise DivergedProblem(
                    f"{what}: the loss was no finite number within step {step + 1} of {options.steps}; "
                    f"try a smaller learning rate (now {options.learning_rate:g}) or --precision float32"
                )
    accelerator.unwrap_model(trained, keep_fp32_wrapper=False)  # takes accelerate's wrappers off `net` again
    if averaged:
        with torch.no_grad():
            torch._foreach_copy_(list[Tensor](weights), averaged)
    return net.eval().requires_grad_(False)


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
