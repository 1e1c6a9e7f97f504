"""The network of the DDPM, in a file of its own because importing diffusers takes seconds."""

from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)

from diffusers import UNet2DModel  # isort: skip
from torch import nn  # isort: skip


def unet(channels: int, side: int, widths: tuple[int, ...], layers: int, attention: bool, classes: int) -> UNet2DModel:
    """A UNet for pictures of [N, channels, side, side], with weights drawn from torch's global generator.

    It is told the class where there are `classes` (0: it is not); `attention` is at the lowest resolution.
    """
    attended = [False] * (len(widths) - 1) + [attention]
    net = UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=layers,
        block_out_channels=widths,
        down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attended),
        up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attended)),
        add_attention=attention,
        norm_num_groups=next(groups for groups in (8, 4, 2, 1) if all(width % groups == 0 for width in widths)),
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=classes or None,
    )
    # residual branches and the output begin at zero, as in Ho et al.'s code (diffusers leaves this out)
    branches = [part.conv2 for part in net.modules() if type(part).__name__ == "ResnetBlock2D"]
    for layer in (*branches, net.conv_out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return net
