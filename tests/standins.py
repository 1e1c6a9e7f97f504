"""Tiny networks with the interfaces of the published ones and random weights, and worlds of a few pictures to see with them."""

import warnings
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from imgcollapse import progress, seeds
from imgcollapse.images import ImageSet, World


class _Layers(nn.Module):
    """float [N, 3, 299, 299], about -1..1 -> [N, 2048, 1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 7, 4), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).flatten(1)[:, :, None, None]


class _Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = _Layers()

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        sized = functional.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        return self.layers((sized - 128) / 128).flatten(1)


class _Dino(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, dim, 14, 14)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).relu().mean([2, 3])


def inception(path: Path) -> Path:
    """An Inception with the interface of the published TorchScript file."""
    with seeds.global_torch_seed(1):
        return script(_Inception(), path)


def dinov2(path: Path, dim: int = 24) -> Path:
    """A network in TorchScript that sees what DINOv2 sees."""
    with seeds.global_torch_seed(2):
        return script(_Dino(dim), path)


def script(net: nn.Module, path: Path) -> Path:
    """The network as a TorchScript file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch no longer wants TorchScript to be made; the published file is one
        torch.jit.save(torch.jit.script(net.eval()), path)
    return path


def pictures(n: int, channels: int = 3, height: int = 8, width: int = 8, place: str = "train") -> Tensor:
    """uint8 [n, channels, height, width]: noise of its own brightness in each picture."""
    draws = seeds.torch_generator(seeds.derive(0, "pictures", place))
    light = torch.randint(20, 256, (n, 1, 1, 1), generator=draws)
    return (torch.rand(n, channels, height, width, generator=draws) * light).to(torch.uint8)


def world(name: str = "tiny", n: int = 40, channels: int = 3) -> World:
    """Two classes, half as many held out."""
    train = ImageSet.of(pictures(n, channels), torch.arange(n) % 2)
    held_out = ImageSet.of(pictures(n // 2, channels, place="held out"), torch.arange(n // 2) % 2)
    return World(name, train, held_out, ("a", "b"))


def folder(path: Path, n: int = 24) -> Path:
    """A folder of PNG files, two classes of n pictures."""
    for label in ("a", "b"):
        (path / label).mkdir(parents=True)
        for number, picture in enumerate(pictures(n, place=label)):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path / label / f"{number:03d}.png")
    return path


class Line(nn.Module):
    """A slope for each number."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x


class Ear(progress.Silent):
    """Hears what a user would."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun: list[tuple[str, int]] = []

    def begin(self, what: str, total: int, done: int = 0) -> None:
        self.begun.append((what, total))

    def say(self, line: str) -> None:
        self.lines.append(line)
