"""How probable pictures are to a model of continuous pixels: one convention for all models, so that their bits can be compared.

A picture is a point of the grid of 256^D grey values, and its probability is the model's density integrated over the cell of each pixel,
one grey level wide; the cells of 0 and 255 reach to infinity, as draws are rounded and what lies outside is clipped. Where that integral
has no closed form, the density at a place of the cell that is drawn at random (uniform dequantisation) takes its place: by Jensen's
inequality its logarithm is on average a lower bound (Theis, van den Oord & Bethge 2016, section 3.1).
"""

import math

from imgcollapse.heavy import Tensor, functional, torch
from imgcollapse.images import ImageSet
from imgcollapse.seeds import torch_generator

LEVEL = 1 / 255  # one grey level, of pixels in 0..1: dividing a density of these by it gives that of grey values
ROUNDING = LEVEL / math.sqrt(12)  # standard deviation of what rounding to a grey level takes away: no pixel is known more exactly
LOGISTIC_FLOOR = math.log(ROUNDING * math.sqrt(3) / math.pi)  # log scale of the logistic distribution that has it


def dequantised(images: ImageSet, seed: int) -> Tensor:
    """float64 [N, D]: a place in the cell of each picture, pixels in 0..1, drawn uniformly."""
    noise = torch.rand(images.pixels.shape, generator=torch_generator(seed), dtype=torch.float64) - 0.5
    return ((images.pixels.double() + noise) * LEVEL).flatten(1)


def log_normal_cells(pixels: Tensor, mean: Tensor, standard_deviation: Tensor) -> Tensor:
    """float64, of the shape that all three have together: log probability of each pixel whose value, in 0..1, is normally distributed.

    pixels: uint8. A standard deviation below ROUNDING counts as that, so that every picture has a finite value.
    """
    grey = pixels.double()
    spread = standard_deviation.double().clamp(min=ROUNDING)
    lower = torch.where(grey == 0, -torch.inf, ((grey - 0.5) * LEVEL - mean) / spread)
    upper = torch.where(grey == 255, torch.inf, ((grey + 0.5) * LEVEL - mean) / spread)
    above = lower > 0  # in the upper tail both ends round to 1: its mirror image keeps their digits
    lower, upper = torch.where(above, -upper, lower), torch.where(above, -lower, upper)
    low, high = torch.special.log_ndtr(lower), torch.special.log_ndtr(upper)
    return high + (-torch.expm1(low - high)).log()


def log_exponential_levels(pixels: Tensor, logits: Tensor) -> Tensor:
    """Log probability of each pixel under l^x (1 - l)^(1 - x), x = grey / 255, l = sigmoid(logit), normalised over the 256 grey levels.

    What the binary cross-entropy of grey pixels leaves open is its constant, here a geometric series: the grey levels have the
    probabilities of a continuous Bernoulli distribution (Loaiza-Ganem & Cunningham 2019), on the grid. pixels: uint8.
    """
    unit, slope = pixels.to(logits.dtype) * LEVEL, logits.abs().clamp(min=1e-6)
    short = torch.where(logits > 0, 1 - unit, unit)  # how far from the likeliest level
    return -slope * short - torch.log(torch.expm1(-256 * LEVEL * slope) / torch.expm1(-LEVEL * slope))


def log_logistic_cells(pixels: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log probability of each pixel whose value, in 0..1, has a logistic distribution (Kingma et al. 2016; Salimans et al. 2017).

    pixels: uint8. Of a cell from a to b, in scales from the mean: log (s(b) - s(a)) = log s(b) + log s(-a) + log (1 - exp(a - b)), with s
    the sigmoid. A scale below that of rounding counts as that. Its gradient is exact, so that a decoder can be trained with it.
    """
    scale = log_scale.clamp(min=LOGISTIC_FLOOR).exp()
    place = pixels.to(mean.dtype) * LEVEL - mean
    upper = functional.logsigmoid((place + LEVEL / 2) / scale).masked_fill(pixels == 255, 0.0)
    lower = functional.logsigmoid((LEVEL / 2 - place) / scale).masked_fill(pixels == 0, 0.0)
    inner = torch.log(-torch.expm1(-LEVEL / scale)).masked_fill((pixels == 0) | (pixels == 255), 0.0)
    return upper + lower + inner
