"""What a denoising network is for: the noise levels that it is trained at, and the way down them when it draws."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from imgcollapse import progress
from imgcollapse.errors import SettingsProblem


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
