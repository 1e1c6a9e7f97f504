"""What a denoising network is for: its size, the noise levels that it is trained at, and the way down them when it draws."""

import math
from collections.abc import Callable
from typing import Any

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem
from imgcollapse.heavy import Generator, Tensor, torch

# pictures up to this side -> what `by size` stands for: 8 by digits, 28 by MNIST, 32 by CIFAR-10 (docs/pareto); the others are guesses
BY_SIZE: dict[int, dict[str, Any]] = {
    8: {"patch": 1, "widths": (16, 32), "steps": 600, "learning_rate": 5e-3},
    16: {"patch": 1, "widths": (32, 64), "steps": 2000, "learning_rate": 4e-3},
    28: {"patch": 2, "widths": (24, 48), "steps": 3200, "learning_rate": 8e-3, "batch": 32, "optimiser": "muon", "log_snr": (0.0, 1.6)},
    32: {"patch": 2, "widths": (32, 64), "steps": 2700, "learning_rate": 8e-3, "batch": 64, "optimiser": "muon", "log_snr": (0.5, 1.6)},
    64: {"patch": 2, "widths": (64, 128, 128), "steps": 30000, "learning_rate": 1e-3, "attention": True},
}
OF_ANY_SIZE: dict[str, Any] = {"batch": 128, "optimiser": "adamw", "log_snr": (1.0, 1.6), "attention": False}
EVALUATIONS_BY_SIZE = {8: 10, 16: 12, 28: 10, 32: 16, 64: 20}  # `sampling.steps`, likewise


def by_size(model: Any, side: int) -> dict[str, Any]:
    """What a DDPM leaves to the size of pictures, of which `side` is the longer one: option -> value."""
    size = min((size for size in BY_SIZE if size >= side), default=max(BY_SIZE))
    fields = type(model).model_fields
    chosen = {name: value for name, value in {**OF_ANY_SIZE, **BY_SIZE[size]}.items() if getattr(model, name) == fields[name].default}
    if not model.sampling.steps:
        chosen["sampling"] = model.sampling.model_copy(update={"steps": EVALUATIONS_BY_SIZE[size]})
    return chosen


def trained_levels(alphas_cumprod: Tensor, log_snr: tuple[float, float]) -> Tensor:
    """float32 [T]: the distribution function of the trained level t, normal in the log-SNR (Karras et al. 2022, section 5).

    log_snr: its mean and standard deviation
    """
    found = (alphas_cumprod / (1 - alphas_cumprod)).double().log()
    mean, standard_deviation = log_snr
    reached = 1 - torch.special.ndtr((found - mean) / standard_deviation)  # the log-SNR falls with t
    return ((reached - reached[0]) / (reached[-1] - reached[0])).float()


def denoised(
    x: Tensor, predict: Callable[[Tensor, Tensor], Tensor], scheduler: Any, steps: int, stop: float, generator: Generator
) -> Tensor:
    """float32, as x: pictures of noise x_T, drawn in so many steps of diffusers' scheduler; those after an early stop are left out.

    predict: of x_t and t what the network predicts; generator: of the noise that is added on the way

    With `stop` s > 0, x_s = sqrt(1 - s^2) x_0 + s e is what is drawn: the first level with no more noise than that is not reached by the
    scheduler's step but by one of DDIM (eta 0) that ends at s exactly (Khelifa, Turner & Venkataramanan 2026, where s^2 = 1 - exp(-2 t) at
    the truncation time t).
    """
    scheduler.set_timesteps(steps)  # anew: a multistep solver remembers the steps before
    levels = scheduler.timesteps
    if stop:
        levels = levels[(1 - scheduler.alphas_cumprod[levels]).sqrt() > stop]
    for step in progress.steps(len(levels), "sample"):
        t = levels[step]
        found = predict(x, t.to(x.device))
        if stop and step == len(levels) - 1:
            return _stopped(x, found, scheduler.config.prediction_type == "v_prediction", float(scheduler.alphas_cumprod[t]), stop)
        x = scheduler.step(found, t, x, return_dict=False, generator=generator)[0]
    return x


def refuse_stop(stop: float, alphas_cumprod: Tensor) -> None:
    """Raises SettingsProblem for an early stop at noise that no level has."""
    most = math.sqrt(1 - float(alphas_cumprod[-1]))
    if stop >= most:
        raise SettingsProblem(
            f"model.sampling.stop: {stop:g} cannot be used; the sampler begins with noise of {most:.3g}, set it below that"
        )


def _stopped(x: Tensor, found: Tensor, is_v: bool, signal: float, stop: float) -> Tensor:
    """A step of DDIM from x_t = a x_0 + s e, a^2 the signal, to the level where e has the standard deviation `stop`."""
    a, s = math.sqrt(signal), math.sqrt(1 - signal)
    clean = (a * x - s * found if is_v else (x - s * found) / a).clamp(-1, 1)  # clipped as all samplers here do
    return math.sqrt(1 - stop**2) * clean + stop * (x - a * clean) / s
