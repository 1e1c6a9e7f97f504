"""The networks of the VAE, in a file of their own because importing diffusers takes seconds."""

from itertools import pairwise

from imgcollapse.images import crop, pad
from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)

import torch  # isort: skip
from diffusers import ConfigMixin, ModelMixin  # isort: skip
from diffusers.configuration_utils import register_to_config  # isort: skip
from torch import Tensor, nn  # isort: skip

from imgcollapse.models.vae_prior import Prior  # isort: skip


class VAENetwork(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Encoder and decoder of one picture size (C, H, W); pads inside, so that every halving is exact."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, shape: tuple[int, int, int] = (1, 8, 8), latent: int = 16, width: int = 32, components: int = 0) -> None:
        super().__init__()
        channels, height, breadth = shape
        self.shape = (channels, height, breadth)
        self.halvings = max(1, (max(height, breadth) - 1).bit_length() - 2)
        self.side = 4 << self.halvings
        # every layer halves the picture, the first one too: nothing wide works at full size, which is where the time would go
        widths = [channels, *(min(width << level, 2 * width) for level in range(self.halvings))]
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []
        for level, (thin, wide) in enumerate(pairwise(widths)):
            encoder += [nn.Conv2d(thin, wide, 4, stride=2, padding=1), nn.GroupNorm(8, wide), nn.SiLU()]
            shaped = [nn.GroupNorm(8, thin), nn.SiLU()] if level else []  # the last layer gives the picture itself
            decoder[:0] = [nn.ConvTranspose2d(wide, thin, 4, stride=2, padding=1), *shaped]
        hidden = 8 * width
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), nn.Linear(widths[-1] * 16, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, widths[-1] * 16),
            nn.SiLU(),
            nn.Unflatten(1, (widths[-1], 4, 4)),
            *decoder,
        )
        self.log_deviation = nn.Parameter(torch.full((), -1.0))  # of the gaussian observation model, one for all pixels
        self.prior = Prior(latent, components)

    def encode(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """float [N, C, H, W] in 0..1 -> mean and log variance of the latent, [N, latent] each."""
        mean, log_variance = self.encoder(pad(unit, self.side)).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)

    def decode(self, latent: Tensor) -> Tensor:
        """[N, latent] -> [N, C, H, W]: logits (bernoulli) or means (gaussian)."""
        return crop(self.decoder(latent), self.shape)

    def forward(self, unit: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decoded picture, latent mean, latent log variance, log standard deviation of the observation."""
        mean, log_variance = self.encode(unit)
        return self.decode(mean + (log_variance / 2).exp() * noise), mean, log_variance, self.log_deviation
