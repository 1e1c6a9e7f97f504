"""A convolutional variational autoencoder (Kingma & Welling 2014)."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, PrivateAttr

from imgcollapse import seeds
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, functional, nn, torch
from imgcollapse.images import ImageSet, ImageStream, from_unit, to_unit
from imgcollapse.machine import devices, processes
from imgcollapse.models import folders
from imgcollapse.models.likelihood import log_exponential_levels, log_logistic_cells, log_normal_cells
from imgcollapse.models.network import away_from, put, start_from, weights_of
from imgcollapse.models.weights import read_about, write_about
from imgcollapse.settings import Settings
from imgcollapse.training import BatchRandomness, Training, fit_network, source_of

BLOCK = 1024  # pictures that are decoded at once
CODES = 200  # codes for each Gaussian of a mixture, which is fitted to them
# pictures up to this side -> what `by size` stands for: tuned on digits, and on MNIST, whose values larger pictures have as well. By the
# classifier, generation 0 then has recall 0.83 to 0.87 and coverage 0.86 to 0.95 on digits (four seeds; real vs real 0.89 and 0.97), 0.82
# and 0.70 on MNIST (one seed; 0.86 and 0.97), where training costs 1.6e13 FLOP.
BY_SIZE: dict[int, dict[str, Any]] = {
    8: {"steps": 1000, "learning_rate": 6e-3, "latent": 16, "components": 10},
    32: {"steps": 3000, "learning_rate": 5e-3, "latent": 32, "components": 100},
}


class Sampling(Settings):
    """How a trained network draws."""

    draw: Literal["mean", "sample"] = Field(
        "mean", description="mean (the decoder's, as in Shumailov et al. 2024), or sample (a draw from the decoder's distribution)"
    )
    temperature: PositiveFloat = Field(
        1.0, description="scales the latent noise (of a mixture: within each Gaussian): below 1 trades diversity for quality"
    )


class VAE(Training):
    """A convolutional variational autoencoder.

    The prior that it is trained with is the standard normal. It draws from that, or from a mixture of Gaussians fitted afterwards to codes
    of the training pictures (Ghosh et al. 2020, "From variational to deterministic autoencoders"), which falls less often between what the
    encoder uses. The evidence lower bound is largest under the prior that is nearest to the distribution of the codes (Hoffman & Johnson
    2016); likelihoods are under the prior that it draws from.
    """

    kind: Literal["vae"] = "vae"
    steps: int = Field(0, ge=0, description="optimisation steps; 0: by picture size")
    learning_rate: float = Field(0.0, ge=0, description="the peak learning rate; 0: by picture size")
    latent: int = Field(0, ge=0, description="latent dimensions; 0: by picture size")
    width: PositiveInt = Field(32, multiple_of=8, description="channels of the first convolution")
    beta: NonNegativeFloat = Field(1.0, description="weight of the Kullback-Leibler term (Higgins et al. 2017)")
    observation: Literal["bernoulli", "gaussian", "logistic"] = Field(
        "logistic", description="distribution of a pixel given the code: bernoulli, or gaussian or (clipped) logistic, of one learned width"
    )
    prior: Literal["normal", "mixture"] = Field(
        "mixture",
        description="of latent codes: normal (standard), or mixture (fitted to the encoder's codes after training, Ghosh et al. 2020)",
    )
    components: int = Field(0, ge=0, description="number of Gaussians in the mixture; 0: by picture size")
    sampling: Sampling = Field(Sampling(), description="how pictures are drawn; it decides nothing of what is learned")

    LATER: ClassVar = ("mirror",)
    MOVED: ClassVar = {"draw": "sampling.draw", "temperature": "sampling.temperature"}
    _net: Any = PrivateAttr(None)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """The same, with what is left to the picture size chosen for (C, H, W). Raises DataProblem for points."""
        if are_points:
            raise DataProblem("model 'vae' learns pictures; for a world of points use gaussian, gmm or bootstrap")
        side = min((size for size in BY_SIZE if size >= max(shape[1:])), default=max(BY_SIZE))
        return self.model_copy(update={name: value for name, value in BY_SIZE[side].items() if not getattr(self, name)})

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy. Raises DataProblem for points, and for a `start` of another architecture."""
        chosen = self.for_world(images.shape, 0, images.are_points)
        with seeds.global_torch_seed(seeds.derive(seed, "weights")):
            net = chosen._network(images.shape)
        start_from(net, start)

        def loss(network: "nn.Module", rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
            pixels = randomness.mirrored(rows[0]) if self.mirror else rows[0]
            unit = to_unit(pixels)
            decoded, mean, log_variance, log_deviation = (part.float() for part in network(unit, randomness.randn(chosen.latent)))
            if self.observation == "bernoulli":
                misfit = functional.binary_cross_entropy_with_logits(decoded, unit, reduction="none") + 0 * log_deviation
            elif self.observation == "logistic":
                misfit = -log_logistic_cells(pixels, decoded, log_deviation)
            else:
                misfit = 0.5 * ((decoded - unit) / log_deviation.exp()).square() + log_deviation
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
            # the negative evidence lower bound per pixel, so that one learning rate serves every picture size
            return (misfit.sum() + self.beta * divergence.sum()) / unit.numel()

        source = source_of(images, lambda pictures: (pictures.pixels,))
        net = fit_network(net, loss, source, chosen, seeds.derive(seed, "fit"), what="vae")
        if self.prior == "mixture":
            _learn_prior(net, images, seeds.derive(seed, "prior"))
        return chosen._fitted(net)

    def sample(self, n: int, seed: int) -> ImageSet:
        """n new pictures, unlabelled; the same seed gives the same latent codes to any generation, or the same noise to any mixture."""
        assert self._net is not None, "fit or load the model first"
        device = devices.current().torch_device()
        net = self._net.to(device)
        components, noise_seed = (seeds.derive(seed, what) for what in ("components", "latents"))
        latents = net.prior.draw(n, components, noise_seed, self.sampling.temperature)
        generator = seeds.torch_generator(seeds.derive(seed, "noise"))
        draw = torch.randn if self.observation == "gaussian" else torch.rand
        blocks, drawn = latents.split(BLOCK), {}
        mine = range(len(blocks))[processes.share()]
        with torch.inference_mode():
            for number, block in enumerate(blocks):
                # the noise of other processes' blocks is drawn as well, so that no picture's depends on who decodes it
                noise = draw((len(block), *net.shape), generator=generator) if self.sampling.draw == "sample" else None
                if number not in mine:
                    continue
                decoded = net.decode(block.to(device)).float().cpu()
                means = self._picture(decoded)
                if noise is not None and self.observation == "bernoulli":
                    means = (noise < means).float()
                elif noise is not None:
                    noise = noise if self.observation == "gaussian" else noise.logit(1e-7)
                    means = means + net.log_deviation.exp().cpu() * noise
                drawn[number] = from_unit(means)
        return ImageSet.of(processes.put_together(drawn))

    def log_likelihood(self, images: ImageSet, seed: int, draws: int) -> Tensor:
        """float64 [N], in nats: the importance-weighted lower bound of each picture's log probability (Burda, Grosse & Salakhutdinov 2016).

            log (1/K) sum_k p(x | z_k) p(z_k) / q(z_k | x),  z_k from the encoder's q, K = draws

        p(x | z) is what the decoder was trained with, as probabilities of grey levels: `bernoulli` normalised over them, `gaussian`
        integrated over their cells (`models.likelihood`). The bound rises with K; K = 1 is the evidence lower bound.
        """
        device = devices.current().torch_device()
        wide = device if device.type == "cuda" else torch.device("cpu")  # where there is float64
        net, generator, found = self._net.to(device), seeds.torch_generator(seed), []
        with torch.inference_mode():
            for pixels in images.pixels.split(max(1, BLOCK // draws)):
                mean, log_variance = (part.float()[:, None] for part in net.encode(to_unit(pixels.to(device))))
                noise = torch.randn((len(pixels), draws, self.latent), generator=generator).to(device)
                latents = mean + (log_variance / 2).exp() * noise
                log_q = -0.5 * (noise.square() + log_variance + math.log(2 * math.pi)).to(wide).double().sum(2)
                ratio = net.prior.log_density(latents.to(wide)) - log_q
                decoded = net.decode(latents.flatten(0, 1)).float().unflatten(0, (len(pixels), draws)).to(wide)
                if self.observation == "bernoulli":
                    each = log_exponential_levels(pixels[:, None].to(wide), decoded).double()
                elif self.observation == "logistic":
                    each = log_logistic_cells(pixels[:, None].to(wide), decoded.double(), net.log_deviation.to(wide).double())
                else:
                    each = log_normal_cells(pixels[:, None].to(wide), decoded, net.log_deviation.exp().to(wide))
                found.append((each.sum((2, 3, 4)) + ratio).logsumexp(1).cpu() - math.log(draws))
        return torch.cat(found)

    def codes(self, images: ImageSet) -> tuple[Tensor, Tensor]:
        """float64 [N, latent], the encoder's mean of each picture, and float64 [N], the mean squared error of its decoded mean."""
        device = devices.current().torch_device()
        net, means, errors = self._net.to(device), [], []
        with torch.inference_mode():
            for pixels in images.pixels.split(BLOCK):
                unit = to_unit(pixels)
                mean = net.encode(unit.to(device))[0]
                means.append(mean.cpu().double())
                made = self._picture(net.decode(mean).float().cpu()).clamp(0, 1)
                errors.append((made - unit).double().square().mean((1, 2, 3)))
        return torch.cat(means), torch.cat(errors)

    def save(self, folder: Path) -> None:
        """Writes the model's folder, in the `save_pretrained` layout of diffusers."""
        self._net.save_pretrained(folder)
        write_about(folder, self)

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        from imgcollapse.models.vae_network import VAENetwork

        read_about(folder)
        return self._fitted(VAENetwork.from_pretrained(folder, use_safetensors=True).eval())

    def weights(self) -> dict[str, Tensor]:
        """Copies of the fitted network's weights, by name, on the CPU."""
        return weights_of(self._net)

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """A fitted copy with these weights in place of its own. Raises DataProblem for those of another architecture."""
        net = deepcopy(self._net)
        put(net, weights)
        return self._fitted(net)

    def extrapolated(self, other: Self, weight: float, images: ImageSet | ImageStream, seed: int) -> Self:
        """A fitted copy with the weights (1 + w) theta - w theta_other, and its mixture fitted anew to its codes of these pictures."""
        net = away_from(self._net, other._net, weight)
        if self.prior == "mixture":
            _learn_prior(net, images, seeds.derive(seed, "prior"))
        return self._fitted(net)

    def begun(self, folder: Path, shape: tuple[int, int, int]) -> Self:
        """A copy, not trained, with the weights of a VAE's folder for pictures of (C, H, W). Raises DataProblem for any other."""
        folders.refuse_other_model(folder, {"kind": self.kind, "observation": self.observation}, needed=True)
        return self._fitted(folders.read(folder, self._network(shape)))

    def _network(self, shape: tuple[int, int, int]) -> Any:
        from imgcollapse.models.vae_network import VAENetwork

        return VAENetwork(shape, self.latent, self.width, self.components if self.prior == "mixture" else 0)

    def _picture(self, decoded: Tensor) -> Tensor:
        """The mean of each pixel, before what lies outside 0..1 is clipped, of what the decoder gives."""
        return decoded.sigmoid() if self.observation == "bernoulli" else decoded

    def _fitted(self, net: "nn.Module") -> Self:
        fitted = self.model_copy()
        fitted._net = net
        return fitted


def _learn_prior(net: Any, images: ImageSet | ImageStream, seed: int) -> None:
    """Fits the mixture to what the encoder makes of pictures; the first process does, for rounding could lead others to another one."""
    codes = _codes(net, CODES * len(net.prior.logits), images, seed)  # in all of them: they draw a stream's pictures together
    if processes.share().start in (None, 0):
        net.prior.learn(codes, seeds.derive(seed, "mixture"))
    else:
        for part in net.prior.buffers():
            part.zero_()
    processes.add_up(list(net.prior.buffers()))


def _codes(net: Any, n: int, images: ImageSet | ImageStream, seed: int) -> Tensor:
    """float32 [n, latent]: draws from q(z | x) of pictures spread over the set, several of each where there are fewer."""
    device = devices.current().torch_device()
    if isinstance(images, ImageSet):
        pixels = images.pixels[torch.arange(n) * len(images) // n]
    else:
        pixels = images.batch(n, seeds.derive(seed, "pictures")).pixels
    noise = torch.randn((n, net.config.latent), generator=seeds.torch_generator(seeds.derive(seed, "codes")))
    with torch.inference_mode():
        parts = [net.to(device).encode(to_unit(block.to(device))) for block in pixels.split(BLOCK)]
        mean, log_variance = (torch.cat(part).float().cpu() for part in zip(*parts, strict=True))
    return mean + (log_variance / 2).exp() * noise
