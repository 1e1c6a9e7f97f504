"""Denoising diffusion (Ho et al. 2020) on diffusers' `UNet2DModel` and schedulers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, PositiveInt, PrivateAttr
from torch import Generator, Tensor, nn
from torch.nn import functional

from imgcollapse import machine, progress, seeds
from imgcollapse.errors import DataProblem
from imgcollapse.images import UNLABELLED, ImageSet, from_signed, to_signed
from imgcollapse.models.weights import read_about, write_about
from imgcollapse.training import Training, fit_network

BLOCK = 512  # pictures that are drawn at once
SCHEDULES = {"cosine": "squaredcos_cap_v2", "linear": "linear"}


class DDPM(Training):
    """Denoising diffusion: a UNet that learns to take noise away, and a sampler that does so step by step."""

    kind: Literal["ddpm"] = "ddpm"
    steps: PositiveInt = Field(600, description="optimisation steps")
    learning_rate: float = Field(1e-3, gt=0, description="the peak learning rate of AdamW")
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the exponential moving average of the weights; 0: none")
    widths: tuple[PositiveInt, ...] | None = Field(None, description="channels at each resolution; none: by picture size")
    layers: PositiveInt = Field(1, description="residual blocks at each resolution")
    attention: bool | None = Field(None, description="self-attention at the lowest resolutions; none: by picture size")
    class_conditional: bool = Field(False, description="tell the network the class; the classes drawn follow the learned shares")
    prediction: Literal["epsilon", "v"] = Field("epsilon", description="what the network predicts: the noise, or v (Salimans & Ho 2022)")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="noise schedule: Nichol & Dhariwal 2021, or Ho et al. 2020")
    timesteps: PositiveInt = Field(1000, ge=2, description="T, the number of noise levels in training")
    sampler: Literal["ddpm", "ddim", "dpm++"] = Field("ddim", description="ancestral over all T; DDIM (eta 0); DPM-Solver++(2M)")
    sampler_steps: PositiveInt = Field(20, description="network evaluations a picture for ddim and dpm++")

    _net: Any = PrivateAttr(None)
    _shape: tuple[int, int, int] = PrivateAttr((0, 0, 0))
    _shares: Tensor | None = PrivateAttr(None)

    def fit(self, images: ImageSet, seed: int) -> Self:
        """A fitted copy. Raises DataProblem for points and, when class-conditional, for unlabelled pictures."""
        if images.are_points:
            raise DataProblem("model 'ddpm' learns pictures; for a world of points use gaussian, gmm or bootstrap")
        shares = None
        if self.class_conditional:
            if bool((images.labels == UNLABELLED).any()):
                raise DataProblem("model.class_conditional: the training set has pictures without a class; set it to false")
            shares = torch.bincount(images.labels).double() / len(images)
        with seeds.global_torch_seed(seeds.derive(seed, "weights")):
            net = self._network(images.shape, 0 if shares is None else len(shares))
        kept = self._alpha_bars().to(machine.current().torch_device())  # ᾱ_t, [T]

        def loss(network: nn.Module, rows: Sequence[Tensor], generator: Generator) -> Tensor:
            clean = _pad(to_signed(rows[0]), net.config.sample_size)
            n = len(clean)
            # one timestep in each n-th of the range: as uniform as independent draws, with less noise in the gradient
            place = (torch.arange(n, device=clean.device) + torch.rand(n, generator=generator, device=clean.device)) / n
            t = (place * self.timesteps).long().clamp(max=self.timesteps - 1)
            noise = torch.randn(clean.shape, generator=generator, device=clean.device)
            a, s = kept[t].sqrt().view(-1, 1, 1, 1), (1 - kept[t]).sqrt().view(-1, 1, 1, 1)
            target = noise if self.prediction == "epsilon" else a * noise - s * clean
            found = network(a * clean + s * noise, t, *rows[1:], return_dict=False)[0]
            return functional.mse_loss(found.float(), target)

        data = (images.pixels, images.labels) if self.class_conditional else (images.pixels,)
        return self._fitted(fit_network(net, loss, data, self, seeds.derive(seed, "fit"), what="ddpm"), images.shape, shares)

    def sample(self, n: int, seed: int) -> ImageSet:
        """n new pictures; the same seed starts from the same noise x_T, so that two generations can be compared picture by picture."""
        assert self._net is not None, "fit or load the model first"
        net, device = self._net.to(machine.current().torch_device()), machine.current().torch_device()
        size = net.config.sample_size
        generator = seeds.torch_generator(seeds.derive(seed, "latents"))
        start = torch.randn((n, self._shape[0], size, size), generator=generator)
        labels = None if self._shares is None else torch.multinomial(self._shares, n, replacement=True, generator=generator)
        noise = seeds.torch_generator(seeds.derive(seed, "noise"), device)
        blocks = list(torch.arange(n).split(BLOCK))
        scheduler = self._scheduler()
        scheduler.set_timesteps(self.timesteps if self.sampler == "ddpm" else self.sampler_steps)
        drawn = []
        watch = progress.steps(len(blocks) * len(scheduler.timesteps), "sample")
        precision = machine.current().mixed_precision() == "bf16"
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision):
            for rows in blocks:
                x = start[rows].to(device)
                told = [] if labels is None else [labels[rows].to(device)]
                scheduler.set_timesteps(len(scheduler.timesteps))  # a multistep solver forgets the block before
                for t, _ in zip(scheduler.timesteps, watch, strict=False):
                    found = net(x, t.to(device), *told, return_dict=False)[0].float()
                    extra = {} if self.sampler == "dpm++" else {"generator": noise}
                    x = scheduler.step(found, t, x, return_dict=False, **extra)[0]
                drawn.append(_crop(from_signed(x), self._shape).cpu())
        watch.close()
        return ImageSet.of(torch.cat(drawn), labels)

    def save(self, folder: Path) -> None:
        """Writes the folder that `diffusers.DDPMPipeline.from_pretrained` opens."""
        from imgcollapse import torchvision_guard  # noqa: F401 (diffusers imports torchvision)
        from diffusers import DDPMPipeline  # isort: skip

        DDPMPipeline(self._net, self._scheduler("ddpm")).save_pretrained(folder)
        write_about(folder, self, shape=self._shape, shares=None if self._shares is None else self._shares.tolist())

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        from imgcollapse import torchvision_guard  # noqa: F401 (diffusers imports torchvision)
        from diffusers import UNet2DModel  # isort: skip

        state = read_about(folder)["state"]
        net = UNet2DModel.from_pretrained(folder / "unet", use_safetensors=True, local_files_only=True)
        shares = None if state["shares"] is None else torch.tensor(state["shares"], dtype=torch.float64)
        return self._fitted(net.eval().requires_grad_(False), tuple(state["shape"]), shares)

    def _fitted(self, net: nn.Module, shape: tuple[int, int, int], shares: Tensor | None) -> Self:
        fitted = self.model_copy()
        fitted._net, fitted._shape, fitted._shares = net, shape, shares
        return fitted

    def _network(self, shape: tuple[int, int, int], classes: int) -> Any:
        from imgcollapse import torchvision_guard  # noqa: F401 (diffusers imports torchvision)
        from diffusers import UNet2DModel  # isort: skip

        widths = self.widths or (32, 64)
        size = -(-max(shape[1:]) // 2 ** (len(widths) - 1)) * 2 ** (len(widths) - 1)
        return UNet2DModel(
            sample_size=size,
            in_channels=shape[0],
            out_channels=shape[0],
            layers_per_block=self.layers,
            block_out_channels=widths,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            add_attention=bool(self.attention),
            norm_num_groups=8,
            num_class_embeds=classes or None,
        )

    def _scheduler(self, sampler: str | None = None) -> Any:
        from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

        common = {
            "num_train_timesteps": self.timesteps,
            "beta_schedule": SCHEDULES[self.schedule],
            "prediction_type": "v_prediction" if self.prediction == "v" else "epsilon",
        }
        match sampler or self.sampler:
            case "ddpm":
                return DDPMScheduler(**common, clip_sample=True)
            case "ddim":
                return DDIMScheduler(**common, clip_sample=True, timestep_spacing="trailing")
            case _:
                # x0 is clipped to -1..1 as in DDIM; the clipped log-SNR is what the cosine schedule needs
                return DPMSolverMultistepScheduler(
                    **common,
                    thresholding=True,
                    sample_max_value=1.0,
                    lambda_min_clipped=-5.1,
                    timestep_spacing="trailing",
                    final_sigmas_type="zero",
                )

    def _alpha_bars(self) -> Tensor:
        kept: Tensor = self._scheduler("ddpm").alphas_cumprod
        return kept


def _pad(signed: Tensor, size: int) -> Tensor:
    down, right = size - signed.shape[2], size - signed.shape[3]
    return functional.pad(signed, (right // 2, right - right // 2, down // 2, down - down // 2), value=-1.0)


def _crop(pixels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    down, right = pixels.shape[2] - shape[1], pixels.shape[3] - shape[2]
    return pixels[:, :, down // 2 : down // 2 + shape[1], right // 2 : right // 2 + shape[2]]
