"""The network and the schedulers of the DDPM, in a file of their own because importing diffusers takes seconds."""

from pathlib import Path
from typing import Any, Literal

from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)

from diffusers import ConfigMixin, DDIMScheduler, DDPMPipeline, DDPMScheduler  # isort: skip
from diffusers import DPMSolverMultistepScheduler, ModelMixin, UNet2DModel  # isort: skip
from diffusers.configuration_utils import register_to_config  # isort: skip
from torch import Tensor, nn  # isort: skip
from torch.nn import functional  # isort: skip


class PatchedUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A UNet that works on patches: patch x patch pixels are folded into channels before it and unfolded after it (pixel unshuffle, as in
    simple diffusion, Hoogeboom et al. 2023), so that its cost falls with the square of `patch`. From outside it is a UNet on pixels.

    sample_size, in_channels: of the pictures; unet: the config of the `UNet2DModel` inside, whose pictures are the folded ones.

    `DDPMPipeline.from_pretrained(folder, unet=PatchedUNet.from_pretrained(folder / "unet"))` opens what a generation has kept of it.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, patch: int, sample_size: int, in_channels: int, unet: dict[str, Any]) -> None:
        super().__init__()
        self.inner = UNet2DModel(**unet)

    def forward(self, sample: Tensor, timestep: Tensor, class_labels: Tensor | None = None, return_dict: bool = True) -> Any:
        """[N, C, side, side] -> the same shape, as `UNet2DModel.forward` has it."""
        folded = functional.pixel_unshuffle(sample, self.config.patch)
        found = self.inner(folded, timestep, class_labels, return_dict=return_dict)
        if return_dict:
            found.sample = functional.pixel_shuffle(found.sample, self.config.patch)
            return found
        return (functional.pixel_shuffle(found[0], self.config.patch),)


class ClippedDPMSolver(DPMSolverMultistepScheduler):  # type: ignore[misc]
    """DPM-Solver++ whose `thresholding` clips the predicted picture to -1..1, as DDIM does, without asking for its quantiles first."""

    def _threshold_sample(self, sample: Tensor) -> Tensor:
        return sample.clamp(-1, 1)


def scheduler(sampler: Literal["ddpm", "ddim", "dpm++"], timesteps: int, schedule: str, prediction: Literal["epsilon", "v"]) -> Any:
    """Diffusers' scheduler for that sampler, T, noise schedule (as diffusers calls it) and what the network predicts."""
    common = {
        "num_train_timesteps": timesteps,
        "beta_schedule": schedule,
        "prediction_type": "v_prediction" if prediction == "v" else "epsilon",
    }
    match sampler:
        case "ddpm":
            return DDPMScheduler(**common, clip_sample=True)
        case "ddim":
            return DDIMScheduler(**common, clip_sample=True, timestep_spacing="trailing")
    # x0 is clipped to -1..1 as DDIM does, and the log-SNR at t = T is bounded, as diffusers advises for the cosine schedule
    bounds = {"thresholding": True, "lambda_min_clipped": -5.1}
    return ClippedDPMSolver(**common, **bounds, timestep_spacing="trailing", final_sigmas_type="zero")


def unet(
    channels: int, side: int, widths: tuple[int, ...], layers: int, attention: bool, classes: int, patch: int = 1
) -> UNet2DModel | PatchedUNet:
    """A UNet for pictures of [N, channels, side, side], with weights drawn from torch's global generator.

    It is told the class where there are `classes` (0: it is not); `attention` is at the lowest resolution; `patch` x `patch` pixels are one
    place to it.
    """
    attended = [False] * (len(widths) - 1) + [attention]
    config = {
        "sample_size": side // patch,
        "in_channels": channels * patch**2,
        "out_channels": channels * patch**2,
        "layers_per_block": layers,
        "block_out_channels": widths,
        "down_block_types": tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attended),
        "up_block_types": tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attended)),
        "add_attention": attention,
        "norm_num_groups": next(groups for groups in (8, 4, 2, 1) if all(width % groups == 0 for width in widths)),
        "resnet_time_scale_shift": "scale_shift",
        "num_class_embeds": classes or None,
    }
    net = UNet2DModel(**config) if patch == 1 else PatchedUNet(patch, side, channels, config)
    # residual branches and the output begin at zero, as in Ho et al.'s code (diffusers leaves this out)
    branches = [part.conv2 for part in net.modules() if type(part).__name__ == "ResnetBlock2D"]
    for layer in (*branches, (net if patch == 1 else net.inner).conv_out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return net


def save_pipeline(net: UNet2DModel | PatchedUNet, scheduler: Any, folder: Path) -> None:
    """Writes what `diffusers.DDPMPipeline.from_pretrained` opens, the network in `unet`."""
    DDPMPipeline(net, scheduler).save_pretrained(folder)


def opened(folder: Path, patch: int) -> UNet2DModel | PatchedUNet:
    """The network that `save_pretrained` wrote into a folder, ready to draw."""
    kind = UNet2DModel if patch == 1 else PatchedUNet
    net = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    # where it lay on this machine is no part of it, and is not saved with it
    net._internal_dict = type(net.config)({name: value for name, value in net.config.items() if name != "_name_or_path"})
    return net.eval().requires_grad_(False)
