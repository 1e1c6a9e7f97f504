"""DINOv2 features, with which Stein et al. 2023 measure FD: closer to what people see than Inception's."""

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from imgcollapse.errors import DataProblem
from imgcollapse.extractors.forward import forward
from imgcollapse.extractors.resize import bicubic
from imgcollapse.extractors.weights import Published, Weights, find, tried
from imgcollapse.heavy import Tensor, nn, torch
from imgcollapse.images import World
from imgcollapse.machine import devices
from imgcollapse.settings import Settings

PUBLISHED = Published(
    kind="dinov2",
    file="dinov2_vitl14_pretrain.pth",  # ViT-L/14 without registers, Oquab et al. 2023
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    size=1_217_586_395,
    # its makers name no digest; this one is stated by many who fetched the file independently of each other
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
)
SIDE = 224  # of a picture that it sees
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class DinoV2(Settings):
    """DINOv2's 1,024 features of ViT-L/14: with these a Fréchet distance is FD-DINOv2 (1.2 GB of weights)."""

    FRECHET: ClassVar = {"dinov2": "FD-DINOv2"}
    kind: Literal["dinov2"] = "dinov2"
    batch: PositiveInt = Field(32, description="pictures at once; changes no number")

    @staticmethod
    def published() -> Published:
        """The file of weights that it needs."""
        return PUBLISHED

    def check(self, world: World) -> None:
        """Raises DataProblem for points."""
        if world.train.are_points:
            raise DataProblem(f"{world.name}: the extractor 'dinov2' needs pictures; use 'pixels'")

    def fit(self, world: World) -> "FittedDinoV2":
        """Nothing is learned: the weights are all of it. Raises DataProblem for points, WeightsProblem, and SettingsProblem for a file of
        other weights that cannot be used.

        The file is the published one or of that layout (any size of model), read by torch.load without running code, or a network
        in TorchScript, float32 [N, 3, 224, 224], normalised -> [N, D].
        """
        self.check(world)
        weights = find(PUBLISHED)
        with tried(PUBLISHED, weights, "FD-DINOv2", f"give {PUBLISHED.file}, weights of that layout, or a network in TorchScript"):
            net = _network(weights.path)
            dim = _see(net, torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)).shape[1]
        return FittedDinoV2(net, weights, self.batch, dim, "dinov2" if weights.published else "dinov2-other")


@dataclass(frozen=True)
class FittedDinoV2:
    """DINOv2 with its weights. `name` is `dinov2`, or `dinov2-other` for other weights than the published ones."""

    net: "nn.Module"
    weights: Weights
    batch: int
    dim: int
    name: str

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, D] on the CPU. Grey pictures have three equal channels."""
        net = self.net.to(devices.current().torch_device())
        return forward(lambda block: _see(net, block), pixels, self.batch, "dinov2")

    def probabilities(self, features_ND: Tensor) -> None:
        """None: it knows no classes."""

    def record(self) -> dict[str, object]:
        """What identifies this extractor: SHA-256 of the file of weights, whether it is the published one, number of features."""
        return {"digest": self.weights.digest, "published": self.weights.published, "dim": self.dim}


def _see(net: "nn.Module", block: Tensor) -> Tensor:
    """uint8 [n, C, H, W] -> [n, D].

    Resized as the code of Stein et al. does it where nothing else is said, and so for their published numbers: bicubic, antialiased,
    rounded to 8 bits by Pillow. (Their option clean_resize leaves out the rounding.)
    """
    mean, std = (torch.tensor(values, device=block.device)[:, None, None] for values in (MEAN, STD))
    return net((bicubic(block, SIDE, whole=True).expand(-1, 3, -1, -1) / 255 - mean) / std)


def _network(path: Path) -> "nn.Module":
    if zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist()):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.load. is deprecated", category=DeprecationWarning)
            return torch.jit.load(path, map_location="cpu").eval()
    from imgcollapse.extractors.dinov2_network import VisionTransformer

    return VisionTransformer(torch.load(path, map_location="cpu", weights_only=True))
