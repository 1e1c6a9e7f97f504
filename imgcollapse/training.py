"""The one optimisation loop, used by every network of the package (models and classifier alike)."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch
from accelerate import Accelerator
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from imgcollapse import machine, progress, seeds
from imgcollapse.errors import DivergedProblem
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


Net = TypeVar("Net", bound=nn.Module)
Loss = Callable[[nn.Module, Sequence[Tensor], Generator], Tensor]


def fit_network(net: Net, loss: Loss, data: Sequence[Tensor], options: Training, seed: int, what: str = "fit") -> Net:
    """Trains `net` on rows of `data` and returns it in evaluation mode, with averaged weights where `options.ema` asks for them.

    `data` are tensors of one length N (pixels, labels, ...); they are moved to the device once, whole. Each step takes `batch` rows in
    an order in which every row comes once per pass. `loss(net, rows, generator)` gives the mean loss of those rows and draws all its
    randomness from `generator`. Under `accelerate launch` each process takes its share of every batch.
    Raises DivergedProblem when the loss is no longer a finite number.
    """
    where = machine.current()
    accelerator = Accelerator(cpu=where.torch_device().type == "cpu", mixed_precision=where.mixed_precision())
    device = accelerator.device
    on_device = [part.to(device) for part in data]
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    optimiser = torch.optim.AdamW(
        net.to(device).parameters(),
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        betas=(0.9, 0.99),
        fused=device.type != "mps",
    )
    trained, optimiser = accelerator.prepare(net.train(), optimiser)
    weights = list(net.parameters())
    averaged = [weight.detach().clone() for weight in weights] if options.ema else []
    order = _passes(len(data[0]), options.batch, options.steps, seeds.derive(seed, "order"))
    generator = seeds.torch_generator(seeds.derive(seed, "loss", accelerator.process_index), device)
    total = torch.zeros((), device=device)

    for step in progress.steps(options.steps, what):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate(step, options)
        rows = order[step][share].to(device)
        with accelerator.autocast():
            value = loss(trained, [part[rows] for part in on_device], generator)
        accelerator.backward(value)
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
