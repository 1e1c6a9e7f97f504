"""Pictures made worse, and classes made rare: what data sets, pools of real pictures and attacks on marks have in common."""

from collections.abc import Sequence

from imgcollapse.heavy import Tensor, functional, torch
from imgcollapse.images import to_levels
from imgcollapse.seeds import torch_generator


def noise(pixels: Tensor, strength: float, seed: int) -> Tensor:
    """Gaussian noise is added; strength: its standard deviation, in grey levels; of points in their own units."""
    noisy = pixels + strength * torch.randn(pixels.shape, generator=torch_generator(seed))
    return to_levels(noisy) if pixels.dtype == torch.uint8 else noisy


def blur(pixels: Tensor, strength: float, seed: int) -> Tensor:
    """A Gaussian blur; strength: its standard deviation, in pixels."""
    reach = max(1, round(3 * strength))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / strength).square())
    kernel = kernel / kernel.sum()
    channels = pixels.shape[1]
    wide = functional.pad(pixels.float(), (reach,) * 4, mode="replicate")
    rows = functional.conv2d(wide, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return to_levels(functional.conv2d(rows, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels))


def tail(there: Sequence[int], ratio: float) -> list[int]:
    """How many pictures of each class a long tail keeps, where there are so many; first class to last: `ratio` to 1.

    Cui et al. 2019: n_c = n_max R^(-c / (C - 1)), at least 1; n_max: the most for which every class that is there has enough.
    """
    shares = [ratio ** (-label / max(1, len(there) - 1)) for label in range(len(there))]
    most = min(int(count / share) for count, share in zip(there, shares, strict=True) if count)
    return [max(1, round(most * share)) if count else 0 for count, share in zip(there, shares, strict=True)]
