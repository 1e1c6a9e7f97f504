"""The network of the classifier: convolutions that halve the picture level by level; what is left of it at the end gives the features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ClassifierNetwork(nn.Module):
    """float [N, C, H, W] in -1..1 -> logits [N, classes]; after VGG (Simonyan & Zisserman 2015) and ResNet-9 (Page 2018).

    A first convolution, then for each of `widths` a level: a convolution, the maximum of 2 x 2 pixels, and another convolution, each with
    batch normalisation and GELU. The features are the maxima over what is left of the picture, one for each channel of the last level; of
    a `symmetric` network that no longer learns, their mean over the picture and its mirror image.
    """

    def __init__(self, shape: Sequence[int], widths: Sequence[int], classes: int, symmetric: bool = False) -> None:
        super().__init__()
        self.symmetric = symmetric
        channels, stem = shape[0], max(8, widths[0] * 3 // 8)
        body: list[nn.Module] = [*_convolution(channels, stem)]
        channels = stem
        for width in widths:
            body += [*_convolution(channels, width, nn.MaxPool2d(2)), *_convolution(width, width)]
            channels = width
        self.body = nn.Sequential(*body, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU

    def features(self, signed: Tensor) -> Tensor:
        """float [N, C, H, W] in -1..1 -> [N, D]."""
        features: Tensor = self.body(signed.contiguous(memory_format=torch.channels_last))
        if not self.symmetric or self.training:
            return features
        return (features + self.body(signed.flip(3).contiguous(memory_format=torch.channels_last))) / 2

    def forward(self, signed: Tensor) -> Tensor:
        return self.head(self.features(signed))


def whiten(network: ClassifierNetwork, signed: Tensor) -> None:
    """Makes the first convolution tell apart what is different in the 2 x 2 pixels of these pictures, and no more learn that itself.

    Its filters become the principal components of the 2 x 2 patches, each over its standard deviation, and the same with the other sign,
    as many as it has room for: a network that begins with them learns in half of the steps (Page 2018; Jordan 2024, arXiv:2404.00498).
    signed: float [N, C, H, W] in -1..1
    """
    first = network.body[0]
    assert isinstance(first, nn.Conv2d)
    patches = functional.unfold(signed, 2).transpose(1, 2).flatten(0, 1).double()
    variances, components = torch.linalg.eigh(patches.T.cov())
    filters = (components / (variances + 1e-4).sqrt()).T.flip(0).view(-1, signed.shape[1], 2, 2)
    both = torch.stack([filters, -filters], 1).flatten(0, 1)[: first.out_channels]
    with torch.no_grad():
        first.weight[: len(both)] = functional.pad(both, (0, 1, 0, 1)).to(first.weight)
    first.weight.requires_grad_(False)


def levels(height: int, width: int) -> int:
    """Into how many levels a picture of that size goes: until it is 3 to 7 pixels wide, and two at least."""
    return max(2, min(height, width).bit_length() - 3)


def _convolution(channels: int, out: int, *pool: nn.Module) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1, bias=False), *pool, nn.BatchNorm2d(out), nn.GELU()]
