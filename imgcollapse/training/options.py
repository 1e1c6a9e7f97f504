"""How a network is trained: the options, and the rate of each step."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from imgcollapse.heavy import torch
from imgcollapse.settings import Settings

Chosen = Literal["auto", "adamw", "muon"]
DECAY = "how the learning rate falls after the warm-up: cosine, linear, or constant (it does not)"


class Training(Settings):
    """How a network is trained: a fixed number of steps, so that regimes with more data do not also get more training."""

    steps: PositiveInt = Field(1000, description="optimisation steps")
    batch: PositiveInt = Field(128, description="pictures per step")
    learning_rate: PositiveFloat = Field(1e-3, description="the peak learning rate")
    optimiser: Chosen = Field(
        "adamw",
        description="adamw, or muon: Jordan et al. 2024 for matrices and convolutions between the first and the last, AdamW for the rest",
    )
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps over which the learning rate rises linearly from 0")
    decay: Literal["cosine", "linear", "constant"] = Field("cosine", description=DECAY)
    weight_decay: NonNegativeFloat = Field(0.0, description="AdamW's decoupled weight decay")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the exponential moving average of the weights; 0: no averaging")
    clip: PositiveFloat = Field(1.0, description="largest norm of the gradient: a larger one is clipped")
    mirror: bool = Field(False, description="whether a random half of the pictures of each step is mirrored left to right")


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
